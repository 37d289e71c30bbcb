"""Lookup tables as datasets hold them: modality, VOI and palette (PS3.3 C.11.1, C.11.2, C.7.9)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.dicom.codecs.errors import DamagedPixels

MAX_ENTRIES: Final = 65536

_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Lut:
    """A table that is looked up with a value of the step before."""

    first: int
    """The value that the first entry is for; lower ones get that entry, and higher ones the last."""

    bits: int
    """Bits of an entry, which say what white is."""

    entries: bytes
    """Unsigned shorts, little endian."""


def make_lut(descriptor: tuple[int, int, int], content: bytes) -> Lut:
    """Build a table.

    Args:
        descriptor: Number of entries (0 means 65536), first value mapped, bits of an entry.
        content: The entries as words, or as bytes when they are as many as entries.

    Raises:
        DamagedPixels: There are fewer entries than the descriptor says.
    """
    count, first, bits = descriptor
    count = count or MAX_ENTRIES
    if not 0 < count <= MAX_ENTRIES or not 1 <= bits <= 16:
        raise DamagedPixels("A lookup table's descriptor is none.")
    # An odd number of bytes is padded.
    if len(content) in (count, count + count % 2) and count > 1:
        content = b"".join(bytes((value, 0)) for value in content[:count])
    if len(content) < 2 * count:
        raise DamagedPixels("A lookup table has fewer entries than its descriptor says.")
    return Lut(first, bits, content[: 2 * count])


def expand_segments(descriptor: tuple[int, int, int], content: bytes) -> bytes:
    """Expand a segmented palette into words (PS3.3 C.7.9.2).

    Raises:
        DamagedPixels: The segments are not what they should be.
    """
    limit = descriptor[0] or MAX_ENTRIES
    # Everything in a segment is as wide as an entry.
    width = 1 if descriptor[2] == 8 else 2
    words = struct.unpack_from(f"<{len(content) // width}{'BH'[width - 1]}", content)
    entries: list[int] = []
    position = 0
    while position + 2 < len(words) and len(entries) < limit:
        if words[position] == _INDIRECT:
            _repeat(words, position, width, entries)
            position += 2 + 4 // width
        else:
            position = _expand(words, position, entries)
    kept = entries[:limit]
    return struct.pack(f"<{len(kept)}H", *kept)


def _expand(words: Sequence[int], position: int, entries: list[int]) -> int:
    """Append one discrete or linear segment; say where the next one starts."""
    kind, length = words[position : position + 2]
    start = position + 2
    if kind == _DISCRETE:
        entries.extend(words[start : start + length])
        return start + length
    if kind != _LINEAR or not entries or start >= len(words):
        raise DamagedPixels("A segmented palette has a segment that is none.")
    low, high = entries[-1], words[start]
    entries.extend(round(low + (high - low) * step / length) for step in range(1, length + 1))
    return start + 1


def _repeat(words: Sequence[int], position: int, width: int, entries: list[int]) -> None:
    """Append the segments that an indirect one points to, by their number and an offset in bytes."""
    count, *offset = words[position + 1 : position + 2 + 4 // width]
    target = sum(word << 8 * width * index for index, word in enumerate(offset)) // width
    for _ in range(count):
        if target + 2 >= len(words) or words[target] == _INDIRECT or len(entries) >= MAX_ENTRIES:
            raise DamagedPixels("A segmented palette points where no segment is.")
        target = _expand(words, target, entries)
