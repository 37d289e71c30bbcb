"""Runs a scenario again and again, each time with another call to storage going wrong.

Every run has a data partition of its own, named after what goes wrong and at which call. So one sweep
and one look at everything do for all runs of a kind, and what is found wrong still tells its cause.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from shared.changefeed.emit import LEASE_BLOB
from shared.storage import keys
from shared.storage.blobs import blob_path
from shared.storage.storage import Storage, Times
from shared.storage.tables import merge
from shared.storage.terms import INDEX_TABLES, SERIES_TABLES, STUDY_TABLES
from shared.storage.wire import Request
from shared.stow.checks import Taken
from tests.faults import checker, reading
from tests.faults.accounts import Account
from tests.faults.checker import Told
from tests.faults.driver import (
    AT_ONCE,
    Delete,
    Emit,
    Failed,
    InTurn,
    Job,
    Step,
    Store,
    Sweep,
    Together,
    Under,
    Value,
    connect,
)
from tests.faults.nursery import Child, Nursery
from tests.faults.proxy import (
    Call,
    Fault,
    Proxy,
    Script,
    always,
    answered,
    answered_though_done,
    at,
    cut_after,
    cut_before,
    first_tries,
    killed_after,
    killed_before,
    passed,
    since,
)
from tests.faults.snapshot import Snapshot, read_snapshot

PREPARED_AT_ONCE = 16
PAUSE_AT = 5
"""The call after which storage asks for a pause."""

WHOLE = slice(None)
ASKED_PARTITIONS = 5
"""Data partitions that the service is asked about in the end, of the many of which all rows are looked at."""

LANES = 4
"""Runs under way at one time, each through a proxy of its own."""

StepsIn = Callable[[str], tuple[Step, ...]]
"""The steps of a scenario, in a data partition."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done to storage, in a data partition."""

    act: Callable[[str], Step]
    """What goes wrong at one call."""

    before: StepsIn = lambda _partition: ()
    """What was done before, undisturbed."""

    every: int = 1
    """Of how many runs one is made; 2 is every other one."""

    is_of_all: bool = False
    """It works on what waits in the whole account, so only one runs at a time."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way in which calls go wrong."""

    name: str
    script: Callable[[int, Child], Script]
    """What happens, by the number of the call and the process that makes it."""

    ends: str
    """What becomes of the request: `dies`, `works`, `fails`, or `may fail`."""

    where: Callable[[Sequence[Call]], Sequence[Call]]
    """Which calls it happens to, of those that a request makes."""

    def numbers(self, calls: Sequence[Call]) -> list[int]:
        """The calls it happens to."""
        return [call.number for call in (calls if EVERY_CALL else self.where(calls))]


