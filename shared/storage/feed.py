"""Table `feed`: one row for each changed instance, numbered from 1 without gaps.

Rows are only ever inserted. The partition of a row is that of the first row inserted with it, so
that one transaction enters up to a hundred rows; because rows are entered without gaps, two writers
that believe in the same end of the feed meet at the same first row, and one of them fails.

Partition `head` holds what is not an entry. Row `head` is the mark: up to its sequence every change that
is entered is finished, its pending row gone (`changefeed/writer.py`); it may lag behind. Every few hundred
entries there is a hint `time|{time}|{sequence}` for `feed_times.py`, which may be missing. And `aside|...`
are changes that could not be entered (`aside.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.storage import keys
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.storage import Head, Storage
from shared.storage.tables import (
    Row,
    between,
    both,
    greater_or_equal,
    insert,
    less,
    less_or_equal,
    upsert_replace,
)

ROWS_IN_PARTITION = 1000
ROWS_BETWEEN_HINTS = 500
MAX_ENTRIES = 100
"""Entries of one transaction."""

_HEAD = "head"
_HINT = "time|"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every entry."""


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

    @property
    def of(self) -> ChangeKey:
        """The committed change."""
        return ChangeKey(StudyKey(self.partition, self.study), self.change)


async def read_mark(storage: Storage) -> Head:
    """Find where everything that is entered is also finished. There may be entries behind it."""
    mark = await storage.tables.get(keys.FEED, _HEAD, _HEAD)
    return Head(_int(mark, "sequence"), _time(mark)) if mark else Head(0, BEGINNING)


async def write_mark(storage: Storage, mark: Head) -> None:
    """Note that every change entered up to there is finished. An older mark is as true as a newer one."""
    row = upsert_replace(_HEAD, {"sequence": mark.sequence, "time": mark.time})
    await storage.tables.transact(keys.FEED, _HEAD, [row])


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


async def read_between(
    storage: Storage, first: int, end: int, matching: Sequence[str] = (), limit: int | None = None
) -> list[Entry]:
    """Read the entries from `first` up to, and without, `end`, in order.

    Args:
        storage: The storage account.
        first: A sequence, from 1.
        end: Another. What lies beyond the end of the feed is not there.
        matching: Filters that an entry must meet, on the properties of its row.
        limit: The most entries wanted.
    """
    wanted = _between(first, end, matching)
    pages = storage.tables.query(keys.FEED, wanted, limit=limit)
    found = [_entry(row) async for page in pages for row in page]
    return found if matching else _without_gap(found)


async def read_times(storage: Storage, first: int, end: int) -> list[tuple[int, datetime]]:
    """Read sequence and time of the entries from `first` up to, and without, `end`."""
    pages = storage.tables.query(keys.FEED, _between(first, end), select=("time",))
    return [(int(row.row), _time(row)) async for page in pages for row in page]


async def read_last(storage: Storage) -> Entry | None:
    """Read the last entry; None while there is none."""
    known = storage.memory.last
    if known:
        # As a rule little has come since this process looked last.
        found = await read_between(storage, known, known + ROWS_IN_PARTITION)
        if found and len(found) < ROWS_IN_PARTITION:
            storage.memory.last = found[-1].sequence
            return found[-1]
    hint = await storage.tables.get(keys.FEED, _HEAD, _HEAD)
    last = _int(hint, "sequence") if hint else 1
    while len(found := await read_between(storage, last, last + ROWS_IN_PARTITION)) == ROWS_IN_PARTITION:
        last = found[-1].sequence
    storage.memory.last = found[-1].sequence if found else 0
    return found[-1] if found else None


async def find_hint(storage: Storage, moment: datetime) -> int | None:
    """An entry of that time or later, and not far behind the first such; None if no hint names one."""
    wanted = between(_HEAD, f"{_HINT}{_text(moment)}", f"{_HINT}{keys.AFTER}")
    async for page in storage.tables.query(keys.FEED, wanted, limit=1):
        return _int(page[0], "sequence")
    return None


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
    # Only a place to begin a search at, of what is entered and will not change.
    hint = upsert_replace(f"{_HINT}{_text(last.time)}|{_row(last.sequence)}", {"sequence": last.sequence})
    await storage.tables.transact(keys.FEED, _HEAD, [hint])


def _without_gap(entries: list[Entry]) -> list[Entry]:
    """Entries up to the first that is missing.

    None is, but partitions are read one after another: what was entered meanwhile may be seen in a later one
    and not in the one before.
    """
    for index, entry in enumerate(entries):
        if entry.sequence != entries[0].sequence + index:
            return entries[:index]
    return entries


def _partition(sequence: int) -> str:
    return f"{sequence // ROWS_IN_PARTITION:017d}"


def _row(sequence: int) -> str:
    return f"{sequence:020d}"


def _between(first: int, end: int, matching: Sequence[str] = ()) -> str:
    # An entry lies in the partition of the first one of its transaction.
    return both(
        greater_or_equal("PartitionKey", _partition(max(0, first - MAX_ENTRIES))),
        less_or_equal("PartitionKey", _partition(max(0, end - 1))),
        greater_or_equal("RowKey", _row(first)),
        less("RowKey", _row(end)),
        *matching,
    )


def _text(moment: datetime) -> str:
    """A time as text of which the order is that of time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
