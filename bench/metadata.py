"""Measures metadata of a series: as they are found at the first opening, and joined in one blob."""

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final

from bench.files import ELSEWHERE, SMALL, Place, make_file
from bench.load import Server, Work, WrongAnswer
from bench.reading import gets, read, turns
from bench.stage import JSON, OWN, Case, Stage

SERIES_INSTANCES: Final = 1_000
JOINED_CALLS: Final = 3
"""Storage calls of an answer from what is joined, at the most."""

JOIN_SECONDS: Final = 90
_PLAIN: Final = "metadata"
_GZIP: Final = "metadata.gz"


async def cases(stage: Stage) -> list[Case]:
    """Store a series, and prepare the measurements; the last wait until it is joined."""
    name = f"metadata of a series of {SERIES_INSTANCES:,}"
    first, joined, packed = f"{name}, first opening", f"{name}, joined", f"{name}, joined, in gzip"
    if not stage.wants(first, joined, packed):
        return []
    place = Place(next(stage.runs), ELSEWHERE)
    files = [make_file(replace(place, instance=number), SMALL) for number in range(SERIES_INSTANCES)]
    await stage.store_everywhere([files[at : at + 50] for at in range(0, SERIES_INSTANCES, 50)])
    path = f"{place.series_path}/metadata"
    await _keep_raw(stage, path)
    plain = partial(turns, [partial(read, stage.raw, _PLAIN, OWN)])
    zipped = partial(turns, [partial(read, stage.raw, _GZIP, OWN)])
    changed = partial(_changed, place, path, count(SERIES_INSTANCES))
    web, coded = partial(_joined, stage, path, ""), partial(_joined, stage, path, "gzip")
    return [
        *(Case(first, callers, changed, plain, is_right=_is_whole) for callers in (1, 4)),
        *(Case(joined, callers, web, plain, is_right=_is_whole) for callers in (1, 4)),
        *(Case(packed, callers, coded, zipped, is_right=_is_whole) for callers in (1, 4)),
    ]


async def _keep_raw(stage: Stage, path: str) -> None:
    """Put the same JSON into blobs of our own, for bare reads."""
    async with stage.ours.http.get(f"{stage.ours.root}/{path}", headers={"Accept": JSON}) as response:
        whole = await response.read()
    await stage.raw.make_container(OWN)
    await stage.raw.put_blob(OWN, _PLAIN, whole)
    await stage.raw.put_blob(OWN, _GZIP, gzip.compress(whole, 6))


def _is_whole(_number: int, body: bytes) -> bool:
    text = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
    return len(json.loads(text)) >= SERIES_INSTANCES


async def _changed(place: Place, path: str, numbers: Iterator[int], server: Server, count: int) -> list[Work]:
    """Requests for a series that has just changed, so that nothing is joined for seconds."""
    await server.store([make_file(replace(place, instance=next(numbers)), SMALL)])()
    return await gets([path], JSON, server, count)


async def _joined(stage: Stage, path: str, coding: str, server: Server, count: int) -> list[Work]:
    """Requests for a series that our service has joined."""
    if server.root == stage.ours.root:
        await _wait_until_joined(server, path)
    return await gets([path], JSON, server, count, coding=coding)


async def _wait_until_joined(server: Server, path: str) -> None:
    deadline = time.monotonic() + JOIN_SECONDS
    while True:
        async with server.http.get(f"{server.root}/{path}", headers={"Accept": JSON}) as response:
            await response.read()
            calls = int(response.headers.get("x-storage-calls", "0").partition(";")[0])
        if 0 < calls <= JOINED_CALLS:
            return
        if time.monotonic() > deadline:
            raise WrongAnswer(f"The series was not joined within {JOIN_SECONDS} seconds.")
        await asyncio.sleep(0.5)
