"""Table `operations`: work that goes on after its request was answered (API rules section 12).

All kinds of work have the same rows. Whoever carries a piece of work out claims it: a claim holds while
its holder gives signs of life, and every write of a holder requires that nobody wrote since. So one that
was paused and believes it still holds the work can change nothing.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import (
    Operation,
    Row,
    RowChanged,
    RowExists,
    RowMissing,
    Value,
    insert,
    less,
    merge,
)
from shared.storage.tables import delete as removal
from shared.storage.versions import made_at, next_version

SILENCE = timedelta(minutes=2)
"""A holder that gave no sign of life for so long is gone. Never longer than the grace."""

KEPT = timedelta(days=30)
"""How long operations can be asked for (API rules section 12)."""

MAX_REMOVED_AT_ONCE = 100


class Status(StrEnum):
    """How far an operation is, in the words of version 2."""

    NOT_STARTED = "notStarted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (Status.NOT_STARTED, Status.RUNNING)


@dataclass(frozen=True, slots=True)
class Work:
    """An operation as it stands."""

    id: str
    """32 hexadecimal digits."""

    type: str
    """What is done, as clients are told."""

    partition: str
    """Name of the data partition, folded; empty when it concerns all."""

    status: Status
    created: datetime
    updated: datetime
    percent: int | None
    """0 to 100; None where nobody can say."""

    resources: tuple[str, ...]
    """What it is about: paths below the version."""

    results: Mapping[str, object]
    """What came of it, as clients are told, in API JSON."""

    answer: str
    """The blob of container `answers` that has more of what came of it, or empty."""

    attempts: int
    """How often it was claimed since it last got on."""

    run: str = field(repr=False)
    """Whose claim it is; empty when nobody's."""

    etag: str = field(repr=False)

    state: bytes = field(repr=False, default=b"")
    """From `Claim.keep`; empty before and when it is over."""

    @property
    def has_answer(self) -> bool:
        """Whether there is more to read of what came of it."""
        return bool(self.answer)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation ended."""

    status: Status
    results: Mapping[str, object]
    answer: str = ""
    """From `Claim.put_answer`."""


class ClaimLost(Exception):
    """Somebody else has taken the work over, or it is over."""


def new_id() -> str:
    """An id that no other operation has."""
    return keys.operation_id(next_version(), secrets.token_hex(8))


async def create(
    storage: Storage, operation: str, kind: str, partition: str = "", *, resources: tuple[str, ...] = ()
) -> None:
    """Make an operation that has not started.

    Args:
        storage: The storage account.
        operation: Its id, from `new_id`.
        kind: Its type, as clients are told.
        partition: Name of the data partition.
        resources: What it is about.
    """
    now = datetime.now(UTC)
    values: dict[str, Value] = {
        "type": kind,
        "partition": partition.lower(),
        "status": Status.NOT_STARTED.value,
        "created": now,
        "updated": now,
        "resources": json.dumps(resources),
        "run": "",
        "attempts": 0,
    }
    try:
        await storage.tables.transact(keys.OPERATIONS, _day(operation), [insert(operation, values)])
    except RowExists as conflict:
        # After a lost answer it is our own.
        if not conflict.after_retry:
            raise


async def read(storage: Storage, operation: str) -> Work | None:
    """Read an operation; None when there is none, or none any more."""
    row = await storage.tables.get(keys.OPERATIONS, _day(operation), operation)
    return _work(row) if row else None


class Claim:
    """The right to carry an operation out, until it is silent for too long."""

    def __init__(self, storage: Storage, work: Work) -> None:
        self._storage = storage
        self._id = work.id
        self._etag = work.etag
        self._run = secrets.token_hex(8)
        self.attempt = work.attempts + 1
        """Which try of this operation it is since it last got on, counted from 1."""

    async def begin(self) -> None:
        """Take the work; raises as `progress` does."""
        await self._write({"status": Status.RUNNING.value, "run": self._run, "attempts": self.attempt})

    async def progress(self, percent: int | None) -> None:
        """Give a sign of life.

        Raises:
            ClaimLost: Somebody else has the work, or has ended it.
        """
        await self._write({"run": self._run} | ({} if percent is None else {"percent": percent}))

    async def keep(self, state: bytes, percent: int, results: Mapping[str, object]) -> None:
        """Write down how far it is, for whoever goes on from there; raises as `progress` does."""
        self.attempt = 1
        values: dict[str, Value] = {"state": state, "percent": percent, "results": json.dumps(results)}
        await self._write({"run": self._run, "attempts": 0, **values})

    async def release(self) -> None:
        """Leave the work to the next one, who need not wait; raises as `progress` does."""
        await self._write({"run": ""})

    async def put_answer(self, body: bytes, content_type: str) -> str:
        """Keep what is too long for a row, before the end: whoever sees the end can read it.

        Each claim has a blob of its own, so that one who has lost the work overwrites nothing.
        """
        name = keys.answer_blob(_day(self._id), self._id, self._run)
        blobs = self._storage.blobs
        await blobs.put(keys.ANSWERS, name, body, if_absent=False, content_type=content_type)
        return name

    async def end(self, ending: Ending) -> None:
        """Say what came of it; raises as `progress` does."""
        values: dict[str, Value] = {
            "status": ending.status.value,
            "run": self._run,
            "results": json.dumps(ending.results),
            "answer": ending.answer,
            "state": b"",
        }
        if ending.status is Status.SUCCEEDED:
            values["percent"] = 100
        await self._write(values)

    async def _write(self, values: Mapping[str, Value]) -> None:
        changes = {"updated": datetime.now(UTC), **values}
        partition = _day(self._id)
        while True:
            step = merge(self._id, changes, etag=self._etag)
            try:
                (self._etag,) = await self._storage.tables.transact(keys.OPERATIONS, partition, [step])
                return
            except RowMissing as conflict:
                raise ClaimLost from conflict
            except RowChanged as conflict:
                found = await read(self._storage, self._id)
                # What changed it may be the echo of our own write, whose answer was lost.
                if found is None or found.run != self._run:
                    raise ClaimLost from conflict
                self._etag = found.etag


async def claim(storage: Storage, work: Work) -> Claim | None:
    """Take an operation to carry it out; None when it is over, or somebody else is at it."""
    if work.status.is_over or is_held(work, storage.times.grace):
        return None
    taken = Claim(storage, work)
    try:
        await taken.begin()
    except ClaimLost:
        return None
    return taken


def is_held(work: Work, grace: timedelta) -> bool:
    """Whether somebody is at it who gave a sign of life lately."""
    return bool(work.run) and datetime.now(UTC) - work.updated < min(SILENCE, grace)


async def read_answer(storage: Storage, work: Work) -> bytes:
    """Read what `Claim.put_answer` kept."""
    return await storage.blobs.read_all(keys.ANSWERS, work.answer)


async def remove_old(storage: Storage, now: datetime) -> int:
    """Remove the operations that were kept for long enough; tell how many.

    Only their rows are asked for: the cost does not grow with the operations that stay.
    """
    removed = 0
    condition = less("PartitionKey", keys.day_key(now - KEPT))
    async for page in storage.tables.query(keys.OPERATIONS, condition, select=("type",)):
        for partition in dict.fromkeys(row.partition for row in page):
            ids = [row.row for row in page if row.partition == partition]
            removed += await _remove(storage, partition, ids)
    return removed


async def _remove(storage: Storage, partition: str, ids: list[str]) -> int:
    for operation in ids:
        async for entry in storage.blobs.list(keys.ANSWERS, keys.answer_blob(partition, operation, "")):
            await storage.blobs.delete(keys.ANSWERS, entry.name)
    for at in range(0, len(ids), MAX_REMOVED_AT_ONCE):
        steps: list[Operation] = [removal(operation) for operation in ids[at : at + MAX_REMOVED_AT_ONCE]]
        try:
            await storage.tables.transact(keys.OPERATIONS, partition, steps)
        except RowMissing:
            # Another sweep is at it.
            return 0
    return len(ids)


def _day(operation: str) -> str:
    return keys.day_key(made_at(keys.operation_version(operation)))


def _work(row: Row) -> Work:
    values = row.values
    percent, attempts, state = values.get("percent"), values["attempts"], values.get("state")
    assert isinstance(attempts, int)
    return Work(
        id=row.row,
        type=str(values["type"]),
        partition=str(values["partition"]),
        status=Status(str(values["status"])),
        created=_time(row, "created"),
        updated=_time(row, "updated"),
        percent=percent if isinstance(percent, int) else None,
        resources=tuple(json.loads(str(values["resources"]))),
        results=json.loads(str(values.get("results", "{}"))),
        answer=str(values.get("answer", "")),
        attempts=attempts,
        run=str(values["run"]),
        etag=row.etag,
        state=state if isinstance(state, bytes) else b"",
    )


def _time(row: Row, name: str) -> datetime:
    value = row.values[name]
    assert isinstance(value, datetime)
    return value