def some_of(calls: Sequence[Call]) -> list[Call]:
    """Of like calls in a row the first, one in the middle and the last.

    The tables of the search index are written alike and at once; of those of search terms one is enough.
    """
    found: list[Call] = []
    for _, row in groupby((call for call in calls if not is_of_terms(call)), _place):
        by_way: dict[str, list[Call]] = {}
        for call in row:
            by_way.setdefault(f"{call.request.method} {call.request.path.endswith('()')}", []).append(call)
        for alike in by_way.values():
            found += [alike[index] for index in sorted({0, len(alike) // 2, len(alike) - 1})]
    return sorted(found, key=lambda call: call.number)


def some_writes(calls: Sequence[Call]) -> list[Call]:
    """The same of calls that may change something."""
    return some_of([call for call in calls if call.is_write])


def one_of_each(calls: Sequence[Call]) -> list[Call]:
    """The last call of each kind."""
    return [*{f"{call.request.method} {_place(call)}": call for call in calls}.values()]


def one_of_each_write(calls: Sequence[Call]) -> list[Call]:
    """The same of calls that may change something."""
    return one_of_each([call for call in calls if call.is_write])


def _place(call: Call) -> str:
    return "index" if call.place in _INDEX_TABLES else f"{call.service} {call.place}"


def is_of_terms(call: Call) -> bool:
    """Whether a call is to one of the tables of search terms, the first of which stands for all of them."""
    return call.place in _TERM_TABLES


def is_of_upkeep(call: Call) -> bool:
    """Whether a call has something done that the sweep, or the next reader, sees to as well."""
    return call.place in (keys.PURGE_QUEUE, keys.REFRESH_QUEUE) or call.names("purge|")


def _keeps_undone(number: int) -> Fault:
    faults = (answered(503), answered(429, retry_after=0), cut_before, answered(500))
    return answered(503, retry_after=1) if number == PAUSE_AT else faults[number % len(faults)]


def _loses_answer(number: int) -> Fault:
    return (cut_after, answered_though_done(500), cut_after)[number % 3]


TROUBLES = (
    # A read changes nothing, so death after it is death before it, and its answer can be asked for again.
    Trouble("dies-after", lambda number, child: at(number, killed_after(child.kill)), "dies", some_writes),
    Trouble("lost", lambda number, _child: at(number, _loses_answer(number)), "works", some_writes),
    # What these leave in storage is what death after the call before leaves.
    Trouble(
        "dies-before", lambda number, child: at(number, killed_before(child.kill)), "dies", one_of_each_write
    ),
    Trouble("down", lambda number, _child: since(number, answered(503)), "fails", one_of_each),
    # This leaves nothing; one run has it at every call.
    Trouble("undone", lambda number, _child: first_tries(number, _keeps_undone), "works", lambda c: c[:1]),
    # Not to be tried again: a role that was taken away, or a bug.
    Trouble("denied", lambda number, _child: at(number, answered(403)), "may fail", one_of_each),
)
_INDEX_TABLES = frozenset(INDEX_TABLES)
_TERM_TABLES = {table for search in (*STUDY_TABLES, *SERIES_TABLES) for table in search.tables} - {
    "studiesByPatientId"
}

EVERY_CALL = bool(os.environ.get("FAULTS_AT_EVERY_CALL"))
"""Have every trouble at every call, and every meeting too; takes several times as long."""


@dataclass(frozen=True, slots=True)
class Run:
    """A scenario with one trouble at one call."""

    trouble: Trouble
    number: int
    """Of the call, counted from 1."""

    usual: Value
    """What the request is answered when nothing goes wrong."""

    @property
    def name(self) -> str:
        """Also that of its data partition."""
        return f"{self.trouble.name}-{self.number:03d}"

    def script(self, child: Child) -> Script:
        """What happens to the calls of a process."""
        return self.trouble.script(self.number, child)


@dataclass(slots=True)
class Trial:
    """An account, who works with it, and what clients were told."""

    account: Account
    nursery: Nursery
    lanes: tuple[Proxy, ...]
    times: Times = AT_ONCE
    told: Told = field(default_factory=Told)

    async def do(self, *steps: Step) -> list[Value]:
        """Do something undisturbed, in a process of its own."""
        if not steps:
            return []
        values = await self.nursery.run(Job(self.account.text, steps, self.times))
        assert not (failed := list(_failures(values))), failed
        note_end(self.told, InTurn(steps), values)
        return values

    async def prepare(self, all_steps: Iterable[tuple[Step, ...]]) -> None:
        """Do the same in many data partitions, several at a time."""
        wanted = [InTurn(steps) for steps in all_steps if steps]
        for start in range(0, len(wanted), PREPARED_AT_ONCE):
            await self.do(Together(tuple(wanted[start : start + PREPARED_AT_ONCE])))

    async def ask(self, step: Step) -> Value:
        """Ask for something that may be refused."""
        note_begin(self.told, step)
        (value,) = await self.nursery.run(Job(self.account.text, (step,), self.times))
        note_end(self.told, step, value)
        return value

    async def try_to(self, step: Step, proxy: Proxy, script: Callable[[Child], Script]) -> Value | None:
        """Do something while calls go wrong; None when the process died."""
        note_begin(self.told, step)
        child = self.nursery.begin(Job(self.account.through(proxy), (step,), self.times))
        proxy.follow(script(child))
        outcome = await child.outcome()
        await proxy.quiet()
        if outcome is None:
            return None
        note_end(self.told, step, outcome[0])
        return outcome[0]

    async def watch(self, step: Step) -> tuple[list[Call], Value]:
        """Do something with nothing going wrong, and see the calls it takes and what it gives."""
        value = await self.try_to(step, self.lanes[0], lambda _child: always(passed))
        assert not isinstance(value, Failed), value
        return list(self.lanes[0].seen), value

    async def wait_for_lease(self) -> None:
        """Let the time of a lease end that a crash has left."""
        async with opened(self.account) as storage:
            await end_lease(storage)

    async def let_time_pass(self) -> Times:
        """Let leases and the grace end; give the times for who comes then."""
        after = Times(self.times.retention, grace=timedelta(0))
        await self.wait_for_lease()
        async with opened(self.account) as storage:
            await _let_grace_end(storage, after)
        return after

    async def restart(self) -> None:
        """What happens after a crash: leases and the grace end, and the timer's function runs once."""
        after = await self.let_time_pass()
        # Changes that were announced are entered as they are; the sweep mends only what is left.
        await self.do(Under(after, Emit()), Under(after, Sweep()))

    async def problems(self) -> list[str]:
        """Everything that is not as promised, by all routes and in storage itself."""
        async with opened(self.account) as storage:
            found = checker.problems(await read_snapshot(storage), self.told)
            return sorted([*found, *await reading.broken_word(storage, self.told, ASKED_PARTITIONS)])

    async def snapshot(self) -> Snapshot:
        """All the account holds."""
        async with opened(self.account) as storage:
            return await read_snapshot(storage)


@asynccontextmanager
async def begin_trial(account: Account, nursery: Nursery, times: Times = AT_ONCE) -> AsyncIterator[Trial]:
    """Start the proxies."""
    async with AsyncExitStack() as running:
        proxies = [Proxy(account.connection) for _ in range(LANES)]
        lanes = [await running.enter_async_context(proxy) for proxy in proxies]
        yield Trial(account, nursery, tuple(lanes), times)


@asynccontextmanager
async def opened(account: Account) -> AsyncIterator[Storage]:
    """The account, past the proxy."""
    storage = connect(account.text)
    try:
        yield storage
    finally:
        await storage.aclose()


async def run_scenario(trial: Trial, scenario: Scenario, part: slice = WHOLE) -> None:
    """Run a scenario with every trouble at every call, or a part of these runs; restart, and check all."""
    await trial.do(*scenario.before("warm"), scenario.act("warm"), Emit(), *scenario.before("count"))
    calls, usual = await trial.watch(scenario.act("count"))
    runs = [
        Run(trouble, number, usual)
        for trouble in TROUBLES
        for number in trouble.numbers(calls)[:: 1 if EVERY_CALL else scenario.every]
    ]
    found = await (_run_one_by_one if scenario.is_of_all else _run_all)(trial, scenario, runs[part])
    await trial.restart()
    found += await trial.problems()
    assert not found, "\n".join(found[:20])


async def _run_all(trial: Trial, scenario: Scenario, runs: Sequence[Run]) -> list[str]:
    await trial.prepare(scenario.before(run.name) for run in runs)
    left = iter(runs)
    lanes = [_run_some(trial, scenario, lane, left) for lane in trial.lanes]
    return [line for lines in await asyncio.gather(*lanes) for line in lines]


async def _run_one_by_one(trial: Trial, scenario: Scenario, runs: Sequence[Run]) -> list[str]:
    found: list[str] = []
    for run in runs:
        await trial.do(*scenario.before(run.name))
        found += await _run_some(trial, scenario, trial.lanes[0], iter([run]))
        await trial.wait_for_lease()
    return found


async def _run_some(trial: Trial, scenario: Scenario, lane: Proxy, left: Iterator[Run]) -> list[str]:
    found: list[str] = []
    for run in left:
        act = scenario.act(run.name)
        value = await trial.try_to(act, lane, run.script)
        spoiled = lane.seen[run.number - 1 :]
        # Two at once may take fewer calls than they took when these were counted.
        is_untouched = value == run.usual and all(map(is_of_upkeep, spoiled))
        if not is_untouched and not _as_expected(act, value, run):
            found.append(f"{run.name}: {[call.kind for call in spoiled[:1]]}: {value}")
    return found


def _as_expected(act: Step, value: Value, run: Run) -> bool:
    if run.trouble.ends == "dies":
        return value is None
    if run.trouble.ends == "works":
        # What the functions in the background give is counts, which another run may have made smaller.
        is_request = isinstance(act, Store | Delete | Together)
        return value == run.usual if is_request else not isinstance(value, Failed)
    if run.trouble.ends == "fails":
        return _tells_of_outage(value)
    return value is not None and {each.kind for each in _failures(value)} <= {"Unavailable", "StorageRefused"}


def _tells_of_outage(value: Value) -> bool:
    """Whether the client, or one of several, is told that storage is to blame."""
    if isinstance(value, Failed):
        return value.kind == "Unavailable"
    return value == "PROCESSING" or (isinstance(value, list) and any(map(_tells_of_outage, value)))


def _failures(value: Value) -> Iterator[Failed]:
    """Every step that ended with an error, of one or of several."""
    if isinstance(value, Failed):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _failures(each)


def note_begin(told: Told, step: Step) -> None:
    """A client sends its request."""
    if isinstance(step, Store):
        told.send(step.partition, step.files)
    elif isinstance(step, Delete):
        told.ask_to_delete(step.partition, step.study, step.series, step.instance)
    elif isinstance(step, Under):
        note_begin(told, step.step)
    elif isinstance(step, Together):
        for each in step.steps:
            note_begin(told, each)


def note_end(told: Told, step: Step, value: Value) -> None:
    """A client gets its answer."""
    if isinstance(value, Failed):
        return
    if isinstance(step, Store):
        assert isinstance(value, list)
        told.acknowledge(step.partition, step.files, value, tells_bytes=step.taken is not Taken.REFUSE)
    elif isinstance(step, Delete):
        told.deleted(step.partition, step.study, step.series, step.instance)
    elif isinstance(step, Under):
        note_end(told, step.step, value)
    elif isinstance(step, InTurn | Together):
        assert isinstance(value, list)
        for each, given in zip(step.steps, value, strict=True):
            if isinstance(step, InTurn):
                note_begin(told, each)
            note_end(told, each, given)


async def _let_grace_end(storage: Storage, times: Times) -> None:
    """Let the time come at which the sweep visits the studies that were changed, and purges what may go."""
    past = {"due": datetime.now(UTC) - timedelta(seconds=1)}
    snapshot = await read_snapshot(storage, (keys.ACTIVE, keys.ARCHIVE), ())
    for row in snapshot.tables[keys.ACTIVE]:
        await storage.tables.transact(keys.ACTIVE, row.partition, [merge(row.row, past)])
    for study in snapshot.studies if not times.retention else ():
        for row in study.rows_of("purge"):
            await storage.tables.transact(keys.ARCHIVE, row.partition, [merge(row.row, past)])


async def end_lease(storage: Storage) -> None:
    """Let the time of a lease end that a crash has left."""
    headers = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
    path = blob_path(keys.LOCKS, LEASE_BLOB)
    await storage.wire.send(Request("blob", "PUT", path, (("comp", "lease"),), headers))
