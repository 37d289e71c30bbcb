"""How far events of the change feed have been sent: one row, changed only by who knows its version."""

from dataclasses import dataclass
from dataclasses import replace as update
from datetime import UTC, datetime

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import RowChanged, RowExists, RowMissing, Value, insert, replace

_ROW = "sent"


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
