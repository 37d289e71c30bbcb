"""How far events of the change feed have been sent: one row, changed only by who knows its version.

Beside it stand the events that a sink refuses for good, each by the sequence of its entry.
"""

from dataclasses import dataclass
from dataclasses import replace as update
from datetime import UTC, datetime

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import (
    RowChanged,
    RowExists,
    RowMissing,
    Value,
    delete,
    equal,
    insert,
    replace,
    upsert_replace,
)

_ROW = "sent"
_REFUSED = "refused"

MAX_REFUSED = 1000
"""Read at once; more are as good as many."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the publisher of events stands."""

    sequence: int
    """Every event up to here was taken by the sink."""

    failures: int = 0
    """How often in a row it did not take the next ones."""

    not_before: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    """When it is tried again."""

    etag: str = ""
    """Empty when there is no row yet."""


async def read_sent(storage: Storage) -> Sent | None:
    """Read where the publisher stands; None when it never ran."""
    row = await storage.tables.get(keys.EVENTS, _ROW, _ROW)
    if row is None:
        return None
    sequence, failures = row.values["sequence"], row.values["failures"]
    not_before = row.values["notBefore"]
    assert isinstance(sequence, int)
    assert isinstance(failures, int)
    assert isinstance(not_before, datetime)
    return Sent(sequence, failures, not_before, row.etag)


async def write_sent(storage: Storage, before: Sent, after: Sent) -> Sent | None:
    """Note where the publisher stands; None when another one has done so meanwhile."""
    values: dict[str, Value] = {
        "sequence": after.sequence,
        "failures": after.failures,
        "notBefore": after.not_before,
    }
    step = replace(_ROW, values, etag=before.etag) if before.etag else insert(_ROW, values)
    try:
        (etag,) = await storage.tables.transact(keys.EVENTS, _ROW, [step])
    except (RowChanged, RowExists, RowMissing):
        return None
    return update(after, etag=etag)


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that a sink does not take, whatever comes with it."""

    sequence: int
    tries: int


async def note_refused(storage: Storage, sequence: int, reason: str) -> None:
    """Set an event aside, or say that it was tried again in vain."""
    before = await storage.tables.get(keys.EVENTS, _REFUSED, _refused_row(sequence), ("tries",))
    tries = 1 + (int(str(before.values["tries"])) if before else 0)
    values: dict[str, Value] = {"reason": reason, "tries": tries, "noted": datetime.now(UTC)}
    await storage.tables.transact(keys.EVENTS, _REFUSED, [upsert_replace(_refused_row(sequence), values)])


async def read_refused(storage: Storage) -> list[Refused]:
    """Read which events are set aside, at most `MAX_REFUSED`."""
    wanted = equal("PartitionKey", _REFUSED)
    pages = storage.tables.query(keys.EVENTS, wanted, select=("tries",), limit=MAX_REFUSED)
    return [Refused(int(row.row), int(str(row.values["tries"]))) async for page in pages for row in page]


async def forget_refused(storage: Storage, sequence: int) -> None:
    """An event that was set aside was taken."""
    try:
        await storage.tables.transact(keys.EVENTS, _REFUSED, [delete(_refused_row(sequence))])
    except RowMissing:
        return


def _refused_row(sequence: int) -> str:
    return f"{sequence:020d}"
