"""The key of cursors: one for an archive, however many processes ask for it first."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from shared.storage import trails
from shared.storage.calls import counted
from shared.storage.connection import resolve
from shared.storage.cursor_key import read_cursor_key
from shared.storage.storage import Storage, Times, open_storage
from tests.conftest import NewAccount

T = TypeVar("T")
YEARS = timedelta(days=3_650)


@pytest.fixture
def connection(new_account: NewAccount) -> str:
    """A new account."""
    return new_account()


def using(connection: str, act: Callable[[list[Storage]], Awaitable[T]], number: int = 1) -> T:
    """Let some processes act on an account."""

    async def whole() -> T:
        times = Times(timedelta(0), timedelta(0))
        storages = [open_storage(resolve("S", {"S": connection}), times) for _ in range(number)]
        try:
            return await act(storages)
        finally:
            for storage in storages:
                await storage.aclose()

    return asyncio.run(whole())


def test_processes_that_make_it_at_once_agree(connection: str) -> None:
    """One is first, and the others take what it made; so does who comes later."""

    async def act(storages: list[Storage]) -> list[bytes]:
        return await asyncio.gather(*map(read_cursor_key, storages))

    found = {*using(connection, act, 8), *using(connection, act)}

    assert len(found) == 1
    assert len(found.pop()) == 44


def test_it_is_read_once(connection: str) -> None:
    """A process remembers it."""

    async def act(storages: list[Storage]) -> int:
        await read_cursor_key(storages[0])
        with counted() as calls:
            await read_cursor_key(storages[0])
        return calls.calls

    assert using(connection, act) == 0


def test_it_is_kept_when_old_trails_are_removed(connection: str) -> None:
    """It lies in their table, and stays for good."""

    async def act(storages: list[Storage]) -> tuple[bytes, int]:
        made = await read_cursor_key(storages[0])
        return made, await trails.remove_old(storages[0], datetime.now(UTC) + YEARS)

    made, removed = using(connection, act)

    async def again(storages: list[Storage]) -> bytes:
        return await read_cursor_key(storages[0])

    assert removed == 0
    assert using(connection, again) == made
