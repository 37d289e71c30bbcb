"""What the service spends its processor time on: `python -m bench --profile`."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import archive
from bench.files import CT, SMALL, TINY, Place, Shape, make_file
from bench.load import Server, Work, drive, open_http
from bench.process import pid_behind, processor_seconds
from bench.sampler import Stack
from bench.search import ASKS
from bench.stage import ANY_FRAME, ANY_INSTANCE, JSON
from bench.tables import serve
from bench.tableserver import TableFile
from local.dev import azurite
from local.dev.leash import Command, Leash
from local.dev.steps import LOGS, ROOT, Failure, say

CALLERS: Final = 4
STUDIES: Final = 500
SHOWN: Final = 12

_READY: Final = b"ready "
_WRITE_SECONDS: Final = 10
_OURS: Final = re.compile(rf"{re.escape(str(ROOT))}/((?:shared|functions|local)/.*)\.py$")
_LIBRARY: Final = re.compile(r"site-packages/((?:azure(?:functions)?/(?:[a-z]+/)?)?[^/.]+)")

_AFTER: Final = re.compile(
    r"/functions/background|/local/triggers/|/local/runner|/changefeed/|/storage/pending"
)

Prepare = Callable[[Server], Awaitable[list[Work]]]


@dataclass(frozen=True, slots=True)
class Task:
    """Something that is profiled."""

    name: str
    prepare: Prepare


def run(text: str = "") -> str:
    """Profile storing, searching and retrieving, or what holds a text; each with a service of its own."""
    runs = count(int(time.time()) % 100_000_000 * 1_000)
    tasks = (
        Task("store 1 x 20 KB, new studies", lambda server: _stores(server, next(runs), (400, 1))),
        Task("store 1 x 20 KB, study known", lambda server: _stores_into_known(server, next(runs))),
        Task("store 50 x 20 KB, new studies", lambda server: _stores(server, next(runs), (40, 50))),
        Task("search: list of 25", lambda server: _searches(server, 0)),
        Task("search: patient id", lambda server: _searches(server, 3)),
        Task("retrieve one instance of 0.5 MB", lambda server: _retrieves(server, next(runs))),
        Task("retrieve a study of 200, singly stored", lambda server: _studies(server, next(runs), 1)),
        Task("retrieve a study of 200, in packs", lambda server: _studies(server, next(runs), 25)),
        Task("retrieve a frame of 100 MB", lambda server: _frames(server, next(runs))),
    )
    wanted = [task for task in tasks if text in task.name]
    if not wanted:
        raise Failure(f"--only {text} is in none of {', '.join(task.name for task in tasks)}")
    return "\n\n".join(_profile(task) for task in wanted)


async def _stores(server: Server, run: int, size: tuple[int, int]) -> list[Work]:
    requests, files = size
    return [
        server.store([make_file(Place(run, study, 0, number), SMALL) for number in range(files)])
        for study in range(requests)
    ]


async def _stores_into_known(server: Server, run: int) -> list[Work]:
    studies = 40
    await drive([server.store([make_file(Place(run, study), SMALL)]) for study in range(studies)], CALLERS)
    places = (Place(run, number % studies, 0, 1 + number) for number in range(400))
    return [server.store([make_file(place, SMALL)]) for place in places]


async def _searches(server: Server, ask: int) -> list[Work]:
    return [server.get(f"studies?{ASKS[ask].query(study % STUDIES)}", JSON) for study in range(500)]


async def _retrieves(server: Server, run: int) -> list[Work]:
    places = [Place(run, 0, 0, number) for number in range(20)]
    await drive([server.store([make_file(place, CT)]) for place in places], CALLERS)
    return [server.get(places[number % 20].path, ANY_INSTANCE) for number in range(500)]


async def _studies(server: Server, run: int, at_once: int) -> list[Work]:
    files = [make_file(Place(run, 0, 0, number), CT) for number in range(200)]
    await drive([server.store(files[at : at + at_once]) for at in range(0, 200, at_once)], CALLERS)
    return [server.get(f"studies/{Place(run, 0).study_uid}", ANY_INSTANCE) for _ in range(20)]


async def _frames(server: Server, run: int) -> list[Work]:
    place = Place(run, 0)
    await drive([server.store([make_file(place, Shape(512, 512, 200))])], CALLERS)
    return [server.get(f"{place.path}/frames/{1 + number * 7 % 200}", ANY_FRAME) for number in range(500)]


def _profile(task: Task) -> str:
    say(f"profile: {task.name} ...")
    with TemporaryDirectory() as folder, azurite.start() as storage:
        out, tables = Path(folder) / "stacks.json", Path(folder) / "tables"
        with (
            serve(tables, storage.connection_string()) as connection,
            _sampled_service(connection, out) as url,
        ):
            seconds = asyncio.run(_load(task, tables, url, out))
        stacks = [(tuple(stack), number) for stack, number in json.loads(out.read_text())]
    return _render(task, stacks, seconds)


@contextmanager
def _sampled_service(connection: str, out: Path) -> Iterator[str]:
    """The service under the sampler, as `local.dev.service` would start it without."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    env = {**sample, **os.environ, "DicomStorage": connection, "AzureWebJobsStorage": connection}
    arguments = ["--app", str(ROOT), "--port", str(azurite.free_port())]
    command = [sys.executable, "-m", "bench.sampler", str(out), *arguments]
    log = str(LOGS / "bench-profile.log")
    leash = Leash([Command(command, log=log, prints=True)], env=env, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        line = next((line for line in leash.stdout if line.startswith(_READY)), None)
        if line is None:
            raise Failure(f"The service does not start; {log} may tell why.")
        yield line.removeprefix(_READY).decode().strip()
    finally:
        leash.stop()


async def _load(task: Task, tables: Path, url: str, out: Path) -> float:
    pid = pid_behind(url)
    if pid is None:
        raise Failure("The process of the service was not found in /proc.")
    if task.name.startswith("search"):
        with TableFile(tables) as file:
            archive.write_archive(file, (make_file(Place(0, each), TINY) for each in range(STUDIES)), STUDIES)
    async with open_http() as http:
        server = Server(f"{url}/v2", http)
        works = await task.prepare(server)
        await drive(works[: len(works) // 10], CALLERS)
        os.kill(pid, signal.SIGUSR1)
        began = processor_seconds(pid)
        await drive(works[len(works) // 10 :], CALLERS)
        seconds = processor_seconds(pid) - began
        os.kill(pid, signal.SIGUSR2)
        await _wait_for(out)
    return seconds / (len(works) - len(works) // 10)


async def _wait_for(out: Path) -> None:
    deadline = time.monotonic() + _WRITE_SECONDS
    while not os.path.exists(out):  # noqa: ASYNC240 (nothing else runs here)
        if time.monotonic() > deadline:
            raise Failure("The sampler wrote nothing.")
        await asyncio.sleep(0.05)


def _render(task: Task, stacks: Sequence[tuple[Stack, int]], seconds: float) -> str:
    total = sum(number for _, number in stacks)
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    for stack, number in stacks:
        parts[part_of(stack)] += number
        functions[_innermost(stack)] += number
        for name in {_short(each) for each in stack if _is_ours(each)}:
            inclusive[name] += number
    tables = (("part", parts), ("function alone", functions), ("ours, with what it calls", inclusive))
    head = f"### {task.name}: {seconds * 1000:.2f} ms of processor time a request, {CALLERS} callers"
    behind = sum(number for stack, number in stacks if any(_AFTER.search(each) for each in stack))
    said = f"{behind / max(total, 1):.0%} of it in triggers and what they call, after the answer."
    return "\n\n".join([head, said, *(_table(name, counted, total) for name, counted in tables)])


def part_of(stack: Stack) -> str:
    """What the time belongs to: the innermost that is ours, a library's or the loop's."""
    for each in stack:
        file = each.rpartition(":")[0]
        if found := _OURS.match(file):
            return found[1] if found[1].startswith("shared/storage") else "/".join(found[1].split("/")[:2])
        if found := _LIBRARY.search(file):
            return found[1]
        if "/asyncio/" in file:
            break
    return "asyncio, sockets"


def _is_ours(function: str) -> bool:
    # The host's outer loop is in every stack and tells nothing.
    file = function.rpartition(":")[0]
    return bool(_OURS.match(file)) and not file.endswith("local/__main__.py")


def _innermost(stack: Stack) -> str:
    """The function itself; the generated initialiser of a dataclass is told by who makes the value."""
    if stack[0].startswith("<string>") and len(stack) > 1:
        return f"a dataclass made in {_short(stack[1])}"
    return _short(stack[0])


def _short(function: str) -> str:
    file, _, name = function.rpartition(":")
    return f"{'/'.join(Path(file).parts[-2:])} {name}"


def _table(name: str, counted: Counter[str], total: int) -> str:
    lines = [f"| {name} | share |", "|---|--:|"]
    lines += [f"| {each} | {number / max(total, 1):.0%} |" for each, number in counted.most_common(SHOWN)]
    return "\n".join(lines)
