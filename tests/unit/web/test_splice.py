"""Texts compressed apart become one gzip stream (RFC 1951, RFC 1952)."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shared.web.splice import HEAD, Segment, Sum, block, ending


def segment_of(pieces: list[bytes], level: int = 6) -> tuple[bytes, Sum]:
    """A segment made piece by piece."""
    segment = Segment(level)
    found = b"".join(map(segment.add, pieces))
    return found + segment.end(), segment.sum


@given(some.lists(some.binary(max_size=300), max_size=6))
def test_the_sum_of_texts_is_that_of_all_of_them(texts: list[bytes]) -> None:
    whole = sum((Sum.of(text) for text in texts), Sum())

    assert whole == Sum(zlib.crc32(b"".join(texts)), len(b"".join(texts)))


def test_the_sum_of_long_texts_takes_as_little_as_that_of_short_ones() -> None:
    """Their lengths are halved again and again; 17 million bytes and more than a CRC has bits for."""
    zeros, length = Sum.of(b"\0"), 1
    while length < 2**24:
        zeros, length = zeros + zeros, 2 * length
    long = Sum(zeros.crc, length)

    assert long == Sum.of(bytes(2**24))
    assert (long + Sum(5, 2**40)).length == 2**24 + 2**40


def test_a_known_sum() -> None:
    """The check value of CRC-32, in two parts."""
    assert Sum.of(b"1234") + Sum.of(b"56789") == Sum(0xCBF43926, 9)


@given(
    some.lists(
        some.tuples(some.lists(some.binary(max_size=2000), max_size=4), some.integers(0, 9)), max_size=5
    )
)
def test_segments_and_blocks_make_a_stream_that_every_reader_understands(
    parts: list[tuple[list[bytes], int]],
) -> None:
    """Of whatever levels; also of empty texts."""
    stream, whole, text = HEAD + block(b"["), Sum.of(b"["), b"["
    for pieces, level in parts:
        segment, of_segment = segment_of(pieces, level)
        stream += segment + block(b",")
        whole = whole + of_segment + Sum.of(b",")
        text += b"".join(pieces) + b","
    stream += ending(b"]", whole + Sum.of(b"]"))

    one_member = zlib.decompressobj(16 + zlib.MAX_WBITS)

    assert gzip.decompress(stream) == text + b"]"
    assert one_member.decompress(stream) == text + b"]"
    assert one_member.eof
    assert one_member.unused_data == b""


def test_segments_stand_alone() -> None:
    """Nothing in one refers to what is before it, so that any may follow any."""
    first, second = (segment_of([b"the same text " * 100])[0] for _ in range(2))

    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(second) == b"the same text " * 100
    assert zlib.decompressobj(-zlib.MAX_WBITS).decompress(second + first) == b"the same text " * 200


def test_a_wrong_sum_is_noticed_by_readers() -> None:
    """Else the tests above would prove little."""
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(HEAD + ending(b"text", Sum(1, 4)))
