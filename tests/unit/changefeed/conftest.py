"""Storage of the tests of the change feed, and entries in it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import pytest

from shared.storage import feed
from shared.storage.connection import Connection, resolve
from shared.storage.feed import Entry
from shared.storage.storage import Storage, Times, open_storage

T = TypeVar("T")

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


class Using(Protocol):
    """Runs a piece of a test with storage of its own process."""

    def __call__(self, act: Callable[[Storage], Awaitable[T]]) -> T: ...


@pytest.fixture
def connection(new_account: Callable[[], str]) -> Connection:
    """An empty account."""
    return resolve("STORAGE", {"STORAGE": new_account()})


@pytest.fixture
def using(connection: Connection) -> Using:
    """Runs against an empty account."""

    def run(act: Callable[[Storage], Awaitable[T]]) -> T:
        async def whole() -> T:
            storage = open_storage(connection, Times(timedelta(0), timedelta(minutes=15)))
            try:
                return await act(storage)
            finally:
                await storage.aclose()

        return asyncio.run(whole())

    return run


def entry(sequence: int, time: datetime = NOON, action: str = "create") -> Entry:
    """An entry of which only sequence, time and action matter."""
    return Entry(
        sequence=sequence,
        time=time,
        action=action,
        partition="microsoft.default",
        study="1.2.3",
        series="1.2.3.4",
        instance=f"1.2.3.4.{sequence}",
        version=1000 + sequence,
        change=2000 + sequence,
    )


async def enter(storage: Storage, times: Sequence[datetime]) -> None:
    """Enter one entry for each time, in groups as an emitter does."""
    entries = [replace(entry(sequence), time=time) for sequence, time in enumerate(times, start=1)]
    for at in range(0, len(entries), feed.MAX_ENTRIES):
        await feed.append(storage, entries[at : at + feed.MAX_ENTRIES])
