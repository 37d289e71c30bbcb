"""The header of a JPEG XL codestream, bit by bit (ISO 18181-1 section D, containers by 18181-2)."""

from typing import Final

from shared.dicom.codecs.errors import DamagedPixels, UnsupportedPixels
from shared.dicom.codecs.streams import Coding, Stream

_SIGNATURE: Final = b"\xff\x0a"
_CONTAINER: Final = b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE_BITS: Final = (9, 13, 18, 30)
_MAX_BOXES: Final = 64


class _Bits:
    """Reads bits from the low end of each byte."""

    def __init__(self, content: bytes) -> None:
        self._number = int.from_bytes(content, "little")
        self._left = 8 * len(content)

    def take(self, count: int) -> int:
        """The next bits as a number."""
        if count > self._left:
            raise DamagedPixels("The JPEG XL header is cut off.")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return value


def read_jpeg_xl(content: bytes) -> Stream:
    """Read the size and depth of a JPEG XL frame.

    Raises:
        DamagedPixels: It is none, or is cut off.
        UnsupportedPixels: It has what a DICOM frame has no use for: animation, preview, extra channels.
    """
    start = _codestream(content)
    bits = _Bits(content[start + 2 : start + 66])
    rows, columns = _size(bits)
    if bits.take(1):
        return Stream(Coding.JPEG_XL, rows, columns, 3, 8)
    # Orientation, size to show, preview, animation.
    if bits.take(1) and bits.take(6):
        raise UnsupportedPixels("The JPEG XL frame is turned or animated, or has a preview.")
    precision = _precision(bits)
    bits.take(1)
    if bits.take(2):
        raise UnsupportedPixels("The JPEG XL frame has extra channels.")
    return Stream(Coding.JPEG_XL, rows, columns, _samples(bits), precision)


def _codestream(content: bytes) -> int:
    """Where the codestream starts, in a container or bare."""
    if content[:2] == _SIGNATURE:
        return 0
    if content[:12] != _CONTAINER:
        raise DamagedPixels("The frame is no JPEG XL.")
    position = 12
    for _ in range(_MAX_BOXES):
        length = int.from_bytes(content[position : position + 4], "big")
        kind = content[position + 4 : position + 8]
        header = 16 if length == 1 else 8
        if kind in (b"jxlc", b"jxlp"):
            start = position + header + (4 if kind == b"jxlp" else 0)
            if content[start : start + 2] == _SIGNATURE:
                return start
            break
        if length == 1:
            length = int.from_bytes(content[position + 8 : position + 16], "big")
        if length < header:
            break
        position += length
    raise DamagedPixels("The JPEG XL container holds no codestream.")


def _size(bits: _Bits) -> tuple[int, int]:
    """Rows and columns."""
    small = bits.take(1)
    rows = 8 * (bits.take(5) + 1) if small else bits.take(_SIZE_BITS[bits.take(2)]) + 1
    ratio = bits.take(3)
    if ratio:
        width, height = _RATIOS[ratio - 1]
        return rows, rows * width // height
    columns = 8 * (bits.take(5) + 1) if small else bits.take(_SIZE_BITS[bits.take(2)]) + 1
    return rows, columns


def _precision(bits: _Bits) -> int:
    if bits.take(1):
        raise UnsupportedPixels("The JPEG XL frame has samples in floating point.")
    choice = bits.take(2)
    return (8, 10, 12)[choice] if choice < 3 else 1 + bits.take(6)


def _samples(bits: _Bits) -> int:
    """Three for colour, one for grey."""
    bits.take(1)  # Whether colours are XYB, which the decoder undoes.
    if bits.take(1):
        return 3
    bits.take(1)  # Whether there is a colour profile.
    choice = bits.take(2)
    space = choice if choice < 2 else 2 + bits.take(4) if choice == 2 else 18 + bits.take(6)
    return 1 if space == 1 else 3
