"""Rows of table `archive` for what still has to be done: pending changes and purges."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.log import log_fault
from shared.storage import keys
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.rows import Change, cut_text, joined_text, parse_changes, render_changes, squeezed_text
from shared.storage.storage import Storage
from shared.storage.tables import (
    Operation,
    Row,
    RowChanged,
    RowExists,
    RowMissing,
    between,
    delete,
    insert,
    upsert_replace,
)
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version

MAX_MESSAGE_DELAY = timedelta(days=6)
"""A queue hides a message for seven days at the most."""

MAX_FINISHED = 50
"""Changes finished by one transaction, each with up to two operations."""

PURGE_MESSAGE_SECONDS = 15.0
"""After which the feed waits no longer for a message about deleted bytes to be sent."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed change that has no number in the change feed yet."""

    key: StudyKey
    version: int
    action: str
    """`create`, `update` or `delete`."""

    changes: tuple[Change, ...]
    """The instances that were made or, by a deletion, removed."""

    replaced: tuple[Change, ...]
    """Of an update: what was there before, in no certain order."""

    touched: tuple[IndexKey, ...]
    """Search rows that the change may have written or removed."""

    @property
    def change(self) -> ChangeKey:
        """What it is called."""
        return ChangeKey(self.key, self.version)

    @property
    def removed(self) -> tuple[Change, ...]:
        """Those whose bytes no row names any more."""
        return self.changes if self.action == "delete" else self.replaced


@dataclass(frozen=True, slots=True)
class Purge:
    """Bytes of deleted instances that wait for their retention to end."""

    key: StudyKey
    version: int
    due: datetime
    changes: tuple[Change, ...]
    etag: str


async def read_pending(storage: Storage, key: StudyKey, version: int) -> Pending | None:
    """Read one pending change; None when the feed has it."""
    row = await storage.tables.get(keys.ARCHIVE, key.archive, keys.pending_row(version))
    return _pending(key, row) if row else None


async def exists(storage: Storage, change: ChangeKey) -> bool:
    """Whether a change is still pending, readable or not."""
    row = keys.pending_row(change.version)
    return await storage.tables.get(keys.ARCHIVE, change.study.archive, row, ("RowKey",)) is not None


