"""What a compressed frame says of itself, read before any decoder sees it.

The decoders reserve memory for whatever size a stream claims, so its header is read here first and compared
with the dataset (`check_stream`). Whatever else lets a small stream ask for much is bounded here too: scans,
tiles, precincts, layers.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from shared.dicom.codecs.errors import DamagedPixels, UnsupportedPixels
from shared.dicom.codecs.model import PixelDescription

MAX_SCANS: Final = 100
"""Each scan of a progressive JPEG passes over the whole picture; encoders write about ten."""

MAX_LAYERS: Final = 256
MIN_PRECINCT_EXPONENT: Final = 3
"""Each JPEG 2000 precinct costs a kilobyte or so; smaller than 8 x 8 there would be too many."""

MIN_TILE_PIXELS: Final = 256
SPARE_TILES: Final = 256
"""Each JPEG 2000 tile costs some kilobytes, so few may be smaller than `MIN_TILE_PIXELS`."""

_END_OF_IMAGE = b"\xff\xd9"
_JPEG_COSINE = (0xC0, 0xC1, 0xC2)
_JPEG_SOF = (*_JPEG_COSINE, 0xC3)
_JPEG_UNREAD = {0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_JPEG_LS_SOF = 0xF7
_BARE_MARKERS = {0x01, *range(0xD0, 0xD8)}
_SOS, _APP0, _APP14 = 0xDA, 0xE0, 0xEE
_SIZ, _COD, _COC, _SOT, _SOD, _EOC = 0x51, 0x52, 0x53, 0x90, 0x93, 0xD9


class Coding(Enum):
    """Which standard a stream follows, whatever the transfer syntax says."""

    JPEG = auto()
    JPEG_LS = auto()
    JPEG_2000 = auto()
    JPEG_XL = auto()


class Colours(Enum):
    """What a colour JPEG says its samples are."""

    UNSAID = auto()
    RGB = auto()
    YBR = auto()


@dataclass(frozen=True, slots=True)
class Stream:
    """The header of a compressed frame."""

    coding: Coding
    rows: int
    columns: int
    samples: int
    precision: int
    """Bits of a sample."""

    colours: Colours = Colours.UNSAID
    cosine: bool = False
    """Whether JPEG lost something in its cosine transform, whatever the transfer syntax says."""

    start: int = 0
    """Where the JPEG 2000 codestream begins, behind the boxes that some writers put around it."""


def check_stream(stream: Stream, description: PixelDescription) -> None:
    """Compare a stream with its dataset.

    Raises:
        DamagedPixels: They do not agree.
    """
    if (stream.rows, stream.columns) != (description.rows, description.columns):
        raise DamagedPixels(
            f"The frame is {stream.columns} x {stream.rows} pixels, "
            f"but the dataset says {description.columns} x {description.rows}."
        )
    if stream.samples != description.samples_per_pixel:
        raise DamagedPixels(
            f"The frame has {stream.samples} samples per pixel, but the dataset says "
            f"{description.samples_per_pixel}."
        )
    if not 1 <= stream.precision <= description.bits_allocated:
        raise DamagedPixels(
            f"The frame has samples of {stream.precision} bits, but the dataset allocates "
            f"{description.bits_allocated}."
        )


def read_jpeg(content: bytes) -> Stream:
    """Read the header of a JPEG or JPEG-LS frame (ISO 10918-1 annex B, ISO 14495-1 annex C).

    Raises:
        DamagedPixels: It is none, or not whole.
        UnsupportedPixels: It is hierarchical or coded arithmetically.
    """
    if content[:2] != b"\xff\xd8":
        raise DamagedPixels("The frame does not start as JPEG.")
    found: dict[int, bytes] = {}
    for marker, start, end in _segments(content, 2):
        if marker in _JPEG_UNREAD:
            raise UnsupportedPixels("The frame is JPEG that is hierarchical or coded arithmetically.")
        if marker == _SOS:
            _check_scans(content, end)
            break
        found.setdefault(marker, content[start:end])
    headers = [marker for marker in (*_JPEG_SOF, _JPEG_LS_SOF) if marker in found]
    if len(headers) != 1:
        raise DamagedPixels("The JPEG frame has no header, or two.")
    return _jpeg_stream(headers[0], found)


def _segments(content: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """Marker, and where its parameters start and end, up to the end of the bytes."""
    while True:
        while content[position : position + 2] == b"\xff\xff":
            position += 1
        if position + 4 > len(content) or content[position] != 0xFF:
            raise DamagedPixels("The frame's header is cut off or is none.")
        marker = content[position + 1]
        if marker in _BARE_MARKERS:
            position += 2
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if end < position + 4 or end > len(content):
            raise DamagedPixels("The frame's header is cut off.")
        yield marker, position + 4, end
        position = end


def _check_scans(content: bytes, start: int) -> None:
    # The decoder fills what is missing with grey and does not say so. In entropy-coded data the marker's two
    # bytes cannot occur, so this finds nothing but the end; some writers pad behind it.
    if content.rfind(_END_OF_IMAGE) < start:
        raise DamagedPixels("The JPEG frame is cut off: it has no end-of-image marker.")
    if content.count(bytes((0xFF, _SOS)), start) >= MAX_SCANS:
        raise DamagedPixels(f"The JPEG frame has more than {MAX_SCANS} scans.")


def _jpeg_stream(marker: int, found: dict[int, bytes]) -> Stream:
    header = found[marker]
    if len(header) < 6 or len(header) < 6 + 3 * header[5]:
        raise DamagedPixels("The JPEG frame's header is cut off.")
    precision, rows, columns, samples = struct.unpack_from(">BHHB", header)
    components = [(header[6 + 3 * index], header[7 + 3 * index]) for index in range(samples)]
    return Stream(
        coding=Coding.JPEG_LS if marker == _JPEG_LS_SOF else Coding.JPEG,
        rows=rows,
        columns=columns,
        samples=samples,
        precision=precision,
        colours=_colours(components, found),
        cosine=marker in _JPEG_COSINE,
    )


def _colours(components: list[tuple[int, int]], found: dict[int, bytes]) -> Colours:
    """What the stream says of its colours, by the strongest sign it gives."""
    if len(components) != 3:
        return Colours.UNSAID
    adobe = found.get(_APP14, b"")[:12]
    # Some writers leave the marker's flags out, and its last byte is what matters.
    if adobe[:5] == b"Adobe" and len(adobe) >= 10:
        return Colours.YBR if adobe[-1] == 1 else Colours.RGB
    if found.get(_APP0, b"")[:5] == b"JFIF\0":
        return Colours.YBR
    identifiers = bytes(identifier for identifier, _ in components)
    if identifiers.upper() == b"RGB":
        return Colours.RGB
    sampling = {factors for _, factors in components}
    # Only chroma is ever sampled more coarsely.
    return Colours.YBR if len(sampling) > 1 else Colours.UNSAID


def read_jpeg_2000(content: bytes) -> Stream:
    """Read the headers of a JPEG 2000 or HTJ2K codestream, with or without boxes (ISO 15444-1 annex A).

    Raises:
        DamagedPixels: It is none, is cut off, or asks for more than its pixels could need.
        UnsupportedPixels: Its components differ.
    """
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0:
        raise DamagedPixels("The frame is no JPEG 2000 codestream.")
    size: Stream | None = None
    for marker, begin, end in _codestream_segments(content, start + 2):
        parameters = content[begin:end]
        if marker == _SIZ and size is None:
            size = _sized(parameters, start)
        elif size is None:
            raise DamagedPixels("The JPEG 2000 codestream does not say its size.")
        elif marker == _COD:
            _check_coding(parameters)
        elif marker == _COC:
            _check_precincts(parameters, 1 if size.samples < 257 else 2)
    if size is None:
        raise DamagedPixels("The JPEG 2000 codestream does not say its size.")
    return size


def _codestream_segments(content: bytes, position: int) -> Iterator[tuple[int, int, int]]:
    """The segments of the main header and of every tile-part's header."""
    next_part = 0
    for _ in range(len(content)):
        marker = content[position + 1 : position + 2]
        if content[position : position + 1] != b"\xff" or marker == b"":
            break
        if marker[0] == _EOC:
            return
        if marker[0] == _SOD:
            if not next_part:
                return
            position = next_part
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if end < position + 4 or end > len(content):
            break
        if marker[0] == _SOT:
            next_part = _end_of_part(content, position)
        yield marker[0], position + 4, end
        position = end
    raise DamagedPixels("The JPEG 2000 codestream is cut off.")


