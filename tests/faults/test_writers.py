"""Two writers of the change feed, one of which is paused in the middle of its work: no fork, no gap, no time
that runs backwards, and every change once.

Each has connections of its own, as two processes have. What waits takes several transactions.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from shared.changefeed import turn, writer
from shared.changefeed.emit import emit
from shared.changefeed.order import number as numbered
from shared.storage import feed, keys, pending
from shared.storage.commit import announce_change
from shared.storage.feed import Entry
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.planning import render_pending
from shared.storage.rows import Change, Location
from shared.storage.storage import Head, Storage
from shared.storage.tables import insert
from shared.storage.versions import next_version
from tests.faults.accounts import Account
from tests.faults.crashing import end_lease
from tests.faults.driver import connect
from tests.faults.meeting import Holding
from tests.faults.proxy import Call, Proxy, held, held_and_lost, nth

APPEND = "POST table feed"
CHANGES, INSTANCES = 30, 20
"""Six transactions of five changes each."""

STUDIES = [StudyKey("p", f"1.2.{number}") for number in range(CHANGES)]

Act = Callable[[Storage, Storage, Proxy], Awaitable[None]]


@pytest.mark.parametrize("fault", [held, held_and_lost], ids=["on its way", "answer lost"])
@pytest.mark.parametrize("kind", [APPEND, "DELETE table archive", "POST blob changes"])
@pytest.mark.parametrize("number", [1, 3])
def test_a_writer_that_was_paused_neither_forks_nor_repeats(
    account: Account, kind: str, number: int, fault: Holding
) -> None:
    """At an append, at the removal of a row, at the removal of blobs; the other enters all the rest."""

    async def act(paused: Storage, other: Storage, proxy: Proxy) -> None:
        made = await commit_all(other)
        reached, until = asyncio.Event(), asyncio.Event()
        proxy.follow(nth(kind, number, fault(reached, until)))
        first = asyncio.create_task(emit(paused))
        await asyncio.wait_for(reached.wait(), 60)
        await end_lease(other)
        made += [await commit(other, STUDIES[at], "late") for at in range(3)]
        await emit(other)
        until.set()
        await first
        await emit(other)
        check(await feed.read_entries(other, 0), made)
        assert await left_over(other) == []

    asyncio.run(_with_two(account, act))


def test_what_takes_too_long_is_entered_with_a_later_time(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time is that of the entry, not of the try before: nothing gets into a window that was over."""
    monkeypatch.setattr(writer, "APPEND_SECONDS", 0.3)

    async def act(slow: Storage, other: Storage, proxy: Proxy) -> None:
        made = [await commit(other, STUDIES[0])]
        reached, until = asyncio.Event(), asyncio.Event()
        proxy.follow(nth(APPEND, 1, held(reached, until)))
        emission = asyncio.create_task(emit(slow))
        await asyncio.wait_for(reached.wait(), 60)
        tried = datetime.now(UTC)
        await emission
        # The first try arrives at last, and finds its place taken.
        until.set()
        await proxy.quiet()
        found = await feed.read_entries(other, 0)
        check(found, made)
        assert found[0].time - tried >= timedelta(seconds=0.2)

    asyncio.run(_with_two(account, act))


def test_a_try_that_was_given_up_and_arrives_first_is_the_entry(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storage had taken it, only the answer was late: it is found, counted and not entered again."""
    monkeypatch.setattr(writer, "APPEND_SECONDS", 0.3)

    async def act(slow: Storage, other: Storage, proxy: Proxy) -> None:
        made = await commit_all(other)
        reached, until = asyncio.Event(), asyncio.Event()
        proxy.follow(nth(APPEND, 2, held_and_lost(reached, until)))
        assert await emit(slow) == CHANGES * INSTANCES
        until.set()
        check(await feed.read_entries(other, 0), made)
        assert await left_over(other) == []

    asyncio.run(_with_two(account, act))


def test_a_clock_that_is_behind_does_not_turn_time_back(account: Account) -> None:
    """The feed ends with an entry from the future, of a writer whose clock is ahead."""

    async def act(one: Storage, other: Storage, proxy: Proxy) -> None:
        ahead = datetime.now(UTC) + timedelta(minutes=5)
        made = [await commit(one, STUDIES[0])]
        rows = await pending.all_pending(one, STUDIES[0])
        await feed.append(one, numbered(rows, Head(0, ahead), datetime.now(UTC)))
        made.append(await commit(one, STUDIES[1]))
        await emit(other)
        found = await feed.read_entries(other, 0)
        check(found, made)
        assert {entry.time for entry in found} == {ahead}

    asyncio.run(_with_two(account, act))


def test_a_turn_that_lasts_is_renewed_and_one_that_was_lost_is_taken_again(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing depends on it, but while it holds, two writers need not collide."""
    monkeypatch.setattr(turn, "RENEW_SECONDS", -1.0)

    async def act(one: Storage, other: Storage, proxy: Proxy) -> None:
        made = await commit_all(other)

        async def loses_turn(call: Call) -> web.StreamResponse:
            await end_lease(other)
            return (await call.forward()).response()

        proxy.follow(nth(APPEND, 3, loses_turn))
        await emit(one)
        check(await feed.read_entries(other, 0), made)
        actions = [call.request.headers.get("x-ms-lease-action") for call in proxy.seen]
        assert actions.count("renew") >= 6
        # Once to make its blob, once to take it, and once again.
        assert actions.count("acquire") == 3

    asyncio.run(_with_two(account, act))


async def commit(storage: Storage, key: StudyKey, name: str = "") -> ChangeKey:
    """Leave what a store leaves: a pending row and its blob."""
    version = next_version()
    changes = [Change("2", f"{name}{at}", version + at, Location("b", 0, 1)) for at in range(INSTANCES)]
    row = insert(keys.pending_row(version), render_pending("create", changes, ()))
    await storage.tables.transact(keys.ARCHIVE, key.archive, [row])
    await announce_change(storage, key, version)
    return ChangeKey(key, version)


async def commit_all(storage: Storage) -> list[ChangeKey]:
    """A change in each of the studies."""
    return [await commit(storage, key) for key in STUDIES]


def check(found: Sequence[Entry], made: Sequence[ChangeKey]) -> None:
    """Contiguous from 1, in time, and each instance of each change once."""
    assert [entry.sequence for entry in found] == list(range(1, len(found) + 1))
    assert [entry.time for entry in found] == sorted(entry.time for entry in found)
    counted = Counter(entry.of for entry in found)
    assert counted == dict.fromkeys(made, INSTANCES)


async def left_over(storage: Storage) -> list[object]:
    """Rows and blobs of changes that are not finished."""
    rows = [change for key in STUDIES for change in await pending.all_pending(storage, key)]
    return [*rows, *[blob.name async for blob in storage.blobs.list(keys.CHANGES)]]


async def _with_two(account: Account, act: Act) -> None:
    async with Proxy(account.connection) as proxy:
        one, other = connect(account.through(proxy)), connect(account.text)
        try:
            await act(one, other, proxy)
        finally:
            await one.aclose()
            await other.aclose()
