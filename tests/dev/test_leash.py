"""What is on a leash ends with the one that holds it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.dev.leash import Command, Leash

ROOT = Path(__file__).parents[2]

SLEEPER = (
    "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
)

WAITER = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.02)
sys.exit(7)
"""

STARTER = """
import sys, time
from local.dev.leash import Command, Leash
leash = Leash([Command([sys.executable, "-c", sys.argv[1], sys.argv[2]])])
time.sleep(60)
"""


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def number_in(file: Path) -> int:
    assert until(lambda: file.exists() and file.read_text().isdecimal())
    return int(file.read_text())


def runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_command_ends_with_its_starter_however_that_ends(tmp_path: Path, ending: signal.Signals) -> None:
    told = tmp_path / "number"
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, SLEEPER, str(told)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    sleeper = number_in(told)

    starter.send_signal(ending)
    starter.wait()

    assert until(lambda: not runs(sleeper))


def test_commands_end_when_one_of_them_ends(tmp_path: Path) -> None:
    told = tmp_path / "number"
    leash = Leash(
        [
            Command([sys.executable, "-c", SLEEPER, str(told)]),
            Command([sys.executable, "-c", WAITER, str(told)], log=str(tmp_path / "log")),
        ]
    )

    code = leash.wait()

    assert code == 7
    assert not runs(number_in(told))
    leash.stop()


def test_stopping_interrupts_and_waits(tmp_path: Path) -> None:
    told, log = tmp_path / "number", tmp_path / "log"
    leash = Leash([Command([sys.executable, "-c", SLEEPER, str(told)], log=str(log))])
    sleeper = number_in(told)

    leash.stop()

    assert not runs(sleeper)
    assert "KeyboardInterrupt" in log.read_text()
