"""The seeded programme: clients store, replace, delete, search and read, storage fails, processes are killed.

What clients do, what goes wrong and when processes die all follow from one number, the seed. Several seeds
share an account, each with a data partition and processes of its own; the change feed is common to all. While
this runs every answer is held against the ledger; afterwards time passes, the timer's function runs,
disturbed at first, and the checker proves the promises over raw storage.
"""

import asyncio
import json
import math
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from shared.storage import keys, partitions, works
from shared.storage.anchors import MIN_JOINED
from shared.storage.storage import Storage
from shared.storage.works import Status
from shared.upkeep import rebuild
from tests.faults import asking, checker, reading
from tests.faults.accounts import Account
from tests.faults.asking import Asking, Odd
from tests.faults.checker import Told
from tests.faults.crashing import Trial, begin_trial, end_lease, opened
from tests.faults.driver import Failed, Sweep, Under
from tests.faults.files import Address, File
from tests.faults.ledger import Belief, Kind, Ledger, Outcome, State
from tests.faults.nursery import Child, Nursery
from tests.faults.proxy import Script
from tests.faults.rebuilding import Rebuild as RebuildStep
from tests.faults.serving import Served
from tests.faults.snapshot import Snapshot, read_snapshot
from tests.faults.weather import Weather

LEASE_ENDS_SECONDS: Final = 0.5
"""A lease ends after so long, whoever has it: none would end by itself while a seed is tried."""

SWEEPS_DISTURBED: Final = 2
CALLS_BETWEEN_KILLS_OF_SWEEPS: Final = (100, 400)
MOST_SWEEPS: Final = 4
"""Undisturbed ones, after which nothing waits to be purged."""

MODALITIES: Final = ("CT", "MR", "US")
LONG_SERIES: Final = "3"
"""The last component of series that are long enough for their metadata to be joined."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is tried with one seed."""

    clients: int
    deeds: int
    """Of each client."""

    studies: int
    calls_between_kills: tuple[int, int]
    heavy: float = 0.0
    """The share of files that are large, or have large metadata."""

    processes: int = 2
    at_once: int = 2
    """Seeds tried at the same time. All their processes write one change feed: more would take longer."""


SMALL: Final = Scale(clients=3, deeds=4, studies=2, calls_between_kills=(80, 400))
LONG: Final = Scale(clients=6, deeds=40, studies=4, calls_between_kills=(100, 900), heavy=0.01)


