"""Azurites with many accounts, so that each test has storage of its own, and the nursery."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.dev import azurite as emulator
from tests.faults.accounts import Account
from tests.faults.nursery import Nursery

ACCOUNTS = [f"faults{number}" for number in range(40)]
"""Of one emulator. It keeps in memory what they hold, and slows down; so another takes its place."""

NewAccount = Callable[[], Account]


@pytest.fixture(scope="session")
def new_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewAccount]:
    """Gives an empty account, another one at each call."""
    accounts = _accounts(tmp_path_factory.mktemp("azurite"))
    yield lambda: next(accounts)
    accounts.close()


def _accounts(logs: Path) -> Generator[Account, None, None]:
    keys = dict.fromkeys(ACCOUNTS, emulator.KEY)
    with ExitStack() as current, ExitStack() as last:
        while True:
            running = current.enter_context(emulator.start(accounts=keys, logs=logs))
            for name in ACCOUNTS:
                yield Account(name, running.ports)
            # A test may have accounts of two, so the one before goes on until this one is used up.
            last.close()
            last.push(current.pop_all())


@pytest.fixture
def some_accounts(new_account: NewAccount) -> list[Account]:
    """Empty accounts for what can only be done once at a time in each."""
    return [new_account() for _ in range(3)]


@pytest.fixture
def account(new_account: NewAccount) -> Account:
    """An empty account."""
    return new_account()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """The process that jobs are forked from."""
    with Nursery() as running:
        yield running
