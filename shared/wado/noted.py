"""What stored metadata say of an instance's pixels, and of how these are meant to be seen.

Everything else in them is passed over: an instance may have a million small elements, which as values would
take a gigabyte and Python's lock for seconds.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shared.dicom.codecs import UnsupportedPixels, presentation_of
from shared.dicom.codecs.attributes import DESCRIBING, Attributes
from shared.dicom.codecs.references import PER_FRAME, SHOWING, references
from shared.dicom.metadata import inflate

MAX_TEXT_BYTES: Final = 256 * 1024 * 1024
"""Metadata with more text are not looked through."""

MAX_NOTED_BYTES: Final = 1024 * 1024
"""Text of all that is noted of an instance but of its frames. Real ones have some kilobytes."""

MAX_GROUPS_BYTES: Final = 16 * 1024 * 1024
"""Text of what is noted of the frames that are asked for."""

BYTES_TO_NOTE: Final = 64 * 1024 * 1024
"""The memory that this takes at most, beside the compressed text."""

BYTES_FOR_EACH: Final = 24
"""Memory that a byte of text takes as values at most."""

LOSSY: Final = frozenset({"00080016", "00280008", "00282110", "00282112", "00282114"})
"""What else is to be known of an instance that is converted: its class, frames, and what was lost."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What was noted of one instance."""

    attributes: Attributes
    """Elements of the dataset."""

    groups: Mapping[int, bytes]
    """Items of the Per-frame Functional Groups Sequence by frame number, as DICOM JSON."""

    has_groups: bool
    """Whether frames have such items; if not, all is known of any frame."""

    weight: int
    """Memory taken, about."""

    tables: frozenset[str] = frozenset()
    """Paths of the lookup tables that any frame refers to."""

    profiles: frozenset[str] = frozenset()
    """Paths of ICC profiles."""

    own_tables: Mapping[int, Collection[str]] = field(default_factory=dict)
    """Paths of what single frames refer to."""

    def knows(self, numbers: Collection[int]) -> bool:
        """Whether these frames were looked for."""
        return not self.has_groups or all(number in self.groups for number in numbers)

    def presentation(self, number: int, *, profile: bool) -> Attributes:
        """How a frame is meant to be seen; in what is given it is number 1."""
        group = self.groups.get(number)
        own = {PER_FRAME: {"vr": "SQ", "Value": [json.loads(group)]}} if group else {}
        return presentation_of({**self.attributes, **own}, 1, profile=profile)

    def paths(self, numbers: Collection[int], *, profile: bool) -> frozenset[str]:
        """What these frames refer to in the file, as `references` gives it."""
        shared = self.tables | self.profiles if profile else self.tables
        return shared.union(*(self.own_tables.get(number, ()) for number in numbers))


def note_description(compressed: bytes) -> Attributes:
    """Read what describes the pixels; slow, so done in a thread.

    Raises:
        UnsupportedPixels: It is too long.
    """
    return _read(compressed, DESCRIBING | LOSSY, ()).attributes


def note_showing(numbers: Sequence[int], compressed: bytes) -> Noted:
    """Read what describes the pixels, and how they are seen; slow, so done in a thread.

    Args:
        numbers: The frames that are of interest.
        compressed: The metadata as they are stored.

    Raises:
        UnsupportedPixels: It is too long.
    """
    noted = _read(compressed, DESCRIBING | SHOWING, sorted(set(numbers)))
    tables = frozenset(references(presentation_of(noted.attributes, 0)))
    own = {number: list(references(json.loads(group))) for number, group in _referring(noted.groups)}
    return replace(noted, tables=tables, profiles=frozenset(references(noted.attributes)), own_tables=own)


def _referring(groups: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, group) for number, group in groups.items() if b"BulkDataURI" in group)


def _read(compressed: bytes, keys: Collection[str], numbers: Sequence[int]) -> Noted:
    # With it comes numpy, which takes a while to import.
    from shared.dicom.json_parts import TooLong, Wanted, find_parts

    wanted = Wanted(keys, PER_FRAME if numbers else "", numbers)
    try:
        parts = find_parts(_bounded(compressed), wanted, MAX_GROUPS_BYTES)
    except TooLong as error:
        raise UnsupportedPixels("What the metadata say of pixels is too long.") from error
    if len(parts.elements) > MAX_NOTED_BYTES or any(map(_is_too_long, parts.items.values())):
        raise UnsupportedPixels("What the metadata say of pixels is too long.")
    size = BYTES_FOR_EACH * len(parts.elements) + sum(map(len, parts.items.values()))
    return Noted(json.loads(parts.elements), parts.items, parts.has_items, size)


def _is_too_long(group: bytes) -> bool:
    return len(group) > MAX_NOTED_BYTES


def _bounded(compressed: bytes) -> Iterator[bytes]:
    size = 0
    for piece in inflate(compressed):
        size += len(piece)
        if size > MAX_TEXT_BYTES:
            raise UnsupportedPixels("The metadata are too long to be looked through.")
        yield piece
