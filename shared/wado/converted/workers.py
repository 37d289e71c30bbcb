"""Where pixels are worked on: a few threads, and a limit on the memory they may take together.

The codecs let go of Python's lock, so threads use all cores and requests are answered meanwhile. How much
memory a piece of work takes is known before it begins; it begins when that much is free, in the order of
asking. A request that ends lets go of what has not begun; what has begun ends within a frame.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final, TypeVar

from shared.dicom.codecs import PixelDescription
from shared.storage.cache import RecentlyUsed
from shared.wado.noted import Noted

MAX_THREADS: Final = 4
MAX_WORK_BYTES: Final = 768 * 1024 * 1024
"""What all work under way in this process may take together."""

MAX_HELD_BYTES: Final = 256 * 1024 * 1024
"""What elements that are being read and rewritten may take together, beside the work."""

SMALL_BYTES: Final = 4 * 1024 * 1024
"""Up to here they do not wait for room: nearly all files have some kilobytes before their pixels."""

MAX_REMEMBERED: Final = 1024
MAX_NOTED_BYTES: Final = 32 * 1024 * 1024
"""Memory for what is remembered of how instances are seen."""

T = TypeVar("T")
Read = Callable[[], Awaitable[bytes]]


class Workers:
    """The threads of this process for pixels. Its tasks belong to the loop of the first call."""

    def __init__(self, threads: int | None = None, max_bytes: int = MAX_WORK_BYTES) -> None:
        self.threads = threads or max(2, min(MAX_THREADS, os.cpu_count() or 1))
        self.max_bytes = max_bytes
        self.descriptions: RecentlyUsed[tuple[str, int], PixelDescription] = RecentlyUsed(MAX_REMEMBERED)
        """What the pixels of an instance are, by its study's partition and its version. That never changes,
        and a viewer of slides asks for thousands of frames of the same instance."""

        self.noted: RecentlyUsed[tuple[str, int], Noted] = RecentlyUsed(MAX_NOTED_BYTES, _weight)
        """How its pixels are seen, likewise."""

        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="pixels")
        self._work = _Room(max_bytes)
        self._held = _Room(MAX_HELD_BYTES)

    @property
    def free_bytes(self) -> int:
        """What further work may take at once."""
        return self._work.free

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return self._work.waiting + self._held.waiting

    @asynccontextmanager
    async def holding(self, bytes_taken: int) -> AsyncIterator[None]:
        """Hold something while this block is run, and work is done for it, once there is room for it.

        The room is another than that of work, so that nobody who has some of it waits for who waits for it.
        """
        share = self._held.share(bytes_taken) if bytes_taken > SMALL_BYTES else 0
        await self._held.take(share)
        try:
            yield
        finally:
            self._held.give(share)

    async def run(self, read: Read, work: Callable[[bytes], T], bytes_taken: int) -> T:
        """Read something and work on it in a thread, once there is room for both.

        Args:
            read: Gives what to work on.
            work: What to do with it; it must not await.
            bytes_taken: The memory it takes at most; more than there ever is counts as all there is, and
                nothing need not wait for room.
        """
        share = self._work.share(bytes_taken)
        await self._work.take(share)
        try:
            future = self._pool.submit(work, await read())
        except BaseException:
            self._work.give(share)
            raise
        loop = asyncio.get_running_loop()

        def give_back(_: object) -> None:
            # A thread that outlives the loop, when the process ends, has nobody to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._work.give, share)

        # When the work has ended, not when whoever waits for it has gone: until then it takes its memory.
        future.add_done_callback(give_back)
        return await asyncio.wrap_future(future)


class _Room:
    """Memory that is shared out in the order of asking."""

    def __init__(self, max_bytes: int) -> None:
        self.free = max_bytes
        self._max = max_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their share."""
        return len(self._waiting)

    def share(self, bytes_taken: int) -> int:
        """What to ask for."""
        return min(bytes_taken, self._max)

    async def take(self, share: int) -> None:
        """Wait until there is room."""
        if not share or (not self._waiting and share <= self.free):
            self.free -= share
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(share)
            else:
                with suppress(ValueError):
                    self._waiting.remove((share, turn))
                self.give(0)
            raise

    def give(self, share: int) -> None:
        """Give room back."""
        self.free += share
        while self._waiting and self._waiting[0][0] <= self.free:
            next_share, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= next_share
                turn.set_result(None)


Job = Callable[[], Awaitable[T]]


async def in_order(jobs: AsyncGenerator[Job[T], None], depth: int) -> AsyncGenerator[T, None]:
    """Give what each job gives in turn, while up to `depth` of them run.

    Whoever stops early closes the generator, and everything under way ends.
    """
    running: deque[asyncio.Task[T]] = deque()
    try:
        async with aclosing(jobs) as waiting:
            async for job in waiting:
                running.append(asyncio.ensure_future(_awaited(job)))
                if len(running) >= depth:
                    yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def given(content: bytes) -> bytes:
    """What is there already, for who expects to read it."""
    return content


def _weight(noted: Noted) -> int:
    return noted.weight


async def _awaited(job: Job[T]) -> T:
    return await job()
