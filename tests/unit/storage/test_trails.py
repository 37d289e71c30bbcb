"""The trails of searches: found by the same search of the same caller, for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid4

import pytest

from shared.storage import keys, trails
from shared.storage.connection import resolve
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import merge
from shared.storage.trails import Trail
from tests.conftest import NewAccount

T = TypeVar("T")

Run = Callable[[Callable[[Storage], Awaitable[T]]], T]
TRAIL = Trail(7, {25: "a", 50: "b"})


@pytest.fixture(scope="module")
def connection_text(new_account: NewAccount) -> str:
    return new_account()


def using(connection: str, act: Callable[[Storage], Awaitable[T]]) -> T:
    """Run `act` against the emulator."""

    async def whole() -> T:
        storage = open_storage(resolve("S", {"S": connection}), Times(timedelta(0), timedelta(0)))
        try:
            return await act(storage)
        finally:
            await storage.aclose()

    return asyncio.run(whole())


async def end(storage: Storage, search: str) -> None:
    """Let the time of a trail be over."""
    partition, row = keys.search_key(search)
    long_ago = datetime.now(UTC) - timedelta(seconds=1)
    await storage.tables.transact(keys.SEARCHES, partition, [merge(row, {"expires": long_ago})])


def test_a_trail_is_found_by_its_search_until_it_ends(connection_text: str) -> None:
    """By no other search, and also before a sweep has removed it not when it is over."""
    search = uuid4().hex

    async def act(storage: Storage) -> tuple[Trail | None, ...]:
        await trails.begin(storage, search, TRAIL)
        found = await trails.read(storage, search), await trails.read(storage, f"{search} ")
        await end(storage, search)
        return *found, await trails.read(storage, search)

    found, other, over = using(connection_text, act)

    assert found is not None
    assert (found.until, found.ends) == (7, TRAIL.ends)
    assert other is None
    assert over is None


def test_a_trail_that_was_begun_anew_stays_as_it_is(connection_text: str) -> None:
    """Who still follows the old one keeps its ends to itself."""
    search = uuid4().hex

    async def act(storage: Storage) -> list[Trail | None]:
        await trails.begin(storage, search, TRAIL)
        old = await trails.read(storage, search)
        assert old
        await trails.go_on(storage, search, old, {75: "c"})
        gone_on = await trails.read(storage, search)
        await trails.begin(storage, search, Trail(8, {25: "x"}))
        await trails.go_on(storage, search, old, {100: "d"})
        return [gone_on, await trails.read(storage, search)]

    gone_on, new = using(connection_text, act)

    assert gone_on
    assert (gone_on.until, gone_on.ends) == (7, {75: "c"})
    assert new
    assert (new.until, new.ends) == (8, {25: "x"})


def test_a_sweep_removes_what_is_over_and_nothing_else(connection_text: str) -> None:
    """It may find none, and two sweeps may meet."""
    old, young = [uuid4().hex for _ in range(20)], uuid4().hex

    async def act(storage: Storage) -> tuple[int, int, Trail | None]:
        await trails.remove_old(storage, datetime.now(UTC))
        for search in (*old, young):
            await trails.begin(storage, search, TRAIL)
        for search in old:
            await end(storage, search)
        now = datetime.now(UTC)
        removed = sum(await asyncio.gather(trails.remove_old(storage, now), trails.remove_old(storage, now)))
        return removed, await trails.remove_old(storage, now), await trails.read(storage, young)

    removed, again, left = using(connection_text, act)

    assert removed == len(old)
    assert again == 0
    assert left is not None


def test_nothing_of_a_search_is_kept_in_clear(connection_text: str) -> None:
    """Neither who is looked for nor who looks."""

    async def act(storage: Storage) -> str:
        await trails.begin(storage, "PatientName=Doe^Jane Bearer secret", TRAIL)
        partition, row = keys.search_key("PatientName=Doe^Jane Bearer secret")
        found = await storage.tables.get(keys.SEARCHES, partition, row)
        assert found
        return f"{found.partition} {found.row} {dict(found.values)}"

    kept = using(connection_text, act)

    assert "Doe" not in kept
    assert "secret" not in kept
