"""Finishing what a crash left: changes the feed does not know, search rows, blobs no row names.

Every study with a change is noted in table `active` before its first byte is written. The sweep
visits the studies whose time has come, and nothing else, so it costs what was changed lately and
not what is stored.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.log import log_fault
from shared.storage import active, archive, keys, pending
from shared.storage.active import QUIET_BEFORE_REMOVAL, ActiveStudy
from shared.storage.keys import Scope, StudyKey
from shared.storage.listing import BlobEntry
from shared.storage.mend import mend_index
from shared.storage.pending import Pending
from shared.storage.rows import DETAILS, LOCATION, Change, Location
from shared.storage.storage import Storage
from shared.storage.summaries import read_anchors
from shared.storage.versions import made_at
from shared.upkeep.purge import purge_due

VISITS_AT_ONCE = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mended:
    """What a sweep found and mended. Zeros are the norm."""

    studies: int = 0
    """Studies visited."""

    changes: int = 0
    """Committed changes that nothing had finished."""

    blobs: int = 0
    """Blobs that no row named."""

    joined: int = 0
    """Joined metadata that were out of date. Only a sweep removes them, so these are usual."""

    purges: int = 0
    """Deletions whose bytes nothing had removed in time."""

    failed: int = 0
    """Studies whose visit failed; they are visited again."""

    def __add__(self, other: "Mended") -> "Mended":
        return Mended(
            self.studies + other.studies,
            self.changes + other.changes,
            self.blobs + other.blobs,
            self.joined + other.joined,
            self.purges + other.purges,
            self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a visit of one study found, and the changes that the feed has still to enter."""

    mended: Mended
    unfed: tuple[Pending, ...]


async def visit_due(storage: Storage) -> AsyncIterator[Sweep]:
    """Visit every study whose time has come. One that cannot be mended does not keep us from the others."""
    studies = [study async for study in active.due(storage, datetime.now(UTC))]
    for at in range(0, len(studies), VISITS_AT_ONCE):
        visits = (_try_visit(storage, study) for study in studies[at : at + VISITS_AT_ONCE])
        for sweep in await asyncio.gather(*visits):
            yield sweep


async def _try_visit(storage: Storage, study: ActiveStudy) -> Sweep:
    try:
        return await visit(storage, study)
    except Exception:
        log_fault(log, "a study could not be swept")
        return Sweep(Mended(studies=1, failed=1), ())


async def visit(storage: Storage, study: ActiveStudy) -> Sweep:
    """Mend one study, and settle when to come back to it.

    The search rows of unfinished changes are written here; entering the changes into the feed is
    left to the caller, as the feed has a writer of its own. The study stays active until then.
    """
    now = datetime.now(UTC)
    waiting = await pending.read_waiting(storage, study.key)
    unfed = [change for change in waiting.changes if now - made_at(change.version) >= storage.times.grace]
    for change in unfed:
        await mend_index(storage, change)
    if waiting.unreadable:
        # Nobody knows which bytes these name, so none of the study's may go.
        await active.look_again(storage, study, now + storage.times.grace)
        return Sweep(Mended(studies=1, changes=len(unfed), failed=1), tuple(unfed))
    purged = await purge_due(storage, study.key, now)
    removed, young = await _remove_unnamed(storage, study.key, now)
    await _come_back(storage, study, now, purged.again, busy=bool(waiting.changes) or young)
    return Sweep(Mended(studies=1, changes=len(unfed), purges=purged.overdue) + removed, tuple(unfed))


@dataclass(frozen=True, slots=True)
class _Named:
    """What the rows of a study name."""

    blobs: set[str]
    places: set[tuple[str, int, int]]
    """Blob, start and length of everything in container `dicom`."""

    purged: set[str]
    """Blobs of which something waits for its purge."""


async def _remove_unnamed(storage: Storage, key: StudyKey, now: datetime) -> tuple[Mended, bool]:
    """Delete the blobs of a study that no row names; tell how many, and whether some are too young."""
    found = [
        (container, entry)
        for container in (keys.DICOM, keys.METADATA)
        async for entry in storage.blobs.list(container, key.folder)
    ]
    # Read after the list: a blob that was listed and gets its row meanwhile is seen as named.
    named = await _named(storage, key)
    unnamed = [(container, entry) for container, entry in found if entry.name not in named.blobs]
    old = [item for item in unnamed if now - item[1].modified >= storage.times.grace]
    for container, entry in old:
        await storage.blobs.delete(container, entry.name)
    packs = [entry for _, entry in found if keys.is_pack(entry.name) and entry.name in named.blobs]
    aged = [entry for entry in packs if now - entry.modified >= storage.times.grace]
    loose = [entry.name for entry in aged if _has_loose_bytes(entry, named)]
    if loose:
        # What a crash kept from being forgotten: bytes of files that were refused.
        changes = [Change("", "", 0, Location(pack, 0, 0)) for pack in loose]
        await pending.schedule_purge(storage, key, changes, storage.times.grace)
    joined = sum(keys.is_joined(entry.name) for _, entry in old)
    again = len(old) < len(unnamed) or len(aged) < len(packs) or bool(loose)
    return Mended(blobs=len(old) - joined, joined=joined), again


def _has_loose_bytes(pack: BlobEntry, named: _Named) -> bool:
    """Whether nobody names some of a pack, and no purge is about to free them."""
    if pack.name in named.purged:
        return False
    return pack.length > sum(length for blob, _, length in named.places if blob == pack.name)


async def _named(storage: Storage, key: StudyKey) -> _Named:
    named = _Named(set(), set(), set())
    # In the order in which a deletion hands bytes on, so that none is missed on its way.
    async for page in archive.read_instances(storage, Scope(key), (*LOCATION, *DETAILS)):
        for row in page:
            named.blobs.update(row.details)
            _name(named, row.location)
    anchors = await read_anchors(storage, Scope(key))
    known = (anchor.summary for anchor in anchors)
    named.blobs.update(summary.joined.blob for summary in known if summary and summary.joined)
    waiting = await pending.all_pending(storage, key)
    purges = await pending.all_purges(storage, key)
    for changes in (
        *((*each.changes, *each.replaced) for each in waiting),
        *(each.changes for each in purges),
    ):
        for change in changes:
            named.blobs.update(change.details)
            _name(named, change.location)
    named.purged.update(change.location.blob for each in (*purges,) for change in each.changes)
    named.purged.update(change.location.blob for each in waiting for change in each.removed)
    return named


def _name(named: _Named, place: Location) -> None:
    named.blobs.add(place.blob)
    named.places.add((place.blob, place.start, place.length))


async def _come_back(
    storage: Storage, study: ActiveStudy, now: datetime, next_purge: datetime | None, *, busy: bool
) -> None:
    if busy:
        await active.look_again(storage, study, now + storage.times.grace)
    elif next_purge is not None:
        await active.look_again(storage, study, next_purge)
    elif now - study.noted < QUIET_BEFORE_REMOVAL:
        await active.look_again(storage, study, study.noted + QUIET_BEFORE_REMOVAL)
    else:
        await active.rest(storage, study)
