"""Finding the frames of pixel data from what went by while it streamed past.

Fragments do not say which frame they belong to. Where there are as many as frames, each is one. An offset
table may tell; it may also be absent, cut off or wrong, so a table is believed only when every offset in it
hits the start of a fragment. Without one, a frame ends where a fragment ends with an end-of-image marker (the
same two bytes in JPEG, JPEG-LS and JPEG 2000), else the whole is one frame.
"""

from __future__ import annotations  # array[int] is no type at run time before Python 3.12

import re
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from shared.dicom import plans
from shared.dicom.errors import NotDicom
from shared.dicom.frames import ITEM_HEADER_BYTES, FrameIndex

MAX_FRAGMENTS = 1_000_000
"""Beyond this an object is refused: far more frames than any known device writes."""

MAX_TABLE_BYTES = 8 * MAX_FRAGMENTS
"""A longer offset table is passed over, and the frames are found without it."""

TAIL_BYTES = 10
"""How far from its end a fragment's end-of-image marker may lie; writers pad generously."""

_END_OF_IMAGE = b"\xff\xd9"
_VIDEO = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.10\d(\.1)?")


@dataclass(slots=True)
class Fragments:
    """The fragments of encapsulated pixel data, gathered as they pass."""

    table: bytes = b""
    """The basic offset table, empty when there is none or it is too large to be one."""

    first: int = 0
    """Where the first fragment's bytes start."""

    lengths: array[int] = field(default_factory=lambda: array("I"))

    ends: bytearray = field(default_factory=bytearray)
    """For each fragment, 1 where it ends with an end-of-image marker."""

    def add(self, start: int, length: int) -> None:
        """Note a fragment's header.

        Raises:
            NotDicom: There are more than anything real has.
        """
        if not self.lengths:
            self.first = start
        if len(self.lengths) >= MAX_FRAGMENTS:
            raise NotDicom(f"The pixel data have more than {MAX_FRAGMENTS} fragments.")
        self.lengths.append(length)

    def close(self, tail: bytes) -> None:
        """Note the last bytes of the fragment added last."""
        self.ends.append(_END_OF_IMAGE in tail)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the dataset says about its frames."""

    number_of_frames: int | None
    """None when Number of Frames is absent, below one or no number."""

    frame_bits: int
    """Bits of a native frame; 0 when the dataset does not say."""


def read_geometry(values: Mapping[int, bytes], *, little: bool) -> Geometry:
    """Read the size of a frame from the raw values of the elements watched for."""

    def short(tag: int, absent: int = 0) -> int:
        raw = values.get(tag, b"")
        return int.from_bytes(raw[:2], "little" if little else "big") if len(raw) >= 2 else absent

    samples = short(plans.SAMPLES_PER_PIXEL, 1)
    pixels = short(plans.ROWS) * short(plans.COLUMNS)
    bits = pixels * samples * short(plans.BITS_ALLOCATED)
    colours = values.get(plans.PHOTOMETRIC_INTERPRETATION, b"").strip(b"\0 ")
    # Two pixels share their chroma samples, so three samples a pixel take the room of two (C.7.6.3.1.2).
    if samples == 3 and colours in (b"YBR_FULL_422", b"YBR_PARTIAL_422"):
        bits = bits * 2 // 3
    if samples == 3 and colours == b"YBR_PARTIAL_420":
        bits //= 2
    return Geometry(_count(values.get(plans.NUMBER_OF_FRAMES, b"")), bits)


def native_index(start: int, length: int, geometry: Geometry) -> FrameIndex | None:
    """The frames of native pixel data; of data too short for their number, the frames that are whole."""
    if not length:
        return None
    bits = geometry.frame_bits or 8 * length
    count = min(geometry.number_of_frames or 1, 8 * length // bits)
    return FrameIndex(count, start, bits) if count else None


def encapsulated_index(
    fragments: Fragments, geometry: Geometry, extended: bytes, transfer_syntax: str
) -> FrameIndex | None:
    """The frames of encapsulated pixel data.

    Args:
        fragments: What went by.
        geometry: What the dataset says.
        extended: Value of Extended Offset Table, empty when absent.
        transfer_syntax: Tells video, whose one stream holds all frames.
    """
    if not fragments.lengths:
        return None
    total = len(fragments.lengths)
    if _VIDEO.fullmatch(transfer_syntax):
        return _grouped(fragments, array("I", (total,)))
    declared = geometry.number_of_frames
    if declared == total:
        return _grouped(fragments, array("I"))
    groups = (
        _by_table(fragments, _offsets(extended, "Q"), declared)
        or _by_table(fragments, _offsets(fragments.table, "I"), declared)
        or _by_markers(fragments, declared)
    )
    if groups is None:
        # More frames declared than fragments: those that are there. Fewer: nothing tells them apart.
        groups = array("I") if declared and declared > total else array("I", (total,))
    return _grouped(fragments, groups)


def _count(raw: bytes) -> int | None:
    text = raw.strip(b"\0 +")
    return int(text) or None if text.isdigit() and len(text) <= 12 else None


def _offsets(table: bytes, code: Literal["I", "Q"]) -> array[int]:
    offsets = array(code)
    offsets.frombytes(table[: len(table) // offsets.itemsize * offsets.itemsize])
    if sys.byteorder == "big":
        offsets.byteswap()
    return offsets


def _by_table(fragments: Fragments, offsets: array[int], declared: int | None) -> array[int] | None:
    """Fragments of each frame by an offset table, or None when the table cannot be right."""
    if not offsets or offsets[0] != 0 or (declared is not None and len(offsets) != declared):
        return None
    groups = array("I")
    bounds = iter([*offsets[1:], -1])
    bound = next(bounds)
    before = 0
    starts = accumulate(length + ITEM_HEADER_BYTES for length in fragments.lengths)
    for index, start in enumerate(starts, 1):
        if start == bound:
            groups.append(index - before)
            before, bound = index, next(bounds)
    groups.append(len(fragments.lengths) - before)
    return groups if bound == -1 and groups[-1] else None


def _by_markers(fragments: Fragments, declared: int | None) -> array[int] | None:
    """Fragments of each frame by end-of-image markers, or None when they do not add up."""
    groups = array("I")
    before = 0
    for index, ends in enumerate(fragments.ends, 1):
        if ends:
            groups.append(index - before)
            before = index
    if not groups or (declared is not None and len(groups) != declared):
        return None
    groups[-1] += len(fragments.lengths) - before
    return groups


def _grouped(fragments: Fragments, groups: array[int]) -> FrameIndex:
    """The index of fragments in groups; no groups means a frame in each fragment."""
    if len(groups) == len(fragments.lengths):
        groups = array("I")
    count = len(groups) or len(fragments.lengths)
    return FrameIndex(count, fragments.first, fragments=fragments.lengths, groups=groups)