@dataclass(frozen=True, slots=True)
class Store:
    """Files of one or more studies in one request."""

    kind: Kind
    files: tuple[File, ...]
    is_apart: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """What lies at the beginning of some addresses."""

    scope: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Something read."""

    what: str
    address: Address


@dataclass(frozen=True, slots=True)
class Rebuild:
    """The search index is made anew, while all goes on."""


Deed = Store | Delete | Look | Rebuild

_LOOKS: Final = (
    "instance",
    "study",
    "metadata",
    "metadata of a series",
    "search",
    "search of studies",
    "feed",
    "follow",
    "follow",
)


def make_deeds(seed: int, client: int, scale: Scale) -> list[tuple[Deed, int]]:
    """What a client does, each with the number of the process that it asks."""
    random = Random(f"{seed}/client/{client}")
    makers = (_make_store, _make_upsert, _make_long_series, _make_delete, _make_look, _make_rebuild)
    weights = (60, 20, 12, 20, 50, 1)
    deeds = []
    for number in range(scale.deeds):
        (make,) = random.choices(makers, weights)
        deed = make(random, _name(seed), scale, variant=(client * scale.deeds + number) % 256)
        deeds.append((deed, random.randrange(scale.processes)))
    return deeds


def _make_store(random: Random, partition: str, scale: Scale, *, variant: int) -> Deed:
    return _store_of(Kind.STORE, _make_files(random, partition, scale, variant), random)


def _make_upsert(random: Random, partition: str, scale: Scale, *, variant: int) -> Deed:
    return _store_of(Kind.UPSERT, _make_files(random, partition, scale, variant), random)


def _store_of(kind: Kind, files: tuple[File, ...], random: Random) -> Store:
    # More values than a request may have apart from its metadata come as files.
    is_apart = random.random() < 0.1 and not any(file.has_many_values for file in files)
    return Store(kind, files, is_apart)


def _make_files(random: Random, partition: str, scale: Scale, variant: int) -> tuple[File, ...]:
    count = random.choice((1, 1, 1, 2, 3, 5))
    addresses = {_make_address(random, partition, scale) for _ in range(count)}
    patient = random.choice(("P-1", "P-1", "P-1", "P-2"))
    # The modality of a series is that of its files, but for a few that change it.
    other = random.random() < 0.1
    return tuple(
        File(
            *address[1:],
            modality=MODALITIES[(int(address[2][-1]) + other) % len(MODALITIES)],
            patient=patient,
            variant=variant,
            is_large=random.random() < scale.heavy,
            is_oversize=random.random() < scale.heavy,
            has_many_values=random.random() < scale.heavy,
        )
        for address in sorted(addresses)
    )


def _make_long_series(random: Random, partition: str, scale: Scale, *, variant: int) -> Deed:
    study = _make_study(random, scale)
    series = f"{study}.{LONG_SERIES}"
    numbers = range(1, MIN_JOINED + 1)
    files = (File(study, series, f"{series}.{number}", variant=variant) for number in numbers)
    return Store(random.choice((Kind.STORE, Kind.UPSERT)), tuple(files))


def _make_rebuild(_random: Random, _partition: str, _scale: Scale, *, variant: int) -> Deed:
    return Rebuild()


def _make_delete(random: Random, partition: str, scale: Scale, *, variant: int) -> Deed:
    return Delete(_make_address(random, partition, scale)[: random.choice((2, 3, 4, 4))])


def _make_look(random: Random, partition: str, scale: Scale, *, variant: int) -> Deed:
    return Look(random.choice(_LOOKS), _make_address(random, partition, scale))


def _make_address(random: Random, partition: str, scale: Scale) -> Address:
    study = _make_study(random, scale)
    series = f"{study}.{random.choice(('1', '1', '2', '2', LONG_SERIES))}"
    return partition, study, series, f"{series}.{random.randint(1, 4)}"


def _make_study(random: Random, scale: Scale) -> str:
    return f"1.2.{random.randint(1, scale.studies)}"


def _name(seed: int) -> str:
    """The data partition of a seed."""
    return f"seed-{seed}"


def seed_of(line: str) -> str:
    """The seed of which a sentence tells; empty when it is of all."""
    name = line.partition(":")[0].partition("|")[0]
    return name.removeprefix("seed-") if name.startswith("seed-") else ""


@dataclass(slots=True)
class FeedSeen:
    """What readers of the change feed were given; it must be the same for ever."""

    entries: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def take(self, page: Sequence[dict[str, Any]], after: int | None) -> int:
        """Take a page, which must follow upon a sequence if one is given; give its last.

        Raises:
            Odd: It leaves one out, or an entry is not what it was.
        """
        for entry in page:
            sequence, what = int(entry["sequence"]), _what(entry)
            if after is not None and sequence != after + 1:
                raise Odd(f"has sequence {sequence} after {after}")
            if self.entries.setdefault(sequence, what) != what:
                raise Odd(f"gives {what} as entry {sequence}, which was {self.entries[sequence]}")
            after = sequence
        return after or 0

    def wrong(self, snapshot: Snapshot) -> list[str]:
        """Entries that are in storage otherwise than they were given."""
        rows = {int(row.row): row.values for row in snapshot.tables[keys.FEED] if row.partition != "head"}
        names = ("partition", "study", "series", "instance", "action")
        stored = {
            sequence: (*(str(values[name]) for name in names), _time_text(values["time"]))
            for sequence, values in rows.items()
        }
        return [
            f"feed: entry {sequence} was given as {what} and is {stored.get(sequence)}"
            for sequence, what in self.entries.items()
            if stored.get(sequence) != what
        ]


def _what(entry: dict[str, Any]) -> tuple[str, ...]:
    names = ("studyInstanceUid", "seriesInstanceUid", "sopInstanceUid")
    uids = (str(entry[name]) for name in names)
    return str(entry["partitionName"]).lower(), *uids, str(entry["action"]).lower(), str(entry["timestamp"])


def _time_text(time: object) -> str:
    assert isinstance(time, datetime)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond:06}0Z"


@dataclass(slots=True)
class Round:
    """One seed at work."""

    seed: int
    scale: Scale
    served: Sequence[Served]
    asking: Asking
    reader: Storage
    """Past the proxy."""

    feed: FeedSeen
    ledger: Ledger = field(default_factory=Ledger)
    problems: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    diary: list[str] = field(default_factory=list)
    """What was asked and answered, in the order of the answers."""

    until: float = math.inf
    """Of the monotonic clock; nothing is asked after it."""

    _place: str = "limit=20&includeMetadata=false"
    """The query of a subscriber's next page of the feed."""

    _read: int = 0
    """The last sequence that the subscriber has seen."""

    _subscribing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def name(self) -> str:
        """Also that of the data partition."""
        return _name(self.seed)

    async def run(self) -> None:
        """Have all clients do what they do."""
        clients = (make_deeds(self.seed, number, self.scale) for number in range(self.scale.clients))
        await asyncio.gather(*map(self._run_client, clients))
        self.problems += self.ledger.contradictions

    async def _run_client(self, deeds: Sequence[tuple[Deed, int]]) -> None:
        for deed, process in deeds:
            began = time.monotonic()
            if began >= self.until:
                break
            try:
                await self._do(deed, self.served[process])
            except Odd as error:
                self._complain(f"{deed} {error}")
            except Exception:
                # A bug, here or in the service; what else was tried is checked all the same.
                self._complain(f"{deed} {traceback.format_exc()}")
            self._note(f"began {began:.3f}, process {process}: {deed}")

    def _note(self, what: str) -> None:
        self.diary.append(f"{time.monotonic():.3f} {what}")

    def _complain(self, what: str) -> None:
        self.problems.append(f"{self.name}: {what}")
        self._note(f"WRONG {what}")

    async def _do(self, deed: Deed, served: Served) -> None:
        if isinstance(deed, Store):
            self.done["store" if deed.kind is Kind.STORE else "upsert"] += 1
            await self._store(deed, served)
        elif isinstance(deed, Delete):
            self.done["delete"] += 1
            await self._delete(deed, served)
        elif isinstance(deed, Rebuild):
            self.done["rebuild"] += 1
            await rebuild.send(self.reader, works.new_id())
        else:
            self.done[deed.what] += 1
            await _LOOKERS[deed.what](self, served, deed.address)

    async def _store(self, deed: Store, served: Served) -> None:
        request = self.ledger.store(deed.kind, self.name, deed.files)
        outcomes: dict[Address, Outcome] = {}
        try:
            answer = await self.asking.store(served, deed.kind, deed.files, is_apart=deed.is_apart)
            outcomes = asking.store_outcomes(answer, deed.files, self.name) if answer else {}
        finally:
            self.ledger.end(request, outcomes, Outcome.UNCLEAR)
            self._note(f"store is told {outcomes}")
        stored = [address for address, outcome in outcomes.items() if outcome is Outcome.STORED]
        if stored:
            await self._check_at_once(stored[0])

    async def _delete(self, deed: Delete, served: Served) -> None:
        request = self.ledger.delete(deed.scope)
        outcome = Outcome.UNCLEAR
        try:
            answer = await self.asking.delete(served, _path(deed.scope))
            if answer and answer.expect(204, 404):
                outcome = Outcome.DELETED if answer.status == 204 else Outcome.MISSING
        finally:
            self.ledger.end(request, {}, outcome)
            self._note(f"delete is told {outcome}")

    async def _check_at_once(self, address: Address) -> None:
        """What was just answered is found by who reads past the proxy."""
        stamps = self.ledger.stamps(self.ledger.within((self.name,)))
        found = await reading.find_instances(self.reader, self.name)
        content = await reading.retrieve_bytes(self.reader, address)
        certain = self.ledger.certain(stamps)
        self._compare(found, certain, "a search at once")
        belief = certain.get(address)
        if belief and belief.state is State.THERE and content not in _contents(belief):
            self._complain(f"{address} is not retrieved as was just told")

    async def look_at_instance(self, served: Served, address: Address) -> None:
        """Retrieve one file."""
        stamps = self.ledger.stamps([address])
        answer = await self.asking.get(served, _path(address), asking.ONE_FILE)
        if answer is None or not answer.expect(200, 404):
            return
        belief = self.ledger.certain(stamps).get(address)
        is_known = belief is not None and belief.state is not State.UNKNOWN
        possible = (
            _contents(belief) if belief and is_known else {f.content() for f in self.ledger.sent[address]}
        )
        if answer.status == 200 and answer.body not in possible:
            raise Odd("gives a body that was never stored there, or is no longer")
        if answer.status == 404 and belief and belief.state is State.THERE:
            raise Odd("finds nothing where something is")

    async def look_at_study(self, served: Served, address: Address) -> None:
        """Retrieve all files of a study."""
        scope = address[:2]
        stamps = self.ledger.stamps(self.ledger.within(scope))
        answer = await self.asking.get(served, _path(scope), asking.ALL_FILES)
        if answer is None or not answer.expect(200, 404):
            return
        origins: dict[bytes, Address] = {}
        for each in self.ledger.within(scope):
            origins |= {file.content(): each for file in self.ledger.sent[each]}
        parts = asking.files_in(answer) if answer.status == 200 else []
        if any(part not in origins for part in parts):
            raise Odd("gives a part that was never stored")
        found = [origins[part] for part in parts]
        if len(found) > len(set(found)):
            raise Odd("gives an instance twice")
        certain = self.ledger.certain(stamps)
        self._compare(set(found), certain, "a study's retrieval", must_be_told=False)
        for part in parts:
            belief = certain.get(origins[part])
            if belief and belief.state is State.THERE and part not in _contents(belief):
                raise Odd("gives a part that was replaced")

    async def look_at_metadata(self, served: Served, address: Address) -> None:
        """Retrieve the metadata of a study."""
        await self._look_at_metadata(served, address[:2])

    async def look_at_series_metadata(self, served: Served, address: Address) -> None:
        """Retrieve the metadata of a series."""
        await self._look_at_metadata(served, address[:3])

    async def _look_at_metadata(self, served: Served, scope: tuple[str, ...]) -> None:
        stamps = self.ledger.stamps(self.ledger.within(scope))
        answer = await self.asking.get(served, f"{_path(scope)}/metadata")
        if answer is None or not answer.expect(200, 404):
            return
        found = asking.addresses_in([answer], self.name) if answer.status == 200 else {}
        certain = self.ledger.certain(stamps)
        self._compare(set(found), certain, "metadata", must_be_told=False)
        for each, dataset in found.items():
            belief = certain.get(each)
            is_there = belief is not None and belief.state is State.THERE
            possible = belief.contents if belief and is_there else self.ledger.sent[each]
            if asking.number_of(dataset) not in {str(file.variant) for file in possible}:
                raise Odd(f"has metadata of {each} that were never sent there, or were replaced")
            url = f"{served.url}/v2/partitions/{self.name}/{_path(each)}/bulkdata/"
            if not asking.bulk_address(dataset).startswith(url):
                raise Odd(f"leads to {asking.bulk_address(dataset)} instead of {url}")

    async def search(self, served: Served, _address: Address) -> None:
        """Search for all instances."""
        stamps = self.ledger.stamps(self.ledger.within((self.name,)))
        pages = await self.asking.search(served, "instances?limit=200")
        if pages is None:
            return
        found = asking.addresses_in(pages, self.name)
        self._compare(set(found), self.ledger.certain(stamps), "a search")

    async def search_studies(self, served: Served, _address: Address) -> None:
        """Search for all studies, by a date that all have."""
        stamps = self.ledger.stamps(self.ledger.within((self.name,)))
        pages = await self.asking.search(served, "studies?StudyDate=20240229&limit=200")
        if pages is None:
            return
        found, certain = asking.studies_in(pages), self.ledger.certain(stamps)
        for study in {address[1] for address in self.ledger.within((self.name,))}:
            beliefs = [certain.get(address) for address in self.ledger.within((self.name, study))]
            states = [belief.state if belief and belief.is_told else State.UNKNOWN for belief in beliefs]
            if State.THERE in states and study not in found:
                self._complain(f"{study} has what was told to be stored, a search of studies lacks it")
            if set(states) == {State.GONE} and study in found:
                self._complain(f"all of {study} was told to be deleted, a search of studies has it")

    async def look_at_feed(self, served: Served, _address: Address) -> None:
        """Read a page of the feed by its numbers."""
        after = max(0, max(self.feed.entries, default=0) - 30)
        query = f"offset={after}&limit=100&includeMetadata=false"
        answer = await self.asking.feed(served, "v1", query)
        if answer and answer.expect(200):
            self.feed.take(json.loads(answer.body), after)

    async def follow(self, served: Served, _address: Address) -> None:
        """Read the feed on, as a subscriber does."""
        async with self._subscribing:
            answer = await self.asking.feed(served, "v2", self._place, wait=1)
            if answer and answer.expect(200):
                self._read = self.feed.take(json.loads(answer.body), self._read)
                self._place = asking.next_query(answer)

    def _compare(
        self, found: set[Address], certain: dict[Address, Belief], where: str, *, must_be_told: bool = True
    ) -> None:
        """Hold what was found against what is certain.

        Args:
            found: The addresses.
            certain: What was so all the time.
            where: What found them.
            must_be_told: Whether only that counts of which a request was told that it is so: what a crash
                left may wait for the sweep.
        """
        for address, belief in certain.items():
            if must_be_told and not belief.is_told:
                continue
            if belief.state is State.THERE and address not in found:
                self._complain(f"{address} was told to be stored, {where} lacks it")
            if belief.state is State.GONE and address in found:
                self._complain(f"{address} was told to be deleted, {where} has it")


