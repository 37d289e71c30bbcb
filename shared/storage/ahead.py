"""Reading several things one after the other, the next while the present one is passed on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

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
        async for piece in source():
            await queue.put(piece)
        await queue.put(None)
    except Exception as error:  # handed to the reader, which raises it
        await queue.put(error)


async def primed(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Read a stream's first piece now, so that what fails at once fails before an answer begins."""
    try:
        first = await anext(stream)
    except StopAsyncIteration:
        first = b""

    async def whole() -> AsyncIterator[bytes]:
        try:
            if first:
                yield first
            async for piece in stream:
                yield piece
        finally:
            await close(stream)

    return whole()


async def close(stream: AsyncIterator[bytes]) -> None:
    """End a stream that may not have been read to its end."""
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()
