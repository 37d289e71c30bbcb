"""One gzip stream made of texts that were compressed apart, without inflating them again.

A **segment** is raw deflate that ends at a byte, with a full flush, and refers to nothing before it. Segments
can follow each other in any stream, and between them short texts as blocks that are not compressed. Only the
checksum at the end is of the whole, and it follows from those of the parts. (Several gzip members in a row
would be simpler, but browsers stop after the first.)

Source: RFC 1951, RFC 1952.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

HEAD: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
"""What a gzip stream begins with: deflate, no name, no time, system not known."""

_POLYNOMIAL: Final = 0xEDB88320
"""That of CRC-32; as everywhere here the highest bit stands for the lowest power."""

_ONE: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Sum:
    """CRC-32 and length in bytes of a text."""

    crc: int = 0
    length: int = 0

    @classmethod
    def of(cls, text: bytes) -> "Sum":
        """That of a text at hand."""
        return cls(zlib.crc32(text), len(text))

    def __add__(self, other: "Sum") -> "Sum":
        """That of two texts, one behind the other."""
        shifted = _multiply(_power(8 * other.length), self.crc)
        return Sum(shifted ^ other.crc, self.length + other.length)


class Segment:
    """Compresses a text to a segment."""

    def __init__(self, level: int) -> None:
        self._compressor = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
        self.sum = Sum()
        """Of the text so far."""

    def add(self, text: bytes) -> bytes:
        """Take a piece of the text; gives what can be passed on, which may be nothing."""
        self.sum = Sum(zlib.crc32(text, self.sum.crc), self.sum.length + len(text))
        return self._compressor.compress(text)

    def end(self) -> bytes:
        """The rest of the segment."""
        return self._compressor.flush(zlib.Z_FULL_FLUSH)


def block(text: bytes) -> bytes:
    """A text of less than 64 KiB as a segment of its own, not compressed."""
    return _block(text, is_last=False)


def ending(text: bytes, whole: Sum) -> bytes:
    """The end of a gzip stream.

    Args:
        text: What stands there still, less than 64 KiB.
        whole: The sum of all text of the stream, this included.
    """
    return _block(text, is_last=True) + struct.pack("<LL", whole.crc, whole.length & 0xFFFFFFFF)


def _block(text: bytes, *, is_last: bool) -> bytes:
    return struct.pack("<BHH", is_last, len(text), len(text) ^ 0xFFFF) + text


# A CRC is the remainder of a polynomial with coefficients 0 and 1, and to put n bits behind a text is to
# multiply by x to the power of n.


def _multiply(one: int, other: int) -> int:
    """Multiply two remainders."""
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
    return product


def _power(exponent: int) -> int:
    """The remainder of x to a power."""
    found, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            found = _multiply(square, found)
        square = _multiply(square, square)
        exponent >>= 1
    return found
