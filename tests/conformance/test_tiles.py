"""Many frames at once of an object of very many, as viewers of slides ask for them (API rules section 5)."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.dev import azurite
from tests.archive import Archive, parts_of
from tests.conformance.test_large import Host, warm_up
from tests.conformance.test_upsert import put
from tests.factories import Instance, make_encapsulated, new_uid

TILES = 20_000
AT_ONCE = 64
GROWTH_BYTES = 48 * 1024 * 1024
"""What the process may grow by while so many ask at once, the index of all tiles included."""

ANY = 'multipart/related; type="image/jpeg"'
CALLS = re.compile(r"route=retrieve_instance_frames .*storage_calls=(\d+) rows=(\d+)")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux to see memory"
)


def tile(number: int) -> bytes:
    """What stands for a compressed tile, counted from 1: each its own, and of its own length."""
    return b"\xff\xd8" + number.to_bytes(4, "big") * (20 + number * 37 % 180)


@pytest.fixture(scope="module")
def slide() -> Instance:
    """A sparse slide of small tiles."""
    return make_encapsulated([tile(number) for number in range(1, TILES + 1)])


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A service of its own, whose memory and log are this test's alone."""
    with azurite.start(logs=tmp_path) as storage:
        host = Host(storage.connection_string(), tmp_path / "log")
        try:
            yield host
        finally:
            host.stop()


def test_a_storm_of_tiles_is_two_calls_each_and_little_memory(
    host: Host, slide: Instance, tmp_path: Path
) -> None:
    """Also of the first 64, who all come before the index is known."""
    with httpx.Client(timeout=60, limits=httpx.Limits(max_connections=AT_ONCE)) as http:
        archive = Archive.fresh(http, host.url)
        warm_up(archive)
        archive.keep(slide)
        idle = host.memory("VmRSS")
        host.forget_peak()

        def ask(number: int) -> bool:
            answer = archive.get(f"{slide.path}/frames/{number}", ANY)
            return answer.status_code == 200 and [part.content for part in parts_of(answer)] == [tile(number)]

        numbers = [1 + step * 7919 % TILES for step in range(AT_ONCE * 8)]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            right = list(threads.map(ask, numbers))
        grown = host.memory("VmHWM") - idle

    asked = CALLS.findall((tmp_path / "log").read_text())[-len(numbers) :]
    assert all(right)
    assert len(asked) == len(numbers)
    assert {(int(calls), int(rows)) for calls, rows in asked} == {(2, 1)}
    assert grown < GROWTH_BYTES, grown


def test_a_slide_that_was_replaced_gives_its_new_tiles(archive: Archive) -> None:
    """What a process remembers of the one before does not count."""
    before = [tile(number) for number in range(1, 3000)]
    uids: dict[str, Any] = {
        "StudyInstanceUID": new_uid(),
        "SeriesInstanceUID": new_uid(),
        "SOPInstanceUID": new_uid(),
    }
    first = make_encapsulated(before, **uids)
    second = make_encapsulated(before[::-1], **uids)
    archive.keep(first)

    earlier = [archive.get(f"{first.path}/frames/2000", ANY) for _ in range(2)]
    assert put(archive, second).status_code == 200
    later = [archive.get(f"{first.path}/frames/2000", ANY) for _ in range(2)]

    assert [part.content for answer in earlier for part in parts_of(answer)] == [before[1999]] * 2
    assert [part.content for answer in later for part in parts_of(answer)] == [before[-2000]] * 2
