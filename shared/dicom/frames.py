"""Where each frame lies in a stored file, so that one frame of any file is one ranged read.

Native frames follow from arithmetic. Encapsulated ones are kept as the lengths of their fragments: items
follow each other without a gap, eight bytes of header before each, so every start is a sum.
"""

from __future__ import annotations  # array[int] is no type at run time before Python 3.12

import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, islice

from shared.errors import NotFound

ITEM_HEADER_BYTES = 8
DEFLATED_STEP_BYTES = 16 * 1024
"""Given to be inflated at once: what is left of it is copied at each step."""

_MAX_ENCODED_BYTES = 64 * 1024 * 1024
_FORMAT = 1
_HEADER = struct.Struct("<BqqqqII")
_NONE = -1


@dataclass(frozen=True, slots=True)
class FrameSpan:
    """Where the pixels of one frame lie in a stored file.

    In a file with a deflated dataset (`FrameIndex.inflated_from`) they lie in the inflated dataset instead.
    """

    start: int
    """First byte, counted from the start of the file."""

    length: int
    """Bytes to read, the item headers between fragments included."""

    fragments: tuple[int, ...] = ()
    """Bytes of each fragment when item headers lie between them; empty when the bytes are the frame."""

    shift_bits: int = 0
    """Bits of the frame before in the first byte read: pixels fill a byte from its low end (PS3.5 8.1.1)."""

    bits: int = 0
    """Bits of the frame when it does not end with a byte or does not start with one; 0 otherwise."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Where all frames of a file lie."""

    count: int
    """Frames that can be read, which may differ from Number of Frames in a damaged file or a video."""

    start: int
    """First byte of native pixel data, or of the first fragment's bytes."""

    frame_bits: int = 0
    """Bits of each native frame; 0 when encapsulated."""

    fragments: array[int] = field(default_factory=lambda: array("I"))
    """Bytes of each fragment in file order."""

    groups: array[int] = field(default_factory=lambda: array("I"))
    """Fragments of each frame; empty when each frame is one fragment."""

    inflated_from: int | None = None
    """First byte of a deflated dataset in the file; spans then count from the start of the inflated one."""

    def span(self, number: int) -> FrameSpan:
        """Find one frame.

        Args:
            number: Frame number, counted from 1.

        Raises:
            NotFound: There is no such frame.
        """
        if not 1 <= number <= self.count:
            raise NotFound(f"Frame {number} does not exist; the instance has {self.count}.")
        if self.frame_bits:
            return self._native(number - 1)
        first = sum(self.groups[: number - 1]) if self.groups else number - 1
        taken = self.groups[number - 1] if self.groups else 1
        start = self.start + sum(self.fragments[:first]) + ITEM_HEADER_BYTES * first
        return _joined(start, tuple(self.fragments[first : first + taken]))

    def spans(self) -> Iterator[FrameSpan]:
        """Every frame in file order, in time that grows with their number only once."""
        if self.frame_bits:
            yield from (self._native(index) for index in range(self.count))
            return
        starts = accumulate((length + ITEM_HEADER_BYTES for length in self.fragments), initial=self.start)
        fragments = iter(self.fragments)
        for taken in self.groups or (1 for _ in range(self.count)):
            lengths = tuple(islice(fragments, taken))
            yield _joined(next(starts), lengths)
            next(islice(starts, taken - 1, taken - 1), None)  # The starts of its other fragments.

    def encode(self) -> bytes:
        """The index as few bytes: two or so for each encapsulated frame, forty for all native ones."""
        inflated_from = _NONE if self.inflated_from is None else self.inflated_from
        lengths = len(self.fragments), len(self.groups)
        header = _HEADER.pack(_FORMAT, self.count, self.start, self.frame_bits, inflated_from, *lengths)
        return zlib.compress(header + _planes(self.fragments) + _planes(self.groups), 9)

    @staticmethod
    def decode(encoded: bytes) -> FrameIndex:
        """Read what `encode` made.

        Raises:
            ValueError: It did not make this.
        """
        try:
            plain = zlib.decompressobj().decompress(encoded, _MAX_ENCODED_BYTES)
            version, count, start, bits, inflated_from, fragments, groups = _HEADER.unpack_from(plain)
        except (zlib.error, struct.error) as error:
            raise ValueError("Not a frame index.") from error
        between = _HEADER.size + 4 * fragments
        if version != _FORMAT or len(plain) != between + 4 * groups:
            raise ValueError("Not a frame index of this version.")
        return FrameIndex(
            count=count,
            start=start,
            frame_bits=bits,
            fragments=_from_planes(plain[_HEADER.size : between]),
            groups=_from_planes(plain[between:]),
            inflated_from=None if inflated_from == _NONE else inflated_from,
        )

    def _native(self, index: int) -> FrameSpan:
        first, shift = divmod(index * self.frame_bits, 8)
        length = (shift + self.frame_bits + 7) // 8
        partial = shift or self.frame_bits % 8
        return FrameSpan(self.start + first, length, shift_bits=shift, bits=self.frame_bits if partial else 0)