_LOOKERS: Final = {
    "instance": Round.look_at_instance,
    "study": Round.look_at_study,
    "metadata": Round.look_at_metadata,
    "metadata of a series": Round.look_at_series_metadata,
    "search": Round.search,
    "search of studies": Round.search_studies,
    "feed": Round.look_at_feed,
    "follow": Round.follow,
}


def _contents(belief: Belief) -> set[bytes]:
    return {file.content() for file in belief.contents}


def _path(scope: Sequence[str]) -> str:
    """The path of what lies at the beginning of some addresses."""
    levels = zip(("studies", "series", "instances"), scope[1:], strict=False)
    return "/".join(f"{level}/{uid}" for level, uid in levels)


@dataclass(slots=True)
class Report:
    """What was tried, and what is wrong."""

    seeds: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    """Of the change feed."""

    known: int = 0
    """Addresses of which clients know what must be there."""

    addresses: int = 0
    problems: list[str] = field(default_factory=list)

    def __add__(self, other: "Report") -> "Report":
        return Report(
            self.seeds + other.seeds,
            self.requests + other.requests,
            self.calls + other.calls,
            self.faults + other.faults,
            self.entries + other.entries,
            self.known + other.known,
            self.addresses + other.addresses,
            self.problems + other.problems,
        )

    @property
    def kinds(self) -> Counter[str]:
        """How many problems there are of each kind."""
        return Counter(_kind_of(line) for line in self.problems)

    @property
    def line(self) -> str:
        """All of it in one line."""
        kills = self.faults["kill"]
        faults = self.faults.total() - kills
        return (
            f"{self.seeds} seeds, {self.requests.total()} operations, {self.calls} storage calls, "
            f"{faults} faults injected, {kills} kills, {self.entries} feed entries, "
            f"{self.known} of {self.addresses} addresses certain: "
            + ", ".join(f"{kind} {self.kinds[kind]}" for kind in ("lost", "duplicated", "orphaned", "other"))
        )


