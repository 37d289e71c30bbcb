"""How many changes one writer enters into the change feed in a second: group `feed` of `python -m bench`.

By itself, with more to choose: `python -m bench.feed`. Storage answers each call after ten milliseconds. It
is first one that is nothing but this delay (`ideal.py`), so that the writer is what is measured, and then
the emulator, each of whose answers is held back as long.
"""

import argparse
import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import aiohttp

from bench import ideal
from bench.process import pid_behind, processor_seconds
from bench.profile import part_of
from bench.sampler import Sampler, Stack
from local.dev import azurite
from local.dev.steps import exit_with, say
from shared.changefeed.emit import emit
from shared.storage import keys
from shared.storage.calls import counted
from shared.storage.connection import resolve
from shared.storage.keys import StudyKey
from shared.storage.planning import render_pending
from shared.storage.rows import Change, Location
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import Value, insert
from shared.storage.terms import STUDY_TABLES, IndexKey
from shared.storage.versions import next_version
from shared.storage.wire import Request, Wire

DELAY_SECONDS: Final = 0.01
SAMPLE_SECONDS: Final = 0.001
PARTS_SHOWN: Final = 5
_FILLED_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Load:
    """Changes that wait to be entered."""

    name: str
    changes: int
    studies: int
    instances: int = 1
    """Of each change."""

    @property
    def entries(self) -> int:
        """What they become."""
        return self.changes * self.instances


LOADS: Final = (
    Load("1 instance, each in a study of its own", 10_000, 10_000),
    Load("1 instance, in 20 studies", 20_000, 20),
    Load("50 instances, each in a study of its own", 2_000, 2_000, 50),
)


@dataclass(frozen=True, slots=True)
class Line:
    """How entering a load went."""

    load: Load
    seconds: float
    processor: float
    """Seconds of the writer's process."""

    storage_processor: float
    """Seconds of the emulator's processes; not a number where there is none."""

    calls: int


class HeldWire(Wire):
    """Storage further away."""

    async def _send_once(self, request: Request) -> aiohttp.ClientResponse:
        response = await super()._send_once(request)
        await asyncio.sleep(DELAY_SECONDS)
        return response


def main() -> int:
    """Measure all loads."""
    parser = argparse.ArgumentParser(prog="bench.feed")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the changes")
    parser.add_argument("--no-emulator", action="store_true", help="only with storage that is all delay")
    arguments = parser.parse_args()
    print(run(LOADS, is_quick=arguments.quick, with_emulator=not arguments.no_emulator))
    return 0


def run(loads: Sequence[Load], *, is_quick: bool, with_emulator: bool = True) -> str:
    """Measure some loads; gives tables, and what the writer's processor time goes to."""
    loads = [_smaller(load, 20) if is_quick else load for load in loads]
    lines, parts = [], []
    for load in loads:
        stacks: Counter[Stack] = Counter()
        lines.append(measure_with_delay(load, stacks))
        parts.append(render_parts(load, stacks))
        say(f"{load.name}: {rate(lines[-1]):,.0f} entries a second")
    tables = [render("storage that is all delay", lines), *parts]
    if with_emulator:
        tables.append(render("the emulator", [measure_with_emulator(_smaller(load, 10)) for load in loads]))
    return "\n\n".join(tables)


def rate(line: Line) -> float:
    """Entries a second."""
    return line.load.entries / line.seconds


def render(storage: str, lines: Sequence[Line]) -> str:
    """The table, as Markdown."""
    heads = (
        *("changes a second", "entries a second", "entries a second of processor time"),
        *("cpu ms a change", "calls a change", "cpu ms of storage"),
    )
    head = f"| {storage}, 10 ms a call | {' | '.join(heads)} |"
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|--:|", *map(_row, lines)])


