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
from shared.storage.tables import RowChanged, RowMissing, delete, less, merge, upsert_replace

NOTE_LASTS = timedelta(minutes=10)
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
    if noted is not None and now - noted < NOTE_LASTS:
        return
    partition, row = keys.active_key(key)
    due = now + storage.times.grace
    await storage.tables.transact(keys.ACTIVE, partition, [upsert_replace(row, {"noted": now, "due": due})])
    storage.memory.active.put(key.archive, now)


async def due(storage: Storage, now: datetime) -> AsyncIterator[ActiveStudy]:
    """The studies whose time has come."""
    async for page in storage.tables.query(keys.ACTIVE, less("due", now)):
        for row in page:
            noted = row.values["noted"]
            assert isinstance(noted, datetime)
            yield ActiveStudy(keys.study_of(row.row), noted, row.etag)


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
