"""Reading several things one after the other, the next while the present one is passed on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Self

MAX_PIECES_WAITING = 8
"""Pieces of one source that wait to be taken; with the depth they bound the memory."""

Source = Callable[[], AsyncIterator[bytes]]

_Piece = bytes | BaseException | None


async def read_ahead(sources: Iterable[Source], *, depth: int = 2) -> AsyncIterator[bytes]:
    """Give the bytes of every source in turn, while up to `depth` sources are being read.

    An error of a source is raised when its turn comes. Whoever stops early closes the generator,
    and everything under way ends at once.
    """
    waiting = iter(sources)
    running: deque[tuple[asyncio.Queue[_Piece], asyncio.Task[None]]] = deque()

    def start_next() -> None:
        source = next(waiting, None)
        if source is not None:
            queue: asyncio.Queue[_Piece] = asyncio.Queue(MAX_PIECES_WAITING)
            running.append((queue, asyncio.create_task(_pump(source, queue))))

    try:
        for _ in range(depth):
            start_next()
        while running:
            queue, _ = running[0]
            while (piece := await queue.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
            running.popleft()
            start_next()
    finally:
        for _, task in running:
            task.cancel()
        await asyncio.gather(*(task for _, task in running), return_exceptions=True)


async def _pump(source: Source, queue: asyncio.Queue[_Piece]) -> None:
    try:
        async with ended(source()) as pieces:
            async for piece in pieces:
                await queue.put(piece)
        await queue.put(None)
    except Exception as error:  # handed to the reader, which raises it
        await queue.put(error)


class Primed:
    """A stream whose first piece has been read. Closing it ends everything it stands on."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await anext(self._rest)

    async def aclose(self) -> None:
        """End the stream, read or not."""
        self._first = b""
        await close(self._rest)


async def primed(stream: AsyncIterator[bytes]) -> Primed:
    """Read a stream's first piece now, so that what fails at once fails before an answer begins."""
    try:
        first = await anext(stream, b"")
    except BaseException:
        await close(stream)
        raise
    return Primed(first, stream)


@asynccontextmanager
async def ended(stream: AsyncIterator[bytes]) -> AsyncIterator[AsyncIterator[bytes]]:
    """Have a stream closed when the block is left, also when its reader stops early."""
    try:
        yield stream
    finally:
        await close(stream)


async def close(stream: AsyncIterator[bytes]) -> None:
    """End a stream that may not have been read to its end."""
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()
