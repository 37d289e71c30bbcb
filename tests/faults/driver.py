"""Steps of the real service, run in a process of its own that may be killed at any moment.

A process that was started anew for each crash would spend most of its time importing. So one process,
the nursery (`nursery.py`), imports everything once and forks a child for each job. Nothing here stands
in for the service: the steps call what the functions call, over a real connection.
"""

import asyncio
import dataclasses
import pickle
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from shared.changefeed.emit import emit, emit_pending, retry_aside
from shared.delete import delete
from shared.errors import DicomWebError, Unavailable
from shared.storage import pending
from shared.storage.connection import resolve
from shared.storage.keys import Scope, StudyKey, study_key
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.wire import Limits
from shared.stow.body import read_parts
from shared.stow.checks import Rules, Taken
from shared.stow.outcome import Stored
from shared.stow.store import store
from shared.upkeep.purge import purge
from shared.upkeep.refresh import refresh
from shared.upkeep.sweep import visit_due
from shared.web.multipart import Event, PartBegin, PartBytes, PartEnd, read_store_content_type
from tests.faults.files import File, body_apart
from tests.forms import AS_JSON

CHUNK_BYTES = 256 * 1024
APART: Final = read_store_content_type(AS_JSON)
BASE: Final = "http://127.0.0.1/v2/studies"
JOINED_BASE: Final = "http://127.0.0.1/v2"
MAX_BYTES: Final = 2**30
QUICK = Limits(tries=4, first_delay_seconds=0.001, longest_delay_seconds=0.004)
"""Retries as in earnest, without the waiting."""

AT_ONCE = Times(retention=timedelta(0), grace=timedelta(0), quiet=timedelta(0))
"""Whatever the sweep finds unfinished is a leftover, and what is deleted may go."""

RETAINED = Times(retention=timedelta(hours=1), grace=timedelta(0))
"""What is deleted is kept for longer than any test lasts."""

CAREFUL = Times(retention=timedelta(0), grace=timedelta(minutes=15), quiet=timedelta(0))
"""Others may be at work: what is young is left alone."""

Value = object


class Step(Protocol):
    """Something the service does."""

    async def run(self, storage: Storage) -> Value:
        """Do it."""


@dataclass(frozen=True, slots=True)
class Store:
    """A store request. Gives `stored` or the reason of the refusal for each file, in order."""

    partition: str
    files: tuple[File, ...]
    taken: Taken = Taken.REFUSE
    """What becomes of what is there; `REPLACE` is an upsert."""

    is_apart: bool = False
    """Whether the files come as metadata and bulk data."""

    async def run(self, storage: Storage) -> Value:
        events = _parts_apart(self.files) if self.is_apart else _parts(self.files)
        outcomes = await store(storage, self.partition, Rules(None, False, self.taken), events)
        return ["stored" if isinstance(outcome, Stored) else outcome.reason.name for outcome in outcomes]


def replace(partition: str, *files: File) -> Store:
    """An upsert."""
    return Store(partition, files, Taken.REPLACE)


@dataclass(frozen=True, slots=True)
class Delete:
    """A delete request. Gives the number of instances removed."""

    partition: str
    study: str
    series: str | None = None
    instance: str | None = None

    @property
    def scope(self) -> Scope:
        """What it names."""
        return Scope(study_key(self.partition, self.study), self.series, self.instance)

    async def run(self, storage: Storage) -> Value:
        return await delete(storage, self.scope)


@dataclass(frozen=True, slots=True)
class Emit:
    """The function that change blobs wake. Gives the number of entries made."""

    async def run(self, storage: Storage) -> Value:
        return await emit(storage)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The function of the timer. Gives the number of changes that were unfinished."""

    async def run(self, storage: Storage) -> Value:
        changes = failed = 0
        async for found in visit_due(storage):
            await emit_pending(storage, found.unfed)
            changes += found.mended.changes
            failed += found.mended.failed
        await emit(storage)
        await retry_aside(storage)
        if failed:
            raise Unavailable(f"{failed} studies could not be swept.")
        return changes


@dataclass(frozen=True, slots=True)
class Purge:
    """The function of the purge queue, for everything of a study that waits to be purged."""

    partition: str
    study: str

    async def run(self, storage: Storage) -> Value:
        key = StudyKey(self.partition, self.study)
        waiting = await pending.all_purges(storage, key)
        return [await purge(storage, key, found.version) for found in waiting]


@dataclass(frozen=True, slots=True)
class Refresh:
    """The function that joins metadata. Gives what came of it."""

    partition: str
    study: str
    series: str

    async def run(self, storage: Storage) -> Value:
        return await refresh(storage, StudyKey(self.partition, self.study), self.series, JOINED_BASE)


@dataclass(frozen=True, slots=True)
class Under:
    """A step of a process that is set to other times than the rest."""

    times: Times
    step: Step

    async def run(self, storage: Storage) -> Value:
        return await self.step.run(dataclasses.replace(storage, times=self.times))


@dataclass(frozen=True, slots=True)
class InTurn:
    """Several steps one after the other. Gives what each gave, or the refusal."""

    steps: tuple[Step, ...]

    async def run(self, storage: Storage) -> Value:
        return [await _outcome(step, storage) for step in self.steps]


@dataclass(frozen=True, slots=True)
class Together:
    """Several steps at once in one process. Gives what each gave, or the refusal."""

    steps: tuple[Step, ...]

    async def run(self, storage: Storage) -> Value:
        return await asyncio.gather(*(_outcome(step, storage) for step in self.steps))


@dataclass(frozen=True, slots=True)
class Failed:
    """A step that ended with an error."""

    kind: str
    """Name of the class."""

    trace: str


@dataclass(frozen=True, slots=True)
class Job:
    """What a child has to do."""

    connection: str
    """Connection string."""

    steps: tuple[Step, ...]
    times: Times = AT_ONCE


def perform(job: Job) -> list[Value]:
    """Run the steps of a job one after the other; what the last gave may be a `Failed`."""
    return asyncio.run(_perform(job))


async def _perform(job: Job) -> list[Value]:
    storage = connect(job.connection, job.times)
    values: list[Value] = []
    try:
        for step in job.steps:
            values.append(await _outcome(step, storage))
            if isinstance(values[-1], Failed):
                break
    finally:
        await storage.aclose()
    return values


def connect(connection: str, times: Times = AT_ONCE) -> Storage:
    """The service's storage, with quick retries."""
    storage = open_storage(resolve("STORAGE", {"STORAGE": connection}), times)
    storage.wire.limits = QUICK
    return storage


async def _outcome(step: Step, storage: Storage) -> Value:
    try:
        return await step.run(storage)
    except DicomWebError as refusal:
        return Failed(type(refusal).__name__, "")
    except Exception as error:  # a bug of the service, told to the test
        return Failed(type(error).__name__, traceback.format_exc())


async def _parts(files: Sequence[File]) -> AsyncIterator[Event]:
    for file in files:
        yield PartBegin({})
        async for chunk in _arriving(file.content()):
            yield PartBytes(chunk)
        yield PartEnd()


def _parts_apart(files: Sequence[File]) -> AsyncIterator[Event]:
    return read_parts(_arriving(body_apart(files)), APART, MAX_BYTES, base=BASE)


async def _arriving(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
        # A real body arrives in its own time, so that other work goes on in between.
        await asyncio.sleep(0)


def pack(value: object) -> bytes:
    """A value on its way to another process of ours."""
    return pickle.dumps(value)
