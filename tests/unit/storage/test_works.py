"""Operations are claimed, carried out once, told, and forgotten after a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from shared.storage import keys, works
from shared.storage.connection import Connection
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import insert
from shared.storage.works import Claim, ClaimLost, Ending, Status, Work

T = TypeVar("T")

GRACE = timedelta(minutes=15)
DONE = Ending(Status.SUCCEEDED, {"stored": 1})


def using(connection: Connection, act: Callable[[Storage], Awaitable[T]], grace: timedelta = GRACE) -> T:
    """Run `act` against the emulator."""

    async def whole() -> T:
        storage = open_storage(connection, Times(timedelta(0), grace))
        try:
            return await act(storage)
        finally:
            await storage.aclose()

    return asyncio.run(whole())


async def made(storage: Storage) -> Work:
    """An operation that has not started."""
    operation = works.new_id()
    await works.create(storage, operation, "upload", "Clinic")
    return await found(storage, operation)


async def found(storage: Storage, operation: str) -> Work:
    """An operation that must be there."""
    work = await works.read(storage, operation)
    assert work is not None
    return work


async def taken(storage: Storage, work: Work) -> Claim:
    """A claim that must be given."""
    claim = await works.claim(storage, work)
    assert claim is not None
    return claim


def test_an_operation_is_read_as_it_was_made(connection: Connection) -> None:
    async def act(storage: Storage) -> Work:
        operation = works.new_id()
        await works.create(storage, operation, "reindex", resources=("extendedquerytags/00101002",))
        return await found(storage, operation)

    work = using(connection, act)

    assert (work.type, work.partition, work.status, work.percent) == ("reindex", "", Status.NOT_STARTED, None)
    assert work.resources == ("extendedquerytags/00101002",)
    assert (dict(work.results), work.has_answer, work.attempts) == ({}, False, 0)
    assert work.created == work.updated
    assert datetime.now(UTC) - work.created < timedelta(minutes=1)


def test_only_one_of_many_gets_the_claim(connection: Connection) -> None:
    async def act(storage: Storage) -> int:
        work = await made(storage)
        claims = await asyncio.gather(*(works.claim(storage, work) for _ in range(8)))
        return sum(claim is not None for claim in claims)

    assert using(connection, act) == 1


def test_a_claim_holds_while_there_are_signs_of_life(connection: Connection) -> None:
    async def act(storage: Storage) -> tuple[bool, Claim | None]:
        work = await made(storage)
        claim = await taken(storage, work)
        await claim.progress(40)
        running = await found(storage, work.id)
        assert (running.status, running.percent, running.attempts) == (Status.RUNNING, 40, 1)
        silent = replace(running, updated=running.updated - works.SILENCE)
        return works.is_held(silent, GRACE), await works.claim(storage, running)

    assert using(connection, act) == (False, None)


def test_who_was_silent_for_too_long_can_change_nothing(connection: Connection) -> None:
    async def act(storage: Storage) -> Work:
        work = await made(storage)
        slow = await taken(storage, work)
        quick = await taken(storage, await found(storage, work.id))
        for late in (slow.progress(50), slow.release(), slow.end(Ending(Status.FAILED, {}))):
            with pytest.raises(ClaimLost):
                await late
        await quick.end(DONE)
        assert quick.attempt == 2
        return await found(storage, work.id)

    # Without any grace every silence is too long.
    work = using(connection, act, timedelta(0))

    assert (work.status, dict(work.results), work.percent) == (Status.SUCCEEDED, {"stored": 1}, 100)


def test_a_claim_given_back_can_be_taken_at_once(connection: Connection) -> None:
    async def act(storage: Storage) -> int:
        work = await made(storage)
        await (await taken(storage, work)).release()
        return (await taken(storage, await found(storage, work.id))).attempt

    assert using(connection, act) == 2


def test_what_is_over_stays_as_it_is(connection: Connection) -> None:
    async def act(storage: Storage) -> Claim | None:
        work = await made(storage)
        await (await taken(storage, work)).end(DONE)
        return await works.claim(storage, await found(storage, work.id))

    assert using(connection, act, timedelta(0)) is None


def test_ids_are_made_in_the_order_of_time_and_cannot_be_guessed() -> None:
    ids = [works.new_id() for _ in range(100)]

    assert ids == sorted(ids)
    assert len({operation[16:] for operation in ids}) == 100
    assert {len(operation) for operation in ids} == {32}


def test_operations_are_kept_for_thirty_days(connection: Connection) -> None:
    """With what they had to say; a younger one is not touched."""

    async def act(storage: Storage) -> tuple[int, list[str]]:
        now = datetime.now(UTC)
        days = [now - works.KEPT - timedelta(days=1), now - works.KEPT]
        for day in map(keys.day_key, days):
            for number in range(120):
                operation = f"{number:032x}"
                await storage.tables.transact(keys.OPERATIONS, day, [insert(operation, {"type": "x"})])
            await storage.blobs.put(keys.ANSWERS, keys.answer_blob(day, "0" * 32, "1"), b"{}")
        removed = await works.remove_old(storage, now)
        return removed, [blob.name async for blob in storage.blobs.list(keys.ANSWERS)]

    removed, left = using(connection, act)

    assert removed == 120
    assert left == [keys.answer_blob(keys.day_key(datetime.now(UTC) - works.KEPT), "0" * 32, "1")]
