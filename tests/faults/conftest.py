"""An Azurite with many accounts, so that each test has storage of its own, and the nursery."""

from collections.abc import Callable, Iterator

import pytest

from local.dev import azurite as emulator
from tests.faults.accounts import Account
from tests.faults.nursery import Nursery

ACCOUNTS = [f"faults{number}" for number in range(400)]

NewAccount = Callable[[], Account]


@pytest.fixture(scope="session")
def new_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewAccount]:
    """Gives an empty account, another one at each call."""
    names = iter(ACCOUNTS)
    accounts = dict.fromkeys(ACCOUNTS, emulator.KEY)
    with emulator.start(accounts=accounts, logs=tmp_path_factory.mktemp("azurite")) as running:
        yield lambda: Account(next(names), running.ports)


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
