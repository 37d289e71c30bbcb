"""Removing the bytes of deleted instances when their retention has ended.

A blob that belongs to one instance is deleted. A pack is deleted with its last instance; before
that it is written anew without the deleted ones, so that deleted data really goes. While something
else that was deleted from a pack is still retained, the pack stays as it is: the last one to end
takes the others' bytes along.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.storage import archive, keys, pending
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope, StudyKey
from shared.storage.pending import Pending, Purge
from shared.storage.rows import DETAILS, LOCATION, Change, InstanceRow, Location
from shared.storage.storage import Storage
from shared.storage.tables import Operation, RowChanged, RowMissing, Value, merge
from shared.storage.uids import remove_ghosts
from shared.storage.upload import put_new
from shared.storage.versions import next_version

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removal:
    """Which blobs go, worked out from the purges of a study and the instances it has."""

    blobs: tuple[str, ...]
    """In container `dicom`, whole."""

    details: tuple[str, ...]
    """In container `metadata`."""

    packs: tuple[str, ...]
    """To be written anew, as something of them stays."""

    later: tuple[str, ...]
    """In use by a change that is not finished, and not by a row that was seen: to be looked at again."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of the purges of a study."""

    again: datetime | None
    """When there is something to do again; None when nothing is left."""

    overdue: int
    """How many of those done were due for longer than the grace, so that their message must have got lost."""


async def purge_due(storage: Storage, key: StudyKey, now: datetime) -> Purged:
    """Do the purges of a study whose time has come. May be repeated, also by two at once."""
    every = await pending.all_purges(storage, key)
    due = [purge for purge in every if purge.due <= now]
    if due:
        await _purge(storage, key, due)
    left = await pending.all_purges(storage, key)
    # What could not be done now is tried again after the grace.
    again = min((max(purge.due, now + storage.times.grace) for purge in left), default=None)
    done = {purge.version for purge in due} - {purge.version for purge in left}
    late = [purge for purge in due if purge.version in done and now - purge.due > storage.times.grace]
    return Purged(again, len(late))


async def purge(storage: Storage, key: StudyKey, version: int) -> bool:
    """Do the purges of a study for which a message came; send it again if it came too early.

    Returns:
        Whether the purge of that version is done.
    """
    await purge_due(storage, key, datetime.now(UTC))
    found = await pending.read_purge(storage, key, version)
    if found is None:
        return True
    left = max(found.due - datetime.now(UTC), storage.times.grace)
    await pending.send_purge(storage, key, version, left)
    return False


async def _purge(storage: Storage, key: StudyKey, due: Sequence[Purge]) -> None:
    deleted = [(change.series, change.instance) for change in _changes(due) if change.instance]
    await remove_ghosts(storage, key, deleted)
    # In the order in which a deletion hands bytes on, so that none is missed on its way.
    pages = archive.read_instances(storage, Scope(key), (*LOCATION, *DETAILS))
    rows = [row async for page in pages for row in page]
    waiting = await pending.all_pending(storage, key)
    later = _later(await pending.all_purges(storage, key), due)
    removal = plan_removal(due, rows, waiting, later)
    for name in removal.details:
        await storage.blobs.delete(keys.METADATA, name)
    for name in removal.blobs:
        await storage.blobs.delete(keys.DICOM, name)
    kept = {pack for pack in removal.packs if not await _rewrite(storage, key, pack, rows)}
    kept.update(removal.later)
    done = [purge for purge in due if not any(change.location.blob in kept for change in purge.changes)]
    await pending.end_purges(storage, done)
    if kept:
        log.warning("blobs=%d could not be purged now; they are tried again", len(kept))


def plan_removal(
    due: Sequence[Purge],
    rows: Sequence[InstanceRow],
    waiting: Sequence[Pending],
    later: Sequence[Purge],
) -> Removal:
    """Work out what goes.

    Args:
        due: The purges whose time has come.
        rows: Every instance of the study.
        waiting: The pending changes, read after the rows.
        later: The other purges, read after the pending changes.
    """
    in_use = {name for row in rows for name in (row.location.blob, *row.details)}
    made = [change for each in waiting if each.action != "delete" for change in each.changes]
    made_blobs = {name for change in made for name in (change.location.blob, *change.details)}
    # Of these something is deleted, but still retained: the last one to end takes the others' bytes along.
    removed = [change for each in waiting for change in each.removed]
    retained = {change.location.blob for change in (*removed, *_changes(later))}
    blobs = dict.fromkeys(change.location.blob for change in _changes(due))
    free = [blob for blob in blobs if blob not in retained]
    details = dict.fromkeys(detail for change in _changes(due) for detail in change.details)
    return Removal(
        blobs=tuple(blob for blob in free if blob not in in_use | made_blobs),
        details=tuple(detail for detail in details if detail not in in_use | made_blobs),
        packs=tuple(blob for blob in free if blob in in_use and keys.is_pack(blob)),
        later=tuple(blob for blob in free if blob in made_blobs - in_use),
    )


def _changes(items: Iterable[Purge]) -> Iterable[Change]:
    return (change for item in items for change in item.changes)


def _later(every: Sequence[Purge], due: Sequence[Purge]) -> list[Purge]:
    versions = {purge.version for purge in due}
    return [purge for purge in every if purge.version not in versions]


async def _rewrite(storage: Storage, key: StudyKey, pack: str, rows: Sequence[InstanceRow]) -> bool:
    """Move what is left of a pack to a new one; False when an instance changed meanwhile."""
    staying = sorted((row for row in rows if row.location.blob == pack), key=lambda row: row.location.start)
    try:
        pieces = [await _read(storage, row.location) for row in staying]
    except BlobMissing:
        return False
    moved = keys.pack_blob(key, next_version())
    await put_new(storage.blobs, keys.DICOM, moved, pieces)
    # Readers that took the old address from a row a moment ago may still read the old pack.
    old = Change("", "", 0, Location(pack, 0, 0))
    steps = _pointing(staying, moved)
    try:
        await pending.schedule_purge(storage, key, [old], storage.times.grace, steps)
    except (RowChanged, RowMissing):
        return False
    return True


async def _read(storage: Storage, location: Location) -> bytes:
    return await storage.blobs.read_all(keys.DICOM, location.blob, location.start, location.length)


def _pointing(rows: Sequence[InstanceRow], pack: str) -> list[Operation]:
    """Operations that make rows name their bytes in another pack, where they lie side by side."""
    start = 0
    operations = []
    for row in rows:
        where: dict[str, Value] = {"blob": pack, "start": start}
        operations.append(merge(keys.instance_row(row.series, row.instance), where, etag=row.etag))
        start += row.location.length
    return operations