_WORDS: Final = {
    "lost": ("is not there", "not the bytes", "no metadata", "lacks", "was given as", "not retrieved as"),
    "duplicated": (
        "entered",
        "the history of",
        "has a ghost",
        "twice",
        "is deleted and found",
        "the feed says",
    ),
    "orphaned": (
        "no row names",
        "is left",
        "remain in",
        "still pending",
        "a purge waits",
        "missing or too many",
    ),
}


def _kind_of(line: str) -> str:
    kinds = (kind for kind, words in _WORDS.items() if any(word in line for word in words))
    return next(kinds, "other")


async def run_seeds(
    account: Account,
    nursery: Nursery,
    seeds: Sequence[int],
    scale: Scale,
    logs: Path,
    *,
    until: float = math.inf,
) -> Report:
    """Try some seeds in an account, and check all that it holds afterwards.

    Args:
        account: An empty one.
        nursery: Which has loaded the service.
        seeds: Their numbers.
        scale: How much is tried with each.
        logs: A folder for what was asked and answered.
        until: When to ask nothing more, on the monotonic clock.
    """
    report, feed = Report(len(seeds)), FeedSeen()
    limit = asyncio.Semaphore(scale.at_once)

    async def try_one(seed: int) -> Round:
        async with limit, _begun(account, nursery, (seed, scale), logs) as (served, parts):
            tried = Round(seed, scale, served, *parts, feed, until=until)
            await tried.run()
            (logs / f"{tried.name}.diary").write_text("\n".join(tried.diary))
            for each in served:
                report.calls += each.calls
                report.faults += each.weather.injected
            return tried

    async with begin_trial(account, nursery) as trial:
        async with _leases_ending(account):
            rounds = await asyncio.gather(*map(try_one, seeds))
            for tried in rounds:
                report.requests += tried.done
                report.problems += tried.problems
        await _sweep_disturbed(trial, seeds[0], report)
        await _check(trial, rounds, feed, report)
    return report


