"""Giving committed changes their numbers in the change feed, each exactly once.

One writer at a time works under a lease, yet nothing depends on the lease: a writer that was
paused and still believes in it can neither fork the feed nor enter a change twice.

- Entries are only inserted, without gaps. Two writers with the same view of the end collide at
  their first entry, and one fails (`storage/feed.py`).
- Before a change is entered under a number, the number is written into its pending row. Whoever
  finds such a number there first looks whether the feed has the change under it. A number beyond
  the end of the feed may still be used by a paused writer; it stays written down until the feed
  has passed it, and that writer and we would then collide.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from shared.errors import Unavailable
from shared.storage import feed, keys, pending
from shared.storage.feed import MAX_ENTRIES, Entry, Head
from shared.storage.pending import Pending
from shared.storage.storage import Storage
from shared.storage.tables import RowExists

MAX_BLOBS = 100
MAX_READS_AT_ONCE = 16
LEASE_SECONDS = 60
LEASE_BLOB = "changefeed"
MAX_WAIT_SECONDS = 90.0
"""A lease left by a crash ends after a minute; waiting longer is pointless."""

PAUSE_SECONDS = 0.2

log = logging.getLogger(__name__)


async def emit(storage: Storage) -> int:
    """Enter every change that a blob in container `changes` names.

    Returns:
        The number of entries made.

    Raises:
        Unavailable: Another writer kept the lease for too long, or storage did not answer.
    """
    async with storage.memory.emitting, _lease(storage):
        made = 0
        while names := await _oldest_blobs(storage):
            made += await _emit_blobs(storage, names)
        return made


async def emit_pending(storage: Storage, changes: Sequence[Pending]) -> None:
    """Enter changes that were found without their blobs."""
    if changes:
        async with storage.memory.emitting, _lease(storage):
            await _emit_changes(storage, changes)


async def _oldest_blobs(storage: Storage) -> list[str]:
    names: list[str] = []
    async for entry in storage.blobs.list(keys.CHANGES, ""):
        names.append(entry.name)
        if len(names) == MAX_BLOBS:
            break
    return names


async def _emit_blobs(storage: Storage, names: Sequence[str]) -> int:
    limit = asyncio.Semaphore(MAX_READS_AT_ONCE)

    async def read(name: str) -> Pending | None:
        async with limit:
            return await pending.read_pending(storage, *keys.parse_change_blob(name))

    found = await asyncio.gather(*map(read, names))
    made = await _emit_changes(storage, [change for change in found if change])
    await asyncio.gather(*(storage.blobs.delete(keys.CHANGES, name) for name in names))
    return made


async def _emit_changes(storage: Storage, changes: Sequence[Pending]) -> int:
    made = 0
    for batch in _batches(changes):
        made += await _emit_batch(storage, batch)
    return made


def _batches(changes: Sequence[Pending]) -> list[list[Pending]]:
    """Changes in groups of at most a hundred entries."""
    groups: list[list[Pending]] = []
    size = MAX_ENTRIES
    for change in changes:
        if size + len(change.changes) > MAX_ENTRIES:
            groups.append([])
            size = 0
        groups[-1].append(change)
        size += len(change.changes)
    return groups


async def _emit_batch(storage: Storage, batch: Sequence[Pending]) -> int:
    while True:
        head = await feed.read_head(storage)
        todo = [change for change in batch if not await _is_entered(storage, change)]
        entries = number(todo, head, datetime.now(UTC))
        noted = await _note(storage, todo, entries, head)
        if not noted:
            batch = await _read_again(storage, batch)
            continue
        try:
            if entries:
                await feed.append(storage, entries)
        except RowExists:
            batch = await _read_again(storage, batch)
            continue
        await asyncio.gather(*(pending.finish(storage, change) for change in batch))
        return len(entries)


def number(changes: Sequence[Pending], head: Head, now: datetime) -> list[Entry]:
    """Give every instance of some changes its number and time, after the end of the feed."""
    time = max(now, head.time)
    entries: list[Entry] = []
    for change in changes:
        for item in change.changes:
            entries.append(
                Entry(
                    sequence=head.sequence + len(entries) + 1,
                    time=time,
                    action=change.action,
                    partition=change.key.partition,
                    study=change.key.study,
                    series=item.series,
                    instance=item.instance,
                    version=item.version,
                    change=change.version,
                )
            )
    return entries


async def _is_entered(storage: Storage, change: Pending) -> bool:
    for sequence in change.tried:
        found = await feed.read_entries(storage, sequence - 1, limit=1)
        if found and found[0].change == change.version:
            return True
    return False


async def _note(storage: Storage, changes: Sequence[Pending], entries: Sequence[Entry], head: Head) -> bool:
    """Write down under which number each change is about to be entered."""
    first = {entry.change: entry.sequence for entry in reversed(entries)}

    async def note(change: Pending) -> bool:
        open_still = [sequence for sequence in change.tried if sequence > head.sequence]
        tried = dict.fromkeys([*open_still, first[change.version]])
        return await pending.note_tried(storage, change, list(tried))

    return all(await asyncio.gather(*map(note, changes)))


async def _read_again(storage: Storage, batch: Sequence[Pending]) -> list[Pending]:
    found = [await pending.read_pending(storage, change.key, change.version) for change in batch]
    return [change for change in found if change]


@asynccontextmanager
async def _lease(storage: Storage) -> AsyncIterator[None]:
    deadline = asyncio.get_running_loop().time() + MAX_WAIT_SECONDS
    while (lease := await storage.leases.acquire(keys.LOCKS, LEASE_BLOB, LEASE_SECONDS)) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable("Another writer holds the change feed.")
        await asyncio.sleep(PAUSE_SECONDS)
    try:
        yield
    finally:
        await storage.leases.release(keys.LOCKS, LEASE_BLOB, lease)
