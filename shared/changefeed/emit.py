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
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from shared.changefeed.order import batches, in_order, number
from shared.errors import Unavailable
from shared.storage import feed, keys, pending
from shared.storage.feed import Entry
from shared.storage.keys import StudyKey
from shared.storage.mend import mend_index
from shared.storage.pending import Pending
from shared.storage.storage import Head, Storage
from shared.storage.summaries import wake_all
from shared.storage.tables import RowExists

MAX_BLOBS = 100
LEASE_SECONDS = 60
LEASE_BLOB = "changefeed"
MAX_WAIT_SECONDS = 90.0
"""A lease left by a crash ends after a minute; waiting longer is pointless."""

PAUSE_SECONDS = 0.2

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
        made = 0
        async with _lease(storage):
            while names := await _oldest_blobs(storage):
                made += await _emit_blobs(storage, names)
        return made


async def emit_pending(storage: Storage, changes: Sequence[Pending]) -> None:
    """Enter changes that were found without their blobs, and whose search rows are mended."""
    if changes:
        found: dict[StudyKey, set[int]] = defaultdict(set)
        for change in changes:
            found[change.key].add(change.version)
        async with storage.memory.emitting, _lease(storage):
            await _emit_studies(storage, found)


async def _oldest_blobs(storage: Storage) -> list[str]:
    names: list[str] = []
    async for entry in storage.blobs.list(keys.CHANGES, ""):
        names.append(entry.name)
        if len(names) == MAX_BLOBS:
            break
    return names


async def _emit_blobs(storage: Storage, names: Sequence[str]) -> int:
    announced: dict[StudyKey, set[int]] = defaultdict(set)
    for name in names:
        try:
            key, version = keys.parse_change_blob(name)
        except ValueError:
            log.error("container %s holds a blob that is no change; it is removed", keys.CHANGES)
        else:
            announced[key].add(version)
    made = await _emit_studies(storage, announced)
    await asyncio.gather(*(storage.blobs.delete(keys.CHANGES, name) for name in names))
    for name in names:
        storage.memory.emitted.put(name, True)
    return made


async def _emit_studies(storage: Storage, wanted: Mapping[StudyKey, set[int]]) -> int:
    found = await asyncio.gather(*(_read(storage, *study) for study in wanted.items()))
    return await _emit_changes(storage, [change for changes in found for change in changes])


async def _read(storage: Storage, key: StudyKey, wanted: set[int]) -> list[Pending]:
    """The wanted changes of a study that are pending still, and what has to be entered before them.

    What comes before a change was committed before it, so a reading that began later has it.
    """
    changes = in_order(await pending.all_pending(storage, key), wanted)
    for change in changes:
        if change.version not in wanted:
            # Its request is still at work, or has ended without finishing: then we do it, as the row goes.
            await mend_index(storage, change)
    return changes


async def _emit_changes(storage: Storage, changes: Sequence[Pending]) -> int:
    made = 0
    for batch in batches(changes):
        made += await _emit_batch(storage, batch)
    return made


async def _emit_batch(storage: Storage, batch: Sequence[Pending]) -> int:
    head = storage.memory.head or await feed.read_head(storage)
    while True:
        todo = [change for change in batch if not await _is_entered(storage, change)]
        entries = number(todo, head, datetime.now(UTC))
        if await _note(storage, todo, entries, head) and await _append(storage, entries):
            break
        batch = await _read_again(storage, batch)
        head = await feed.read_head(storage)
    storage.memory.head = Head(entries[-1].sequence, entries[-1].time) if entries else head
    await pending.finish(storage, batch)
    await _wake(storage, batch)
    return len(entries)


async def _wake(storage: Storage, batch: Sequence[Pending]) -> None:
    """Have the metadata of changed series joined anew when these have come to rest."""
    series: dict[StudyKey, set[str]] = defaultdict(set)
    for change in batch:
        series[change.key].update(item.series for item in change.changes)
    await asyncio.gather(*(wake_all(storage, *study, storage.times.quiet) for study in series.items()))


async def _append(storage: Storage, entries: Sequence[Entry]) -> bool:
    try:
        if entries:
            await feed.append(storage, entries)
    except RowExists:
        return False
    return True


async def _is_entered(storage: Storage, change: Pending) -> bool:
    for sequence in change.tried:
        found = await feed.read_entries(storage, sequence - 1, limit=1)
        if found and found[0].change == change.version:
            return True
    return False


async def _note(storage: Storage, changes: Sequence[Pending], entries: Sequence[Entry], head: Head) -> bool:
    """Write down under which number each change is about to be entered."""
    first = {entry.change: entry.sequence for entry in reversed(entries)}
    tried = []
    for change in changes:
        # A number the feed has not passed yet may still be used by a writer that was paused.
        open_still = [sequence for sequence in change.tried if sequence > head.sequence]
        tried.append((change, list(dict.fromkeys([*open_still, first[change.version]]))))
    return await pending.note_tried(storage, tried)


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
