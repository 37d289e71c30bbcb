"""Measures storing: one blob and the rows of its instances, against what the service makes of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.files import CT, ELSEWHERE, SMALL, Place, Shape, make_file
from bench.load import Answer, Server, Work, drive
from bench.raw import Raw
from bench.stage import OWN, Case, Stage

ROW_BYTES: Final = 1_600
"""About what the service keeps in the row of one instance."""

_FILLING_CALLERS: Final = 4


@dataclass(frozen=True, slots=True)
class Load:
    """What one store request holds."""

    name: str
    shape: Shape
    files: int


LOADS: Final = (Load("1 x 20 KB", SMALL, 1), Load("50 x 20 KB", SMALL, 50), Load("1 x 0.5 MB", CT, 1))

Requests = int | None
"""Requests that each study takes."""

WHERE: Final[Mapping[str, Requests]] = {"new studies": 1, "study known": 10, "one study": None}
"""Into how many studies: each request its own, each study a few in turn as when scanners send, or all one."""


async def cases(stage: Stage) -> list[Case]:
    """Prepare the measurements of storing."""
    await stage.raw.make_container(OWN)
    await stage.raw.make_table(OWN)
    return list(_cases(stage))


def _cases(stage: Stage) -> Iterator[Case]:
    for load in LOADS:
        for where, requests in WHERE.items():
            for callers in (1, 4, 16) if stage.scale.every_case else (1, 16):
                yield Case(
                    f"store {load.name}, {where}",
                    callers,
                    partial(_into_new if requests == 1 else _into_known, stage, load, requests),
                    partial(_raw, stage, load, requests),
                    items=load.files,
                    is_right=partial(_are_stored, load.files),
                )


def _are_stored(files: int, _number: int, body: bytes) -> bool:
    answer = json.loads(body)
    # Orthanc lists its failures even where there are none.
    failed = answer.get("00081198", {}).get("Value", [])
    return not failed and len(answer["00081199"]["Value"]) == files


async def _into_new(stage: Stage, load: Load, _: Requests, server: Server, count: int) -> list[Work]:
    run = next(stage.runs)
    return [server.store(_files(load, run, study, 0)) for study in range(count)]


async def _into_known(stage: Stage, load: Load, requests: Requests, server: Server, count: int) -> list[Work]:
    """The studies exist before, and take the requests in turn."""
    run = next(stage.runs)
    studies = _studies(count, requests)
    firsts = [server.store([make_file(Place(run, ELSEWHERE + study), SMALL)]) for study in range(studies)]
    await drive(firsts, _FILLING_CALLERS)
    first = 1
    works = []
    for number in range(count):
        works.append(
            server.store(_files(load, run, number % studies, first + number // studies * load.files))
        )
    return works


def _studies(count: int, requests: Requests) -> int:
    return 1 if requests is None else count // requests + 1


def _files(load: Load, run: int, study: int, first: int) -> list[bytes]:
    return [
        make_file(Place(run, ELSEWHERE + study, 0, first + number), load.shape)
        for number in range(load.files)
    ]


async def _raw(stage: Stage, load: Load, requests: Requests, count: int) -> list[Work]:
    run = next(stage.runs)
    body = b"".join(_files(load, run, 0, 0))
    studies = _studies(count, requests)
    return [
        partial(_put, stage.raw, f"{run}-{number % studies}", number, (load.files, body))
        for number in range(count)
    ]


async def _put(raw: Raw, study: str, number: int, load: tuple[int, bytes]) -> Answer:
    files, body = load
    rows: Sequence[tuple[str, bytes | None]] = [
        (f"{number:08}-{each:04}", bytes(ROW_BYTES)) for each in range(files)
    ]
    await raw.put_blob(OWN, f"{study}/{number}", body)
    await raw.transact(OWN, study, rows)
    return Answer()
