"""Runs the local host and notes where it is each time it has used some processor time.

`python -m bench.sampler FILE ARGUMENTS...`: SIGUSR1 forgets what was noted so far, SIGUSR2 writes it to FILE.
Unlike a tracing profiler it does not make small functions look dear. It sees the main thread, where all
asynchronous code runs.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

INTERVAL_SECONDS: Final = 0.002
"""Of processor time."""

MAX_DEPTH: Final = 80

Stack = tuple[str, ...]
"""Functions as `file:name`, the innermost first."""


class Sampler:
    """What was noted so far."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.stacks: Counter[Stack] = Counter()

    def note(self, _number: int, frame: FrameType | None) -> None:
        """Note where the main thread is."""
        stack: list[str] = []
        while frame is not None and len(stack) < MAX_DEPTH:
            stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
            frame = frame.f_back
        self.stacks[tuple(stack)] += 1

    def forget(self, _number: int, _frame: FrameType | None) -> None:
        """Begin anew."""
        self.stacks.clear()

    def write(self, _number: int, _frame: FrameType | None) -> None:
        """Write everything at once, so that a reader sees all of it or nothing."""
        unfinished = self._file.with_suffix(".part")
        unfinished.write_text(json.dumps([[stack, count] for stack, count in self.stacks.items()]))
        unfinished.rename(self._file)


def main() -> None:
    """Run the local host under the sampler."""
    sampler = Sampler(Path(sys.argv[1]))
    sys.argv = ["local", *sys.argv[2:]]
    signal.signal(signal.SIGUSR1, sampler.forget)
    signal.signal(signal.SIGUSR2, sampler.write)
    signal.signal(signal.SIGPROF, sampler.note)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    runpy.run_module("local", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
