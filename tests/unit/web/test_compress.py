"""Compressed answers (RFC 9110 section 12.5.3)."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest

from shared.web.answer import Answer
from shared.web.compress import MIN_BYTES, Gzipped, compressed, takes_gzip

TEXT = b'[{"00080018":{"vr":"UI","Value":["1.2.3"]}}]' * 2000


class Stream:
    """A body that knows whether it was closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZip ; q=0.1", True),
        ("x-gzip", True),
        ("br, gzip, deflate", True),
        ("*", True),
        ("br;q=1, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("*;q=0", False),
        ("identity, br", False),
        ("gzip;q=x", True),
        ("gzipped", False),
    ],
)
def test_gzip_is_for_who_takes_it(header: str | None, takes: bool) -> None:
    """A weight of zero excludes it, and its own name counts before the asterisk."""
    assert takes_gzip(header) is takes


def test_a_whole_body_is_compressed_and_caches_are_told() -> None:
    """Its length is another now; everything else stays."""
    answer = Answer(200, {"ETag": "7", "Content-Length": str(len(TEXT))}, TEXT, {"instances": 1})

    found = compressed(answer, "gzip")

    assert isinstance(found.body, bytes)
    assert gzip.decompress(found.body) == TEXT
    assert len(found.body) < len(TEXT) / 10
    assert found.headers == {"ETag": "7", "Vary": "Accept, Accept-Encoding", "Content-Encoding": "gzip"}
    assert found.counts == {"instances": 1}


@pytest.mark.parametrize(
    ("status", "body", "header", "vary"),
    [
        (200, TEXT, None, True),
        (200, TEXT[: MIN_BYTES - 1], "gzip", True),
        (304, b"", "gzip", False),
        (204, b"", "gzip", False),
    ],
)
def test_what_is_not_compressed(status: int, body: bytes, header: str | None, vary: bool) -> None:
    """Not asked for, too short to gain, or nothing at all."""
    found = compressed(Answer(status, {}, body), header)

    assert found.body == body
    assert found.headers == ({"Vary": "Accept, Accept-Encoding"} if vary else {})


@pytest.mark.parametrize("size", [1, 1000, len(TEXT)])
def test_a_stream_is_compressed_as_it_goes(size: int) -> None:
    """However it is cut; its first bytes can be read at once."""
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]

    async def read() -> list[bytes]:
        return [piece async for piece in Gzipped(Stream(pieces))]

    found = asyncio.run(read())

    assert gzip.decompress(b"".join(found)) == TEXT
    assert zlib.decompressobj(31).decompress(found[0]) == pieces[0]
    assert all(found)


def test_an_empty_stream_is_an_empty_body() -> None:
    """Which has a header all the same."""

    async def read() -> bytes:
        return b"".join([piece async for piece in Gzipped(Stream([]))])

    assert gzip.decompress(asyncio.run(read())) == b""


def test_closing_it_closes_the_stream_below() -> None:
    """Read or not: what it stands on is let go."""

    async def close(pieces: int) -> tuple[bool, int]:
        below = Stream([TEXT] * 3)
        stream = Gzipped(below)
        for _ in range(pieces):
            await anext(stream)
        await stream.aclose()
        return below.is_closed, len([piece async for piece in stream])

    assert asyncio.run(close(0)) == (True, 0)
    assert asyncio.run(close(2)) == (True, 0)


def test_a_body_that_is_compressed_already_is_left_as_it_is() -> None:
    """Caches are told all the same."""
    body = Stream([gzip.compress(TEXT)])

    answer = compressed(Answer(200, {"Content-Encoding": "gzip"}, body), "gzip")

    assert answer.body is body
    assert answer.headers == {"Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}
