"""`python -m bench`: start storage and service, measure, print a table."""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import delete, feed, orthanc, profile, report, retrieve, scale, search, store
from bench.load import Server, WrongAnswer, open_http
from bench.measure import Line, Watched, measure
from bench.process import ServiceLog, pid_behind
from bench.raw import Account, Raw
from bench.stage import FULL, QUICK, Case, Scale, Stage
from bench.tables import serve
from local.dev import azurite
from local.dev.service import Service, start_service
from local.dev.steps import LOGS, Failure, exit_with, say

LOG: Final = LOGS / f"bench-{os.getpid()}.log"
"""What the service says; kept only when something went wrong."""

ORTHANC: Final = "orthanc"
SEARCH: Final = "search"
SCALE: Final = "scale"
"""The group that has a table of its own: searches in archives of several sizes."""

FEED: Final = "feed"
"""Another one with a table of its own: entering changes into the change feed."""

Cases = Callable[[Stage], Awaitable[list[Case]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    scale: Scale
    peer: str | None
    """Root of another DICOMweb server, which holds nothing yet."""

    group: str
    """The one group of measurements that is wanted, or empty."""

    text: str
    """What the name of a measurement has to contain."""

    sizes: tuple[int, ...]
    """Studies of the archives whose searches are compared; the smallest first."""


def main() -> int:
    """Measure everything that is asked for."""
    arguments = _parse_arguments()
    if arguments.profile:
        print(profile.run(arguments.only))
        return 0
    group, _, text = arguments.only.partition(":")
    scale_of = QUICK if arguments.quick else FULL
    sizes = _sizes(arguments.sizes, scale_of)
    with ExitStack() as peers:
        peer = arguments.against
        if peer == ORTHANC:
            peer = peers.enter_context(orthanc.started())
        options = Options(scale_of, peer, group, text, sizes)
        if group not in (SCALE, FEED):
            _measure_groups(options)
    if group in ("", SCALE):
        _compare_sizes(options)
    if group in ("", FEED):
        _measure_feed(options)
    return 0


def _measure_groups(options: Options) -> None:
    lines: list[Line] = []
    # Numbers that no earlier run had either, so that a peer that kept its data knows none of the files.
    runs = count(int(time.time()) % 100_000_000 * 1_000)
    try:
        for name, cases in _groups(options, next(runs)):
            lines += _measure_group(name, cases, options, runs)
    except WrongAnswer as error:
        raise Failure(f"{error} {LOG} may tell why") from error
    finally:
        if lines:
            print(report.render(lines))
    LOG.unlink(missing_ok=True)


def _compare_sizes(options: Options) -> None:
    try:
        print(scale.run(options.sizes, scale.FEW if options.scale is QUICK else scale.MANY, options.text))
    except WrongAnswer as error:
        raise Failure(str(error)) from error


def _measure_feed(options: Options) -> None:
    loads = [load for load in feed.LOADS if options.text in load.name]
    if loads:
        say("feed: entering changes ...")
        print(feed.run(loads, is_quick=options.scale is QUICK))


def _sizes(text: str, default: Scale) -> tuple[int, ...]:
    try:
        return tuple(sorted(int(size) for size in text.split(","))) if text else default.studies
    except ValueError as error:
        raise Failure(f"--sizes {text} is not a list of numbers, such as 1000,10000,100000") from error


def _groups(options: Options, run: int) -> list[tuple[str, Cases]]:
    """Each group has a storage and a service of its own; the peer keeps what earlier groups stored."""
    small, large = options.scale.studies
    groups: list[tuple[str, Cases]] = [
        ("retrieve", retrieve.cases),
        (SEARCH, partial(search.cases, sizes=(0, small), run=run)),
        (SEARCH, partial(search.cases, sizes=(small, large), run=run)),
        ("delete", delete.cases),
        ("store", store.cases),
    ]
    wanted = [(name, cases) for name, cases in groups if options.group in ("", name)]
    if not wanted:
        names = ", ".join(dict.fromkeys([*(name for name, _ in groups), SCALE, FEED]))
        raise Failure(f"--only {options.group} is not one of {names}; a colon and a text may follow")
    return wanted


def _measure_group(name: str, cases: Cases, options: Options, runs: "count[int]") -> list[Line]:
    say(f"{name}: starting storage and service ...")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.unlink(missing_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        connection = stack.enter_context(azurite.start()).connection_string()
        tables = folder / "tables"
        if name == SEARCH:
            connection = stack.enter_context(serve(tables, connection))
        settings = {"DICOM_SHOW_STORAGE_CALLS": "true"}
        service = stack.enter_context(
            start_service(azurite.free_port(), connection, settings=settings, log=LOG)
        )
        return asyncio.run(_run(cases, options, runs, (service, connection, tables)))


async def _run(
    cases: Cases, options: Options, runs: "count[int]", running: tuple[Service, str, Path]
) -> list[Line]:
    service, connection, tables = running
    pid = pid_behind(service.url)
    if pid is None:
        raise Failure("The process of the service was not found in /proc.")
    async with open_http() as http:
        stage = Stage(
            ours=Server(f"{service.url}/v2", http),
            peer=Server(options.peer.rstrip("/"), http) if options.peer else None,
            raw=Raw(Account.parse(connection), http),
            tables=tables,
            scale=options.scale,
            runs=runs,
            text=options.text,
        )
        watched = Watched(ServiceLog(LOG), pid)
        say("  filling ...")
        return await _measure_all(stage, await cases(stage), watched)


async def _measure_all(stage: Stage, cases: Sequence[Case], service: Watched) -> list[Line]:
    lines = []
    for case in cases:
        if stage.wants(case.name):
            line = await measure(stage, case, service)
            say(f"  {report.brief(line)}")
            lines.append(line)
    return lines


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="one short round of fewer cases")
    parser.add_argument(
        "--against",
        metavar="URL",
        help=f"DICOMweb root of another, empty server to measure beside; `{ORTHANC}` starts one",
    )
    parser.add_argument(
        "--only",
        metavar="GROUP[:TEXT]",
        default="",
        help="only retrieve, search, delete, store, scale or feed, or those of its lines that hold a text",
    )
    parser.add_argument(
        "--sizes",
        metavar="STUDIES",
        default="",
        help="the sizes that scale compares, such as 1000,10000,100000; the last takes some ten minutes",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="tell what the service spends its processor time on; --only takes a text",
    )
    return parser.parse_args()


if __name__ == "__main__":
    exit_with(main)
