"""The subscriber of `docs/change-feed.md`, run as it stands there."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.archive import Archive
from tests.conftest import StartService
from tests.factories import make

PAGE = Path(__file__).resolve().parents[2] / "docs" / "change-feed.md"
PATIENCE_SECONDS = 30


def code() -> str:
    """The code of the page."""
    (found,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def handled(log: Path) -> list[dict[str, Any]]:
    """What the subscriber has done, whole lines only."""
    text = log.read_text() if log.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def has_more(log: Path, count: int) -> bool:
    """Whether more was handled."""
    return len(handled(log)) > count


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


DEATH = """
import os, signal, sys

event, name, left = {event!r}, {name!r}, {number}


def look(happened, arguments):
    global left
    if happened == event and str(arguments[0]) == name:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(look)
"""
"""Put beside the program, which is not touched: kills it as it is about to do something to a file again."""


@contextmanager
def subscriber(tmp_path: Path, base: str, death: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run it; it is killed at the end, and never asked to end."""
    program = tmp_path / "subscriber.py"
    program.write_text(code())
    beside = tmp_path / "beside"
    beside.mkdir(exist_ok=True)
    (beside / "sitecustomize.py").write_text(death)
    running = subprocess.Popen(
        [sys.executable, str(program), base, str(tmp_path / "place"), str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": str(beside)},
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def test_it_is_short() -> None:
    """About thirty lines that do something."""
    lines = [line for line in code().splitlines() if line.strip()]

    assert len(lines) <= 32


def test_it_sees_every_change_through_its_own_crashes(
    start: StartService, http: httpx.Client, tmp_path: Path
) -> None:
    """At least once, in order, from where it was; and of a change soon."""
    log = tmp_path / "log"
    with start({}) as service:
        archive = Archive(http, service.url, None)
        base = f"{service.url}/v2"
        for _ in range(3):
            # Killed as soon as it has handled something, its place written or not.
            with subscriber(tmp_path, base):
                before = len(handled(log))
                archive.keep(*(make() for _ in range(30)))
                wait_until(partial(has_more, log, before))
        with subscriber(tmp_path, base):
            wait_until(lambda: {each["sequence"] for each in handled(log)} >= set(range(1, 91)))
            archive.keep(make())
            wait_until(lambda: handled(log)[-1]["sequence"] == 91)

    sequences = [each["sequence"] for each in handled(log)]
    assert list(dict.fromkeys(sequences)) == list(range(1, 92))
    assert len(sequences) <= 91 + 3 * 50, "it does not keep its place"


def test_it_is_killed_in_the_middle_and_goes_on_from_its_place(
    start: StartService, http: httpx.Client, tmp_path: Path
) -> None:
    """Between two entries of a page, behind the last one, and as the new place is put in: all come again."""
    log, place = str(tmp_path / "log"), str(tmp_path / "place")
    deaths = (("open", log, 3), ("open", f"{place}.new", 1), ("os.rename", f"{place}.new", 1))
    with start({}) as service:
        archive, base = Archive(http, service.url, None), f"{service.url}/v2"
        archive.keep(*(make() for _ in range(5)))
        assert archive.http.get(f"{base}/changefeed/latest").json()["sequence"] == 5
        for event, name, number in deaths:
            death = DEATH.format(event=event, name=name, number=number)
            with subscriber(tmp_path, base, death) as running:
                assert running.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        with subscriber(tmp_path, base):
            wait_until((tmp_path / "place").exists)
        with subscriber(tmp_path, base):
            archive.keep(make())
            wait_until(lambda: handled(tmp_path / "log")[-1]["sequence"] == 6)

    whole = [1, 2, 3, 4, 5]
    assert [each["sequence"] for each in handled(tmp_path / "log")] == [1, 2, *whole, *whole, *whole, 6]


def test_it_outlives_the_service(start: StartService, http: httpx.Client, tmp_path: Path) -> None:
    """It waits, and asks again."""
    with subscriber(tmp_path, "http://127.0.0.1:1/v2") as running:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(3)
        assert not (tmp_path / "place").exists()
