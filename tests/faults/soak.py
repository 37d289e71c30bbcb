"""`make soak`: the seeded programme on a larger scale, as long as told, and one line of figures at its end.

SOAK_SECONDS=1800 make soak
make soak SEED=1234         # try again what went wrong: this seed and those it shared an account with
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom
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

MOST_TOLD: Final = 20


def main() -> int:
    """Soak; 0 when nothing was wrong."""
    seed = os.environ.get("SEED", "")
    end = time.monotonic() + (0 if seed else float(os.environ.get("SOAK_SECONDS") or 600))
    first = int(seed) - int(seed) % TOGETHER if seed else SystemRandom().randrange(250_000) * TOGETHER
    logs = Path(mkdtemp(prefix="soak-"))
    began, total = time.monotonic(), Report()
    with Nursery(serving.MODULE, errors=logs / "errors.log") as services:
        for account in _accounts(logs):
            seeds = range(first, first + TOGETHER)
            report = asyncio.run(run_seeds(account, services, seeds, LONG, logs))
            print(f"seeds {seeds[0]} to {seeds[-1]}: {report.line}", flush=True)
            _tell(report, logs)
            total, first = total + report, first + TOGETHER
            if time.monotonic() >= end:
                break
    print(f"soak of {time.monotonic() - began:.0f} s: {total.line}")
    return 1 if total.problems else 0


def _accounts(logs: Path) -> Iterator[Account]:
    """One empty account after the other."""
    while True:
        with emulator.start(accounts=dict.fromkeys(ACCOUNTS, emulator.KEY), logs=logs) as running:
            for name in ACCOUNTS:
                yield Account(name, running.ports)


def _tell(report: Report, logs: Path) -> None:
    """Say what went wrong, and how to try it again."""
    for line in report.problems[:MOST_TOLD]:
        print(f"    {line}")
    for seed in sorted({seed_of(line) for line in report.problems} - {""}):
        print(f"    Try again: make soak SEED={seed} (what was asked and answered: {logs}/seed-{seed}.diary)")


if __name__ == "__main__":
    sys.exit(main())
