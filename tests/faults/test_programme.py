"""Promises 1 to 3 hold through sixty seeds of stores, deletions and reads in bad weather, with kills."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import serving
from tests.faults.accounts import Account
from tests.faults.nursery import Nursery
from tests.faults.programme import SMALL, run_seeds

SEEDS = 60
TOGETHER = 12
"""Seeds that share an account, a sweep and a look at everything."""

ONE = os.environ.get("FAULTS_SEED", "")
"""Try this seed alone, with those it shares an account with."""

FIRST = [
    first for first in range(1, SEEDS + 1, TOGETHER) if not ONE or first <= int(ONE) < first + TOGETHER
] or [int(ONE)]


@pytest.fixture(scope="module")
def services() -> Iterator[Nursery]:
    """The process that services are forked from."""
    with Nursery(serving.MODULE) as running:
        yield running


@pytest.mark.parametrize("first", FIRST)
def test_what_clients_were_told_is_what_is_there(
    first: int, account: Account, services: Nursery, tmp_path: Path
) -> None:
    report = asyncio.run(run_seeds(account, services, range(first, first + TOGETHER), SMALL, tmp_path))

    print(report.line)
    assert report.problems == []
