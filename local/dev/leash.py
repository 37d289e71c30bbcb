"""Keeps processes from outliving the one that started them, however that one ends.

The starter holds one end of a pipe; this script, a process of its own in a session of its own, holds the
other and starts the commands. When the pipe closes, because the starter asks for it or because it died, the
commands are told to stop. Ctrl-C in the terminal reaches only the starter, which stops them in its own order.
"""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

GRACE_SECONDS = 20
"""How long a command may take to stop before it is killed."""

_PR_SET_PDEATHSIG = 1

Events = queue.SimpleQueue[subprocess.Popen[bytes] | None]
"""A child that ended, or the wish to stop."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to keep running."""

    argv: list[str]
    """The program and its arguments."""

    log: str | None = None
    """The file its output is written to; it shares ours when absent."""

    prints: bool = False
    """Whether its standard output stays shared although it has a log."""


class Leash:
    """Commands that run together: when one ends, or we do, all end."""

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
        cwd: Path | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start the commands.

        Args:
            commands: What to run.
            env: Their whole environment; ours when left out.
            stdout: Where the commands print to, as `subprocess.Popen` takes it.
            cwd: The folder they run in; ours when left out.
            keep_open: Files that stay open as long as the commands run, such as locks.
        """
        spec = json.dumps([asdict(command) for command in commands])
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, spec],
            stdin=subprocess.PIPE,
            stdout=stdout,
            env=env,
            cwd=cwd,
            pass_fds=keep_open,
            start_new_session=True,
        )

    @property
    def stdout(self) -> IO[bytes]:
        """What the commands print, when started with a pipe."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def ended(self) -> bool:
        """Whether a command has ended, and with it all."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Stop the commands and wait until they are gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def wait(self) -> int:
        """Wait until a command ends by itself; its exit code."""
        return self._process.wait()


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask for a signal when our parent dies. Only Linux can do it; elsewhere this does nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def main() -> int:
    """Run the commands given as JSON until one ends or standard input closes."""
    events: Events = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: events.put(None))
    children = [_start(Command(**command)) for command in json.loads(sys.argv[1])]
    for child in children:
        threading.Thread(target=_report_end, args=(child, events), daemon=True).start()
    threading.Thread(target=_report_close, args=(events,), daemon=True).start()
    first = events.get()
    _stop(children)
    if first is None:
        return 0
    return first.returncode if first.returncode >= 0 else 128 - first.returncode


def _start(command: Command) -> subprocess.Popen[bytes]:
    with open(command.log, "ab") if command.log else contextlib.nullcontext() as log:
        return subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=None if command.prints else log,
            stderr=log,
            # For a leash that is itself killed. No thread runs yet, which this way of setting it needs.
            preexec_fn=_die_with_leash,
        )


def _die_with_leash() -> None:
    die_with_parent(signal.SIGKILL)


def _report_end(child: subprocess.Popen[bytes], events: Events) -> None:
    child.wait()
    events.put(child)


def _report_close(events: Events) -> None:
    while os.read(0, 1024):
        pass
    events.put(None)


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt what still runs: Azurite's table service knows only that signal, and saves its data on it."""
    for child in children:
        if child.returncode is None:
            child.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        try:
            child.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())
