"""Having changes entered before the feed is read, and waiting for more.

A store is answered before its entry is made, and yet a client that has the answer finds the entry (API rules
section 10.4): whoever reads has everything entered first that is announced, unless another process is at it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import cycle
from typing import Final

from shared.changefeed.emit import emit
from shared.log import log_fault
from shared.storage import feed, keys
from shared.storage.storage import Storage

PATIENCE_SECONDS: Final = 5.0
"""Readers wait no longer for what is announced."""

LOOK_SECONDS: Final = 0.25
GATHER_SECONDS: Final = 0.1
"""What comes while somebody waits is entered together."""

MAX_ANNOUNCED: Final = 2000
"""Readers do not wait for more; with so many, entering them takes longer than readers wait."""

WATCH_SECONDS: Final = 1.0

Wake = Callable[[], Awaitable[None]]
"""Called when this process has made entries."""

log = logging.getLogger(__name__)


async def catch_up(storage: Storage, wake: Wake, *, gather_seconds: float = 0) -> bool:
    """Have everything entered that is announced by now.

    Returns:
        Whether it is. If not, another writer takes long or fails, or there is too much to wait for, and
        readers get what there is.
    """
    names = await _announced(storage)
    is_all = len(names) < MAX_ANNOUNCED
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while names and (left := deadline - asyncio.get_running_loop().time()) > 0:
        emission = _emission(storage, wake, gather_seconds)
        await asyncio.wait({emission}, timeout=min(left, LOOK_SECONDS))
        if emission.done() and not emission.result():
            return False
        names = {name for name in names if not storage.memory.emitted.get(name)}
        # What is left is being entered by another process, or was announced when our work was over.
        names = names and names & await _announced(storage)
    return is_all and not names


@asynccontextmanager
async def watching(storage: Storage) -> AsyncIterator[asyncio.Task[None]]:
    """Have an eye on what other processes announce or enter: one call a second for all who wait.

    Within this block `storage.memory.news` tells of it, as it does of what this process does.
    """
    news = storage.memory.news
    if news.watcher is None or news.watcher.done():
        news.watcher = asyncio.create_task(_watch(storage))
    watcher = news.watcher
    news.waiting += 1
    try:
        yield watcher
    finally:
        news.waiting -= 1
        if not news.waiting:
            watcher.cancel()
            # Who comes next must not rely on one that is about to end.
            news.watcher = None


async def wait_for_news(ticket: asyncio.Event, watcher: asyncio.Task[None], seconds: float) -> bool:
    """Wait for news for some time; tell whether there is some.

    Args:
        ticket: Taken from `storage.memory.news` before the feed was read.
        watcher: From `watching`.
        seconds: How long at the most.

    Raises:
        Unavailable: Storage does not answer.
    """
    told = asyncio.create_task(_until(ticket))
    try:
        await asyncio.wait({told, watcher}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        told.cancel()
    if watcher.done():
        watcher.result()
    return ticket.is_set()


async def _until(ticket: asyncio.Event) -> None:
    await ticket.wait()


async def _watch(storage: Storage) -> None:
    await feed.read_last(storage)
    for looks_at_feed in cycle((True, False)):
        await asyncio.sleep(WATCH_SECONDS)
        if await (_grown(storage) if looks_at_feed else _announced(storage)):
            storage.memory.news.tell()


async def _grown(storage: Storage) -> bool:
    last = storage.memory.last
    grown = await feed.read_between(storage, last + 1, last + 2)
    if grown:
        await feed.read_last(storage)
    return bool(grown)


async def _announced(storage: Storage) -> set[str]:
    """The oldest changes that are announced and, for all this process knows, not entered."""
    names = set()
    async with aclosing(storage.blobs.list(keys.CHANGES)) as blobs:
        async for blob in blobs:
            if not storage.memory.emitted.get(blob.name):
                names.add(blob.name)
            if len(names) == MAX_ANNOUNCED:
                break
    return names


def _emission(storage: Storage, wake: Wake, gather_seconds: float) -> asyncio.Task[bool]:
    """The work of entering changes: one for all readers of this process, which it outlives."""
    running = storage.memory.emission
    if running is None or running.done():
        running = storage.memory.emission = asyncio.create_task(_emit(storage, wake, gather_seconds))
    return running


async def _emit(storage: Storage, wake: Wake, gather_seconds: float) -> bool:
    try:
        if await emit(storage, gather_seconds=gather_seconds):
            await wake()
    except Exception:
        # A reader is not to suffer; the functions that enter changes report it as well.
        log_fault(log, "changes could not be entered for a reader")
        return False
    return True
