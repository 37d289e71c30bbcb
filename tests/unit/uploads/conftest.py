"""Storage of the tests of uploads."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol, TypeVar

import pytest

from shared.storage.connection import Connection, resolve
from shared.storage.storage import Storage, Times, open_storage

T = TypeVar("T")


class Using(Protocol):
    """Runs a piece of a test with storage of its own process."""

    def __call__(self, act: Callable[[Storage], Awaitable[T]], *, grace: timedelta = ...) -> T: ...


@pytest.fixture
def connection(new_account: Callable[[], str]) -> Connection:
    """An empty account."""
    return resolve("STORAGE", {"STORAGE": new_account()})


@pytest.fixture
def using(connection: Connection) -> Using:
    """Runs against an empty account."""

    def run(act: Callable[[Storage], Awaitable[T]], *, grace: timedelta = timedelta(minutes=15)) -> T:
        async def whole() -> T:
            storage = open_storage(connection, Times(timedelta(0), grace))
            try:
                return await act(storage)
            finally:
                await storage.aclose()

        return asyncio.run(whole())

    return run
