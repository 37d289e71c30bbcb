"""Sources read ahead come out in their order, within bounds, and leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from shared.storage.ahead import JOINED_BYTES, MAX_NEXT_BYTES, MAX_WAITING_BYTES, Source, ended, read_ahead

PIECE_BYTES = 256 * 1024


class Sources:
    """Sources whose doings are noted."""

    def __init__(self, sizes: list[list[int]]) -> None:
        self.sizes = sizes
        self.begun = 0
        self.open = 0
        self.most_open = 0
        self.given = 0
        """Bytes in all."""

    def __iter__(self) -> Iterator[Source]:
        return (self.source(number, sizes) for number, sizes in enumerate(self.sizes))

    def source(self, number: int, sizes: list[int]) -> Source:
        async def read() -> AsyncIterator[bytes]:
            self.begun += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            try:
                for size in sizes:
                    await asyncio.sleep(0)
                    self.given += size
                    yield bytes([number % 256]) * size
            finally:
                self.open -= 1

        return read


async def settled() -> None:
    """Let everybody do what can be done without us."""
    for _ in range(2_000):
        await asyncio.sleep(0)


def failing(message: str) -> Source:
    async def read() -> AsyncIterator[bytes]:
        yield b"before"
        raise OSError(message)

    return read


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(
    "sizes", [[], [[]], [[], [3], [], [2, 2]], [[1, 2, 3]] * 20, [[PIECE_BYTES] * 9] * 3]
)
def test_bytes_come_in_order(sizes: list[list[int]], depth: int) -> None:
    async def act() -> bytes:
        return b"".join([piece async for piece in read_ahead(Sources(sizes), depth=depth)])

    found = asyncio.run(act())

    assert found == b"".join(bytes([number]) * sum(each) for number, each in enumerate(sizes))


def stopped(sizes: list[list[int]], depth: int, act: Callable[[], Awaitable[None]] = settled) -> Sources:
    """Sources of which a reader took the first piece, and then nothing for long."""
    sources = Sources(sizes)

    async def whole() -> None:
        stream = read_ahead(sources, depth=depth)
        await anext(stream)
        await act()
        assert sources.most_open <= depth
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        assert sources.open == 0

    asyncio.run(whole())
    return sources


def test_what_waits_of_long_sources_is_bounded() -> None:
    """Each may have begun a piece when the others reached the bound."""
    sources = stopped([[PIECE_BYTES] * 100] * 10, depth=4)

    assert sources.begun == 4
    assert sources.given >= MAX_WAITING_BYTES
    assert sources.given <= MAX_WAITING_BYTES + MAX_NEXT_BYTES + 5 * PIECE_BYTES


def test_of_short_sources_many_are_read_ahead() -> None:
    """So that the time each call takes does not add up."""
    sources = stopped([[1000]] * 500, depth=2)

    assert sources.begun == 500


def test_short_sources_are_bounded_by_their_bytes() -> None:
    sources = stopped([[PIECE_BYTES]] * 500, depth=2)

    assert sources.given <= MAX_WAITING_BYTES + 3 * PIECE_BYTES


def test_small_pieces_that_wait_are_passed_on_together() -> None:
    async def act() -> list[int]:
        stream = read_ahead(Sources([[1000] * 100, [PIECE_BYTES] * 3]))
        first = [len(await anext(stream))]
        await settled()
        return first + [len(piece) async for piece in stream]

    sizes = asyncio.run(act())

    assert sizes == [1000, 99_000, PIECE_BYTES, PIECE_BYTES, PIECE_BYTES]
    assert max(sizes) <= JOINED_BYTES


def test_an_error_is_raised_in_its_turn() -> None:
    """What comes before is given whole."""
    found = []

    async def act() -> None:
        sources = [*Sources([[10], [20]]), failing("third"), failing("fourth")]
        async for piece in read_ahead(sources, depth=4):
            found.append(piece)

    with pytest.raises(OSError, match="third"):
        asyncio.run(act())

    assert b"".join(found) == bytes(10) + bytes([1]) * 20 + b"before"


def test_an_error_in_making_sources_is_no_end() -> None:
    """It must not look as if all had been read."""

    def sources() -> Iterator[Source]:
        yield from Sources([[10]])
        raise OSError("No more.")

    async def act() -> list[bytes]:
        return [piece async for piece in read_ahead(sources())]

    with pytest.raises(OSError, match="No more"):
        asyncio.run(act())


def test_who_is_cancelled_leaves_nothing_open() -> None:
    sources = Sources([[PIECE_BYTES] * 100] * 5)

    async def read() -> None:
        async with ended(read_ahead(sources, depth=3)) as stream:
            async for _ in stream:
                await asyncio.Event().wait()

    async def act() -> None:
        task = asyncio.create_task(read())
        await settled()
        assert sources.open == 3
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert sources.open == 0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(act())
