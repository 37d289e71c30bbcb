"""Measures retrieving: what the service reads, against the same bytes read bare from the same blobs."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from bench.files import CT, ELSEWHERE, SMALL, Place, Shape, make_file
from bench.load import Answer, Server, Work
from bench.raw import Raw
from bench.stage import ANY_FRAME, ANY_INSTANCE, JSON, OWN, Case, Stage

STUDY_INSTANCES: Final = 200
SERIES_INSTANCES: Final = 1_000
FEW_FRAMES: Final = Shape(512, 512, 10)
MANY_FRAMES: Final = Shape(512, 512, 200)

_DICOM: Final = "dicom"
"""The service's container of files."""

_READ_AHEAD: Final = 2
_METADATA: Final = "metadata"

_HEAD_BYTES: Final = 132
"""Preamble and prefix of a file: a preamble may be blanked."""

Blob = tuple[str, int]


async def cases(stage: Stage) -> list[Case]:
    """Store what is to be retrieved, and prepare the measurements."""
    run = next(stage.runs)
    singly, packed, few, many, series = (Place(run, ELSEWHERE + number) for number in range(5))
    cts = [[make_file(replace(singly, instance=number), CT)] for number in range(STUDY_INSTANCES)]
    await stage.store_everywhere(cts)
    cts = [[make_file(replace(packed, instance=number), CT)] for number in range(STUDY_INSTANCES)]
    await stage.store_everywhere([_joined(cts[at : at + 25]) for at in range(0, STUDY_INSTANCES, 25)])
    await stage.store_everywhere([[make_file(few, FEW_FRAMES)], [make_file(many, MANY_FRAMES)]])
    smalls = [make_file(replace(series, instance=number), SMALL) for number in range(SERIES_INSTANCES)]
    await stage.store_everywhere([smalls[at : at + 50] for at in range(0, SERIES_INSTANCES, 50)])
    return [
        *await _instances(stage, singly),
        *await _studies(stage, {"stored one by one": singly, "stored 25 a request": packed}),
        *await _frames(stage, {"5 MB": (few, FEW_FRAMES), "100 MB": (many, MANY_FRAMES)}),
        *await _metadata(stage, series),
    ]


def _joined(requests: Iterable[Sequence[bytes]]) -> list[bytes]:
    return [file for files in requests for file in files]


async def _blobs(stage: Stage, place: Place) -> list[Blob]:
    return [blob for blob in await stage.raw.list_blobs(_DICOM) if f"/{place.study_uid}/" in blob[0]]


async def _instances(stage: Stage, place: Place) -> list[Case]:
    blobs = await _blobs(stage, place)
    paths = [replace(place, instance=number).path for number in range(STUDY_INSTANCES)]

    def is_right(number: int, body: bytes) -> bool:
        wanted = replace(place, instance=_turn(number, STUDY_INSTANCES))
        return make_file(wanted, CT)[_HEAD_BYTES:] in body

    raw = partial(_turns, [partial(_read, stage.raw, _DICOM, name) for name, _ in blobs])
    web = partial(_gets, paths, ANY_INSTANCE)
    return [
        Case("retrieve one instance of 0.5 MB", callers, web, raw, is_right=is_right) for callers in (1, 16)
    ]


async def _studies(stage: Stage, places: dict[str, Place]) -> list[Case]:
    found = []
    for how, place in places.items():
        blobs = await _blobs(stage, place)
        raw = partial(_turns, [partial(_read_many, stage.raw, blobs)])
        is_right = partial(_holds, sum(length for _, length in blobs))
        web = partial(_gets, [f"studies/{place.study_uid}"], ANY_INSTANCE)
        name = f"retrieve a study of {STUDY_INSTANCES} x 0.5 MB, {how}"
        found += [Case(name, callers, web, raw, is_right=is_right) for callers in (1, 4)]
    return found


async def _frames(stage: Stage, objects: dict[str, tuple[Place, Shape]]) -> list[Case]:
    found = []
    for size, (place, shape) in objects.items():
        ((name, length),) = await _blobs(stage, place)
        starts = [length - (number + 1) * shape.frame_bytes for number in range(shape.frames)]
        ranges = [partial(_read, stage.raw, _DICOM, name, (start, shape.frame_bytes)) for start in starts]
        paths = [f"{place.path}/frames/{number + 1}" for number in range(shape.frames)]
        web, raw = partial(_gets, paths, ANY_FRAME), partial(_turns, ranges)
        title, is_right = f"a frame of 0.5 MB of an object of {size}", partial(_holds, shape.frame_bytes)
        found += [Case(title, callers, web, raw, is_right=is_right) for callers in (1, 6)]
    return found


async def _metadata(stage: Stage, place: Place) -> list[Case]:
    """Bare storage reads the same JSON from one blob."""
    path = f"{place.series_path}/metadata"
    async with stage.ours.http.get(f"{stage.ours.root}/{path}", headers={"Accept": JSON}) as response:
        whole = await response.read()
    await stage.raw.make_container(OWN)
    await stage.raw.put_blob(OWN, _METADATA, whole)
    raw = partial(_turns, [partial(_read, stage.raw, OWN, _METADATA)])
    name = f"metadata of a series of {SERIES_INSTANCES}"
    web = partial(_gets, [path], JSON)
    return [Case(name, callers, web, raw, is_right=_is_whole_series) for callers in (1, 4)]


def _is_whole_series(_number: int, body: bytes) -> bool:
    return len(json.loads(body)) == SERIES_INSTANCES


def _holds(size: int, _number: int, body: bytes) -> bool:
    """Whether so many bytes came, and hardly more than the heads of their parts."""
    return size <= len(body) < size * 1.01


def _turn(number: int, count: int) -> int:
    """Which of several things a request asks for: far apart from one to the next."""
    return number * 7 % count


async def _gets(paths: Sequence[str], accept: str, server: Server, count: int) -> list[Work]:
    return [server.get(paths[_turn(number, len(paths))], accept) for number in range(count)]


async def _turns(works: Sequence[Work], count: int) -> list[Work]:
    return [works[_turn(number, len(works))] for number in range(count)]


async def _read(raw: Raw, container: str, name: str, span: tuple[int, int] | None = None) -> Answer:
    start, length = span or (0, None)
    return Answer(len(await raw.get_blob(container, name, start, length)))


async def _read_many(raw: Raw, blobs: Sequence[Blob]) -> Answer:
    """All of them, two at a time."""
    waiting = iter(blobs)
    size = 0

    async def read() -> None:
        nonlocal size
        for name, _ in waiting:
            size += len(await raw.get_blob(_DICOM, name))

    await asyncio.gather(*(read() for _ in range(_READ_AHEAD)))
    return Answer(size)
