"""Having committed changes entered into the change feed: those that blobs announce, or those that are named.

One writer at a time works under a lease, yet nothing depends on the lease (`writer.py`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager

from shared.changefeed.ahead import make_round
from shared.changefeed.turn import LEASE_BLOB, Turn
from shared.changefeed.writer import Writer
from shared.storage import aside, keys, pending
from shared.storage.aside import MAX_TRIES
from shared.storage.commit import announce_change
from shared.storage.keys import ChangeKey
from shared.storage.pending import Pending
from shared.storage.storage import Storage

__all__ = ["LEASE_BLOB", "MAX_BLOBS", "emit", "emit_pending", "retry_aside"]

MAX_BLOBS = 5000
"""Of one round: as many as a listing gives at once."""

log = logging.getLogger(__name__)


async def emit(storage: Storage, blob: str | None = None, *, gather_seconds: float = 0) -> int:
    """Enter every change that a blob in container `changes` names.

    Args:
        storage: The storage account.
        blob: The one that woke us. If it was dealt with meanwhile, there is nothing to do.
        gather_seconds: How long to let more changes come, which are entered together at less cost.

    Returns:
        The number of entries made.

    Raises:
        Unavailable: Another writer kept the lease for too long, or storage did not answer.
    """
    async with storage.memory.emitting:
        if blob is not None and storage.memory.emitted.get(blob):
            return 0
        await asyncio.sleep(gather_seconds)
        async with _writing(storage) as writer:
            while names := await _oldest_blobs(storage):
                found = make_round(names)
                await _remove_strange(storage, found.strange)
                await writer.enter(found)
        return writer.made


async def emit_pending(storage: Storage, changes: Sequence[Pending]) -> None:
    """Enter changes that were found without their blobs, and whose search rows are mended."""
    if changes:
        known = await aside.read_all(storage)
        await _enter(storage, [each.change for each in changes if each.change not in known])


async def retry_aside(storage: Storage) -> int:
    """Try changes again that were set aside, unless that was done often enough; tell how many are left."""
    known = await aside.read_all(storage)
    await _enter(storage, [each.change for each in known.values() if each.tries < MAX_TRIES])
    left = 0
    for change in known:
        if await pending.exists(storage, change):
            left += 1
        else:
            await aside.forget(storage, change)
    return left


async def _enter(storage: Storage, changes: Iterable[ChangeKey]) -> None:
    names = []
    for change in changes:
        # Announced first, so that as long as it is being entered, maybe by a writer that is paused, readers
        # see that something is, and take no window to be over (`read.py`).
        await announce_change(storage, change.study, change.version)
        names.append(keys.change_blob(change.study, change.version))
    if names:
        async with storage.memory.emitting, _writing(storage) as writer:
            await writer.enter(make_round(names))


@asynccontextmanager
async def _writing(storage: Storage) -> AsyncIterator[Writer]:
    async with Turn(storage) as turn, Writer(storage, turn) as writer:
        yield writer


async def _oldest_blobs(storage: Storage) -> list[str]:
    names: list[str] = []
    async with aclosing(storage.blobs.list(keys.CHANGES)) as blobs:
        async for entry in blobs:
            names.append(entry.name)
            if len(names) == MAX_BLOBS:
                break
    return names


async def _remove_strange(storage: Storage, names: Sequence[str]) -> None:
    if names:
        # What counts is the pending row, which the sweep finds; a blob only wakes us, so nothing is lost.
        log.error("blobs=%d of container %s name no change; they are removed", len(names), keys.CHANGES)
        await storage.blobs.delete_all(keys.CHANGES, names)