async def all_pending(storage: Storage, key: StudyKey) -> list[Pending]:
    """Read every pending change of a study, oldest first."""
    return [_pending(key, row) async for row in _rows(storage, key, "pending")]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pending changes of a study."""

    changes: tuple[Pending, ...]
    """Oldest first."""

    unreadable: tuple[ChangeKey, ...]
    """Those whose rows are not as we write them."""


async def read_waiting(storage: Storage, key: StudyKey) -> Waiting:
    """Read every pending change of a study; one that cannot be read does not keep us from the others."""
    changes: list[Pending] = []
    unreadable: list[ChangeKey] = []
    async for row in _rows(storage, key, "pending"):
        try:
            changes.append(_pending(key, row))
        except Exception:
            log_fault(log, "a pending change cannot be read")
            unreadable.append(ChangeKey(key, keys.pending_version(row.row)))
    return Waiting(tuple(changes), tuple(unreadable))


async def all_purges(storage: Storage, key: StudyKey) -> list[Purge]:
    """Read every purge of a study, oldest first."""
    return [_purge(key, row) async for row in _rows(storage, key, "purge")]


async def read_purge(storage: Storage, key: StudyKey, version: int) -> Purge | None:
    """Read one purge; None when it is done."""
    row = await storage.tables.get(keys.ARCHIVE, key.archive, keys.purge_row(version))
    return _purge(key, row) if row else None


async def finish(storage: Storage, key: StudyKey, changes: Sequence[Pending]) -> None:
    """Remove pending changes of a study that the feed has; schedule the bytes they deleted."""
    # Never sooner than the grace: a writer whose answer was lost may still name these bytes again.
    kept = max(storage.times.retention, storage.times.grace)
    due = datetime.now(UTC) + kept
    for at in range(0, len(changes), MAX_FINISHED):
        part = changes[at : at + MAX_FINISHED]
        if not await _all_or_none(storage, key, [step for change in part for step in _ending(change, due)]):
            # Somebody else, or an earlier try of ours, has finished some of them.
            for change in part:
                await _all_or_none(storage, key, _ending(change, due))
    for change in changes:
        if change.removed and not await _try_to_send_purge(storage, key, change.version, kept):
            # The queue would keep us, and all who wait for us, as long for each of the others.
            return


async def _try_to_send_purge(storage: Storage, key: StudyKey, version: int, delay: timedelta) -> bool:
    try:
        async with asyncio.timeout(PURGE_MESSAGE_SECONDS):
            await send_purge(storage, key, version, delay)
    except Exception:
        # The sweep finds the row of a purge whose message is missing.
        log_fault(log, "a purge could not be announced; the sweep does it")
        return False
    return True


def _ending(change: Pending, due: datetime) -> list[Operation]:
    ended = delete(keys.pending_row(change.version))
    if not change.removed:
        return [ended]
    # Where a transaction was repeated late, its purge of the first time may still be there.
    return [ended, upsert_replace(keys.purge_row(change.version), _purge_values(due, change.removed))]


async def _all_or_none(storage: Storage, key: StudyKey, operations: Sequence[Operation]) -> bool:
    try:
        await storage.tables.transact(keys.ARCHIVE, key.archive, operations)
    except (RowChanged, RowMissing, RowExists):
        return False
    return True


async def schedule_purge(
    storage: Storage,
    key: StudyKey,
    changes: Sequence[Change],
    delay: timedelta,
    steps: Sequence[Operation] = (),
) -> None:
    """Have bytes removed later that no row names any more.

    Args:
        storage: The storage account.
        key: The study.
        changes: Where the bytes lie.
        delay: How much later.
        steps: What has to happen to the study's rows in the same transaction.

    Raises:
        RowChanged, RowMissing: A row of the steps was not as required; nothing was changed.
    """
    version = next_version()
    row = insert(keys.purge_row(version), _purge_values(datetime.now(UTC) + delay, changes))
    try:
        await storage.tables.transact(keys.ARCHIVE, key.archive, [*steps, row])
    except (RowExists, RowChanged, RowMissing) as conflict:
        if not (conflict.after_retry and await read_purge(storage, key, version)):
            raise
    await send_purge(storage, key, version, delay)


async def send_purge(storage: Storage, key: StudyKey, version: int, delay: timedelta) -> None:
    """Send the message that wakes the purge of a row. The row counts; the message is a wake-up."""
    text = json.dumps({"partition": key.partition, "study": key.study, "version": version})
    seconds = int(min(delay, MAX_MESSAGE_DELAY).total_seconds())
    await storage.queues.send(keys.PURGE_QUEUE, text, visible_after_seconds=max(0, seconds))


async def end_purges(storage: Storage, purges: Sequence[Purge]) -> None:
    """Remove the rows of purges that are done."""
    for purge in purges:
        try:
            await storage.tables.transact(
                keys.ARCHIVE, purge.key.archive, [delete(keys.purge_row(purge.version))]
            )
        except RowMissing:
            continue


async def _rows(storage: Storage, key: StudyKey, kind: str) -> AsyncIterator[Row]:
    async for page in storage.tables.query(keys.ARCHIVE, between(key.archive, *keys.rows_of(kind))):
        for row in page:
            yield row


def _purge_values(due: datetime, changes: Sequence[Change]) -> dict[str, str | datetime]:
    return {"due": due, **{k: str(v) for k, v in cut_text("changes", render_changes(changes)).items()}}


def _pending(key: StudyKey, row: Row) -> Pending:
    index = squeezed_text(row, "index")
    return Pending(
        key=key,
        version=keys.pending_version(row.row),
        action=str(row.values["action"]),
        changes=parse_changes(joined_text(row, "changes")),
        replaced=parse_changes(joined_text(row, "replaced") or "[]"),
        touched=tuple(IndexKey(*line.split("\t")) for line in index.split("\n") if line),
    )


def _purge(key: StudyKey, row: Row) -> Purge:
    due = row.values["due"]
    assert isinstance(due, datetime)
    return Purge(
        key=key,
        version=int(row.row.rpartition("|")[2], 16),
        due=due,
        changes=parse_changes(joined_text(row, "changes")),
        etag=row.etag,
    )
