"""Changes that could not be entered into the feed, each noted beside it so that it holds up nothing.

The change itself stays where it was committed: its pending row. The note says why and how often it was tried.
It names the change and nothing that comes from a dataset but UIDs.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import DicomWebError
from shared.storage import keys
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.storage import Storage
from shared.storage.tables import RowConflict, RowMissing, Value, between, delete, upsert_replace
from shared.storage.wire import StorageRefused

MAX_TRIES = 5
"""Then it waits for somebody to look at it; removing its note has it tried again."""

log = logging.getLogger(__name__)

_HOPELESS = frozenset({400, 413})
"""Statuses by which storage refuses what it is asked, and not who asks."""

_PARTITION = "head"
_KIND = "aside|"


@dataclass(frozen=True, slots=True)
class Aside:
    """A change that was set aside."""

    change: ChangeKey
    reason: str
    """The name of an error."""

    tries: int
    is_entered: bool
    """Whether the feed has it, and only what follows failed."""


async def read_all(storage: Storage) -> dict[ChangeKey, Aside]:
    """Every change that is set aside."""
    found = {}
    wanted = between(_PARTITION, _KIND, f"{_KIND}{keys.AFTER}")
    async for page in storage.tables.query(keys.FEED, wanted):
        for row in page:
            values = row.values
            key = StudyKey(str(values["partition"]), str(values["study"]))
            change = ChangeKey(key, int(str(values["change"])))
            tries = int(str(values["tries"]))
            found[change] = Aside(change, str(values["reason"]), tries, values["entered"] is True)
    return found


async def note(storage: Storage, change: ChangeKey, reason: str, *, is_entered: bool) -> None:
    """Set a change aside, or say that it was tried again in vain."""
    before = await storage.tables.get(keys.FEED, _PARTITION, _row(change), ("tries",))
    tries = 1 + (int(str(before.values["tries"])) if before else 0)
    # Named, as somebody has to find it.
    log.error(
        "study=%s change=%s cannot be %s (%s, try %d); it is set aside",
        change.study.study,
        keys.hex_version(change.version),
        "finished" if is_entered else "entered",
        reason,
        tries,
    )
    values: dict[str, Value] = {
        "partition": change.study.partition,
        "study": change.study.study,
        "change": change.version,
        "reason": reason,
        "tries": tries,
        "entered": is_entered,
        "noted": datetime.now(UTC),
    }
    await storage.tables.transact(keys.FEED, _PARTITION, [upsert_replace(_row(change), values)])


async def forget(storage: Storage, change: ChangeKey) -> None:
    """A change that was set aside is done."""
    try:
        await storage.tables.transact(keys.FEED, _PARTITION, [delete(_row(change))])
    except RowMissing:
        return


def is_hopeless(error: Exception) -> bool:
    """Whether a change failed by itself: not by an outage, a missing role or a rival."""
    if isinstance(error, StorageRefused):
        return error.status in _HOPELESS
    return not isinstance(error, DicomWebError | OSError | RowConflict)


def _row(change: ChangeKey) -> str:
    return f"{_KIND}{keys.hex_version(change.version)}|{keys.digest(change.study.archive)[:16]}"