def _row(line: Line) -> str:
    changes = line.load.changes
    cells = (
        line.load.name,
        f"{changes / line.seconds:,.0f}",
        f"{rate(line):,.0f}",
        f"{line.load.entries / line.processor:,.0f}",
        f"{line.processor / changes * 1000:.2f}",
        f"{line.calls / changes:.2f}",
        ""
        if line.storage_processor != line.storage_processor
        else f"{line.storage_processor / changes * 1000:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def render_parts(load: Load, stacks: Mapping[Stack, int]) -> str:
    """What the writer's processor time goes to."""
    parts: Counter[str] = Counter()
    for stack, number in stacks.items():
        parts[part_of(stack)] += number
    total = max(sum(parts.values()), 1)
    said = ", ".join(f"{part} {number / total:.0%}" for part, number in parts.most_common(PARTS_SHOWN))
    return f"{load.name}: {said}"


def make_changes(load: Load) -> Iterator[tuple[StudyKey, int, Mapping[str, Value]]]:
    """The pending rows of a load: study, version and properties."""
    touched = [
        IndexKey(search.table, "microsoft.default|123", f"SOME VALUE|{'1.2.3' * 8}")
        for search in STUDY_TABLES
    ]
    for number in range(load.changes):
        key = keys.study_key(keys.DEFAULT_PARTITION, f"1.2.826.0.1.3680043.10.1000.{number % load.studies}")
        version = next_version()
        series = f"{key.study}.1"
        changes = [
            Change(
                series,
                f"{series}.{number}.{each}",
                version + each,
                Location(keys.pack_blob(key, version), each, 1),
            )
            for each in range(load.instances)
        ]
        yield key, version, render_pending("create", changes, touched if load.studies == load.changes else ())


def _smaller(load: Load, times: int) -> Load:
    studies = load.studies // times if load.studies == load.changes else load.studies
    return replace(load, changes=load.changes // times, studies=studies)


def measure_with_delay(load: Load, stacks: Counter[Stack]) -> Line:
    """Measure with storage that is all delay, and note where the writer is meanwhile."""
    rows: dict[str, dict[str, Mapping[str, Value]]] = {}
    blobs = []
    for key, version, values in make_changes(load):
        rows.setdefault(key.archive, {})[keys.pending_row(version)] = values
        blobs.append(keys.change_blob(key, version))
    answers = {partition: ideal.query_answer(partition, each) for partition, each in rows.items()}
    with ideal.start(ideal.Filling(blobs, answers), DELAY_SECONDS) as connection:
        storage = _open(connection)
        with _sampled(stacks):
            return asyncio.run(_measure(storage, load, ()))


def measure_with_emulator(load: Load) -> Line:
    """Measure with the emulator, its answers held back."""
    with azurite.start() as emulator:
        text = emulator.connection_string()
        asyncio.run(_fill(_open(text), load))
        pids = [pid_behind(f"http://127.0.0.1:{port}") for port in emulator.ports]
        near = _open(text)
        wire = HeldWire(near.wire.connection)
        far = open_storage(near.wire.connection, near.times, wire)
        return asyncio.run(_measure(far, load, [pid for pid in pids if pid]))


async def _measure(storage: Storage, load: Load, servers: Sequence[int]) -> Line:
    try:
        before = sum(map(processor_seconds, servers))
        with counted() as calls:
            used, began = time.process_time(), time.perf_counter()
            made = await emit(storage)
            seconds, processor = time.perf_counter() - began, time.process_time() - used
        after = sum(map(processor_seconds, servers)) if servers else float("nan")
    finally:
        await storage.aclose()
    if made != load.entries:
        raise RuntimeError(f"{made} entries were made of {load.entries}.")
    return Line(load, seconds, processor, after - before, calls.calls)


async def _fill(storage: Storage, load: Load) -> None:
    waiting = make_changes(load)

    async def fill() -> None:
        for key, version, values in waiting:
            await storage.tables.transact(
                keys.ARCHIVE, key.archive, [insert(keys.pending_row(version), values)]
            )
            await storage.blobs.put(keys.CHANGES, keys.change_blob(key, version), b"{}", if_absent=False)

    await asyncio.gather(*(fill() for _ in range(_FILLED_AT_ONCE)))
    await storage.aclose()


def _open(connection: str) -> Storage:
    times = Times(retention=timedelta(days=3), grace=timedelta(minutes=15))
    return open_storage(resolve("STORAGE", {"STORAGE": connection}), times)


@contextmanager
def _sampled(stacks: Counter[Stack]) -> Iterator[None]:
    sampler = Sampler(Path())
    before = signal.signal(signal.SIGPROF, sampler.note)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        stacks.update(sampler.stacks)


if __name__ == "__main__":
    exit_with(main)
