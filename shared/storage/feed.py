"""Table `feed`: one row for each changed instance, numbered from 1 without gaps.

Rows are only ever inserted. The partition of a row is that of the first row inserted with it, so
that one transaction enters up to a hundred rows; because rows are entered without gaps, two writers
that believe in the same end of the feed meet at the same first row, and one of them fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.storage import keys
from shared.storage.storage import Head, Storage
from shared.storage.tables import Row, both, greater_or_equal, insert, less, upsert_replace

ROWS_IN_PARTITION = 1000
ROWS_BETWEEN_HINTS = 500
MAX_ENTRIES = 100
"""Entries of one transaction."""

_HEAD = "head"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one instance."""

    sequence: int
    time: datetime
    action: str
    partition: str
    """Folded name of the data partition."""

    study: str
    series: str
    instance: str
    version: int
    """Version of the instance that was made or removed."""

    change: int
    """Version of the committed change; several instances may share it."""


async def read_head(storage: Storage) -> Head:
    """Find the end of the feed: from the last known end onward."""
    hint = await storage.tables.get(keys.FEED, _HEAD, _HEAD)
    head = Head(_int(hint, "sequence"), _time(hint)) if hint else Head(0, _BEGINNING)
    for entry in await read_entries(storage, head.sequence):
        head = Head(entry.sequence, entry.time)
    return head


async def read_entries(storage: Storage, after: int, limit: int | None = None) -> list[Entry]:
    """Read the entries after a sequence, in order."""
    first = _partition(max(0, after - MAX_ENTRIES))
    found: list[Entry] = []
    wanted = both(
        greater_or_equal("PartitionKey", first),
        less("PartitionKey", _HEAD),
        greater_or_equal("RowKey", _row(after + 1)),
    )
    async for page in storage.tables.query(keys.FEED, wanted, limit=limit):
        found += [_entry(row) for row in page]
    return found


async def append(storage: Storage, entries: Sequence[Entry]) -> None:
    """Enter up to a hundred entries in one transaction.

    Raises:
        RowExists: Somebody else has entered their first sequence; nothing was entered.
    """
    first, last = entries[0], entries[-1]
    await storage.tables.transact(
        keys.FEED,
        _partition(first.sequence),
        [insert(_row(entry.sequence), _values(entry)) for entry in entries],
    )
    if first.sequence // ROWS_BETWEEN_HINTS == last.sequence // ROWS_BETWEEN_HINTS and first.sequence > 1:
        return
    # Only a place to begin the search for the end; it may lag behind.
    hint = upsert_replace(_HEAD, {"sequence": last.sequence, "time": last.time})
    await storage.tables.transact(keys.FEED, _HEAD, [hint])


def _partition(sequence: int) -> str:
    return f"{sequence // ROWS_IN_PARTITION:017d}"


def _row(sequence: int) -> str:
    return f"{sequence:020d}"


def _values(entry: Entry) -> dict[str, str | int | datetime]:
    return {
        "time": entry.time,
        "action": entry.action,
        "partition": entry.partition,
        "study": entry.study,
        "series": entry.series,
        "instance": entry.instance,
        "version": entry.version,
        "change": entry.change,
    }


def _entry(row: Row) -> Entry:
    text = {name: str(row.values[name]) for name in ("action", "partition", "study", "series", "instance")}
    return Entry(
        sequence=int(row.row),
        time=_time(row),
        version=_int(row, "version"),
        change=_int(row, "change"),
        **text,
    )


def _int(row: Row, name: str) -> int:
    value = row.values[name]
    assert isinstance(value, int)
    return value


def _time(row: Row) -> datetime:
    value = row.values["time"]
    assert isinstance(value, datetime)
    return value
