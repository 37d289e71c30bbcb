"""Streams cut to what is wanted: the same in whatever pieces they come, and let go of in time."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import nullcontext

import pytest

from shared.dicom.bulk import BulkCutter, BulkSpan
from shared.errors import NotAcceptable
from shared.wado.cutting import (
    MAX_INFLATED_BYTES,
    MAX_INFLATED_RATIO,
    between,
    check_reach,
    cut,
    inflated,
)

CONTENT = bytes(range(200))


class Source:
    """A stream in pieces of a size, which tells whether it was closed."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content, self.size = content, size
        self.taken = 0
        self.closed = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The pieces."""
        try:
            for at in range(0, len(self.content), self.size):
                self.taken = at + self.size
                yield self.content[at : at + self.size]
        finally:
            self.closed = True


def all_of(stream: AsyncIterator[bytes]) -> list[bytes]:
    """Every piece of a stream."""

    async def gathered() -> list[bytes]:
        return [piece async for piece in stream]

    return asyncio.run(gathered())


@pytest.mark.parametrize("size", [1, 7, 200, 999])
@pytest.mark.parametrize(("start", "end"), [(0, 200), (0, 1), (199, 200), (13, 57), (50, 50)])
def test_a_part_of_a_stream(size: int, start: int, end: int) -> None:
    source = Source(CONTENT, size)

    found = all_of(between(source.pieces(), start, end))

    assert b"".join(found) == CONTENT[start:end]
    assert b"" not in found
    assert source.closed


def test_nothing_is_read_behind_the_part() -> None:
    source = Source(CONTENT, 10)

    all_of(between(source.pieces(), 5, 30))

    assert source.taken == 30


@pytest.mark.parametrize("size", [1, 3, 200])
def test_numbers_are_turned_and_what_is_left_comes_last(size: int) -> None:
    """PS3.18 section 8.7.3.3: low byte first."""
    source = Source(b"\1\2\3\4\5", size)
    span = BulkSpan("00281201", "OW", 0, 5, unit=2)

    found = all_of(cut(source.pieces(), BulkCutter(span)))

    assert b"".join(found) == b"\2\1\4\3\5"
    assert b"" not in found


@pytest.mark.parametrize("size", [1, 20, 999])
def test_a_part_of_a_deflated_dataset(size: int) -> None:
    """What stands before is inflated and dropped, what follows is not read."""
    deflated = zlib.compress(CONTENT * 50, 9, -zlib.MAX_WBITS) + b"more"
    source = Source(deflated, size)

    found = all_of(inflated(source.pieces(), 150, 100))

    assert b"".join(found) == (CONTENT * 2)[150:250]
    assert source.closed


def test_others_run_while_what_stands_before_is_inflated() -> None:
    """A kilobyte may hold a megabyte, and nothing is given for it."""
    turns = 0
    source = Source(zlib.compress(bytes(64 * 1024 * 1024) + CONTENT, 9, -zlib.MAX_WBITS), 1024 * 1024)

    async def run() -> None:
        nonlocal turns
        reading = asyncio.ensure_future(anext(inflated(source.pieces(), 64 * 1024 * 1024, 200)))
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert reading.result() == CONTENT

    asyncio.run(run())

    assert turns > 30


@pytest.mark.parametrize(
    ("stored_bytes", "end", "is_refused"),
    [
        (1000, MAX_INFLATED_BYTES, False),
        (1000, MAX_INFLATED_BYTES + 1, True),
        (10 * MAX_INFLATED_BYTES, MAX_INFLATED_RATIO * 10 * MAX_INFLATED_BYTES, False),
        (10 * MAX_INFLATED_BYTES, MAX_INFLATED_RATIO * 10 * MAX_INFLATED_BYTES + 1, True),
    ],
)
def test_how_deep_a_value_may_lie(stored_bytes: int, end: int, is_refused: bool) -> None:
    with pytest.raises(NotAcceptable) if is_refused else nullcontext():
        check_reach(stored_bytes, end)