@asynccontextmanager
async def _begun(
    account: Account, nursery: Nursery, what: tuple[int, Scale], logs: Path
) -> AsyncIterator[tuple[list[Served], tuple[Asking, Storage]]]:
    """The processes of a seed, the connections of its clients, and storage for who reads past the proxy."""
    seed, scale = what
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(opened(account))
        await partitions.make(reader, _name(seed))
        http = await stack.enter_async_context(asking.open_session())
        served = [
            await stack.enter_async_context(
                Served(account, nursery, f"{seed}/{number}", scale.calls_between_kills, logs)
            )
            for number in range(scale.processes)
        ]
        yield served, (Asking(http, _name(seed)), reader)


@asynccontextmanager
async def _leases_ending(account: Account) -> AsyncIterator[None]:
    """Leases that a killed process has left end soon, and so do others, as after a long pause."""

    async def end_all(storage: Storage) -> None:
        while True:
            await asyncio.sleep(LEASE_ENDS_SECONDS)
            await end_lease(storage)

    async with opened(account) as storage:
        ending = asyncio.create_task(end_all(storage))
        try:
            yield
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)


async def _sweep_disturbed(trial: Trial, seed: int, report: Report) -> None:
    """Time passes, and the timer's function comes while storage fails, and is killed."""
    for number in range(SWEEPS_DISTURBED):
        after = await trial.let_time_pass()
        begin = partial(_begin_weather, f"{seed}/sweep/{number}", report)
        value = await trial.try_to(Under(after, Sweep()), trial.lanes[0], begin)
        report.calls += len(trial.lanes[0].seen)
        if isinstance(value, Failed) and value.kind != "Unavailable":
            report.problems.append(f"sweep: {value.kind} {value.trace}")


