"""Removing the bytes of deleted instances when their retention has ended.

A blob that belongs to one instance is deleted. A pack is deleted with its last instance; before
that it is written anew without the deleted ones, so that deleted data really goes.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from shared.storage import archive, keys, pending
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope, StudyKey
from shared.storage.pending import Purge
from shared.storage.rows import LOCATION, Change, InstanceRow, Location
from shared.storage.storage import Storage
from shared.storage.tables import RowChanged, RowMissing, Value, merge
from shared.storage.versions import next_version

MAX_ATTEMPTS = 8
MAX_MOVES = 90
"""Instances moved to another pack by one transaction."""

log = logging.getLogger(__name__)


async def purge(storage: Storage, key: StudyKey, version: int) -> bool:
    """Remove what one deletion left, if its time has come; else send for it again later.

    Returns:
        Whether it is done.
    """
    found = await pending.read_purge(storage, key, version)
    if found is None:
        return True
    left = found.due - datetime.now(UTC)
    if left.total_seconds() > 0:
        await pending.send_purge(storage, key, version, left)
        return False
    await remove_bytes(storage, found)
    return True


async def remove_bytes(storage: Storage, found: Purge) -> None:
    """Remove the blobs of a purge whose time has come, and then its row. May be repeated."""
    for change in found.changes:
        for detail in change.details:
            await storage.blobs.delete(keys.METADATA, detail)
    for blob in dict.fromkeys(change.location.blob for change in found.changes):
        if keys.is_pack(blob):
            await _purge_pack(storage, found.key, blob)
        else:
            await storage.blobs.delete(keys.DICOM, blob)
    await pending.end_purge(storage, found)


async def _purge_pack(storage: Storage, key: StudyKey, pack: str) -> None:
    for _ in range(MAX_ATTEMPTS):
        named = await _named(storage, key, pack)
        if not named:
            await storage.blobs.delete(keys.DICOM, pack)
            return
        if await _rewrite(storage, key, pack, named):
            return
    log.warning("a pack was changed too often to be rewritten; it stays until the next sweep")


async def _named(storage: Storage, key: StudyKey, pack: str) -> list[InstanceRow]:
    """The instances whose bytes lie in a pack, in the order of their bytes."""
    rows = [
        row
        async for page in archive.read_instances(storage, Scope(key), LOCATION)
        for row in page
        if row.location.blob == pack
    ]
    return sorted(rows, key=lambda row: row.location.start)


async def _rewrite(storage: Storage, key: StudyKey, pack: str, rows: Sequence[InstanceRow]) -> bool:
    """Move what is left of a pack to a new one; False when an instance changed meanwhile."""
    try:
        pieces = [await _read(storage, row.location) for row in rows]
    except BlobMissing:
        return False
    moved = keys.pack_blob(key, next_version())
    await storage.blobs.put(keys.DICOM, moved, pieces)
    try:
        await _point(storage, key, rows, moved)
    except (RowChanged, RowMissing):
        return False
    # Readers that took the old address from a row a moment ago may still read the old pack.
    old = Change("", "", 0, Location(pack, 0, 0))
    await pending.schedule_purge(storage, key, [old], storage.times.grace)
    return True


async def _read(storage: Storage, location: Location) -> bytes:
    return await storage.blobs.read_all(keys.DICOM, location.blob, location.start, location.length)


async def _point(storage: Storage, key: StudyKey, rows: Sequence[InstanceRow], pack: str) -> None:
    start = 0
    operations = []
    for row in rows:
        where: dict[str, Value] = {"blob": pack, "start": start}
        operations.append(merge(keys.instance_row(row.series, row.instance), where, etag=row.etag))
        start += row.location.length
    for at in range(0, len(operations), MAX_MOVES):
        part = operations[at : at + MAX_MOVES]
        await storage.tables.transact(keys.ARCHIVE, key.archive, part)


async def purge_all(storage: Storage, found: Sequence[Purge], now: datetime) -> datetime | None:
    """Remove what is due of some purges; give the time when the next is due, if any is left."""
    later = [purge.due for purge in found if purge.due > now]
    await asyncio.gather(*(remove_bytes(storage, purge) for purge in found if purge.due <= now))
    return min(later, default=None)
