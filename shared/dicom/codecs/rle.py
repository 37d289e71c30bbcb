"""RLE as DICOM has it (PS3.5 annex G): one segment for each byte of a pixel, the high byte first.

The segments are unpacked by a library. Packing is done here, over the whole plane at once, since the one
library that packs does it byte by byte in Python, fifteen times slower.
"""

import struct
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from shared.dicom.codecs.errors import DamagedPixels, UnsupportedPixels, failing_as

Bytes = NDArray[np.uint8]

MAX_SEGMENTS: Final = 15
_HEADER: Final = struct.Struct("<16I")
_MAX_RUN: Final = 128
_BLOCK_BYTES: Final = 512 * 1024
_MIN_REPEAT: Final = 3
"""Two like bytes are as short among others as alone."""


def decode_planes(content: bytes, planes: int, plane_bytes: int) -> Bytes:
    """Unpack a frame.

    Args:
        content: The frame as stored.
        planes: How many bytes each pixel has, over all samples.
        plane_bytes: How many pixels the frame has.

    Returns:
        (plane, pixel), in the order of the segments.

    Raises:
        DamagedPixels: The segments are not as many or not as long as declared.
    """
    if len(content) < _HEADER.size:
        raise DamagedPixels("The RLE frame is cut off.")
    count, *offsets = _HEADER.unpack_from(content)
    if count != planes:
        raise DamagedPixels(f"The RLE frame has {count} segments where its pixels need {planes}.")
    bounds = [*offsets[:count], len(content)]
    if bounds[0] < _HEADER.size or sorted(bounds) != bounds:
        raise DamagedPixels("The RLE frame's segments overlap or are cut off.")
    unpacked = np.empty((planes, plane_bytes), np.uint8)
    for plane in range(planes):
        unpacked[plane] = _unpack(content[bounds[plane] : bounds[plane + 1]], plane_bytes)
    return unpacked


def _unpack(segment: bytes, plane_bytes: int) -> Bytes:
    # Some writers let the last run go beyond the pixels, or pad with more than a byte.
    with failing_as(DamagedPixels, "A segment of the RLE frame cannot be unpacked."):
        unpacked = imagecodecs.packbits_decode(segment, out=plane_bytes + _MAX_RUN)
    if len(unpacked) < plane_bytes:
        raise DamagedPixels("A segment of the RLE frame is shorter than its pixels.")
    return np.frombuffer(unpacked, np.uint8, plane_bytes)


def encode_planes(planes: Bytes) -> bytes:
    """Pack a frame.

    Args:
        planes: (plane, row, column), the high byte of a sample before the low one.

    Raises:
        UnsupportedPixels: There are more planes than the header has room for.
    """
    if len(planes) > MAX_SEGMENTS:
        raise UnsupportedPixels("RLE has room for fifteen bytes per pixel.")
    segments = [_pack(plane) for plane in planes]
    padded = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    ends = np.cumsum([_HEADER.size, *map(len, padded)]).tolist()
    offsets = [*ends[:-1], *[0] * (MAX_SEGMENTS - len(padded))]
    return _HEADER.pack(len(padded), *offsets) + b"".join(padded)


def _pack(plane: Bytes) -> bytes:
    """PackBits, some rows at a time, as the steps between take a multiple of the room."""
    step = max(_BLOCK_BYTES // plane.shape[1], 1)
    return b"".join(_pack_rows(plane[row : row + step]) for row in range(0, len(plane), step))


def _pack_rows(plane: Bytes) -> bytes:
    """PackBits, each row by itself."""
    flat = np.ascontiguousarray(plane).ravel()
    starts, lengths, repeats = _chunks(flat, plane.shape[1])
    sizes = np.where(repeats, 1, lengths)
    heads = np.cumsum(sizes + 1) - (sizes + 1)
    packed = np.empty(int(heads[-1] + sizes[-1]) + 1, np.uint8)
    packed[heads] = np.where(repeats, 257 - lengths, lengths - 1) & 0xFF
    packed[heads[repeats] + 1] = flat[starts[repeats]]
    literal = np.repeat(~repeats, lengths)
    targets = np.arange(flat.size) + np.repeat(heads + 1 - starts, lengths)
    packed[targets[literal]] = flat[literal]
    return packed.tobytes()


def _chunks(flat: Bytes, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Cut rows into repeats and literals of at most 128 bytes: where each starts, its length, its kind."""
    first = np.empty(flat.size, np.bool_)
    first[0] = True
    np.not_equal(flat[1:], flat[:-1], out=first[1:])
    first[::columns] = True
    runs = np.flatnonzero(first)
    lengths = np.diff(runs, append=flat.size)
    repeats = lengths >= _MIN_REPEAT
    # Short runs next to each other in a row are one literal.
    opens = repeats | (runs % columns == 0)
    opens[1:] |= repeats[:-1]
    starts, kinds = runs[opens], repeats[opens]
    lengths = np.diff(starts, append=flat.size)
    parts = -(-lengths // _MAX_RUN)
    order = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    cut = np.repeat(starts, parts) + order * _MAX_RUN
    return cut, np.diff(cut, append=flat.size), np.repeat(kinds, parts)
