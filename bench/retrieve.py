"""Measures retrieving: what the service reads, against the same bytes read bare from the same blobs."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from bench import metadata, pictures
from bench.files import CT, ELSEWHERE, Compressed, Place, Shape, make_file
from bench.load import Answer
from bench.raw import Raw
from bench.reading import DICOM, Blob, find_blobs, gets, holds, read, turn, turns
from bench.stage import ANY_FRAME, ANY_INSTANCE, Case, Stage

STUDY_INSTANCES: Final = 200
FRAMES: Final = {"5 MB": 10, "100 MB": 200, "500 MB": 1_000}
"""Frames of 0.5 MB in an object of each size."""

TILES: Final = 20_000
TILE_BYTES: Final = 4_000
STORM: Final = 64
JPEG: Final = "1.2.840.10008.1.2.4.50"

_READ_AHEAD: Final = 4
_HEAD_BYTES: Final = 132
"""Preamble and prefix of a file: a preamble may be blanked."""


async def cases(stage: Stage) -> list[Case]:
    """Store what is to be retrieved, and prepare the measurements."""
    families = (_instances, _studies, _frames, _tiles, metadata.cases, pictures.cases)
    return [case for family in families for case in await family(stage)]


async def _store_study(stage: Stage, place: Place, at_once: int) -> None:
    files = [make_file(replace(place, instance=number), CT) for number in range(STUDY_INSTANCES)]
    await stage.store_everywhere([files[at : at + at_once] for at in range(0, STUDY_INSTANCES, at_once)])


async def _instances(stage: Stage) -> list[Case]:
    name = "retrieve one instance of 0.5 MB"
    if not stage.wants(name):
        return []
    place = Place(next(stage.runs), ELSEWHERE)
    await _store_study(stage, place, 1)
    paths = [replace(place, instance=number).path for number in range(STUDY_INSTANCES)]

    def is_right(number: int, body: bytes) -> bool:
        wanted = replace(place, instance=turn(number, STUDY_INSTANCES))
        return make_file(wanted, CT)[_HEAD_BYTES:] in body

    blobs = await find_blobs(stage, place)
    raw = partial(turns, [partial(read, stage.raw, blob) for blob, _ in blobs])
    web = partial(gets, paths, ANY_INSTANCE)
    return [Case(name, callers, web, raw, is_right=is_right) for callers in (1, 16)]


async def _studies(stage: Stage) -> list[Case]:
    found = []
    for how, at_once in {"stored one by one": 1, "stored 25 a request": 25}.items():
        name = f"retrieve a study of {STUDY_INSTANCES} x 0.5 MB, {how}"
        if not stage.wants(name):
            continue
        place = Place(next(stage.runs), ELSEWHERE)
        await _store_study(stage, place, at_once)
        blobs = await find_blobs(stage, place)
        raw = partial(turns, [partial(_read_many, stage.raw, blobs)])
        is_right = partial(holds, sum(length for _, length in blobs))
        web = partial(gets, [f"studies/{place.study_uid}"], ANY_INSTANCE)
        found += [Case(name, callers, web, raw, is_right=is_right) for callers in (1, 4)]
    return found


async def _frames(stage: Stage) -> list[Case]:
    found = []
    for size, frames in FRAMES.items():
        name = f"a frame of 0.5 MB of an object of {size}"
        if not stage.wants(name):
            continue
        place, shape = Place(next(stage.runs), ELSEWHERE), Shape(512, 512, frames)
        await stage.store_everywhere([[make_file(place, shape)]])
        ((blob, length),) = await find_blobs(stage, place)
        starts = [length - (number + 1) * shape.frame_bytes for number in range(shape.frames)]
        raw = partial(
            turns, [partial(read, stage.raw, blob, span=(start, shape.frame_bytes)) for start in starts]
        )
        paths = [f"{place.path}/frames/{number + 1}" for number in range(shape.frames)]
        web, is_right = partial(gets, paths, ANY_FRAME), partial(holds, shape.frame_bytes)
        # Of the largest object, for which other servers take seconds, one caller is enough.
        callers = (1, 6) if shape.frames < 1_000 else (1,)
        found += [Case(name, number, web, raw, is_right=is_right) for number in callers]
    return found


async def _tiles(stage: Stage) -> list[Case]:
    name = f"tile storm: a tile of 4 KB of an object of {TILES:,} frames"
    if not stage.wants(name):
        return []
    place, shape = Place(next(stage.runs), ELSEWHERE), Shape(256, 256, TILES)
    tiles = [_tile(number) for number in range(1, TILES + 1)]
    await stage.store_everywhere([[make_file(place, shape, Compressed(JPEG, tiles))]])
    ((blob, length),) = await find_blobs(stage, place)

    def is_right(number: int, body: bytes) -> bool:
        return tiles[turn(number, TILES)] in body

    starts = range(0, length - TILE_BYTES, TILE_BYTES)
    raw = partial(turns, [partial(read, stage.raw, blob, span=(start, TILE_BYTES)) for start in starts])
    web = partial(gets, [f"{place.path}/frames/{number}" for number in range(1, TILES + 1)], ANY_FRAME)
    one, storm = (Case(name, callers, web, raw, is_right=is_right) for callers in (1, STORM))
    return [one, replace(storm, has_peer=False)]


def _tile(number: int) -> bytes:
    """What stands for a compressed tile, counted from 1."""
    return b"\xff\xd8" + number.to_bytes(4, "big") * ((TILE_BYTES - 4) // 4) + b"\xff\xd9"


async def _read_many(raw: Raw, blobs: Sequence[Blob]) -> Answer:
    """All of them, as many at a time as the service reads."""
    waiting = iter(blobs)
    size = 0

    async def read_on() -> None:
        nonlocal size
        for name, _ in waiting:
            size += len(await raw.get_blob(DICOM, name))

    await asyncio.gather(*(read_on() for _ in range(_READ_AHEAD)))
    return Answer(size)
