"""`make soak`: the seeded programme on a larger scale, as long as told, and one line of figures at its end.

SOAK_SECONDS=1800 make soak
make soak SEED=1234         # try again what went wrong: this seed and those it shared an account with
"""

import asyncio
import math
import os
import sys
import time
import traceback
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

from local.dev import azurite as emulator
from tests.faults import serving
from tests.faults.accounts import Account
from tests.faults.nursery import Nursery
from tests.faults.programme import LONG, Report, run_seeds, seed_of

TOGETHER: Final = 4
"""Seeds that share an account, a sweep and a look at everything."""

ACCOUNTS: Final = tuple(f"soak{number:02}" for number in range(12))
"""Of one emulator, which slows down with what it holds."""

CHECK_SECONDS: Final = 30.0
"""For the sweeps and the look at everything, of the time there is."""

MOST_TOLD: Final = 20
INTERRUPTED: Final = 130


@dataclass(slots=True)
class Soak:
    """A soak under way."""

    first: int
    """The seed to begin with."""

    until: float
    """When to ask nothing more, on the monotonic clock."""

    logs: Path
    is_once: bool = False
    """Whether one account is all."""

    began: float = field(default_factory=time.monotonic)
    total: Report = field(default_factory=Report)

    def run(self) -> None:
        """Try seeds until the time is over, four at a time and at least once."""
        with (
            Nursery(serving.MODULE, errors=self.logs / "errors.log") as services,
            closing(_accounts(self.logs)) as accounts,
        ):
            for account in accounts:
                seeds = range(self.first, self.first + TOGETHER)
                self._take(seeds, self._try(account, services, seeds))
                self.first += TOGETHER
                if self.is_once or time.monotonic() >= self.until:
                    return

    def _try(self, account: Account, services: Nursery, seeds: range) -> Report:
        trying = run_seeds(account, services, seeds, LONG, self.logs, until=self.until)
        try:
            return asyncio.run(trying)
        except Exception:
            # A bug, here or in the service; there are figures at the end all the same.
            return Report(problems=[f"seed-{seeds[0]}: {traceback.format_exc()}"])

    def _take(self, seeds: range, report: Report) -> None:
        print(f"seeds {seeds[0]} to {seeds[-1]}: {report.line}", flush=True)
        _tell(report, self.logs)
        self.total += report
        for seed in () if report.problems else seeds:
            for path in (*self.logs.glob(f"seed-{seed}.*"), *self.logs.glob(f"{seed}-*.log")):
                path.unlink()

    @property
    def faults(self) -> str:
        """How often what went wrong."""
        return ", ".join(f"{kind} {count}" for kind, count in self.total.faults.most_common())

    @property
    def line(self) -> str:
        """The figures."""
        return f"soak of {time.monotonic() - self.began:.0f} s: {self.total.line}"


def main() -> int:
    """Soak; 0 when nothing was wrong."""
    seed, logs = os.environ.get("SEED", ""), Path(mkdtemp(prefix="soak-"))
    seconds = float(os.environ.get("SOAK_SECONDS") or 600)
    first = int(seed) - int(seed) % TOGETHER if seed else SystemRandom().randrange(250_000) * TOGETHER
    # A seed that is tried again is tried whole.
    until = math.inf if seed else time.monotonic() + max(0.0, seconds - CHECK_SECONDS)
    soak = Soak(first, until, logs, is_once=bool(seed))
    interrupted = False
    try:
        soak.run()
    except KeyboardInterrupt:
        print(f"interrupted; seeds from {soak.first} on were not checked")
        interrupted = True
    print(f"faults: {soak.faults}")
    print(soak.line)
    if soak.total.problems:
        return 1
    rmtree(logs)
    return INTERRUPTED if interrupted else 0


def _accounts(logs: Path) -> Generator[Account, None, None]:
    """One empty account after the other."""
    while True:
        with emulator.start(accounts=dict.fromkeys(ACCOUNTS, emulator.KEY), logs=logs) as running:
            for name in ACCOUNTS:
                yield Account(name, running.ports)


def _tell(report: Report, logs: Path) -> None:
    """Say what went wrong, and how to try it again."""
    for problem in report.problems[:MOST_TOLD]:
        # Of a trace the error will do; the diary has all of it.
        print("    " + " ... ".join(dict.fromkeys([problem.splitlines()[0], problem.splitlines()[-1]])))
    for seed in sorted({seed_of(line) for line in report.problems} - {""}):
        print(f"    Try again: make soak SEED={seed} (what was asked and answered: {logs}/seed-{seed}.diary)")


if __name__ == "__main__":
    sys.exit(main())
