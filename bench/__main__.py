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
from typing import Final

from bench import delete, orthanc, profile, report, retrieve, search, store
from bench.load import Server, WrongAnswer, open_http
from bench.measure import Line, Watched, measure
from bench.process import ServiceLog, pid_behind
from bench.raw import Account, Raw
from bench.stage import FULL, QUICK, Case, Scale, Stage
from local.dev import azurite
from local.dev.service import Service, start_service
from local.dev.steps import LOGS, Failure, exit_with, say

LOG: Final = LOGS / f"bench-{os.getpid()}.log"
"""What the service says; kept only when something went wrong."""

ORTHANC: Final = "orthanc"

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


def main() -> int:
    """Measure everything that is asked for."""
    arguments = _parse_arguments()
    if arguments.profile:
        print(profile.run(arguments.only))
        return 0
    group, _, text = arguments.only.partition(":")
    with ExitStack() as peers:
        peer = arguments.against
        if peer == ORTHANC:
            peer = peers.enter_context(orthanc.started())
        _measure_groups(Options(QUICK if arguments.quick else FULL, peer, group, text))
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


def _groups(options: Options, run: int) -> list[tuple[str, Cases]]:
    """Each group has a storage and a service of its own; the peer keeps what earlier groups stored."""
    small, large = options.scale.studies
    groups: list[tuple[str, Cases]] = [
        ("retrieve", retrieve.cases),
        ("search", partial(search.cases, sizes=(0, small), run=run)),
        ("search", partial(search.cases, sizes=(small, large), run=run)),
        ("delete", delete.cases),
        ("store", store.cases),
    ]
    wanted = [(name, cases) for name, cases in groups if options.group in ("", name)]
    if not wanted:
        names = ", ".join(dict.fromkeys(name for name, _ in groups))
        raise Failure(f"--only {options.group} is not one of {names}; a colon and a text may follow")
    return wanted


def _measure_group(name: str, cases: Cases, options: Options, runs: "count[int]") -> list[Line]:
    say(f"{name}: starting storage and service ...")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.unlink(missing_ok=True)
    with azurite.start() as storage:
        connection = storage.connection_string()
        settings = {"DICOM_SHOW_STORAGE_CALLS": "true"}
        with start_service(azurite.free_port(), connection, settings=settings, log=LOG) as service:
            return asyncio.run(_run(cases, options, runs, (service, connection)))


async def _run(
    cases: Cases, options: Options, runs: "count[int]", running: tuple[Service, str]
) -> list[Line]:
    service, connection = running
    pid = pid_behind(service.url)
    if pid is None:
        raise Failure("The process of the service was not found in /proc.")
    async with open_http() as http:
        stage = Stage(
            ours=Server(f"{service.url}/v2", http),
            peer=Server(options.peer.rstrip("/"), http) if options.peer else None,
            raw=Raw(Account.parse(connection), http),
            connection=connection,
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
        help="only retrieve, search, delete or store, or those of its lines that hold a text",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="tell what the service spends its processor time on; --only takes a text",
    )
    return parser.parse_args()


if __name__ == "__main__":
    exit_with(main)
