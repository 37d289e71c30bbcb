"""Rows of table `archive` for what still has to be done: pending changes and purges."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.storage import keys
from shared.storage.keys import StudyKey
from shared.storage.rows import Change, cut_text, joined_text, parse_changes, render_changes
from shared.storage.storage import Storage
from shared.storage.tables import Row, RowChanged, RowExists, RowMissing, between, delete, insert, merge
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version

MAX_MESSAGE_DELAY = timedelta(days=6)
"""A queue hides a message for seven days at the most."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed change that has no number in the change feed yet."""

    key: StudyKey
    version: int
    action: str
    """`create` or `delete`."""

    changes: tuple[Change, ...]
    touched: tuple[IndexKey, ...]
    """Search rows that the change may have written or removed."""

    tried: tuple[int, ...]
    """Feed sequences under which the change may have been entered; see `changefeed/emit.py`."""

    etag: str


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


async def all_pending(storage: Storage, key: StudyKey) -> list[Pending]:
    """Read every pending change of a study, oldest first."""
    return [_pending(key, row) async for row in _rows(storage, key, "pending")]


async def all_purges(storage: Storage, key: StudyKey) -> list[Purge]:
    """Read every purge of a study, oldest first."""
    return [_purge(key, row) async for row in _rows(storage, key, "purge")]


async def read_purge(storage: Storage, key: StudyKey, version: int) -> Purge | None:
    """Read one purge; None when it is done."""
    row = await storage.tables.get(keys.ARCHIVE, key.archive, keys.purge_row(version))
    return _purge(key, row) if row else None


async def note_tried(storage: Storage, pending: Pending, tried: Sequence[int]) -> bool:
    """Write down the sequences a change may be entered under; False when somebody else did."""
    text = ",".join(map(str, tried))
    operation = merge(keys.pending_row(pending.version), {"tried": text}, etag=pending.etag)
    try:
        await storage.tables.transact(keys.ARCHIVE, pending.key.archive, [operation])
    except (RowChanged, RowMissing):
        return False
    return True


async def finish(storage: Storage, pending: Pending) -> None:
    """Remove a pending change that the feed has; schedule the bytes it deleted."""
    operations = [delete(keys.pending_row(pending.version))]
    if pending.action == "delete":
        due = datetime.now(UTC) + storage.times.retention
        operations.append(insert(keys.purge_row(pending.version), _purge_values(due, pending.changes)))
    try:
        await storage.tables.transact(keys.ARCHIVE, pending.key.archive, operations)
    except (RowMissing, RowExists):
        return
    if pending.action == "delete":
        await send_purge(storage, pending.key, pending.version, storage.times.retention)


async def schedule_purge(
    storage: Storage, key: StudyKey, changes: Sequence[Change], delay: timedelta
) -> None:
    """Have bytes removed later that no row names any more."""
    version = next_version()
    values = _purge_values(datetime.now(UTC) + delay, changes)
    await storage.tables.transact(keys.ARCHIVE, key.archive, [insert(keys.purge_row(version), values)])
    await send_purge(storage, key, version, delay)


async def send_purge(storage: Storage, key: StudyKey, version: int, delay: timedelta) -> None:
    """Send the message that wakes the purge of a row. The row counts; the message is a wake-up."""
    text = json.dumps({"partition": key.partition, "study": key.study, "version": version})
    seconds = int(min(delay, MAX_MESSAGE_DELAY).total_seconds())
    await storage.queues.send(keys.PURGE_QUEUE, text, visible_after_seconds=max(0, seconds))


async def end_purge(storage: Storage, purge: Purge) -> None:
    """Remove the row of a purge that is done."""
    try:
        await storage.tables.transact(
            keys.ARCHIVE, purge.key.archive, [delete(keys.purge_row(purge.version))]
        )
    except RowMissing:
        return


async def _rows(storage: Storage, key: StudyKey, kind: str) -> AsyncIterator[Row]:
    async for page in storage.tables.query(keys.ARCHIVE, between(key.archive, *keys.rows_of(kind))):
        for row in page:
            yield row


def _purge_values(due: datetime, changes: Sequence[Change]) -> dict[str, str | datetime]:
    return {"due": due, **{k: str(v) for k, v in cut_text("changes", render_changes(changes)).items()}}


def _pending(key: StudyKey, row: Row) -> Pending:
    index = joined_text(row, "index")
    tried = str(row.values.get("tried", ""))
    return Pending(
        key=key,
        version=int(row.row.rpartition("|")[2], 16),
        action=str(row.values["action"]),
        changes=parse_changes(joined_text(row, "changes")),
        touched=tuple(IndexKey(*line.split("\t")) for line in index.split("\n") if line),
        tried=tuple(int(number) for number in tried.split(",") if number),
        etag=row.etag,
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
