"""Reading several things one after the other, the next while the present one is passed on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Self

MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""What was read ahead for one answer and waits. No source that is not next is read on from here."""

MAX_NEXT_BYTES: Final = 1024 * 1024
"""The same of the source that is next."""

JOINED_BYTES: Final = 256 * 1024
"""Pieces that wait are joined up to this size: passing one on costs more than copying it."""

KEPT_BYTES: Final = 8 * 1024 * 1024
"""The C library keeps twice as much freed memory at hand, about what one answer takes and gives back."""

Source = Callable[[], AsyncIterator[bytes]]


async def read_ahead(sources: Iterable[Source], *, depth: int = 2) -> AsyncIterator[bytes]:
    """Give the bytes of every source in turn, while up to `depth` sources are being read.

    Sources read to their end do not count, so that of small ones many are read ahead; what they gave
    waits within `MAX_WAITING_BYTES`.

    An error of a source is raised when its turn comes. Whoever stops early closes the generator,
    and everything under way ends at once.
    """
    keep_freed_memory()
    ahead = _Ahead(sources, depth)
    try:
        while piece := await ahead.take():
            yield piece
    finally:
        await ahead.end()


@dataclass(slots=True, eq=False)
class _Reading:
    """One source, and what waits of it."""

    task: asyncio.Task[None] | None = None
    pieces: deque[bytes] = field(default_factory=deque)
    size: int = 0
    error: Exception | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Something of it waits, or it has ended."""

    def is_over(self) -> bool:
        """Whether no more will come of it."""
        return self.task is None


class _Ahead:
    """Sources that are being read, or were and are not passed on yet, the next one first."""

    def __init__(self, sources: Iterable[Source], depth: int) -> None:
        self._sources = iter(sources)
        self._depth = depth
        self._readings: deque[_Reading] = deque()
        self._active = 0
        self._waiting = 0
        self._taken = asyncio.Event()

    async def take(self) -> bytes:
        """What waits of the source that is next; nothing when all have ended."""
        self._start()
        while self._readings:
            head = self._readings[0]
            if head.pieces:
                return self._take(head)
            if head.is_over():
                if head.error is not None:
                    raise head.error
                self._readings.popleft()
                self._taken.set()
                self._start()
            else:
                head.changed.clear()
                await head.changed.wait()
        return b""

    async def end(self) -> None:
        """Stop reading whatever is being read."""
        self._sources = iter(())
        tasks = [reading.task for reading in self._readings if reading.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        while self._active < self._depth and (self._waiting < MAX_WAITING_BYTES or not self._readings):
            try:
                source = next(self._sources, None)
            except Exception as error:  # handed to the reader, which raises it in its turn
                self._readings.append(_Reading(error=error))
                self._sources = iter(())
                return
            if source is None:
                return
            reading = _Reading()
            self._readings.append(reading)
            self._active += 1
            reading.task = asyncio.create_task(self._read(source, reading))

    async def _read(self, source: Source, reading: _Reading) -> None:
        try:
            async with ended(source()) as pieces:
                async for piece in pieces:
                    self._put(reading, piece)
                    while self._is_enough(reading):
                        self._taken.clear()
                        await self._taken.wait()
        except Exception as error:  # handed to the reader, which raises it
            reading.error = error
        reading.task = None
        reading.changed.set()
        self._active -= 1
        if reading.error is None:
            self._start()

    def _put(self, reading: _Reading, piece: bytes) -> None:
        if piece:
            reading.pieces.append(piece)
            reading.size += len(piece)
            self._waiting += len(piece)
            reading.changed.set()

    def _is_enough(self, reading: _Reading) -> bool:
        if reading is self._readings[0]:
            return reading.size >= MAX_NEXT_BYTES
        return self._waiting >= MAX_WAITING_BYTES

    def _take(self, reading: _Reading) -> bytes:
        joined = [reading.pieces.popleft()]
        size = len(joined[0])
        while reading.pieces and size + len(reading.pieces[0]) <= JOINED_BYTES:
            joined.append(reading.pieces.popleft())
            size += len(joined[-1])
        self._waiting -= size
        reading.size -= size
        self._taken.set()
        return b"".join(joined)


@cache
def keep_freed_memory() -> None:
    """Have freed memory kept for the next buffers, where the C library is glibc; elsewhere this does nothing.

    Buffers come and go by the megabyte. Given back to the system, each of their pages has to be had from it
    anew, which took a tenth of the time of a study. glibc sets its limits by the largest block freed so far
    (mallopt(3), M_MMAP_THRESHOLD); this one is never touched, so that it costs nothing.
    """
    bytes(KEPT_BYTES)


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
