"""What the tools share: progress lines, failures in one sentence, commands with a log."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
LOGS = LOCAL / "log"

HEARTBEAT_SECONDS = 20


class Failure(Exception):
    """A tool cannot go on. The message is one sentence for the person who called it."""


def say(text: str) -> None:
    """Tell what goes on. Standard output stays free for results."""
    print(text, file=sys.stderr, flush=True)


def exit_with(tool: Callable[[], int]) -> NoReturn:
    """Run a tool and end the process with its code; a failure ends it with its sentence, without a trace."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A shell without job control starts its background jobs with this signal ignored.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        code = tool()
    except Failure as failure:
        say(f"error: {failure}")
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def run(
    step: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, hint: str = ""
) -> None:
    """Run a long command to its end, with a line now and then to show that it lives.

    Args:
        step: What is being done, such as "Installing Python packages".
        command: The program and its arguments.
        env: Its whole environment; ours when left out.
        hint: What to expect, such as "about a minute".

    Raises:
        Failure: The command did not end with 0; its output is in the log that the message names.
    """
    log = LOGS / (step.lower().replace(" ", "-") + ".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f"{step} ({hint}) ..." if hint else f"{step} ...")
    began = time.monotonic()
    with log.open("wb") as out:
        # It inherits the lock of the setup, which so holds as long as a command that a kill left behind.
        child = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, close_fds=False
        )
        try:
            code = _wait(child, step, began)
        except BaseException:
            child.kill()
            child.wait()
            raise
    if code != 0:
        raise Failure(f"{step} failed: {_reason(log)} (the whole output is in {log.relative_to(ROOT)})")


def _wait(child: subprocess.Popen[bytes], step: str, began: float) -> int:
    while True:
        try:
            return child.wait(timeout=HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"  still {step[0].lower()}{step[1:]} ({time.monotonic() - began:.0f} s) ...")


def _reason(log: Path) -> str:
    """Pick the line that tells the most: the last one that says error, else the last one."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and "complete log" not in line]
    told = (errors or lines or ["it said nothing"])[-1]
    return told[:300].rstrip(".")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def python_of(environment: Path) -> Path:
    """Name the interpreter of a virtual environment."""
    return environment / "bin" / "python"


def clean_environment() -> dict[str, str]:
    """Copy our environment without what would lead an interpreter or pip out of its virtual environment."""
    leading_out = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "__PYVENV_LAUNCHER__"}
    return {name: value for name, value in os.environ.items() if name not in leading_out}