def _end_of_part(content: bytes, position: int) -> int:
    """Where the next tile-part starts; 0 when this is the last."""
    length = int.from_bytes(content[position + 6 : position + 10], "big")
    if length and (length < 14 or position + length > len(content)):
        raise DamagedPixels("A tile-part of the JPEG 2000 codestream is cut off.")
    return position + length if length else 0


def _sized(parameters: bytes, start: int) -> Stream:
    """What the SIZ segment says."""
    if len(parameters) < 36:
        raise DamagedPixels("The JPEG 2000 codestream's size is cut off.")
    _, right, bottom, left, top, width, height, tiles_left, tiles_top, samples = struct.unpack_from(
        ">HIIIIIIIIH", parameters
    )
    components = {parameters[36 + 3 * index : 39 + 3 * index] for index in range(samples)}
    if right <= left or bottom <= top or not width or not height or tiles_left > left or tiles_top > top:
        raise DamagedPixels("The JPEG 2000 codestream has an impossible size.")
    tiles = -((tiles_left - right) // width) * -((tiles_top - bottom) // height)
    if tiles > SPARE_TILES + (right - left) * (bottom - top) // MIN_TILE_PIXELS:
        raise DamagedPixels("The JPEG 2000 codestream has too many tiles for its size.")
    component = components.pop() if components else b""
    if components or component[1:] != b"\1\1":
        raise UnsupportedPixels("The components of the JPEG 2000 codestream differ in size or depth.")
    precision = (component[0] & 0x7F) + 1
    return Stream(Coding.JPEG_2000, bottom - top, right - left, samples, precision, start=start)


def _check_coding(parameters: bytes) -> None:
    """Refuse a COD segment that asks for too much."""
    if len(parameters) < 10:
        raise DamagedPixels("The JPEG 2000 codestream's coding style is cut off.")
    if int.from_bytes(parameters[2:4], "big") > MAX_LAYERS:
        raise DamagedPixels(f"The JPEG 2000 codestream has more than {MAX_LAYERS} layers.")
    _check_precincts(parameters[:1] + parameters[5:], 0)


def _check_precincts(parameters: bytes, at: int) -> None:
    """Refuse precincts so small that there would be too many; `at` is where the coding style stands."""
    sizes = parameters[at + 6 :] if parameters[at : at + 1] and parameters[at] & 1 else b""
    if any(min(size & 15, size >> 4) < MIN_PRECINCT_EXPONENT for size in sizes):
        raise DamagedPixels("The JPEG 2000 codestream has precincts smaller than 8 x 8.")