class FrameCutter:
    """Makes the bytes of one frame from the bytes of its span, as they arrive.

    Feed every piece read, in order; what `feed` returns is the frame's, nothing is held but a byte.
    """

    def __init__(self, span: FrameSpan) -> None:
        self._span = span
        self._pieces = iter(_pieces(span.fragments))
        self._keep, self._left = next(self._pieces, (True, span.length))
        self._bits_left = span.bits
        self._carry = b""

    def feed(self, raw: bytes) -> bytes:
        """The frame's bytes within the next piece of the span."""
        if self._span.fragments:
            return self._without_headers(raw)
        return self._shifted(raw) if self._span.bits else raw

    def finish(self) -> bytes:
        """What is left when the whole span was fed: the last byte of a frame that ends within a byte."""
        if not self._bits_left:
            return b""
        last = int.from_bytes(self._carry, "little") >> self._span.shift_bits
        return bytes((last & ((1 << self._bits_left) - 1),))

    def _without_headers(self, raw: bytes) -> bytes:
        kept = []
        at = 0
        while at < len(raw):
            piece = raw[at : at + self._left]
            if self._keep:
                kept.append(piece)
            at += len(piece)
            self._left -= len(piece)
            if not self._left:
                self._keep, self._left = next(self._pieces, (False, len(raw)))
        return b"".join(kept)

    def _shifted(self, raw: bytes) -> bytes:
        """Move the frame's bits to byte edges, by shifting one big number."""
        joined = self._carry + raw
        # The last bytes stay back: their high bits belong with the next piece, or are the next frame's.
        whole = min(max(len(joined) - 1, 0), self._bits_left // 8)
        self._carry = joined[whole:]
        self._bits_left -= 8 * whole
        number = int.from_bytes(joined[: whole + 1], "little") >> self._span.shift_bits
        return (number & ((1 << 8 * whole) - 1)).to_bytes(whole, "little")


def cut_frame(span: FrameSpan, raw: bytes) -> bytes:
    """The bytes of a frame from the bytes of its span.

    Native frames come padded with zero bits to a whole byte, encapsulated ones without item headers.
    """
    cutter = FrameCutter(span)
    return cutter.feed(raw) + cutter.finish()


class SpanInflater:
    """Finds the bytes of one span of a deflated dataset, as the deflated bytes arrive.

    Feed the file from `FrameIndex.inflated_from` on, until `done`.
    """

    def __init__(self, start: int, length: int, *, max_piece_bytes: int = 256 * 1024) -> None:
        self._skip = start
        self._left = length
        self._max = max_piece_bytes
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)

    @property
    def done(self) -> bool:
        """Whether the span is complete or the dataset has ended."""
        return self._left == 0 or self._inflate.eof

    def feed(self, deflated: bytes) -> Iterator[bytes]:
        """The span's bytes within the next piece, a bounded number at a time.

        Each step inflates no more than that; it gives nothing while what stands before the span goes by.

        Raises:
            ValueError: The bytes are not deflated.
        """
        for at in range(0, len(deflated), DEFLATED_STEP_BYTES):
            yield from self._steps(deflated[at : at + DEFLATED_STEP_BYTES])

    def _steps(self, deflated: bytes) -> Iterator[bytes]:
        while not self.done:
            try:
                plain = self._inflate.decompress(deflated, self._max)
            except zlib.error as error:
                raise ValueError("The dataset is not deflated as its transfer syntax says.") from error
            wanted = plain[self._skip : self._skip + self._left]
            self._skip -= min(self._skip, len(plain))
            self._left -= len(wanted)
            yield wanted
            deflated = self._inflate.unconsumed_tail
            if not plain and not deflated:
                return


def _joined(start: int, lengths: tuple[int, ...]) -> FrameSpan:
    length = sum(lengths) + ITEM_HEADER_BYTES * (len(lengths) - 1)
    return FrameSpan(start, length, lengths if len(lengths) > 1 else ())


def _pieces(fragments: tuple[int, ...]) -> Iterator[tuple[bool, int]]:
    """Whether to keep, and how many bytes: fragments and the headers between them; empty fragments vanish."""
    for index, length in enumerate(fragments):
        if index:
            yield False, ITEM_HEADER_BYTES
        if length:
            yield True, length


def _planes(values: array[int]) -> bytes:
    """All low bytes, then all second bytes, and so on: half the size once compressed."""
    raw = struct.pack(f"<{len(values)}I", *values)
    return b"".join(raw[plane::4] for plane in range(4))


def _from_planes(planes: bytes) -> array[int]:
    count = len(planes) // 4
    raw = bytearray(len(planes))
    for plane in range(4):
        raw[plane::4] = planes[plane * count : (plane + 1) * count]
    return array("I", struct.unpack(f"<{count}I", raw))
