"""Table `active`: the studies that the sweep has to look after.

A study is noted before the first byte of a change is written, so that whatever a crash leaves
behind lies in a study that is noted. A process notes a study again only after a while; the sweep
takes a study from the table only when it has been quiet for longer than that.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.storage import keys
from shared.storage.keys import StudyKey
from shared.storage.storage import Storage
from shared.storage.tables import Row, RowChanged, RowExists, RowMissing, delete, insert, less, merge

NOTE_LASTS = timedelta(minutes=10)
"""At the most; never longer than the grace, so that the sweep comes after all that relies on a note."""

QUIET_BEFORE_REMOVAL = timedelta(minutes=60)
"""Longer than a note lasts and an upload after it may take."""


@dataclass(frozen=True, slots=True)
class ActiveStudy:
    """A study that the sweep has to look after."""

    key: StudyKey
    noted: datetime
    etag: str


async def note(storage: Storage, key: StudyKey) -> None:
    """Have the sweep look after a study from now on."""
    now = datetime.now(UTC)
    noted = storage.memory.active.get(key.archive)
    if noted is not None and now - noted < min(NOTE_LASTS, storage.times.grace):
        return
    due = now + storage.times.grace
    while not await _note(storage, key, now, due):
        pass
    storage.memory.active.put(key.archive, now)


async def _note(storage: Storage, key: StudyKey, now: datetime, due: datetime) -> bool:
    """Write the row of a study, or renew it; False when it was made or removed meanwhile."""
    partition, row = keys.active_key(key)
    try:
        await storage.tables.transact(keys.ACTIVE, partition, [insert(row, {"noted": now, "due": due})])
    except RowExists:
        # Never put off a visit: a study that is always busy would never be visited.
        found = await storage.tables.get(keys.ACTIVE, partition, row, ("due",))
        if found is None:
            return False
        soonest = min(due, _time(found, "due"))
        try:
            await storage.tables.transact(
                keys.ACTIVE, partition, [merge(row, {"noted": now, "due": soonest})]
            )
        except RowMissing:
            return False
    return True


async def due(storage: Storage, now: datetime) -> AsyncIterator[ActiveStudy]:
    """The studies whose time has come."""
    async for page in storage.tables.query(keys.ACTIVE, less("due", now)):
        for row in page:
            yield ActiveStudy(keys.study_of(row.row), _time(row, "noted"), row.etag)


async def look_again(storage: Storage, study: ActiveStudy, when: datetime) -> None:
    """Let the sweep come back to a study later, unless somebody noted it anew meanwhile."""
    partition, row = keys.active_key(study.key)
    try:
        await storage.tables.transact(keys.ACTIVE, partition, [merge(row, {"due": when}, etag=study.etag)])
    except (RowChanged, RowMissing):
        return


async def rest(storage: Storage, study: ActiveStudy) -> None:
    """Look after a study no longer, unless somebody noted it anew meanwhile."""
    partition, row = keys.active_key(study.key)
    try:
        await storage.tables.transact(keys.ACTIVE, partition, [delete(row, etag=study.etag)])
    except (RowChanged, RowMissing):
        return


def _time(row: Row, name: str) -> datetime:
    value = row.values[name]
    assert isinstance(value, datetime)
    return value