def _begin_weather(seed: str, report: Report, child: Child) -> Script:
    weather = Weather(seed, child.kill, CALLS_BETWEEN_KILLS_OF_SWEEPS)
    weather.injected = report.faults
    return weather.script


async def _check(trial: Trial, rounds: Sequence[Round], feed: FeedSeen, report: Report) -> None:
    """The storm is over: restart, sweep, and prove the promises."""
    for tried in rounds:
        _add(trial.told, tried.ledger.told())
    # What packs were written anew from is purged after a grace of its own; bytes that a crash kept from
    # being forgotten are noticed first.
    await _finish_rebuilds(trial)
    for _ in range(MOST_SWEEPS):
        await trial.restart()
        studies = (await _rows_of(trial, keys.ARCHIVE)).studies
        waiting = [row.row for study in studies for row in study.rows_of("purge")]
        if not waiting:
            break
    else:
        report.problems.append(f"sweep: {waiting} is left")
    snapshot = await trial.snapshot()
    async with opened(trial.account) as storage:
        report.problems += await reading.broken_word(storage, trial.told)
    report.problems += [*checker.problems(snapshot, trial.told), *checker.remains(snapshot, trial.told)]
    report.problems += feed.wrong(snapshot)
    entries = _entries(snapshot)
    report.entries = sum(sum(actions.values()) for actions in entries.values())
    report.addresses, report.known = len(trial.told.sent), len(trial.told.there) + len(trial.told.gone)
    for tried in rounds:
        report.problems += _unentered(tried.ledger, entries)


async def _finish_rebuilds(trial: Trial) -> None:
    """Those that died are gone on with by the message that comes back; those that failed have another."""
    after = await trial.let_time_pass()
    rows = (await _rows_of(trial, keys.OPERATIONS)).tables[keys.OPERATIONS]
    left = [row.row for row in rows if not Status(str(row.values["status"])).is_over]
    failed = any(row.values["status"] == Status.FAILED for row in rows)
    for operation in (*left, *([works.new_id()] if failed else [])):
        outcome = await trial.do(Under(after, RebuildStep(operation)))
        assert outcome == [Status.SUCCEEDED], outcome


async def _rows_of(trial: Trial, table: str) -> Snapshot:
    async with opened(trial.account) as storage:
        return await read_snapshot(storage, (table,), ())


def _add(told: Told, more: Told) -> None:
    told.sent |= more.sent
    told.there |= more.there
    told.gone |= more.gone


def _entries(snapshot: Snapshot) -> dict[Address, Counter[str]]:
    """How often the feed tells what of each address."""
    found: dict[Address, Counter[str]] = defaultdict(Counter)
    for row in snapshot.tables[keys.FEED]:
        if row.partition != "head":
            partition, study, series, instance = (
                str(row.values[name]) for name in ("partition", "study", "series", "instance")
            )
            found[partition, study, series, instance][str(row.values["action"])] += 1
    return found


def _unentered(ledger: Ledger, entries: dict[Address, Counter[str]]) -> list[str]:
    """Stores that a client was told of and the feed was not."""
    return [
        f"{address[0]}: {address} was told to be stored {count} times, the feed lacks some: {dict(found)}"
        for address, count in ledger.stored.items()
        if (found := entries[address])["create"] + found["update"] < count
    ]
