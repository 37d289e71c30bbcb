"""Rebuilding the search index: what it finds, and how it goes on from turn to turn."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest

from shared.storage import archive, keys, works
from shared.storage.connection import Connection, resolve
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import delete, upsert_replace
from shared.storage.terms import INDEX_TABLES, IndexKey
from shared.storage.wire import Limits, Request
from shared.storage.works import Status
from shared.upkeep.rebuild import (
    MAX_ATTEMPTS,
    MENDED_AT_ONCE,
    TABLES,
    TYPE,
    Progress,
    rebuild,
)
from tests.conftest import NewAccount
from tests.faults.driver import Store
from tests.faults.files import File
from tests.faults.snapshot import read_snapshot

T = TypeVar("T")

STUDIES = 3
FILES = [
    File(f"1.2.{study}", f"1.2.{study}.{series}", f"1.2.{study}.{series}.{instance}", patient=f"PAT{study}")
    for study in range(STUDIES)
    for series in range(2)
    for instance in range(6)
]
KEY = keys.study_key("p", FILES[0].study)


@pytest.fixture(scope="module")
def connection(new_account: NewAccount) -> Connection:
    """An account with some studies."""
    found = resolve("S", {"S": new_account()})
    using(found, Store("p", tuple(FILES)).run)
    return found


def using(
    connection: Connection,
    act: Callable[[Storage], Awaitable[T]],
    grace: timedelta = timedelta(minutes=15),
) -> T:
    """Run `act` against the emulator."""

    async def whole() -> T:
        storage = open_storage(connection, Times(timedelta(0), grace))
        storage.wire.limits = Limits(tries=1)
        try:
            return await act(storage)
        finally:
            await storage.aclose()

    return asyncio.run(whole())


async def rebuilt(storage: Storage, turn_seconds: float = 60.0) -> works.Work:
    """The operation of a rebuild that was begun and came to its end, and how many turns that took."""
    operation = works.new_id()
    while await rebuild(storage, operation, turn_seconds) is Status.RUNNING:
        pass
    work = await works.read(storage, operation)
    assert work is not None
    return work


def figures(work: works.Work) -> tuple[object, ...]:
    """Studies, rows written and rows removed."""
    assert work.status is Status.SUCCEEDED
    return tuple(work.results[name] for name in ("studies", "rowsWritten", "rowsRemoved"))


async def index_rows(storage: Storage) -> dict[IndexKey, object]:
    """All there is in the search tables."""
    tables = (await read_snapshot(storage)).tables
    return {
        IndexKey(table, row.partition, row.row): dict(row.values)
        for table in INDEX_TABLES
        for row in tables[table]
    }


async def wipe(storage: Storage, table: str) -> int:
    """Remove all rows of a table; tell how many."""
    rows = [where for where in await index_rows(storage) if where.table == table]
    for where in rows:
        await storage.tables.transact(table, where.partition, [delete(where.row)])
    return len(rows)


def test_an_index_that_is_right_stays_as_it_is(connection: Connection) -> None:
    async def act(storage: Storage) -> tuple[object, ...]:
        before = await index_rows(storage)
        work = await rebuilt(storage)
        return *figures(work), before == await index_rows(storage), work.percent, work.state

    assert using(connection, act) == (STUDIES, 0, 0, True, 100, b"")


@pytest.mark.parametrize("table", ["studiesByPatientId", "endsOfPatientId", "series", "instancesByUid"])
def test_a_table_that_was_lost_is_made_again(connection: Connection, table: str) -> None:
    async def act(storage: Storage) -> tuple[bool, bool]:
        before = await index_rows(storage)
        lost = await wipe(storage, table)
        found = figures(await rebuilt(storage))
        return found == (STUDIES, lost, 0) and lost > 0, before == await index_rows(storage)

    assert using(connection, act) == (True, True)


def test_rows_that_are_wrong_are_written_anew_and_others_go(connection: Connection) -> None:
    """Of a study that is not there, in a place where none belongs, with a key that none has."""

    async def act(storage: Storage) -> tuple[tuple[object, ...], bool]:
        before = await index_rows(storage)
        where = next(where for where in before if where.table == "studiesByPatientId")
        for row, partition in (
            (where.row, where.partition),
            (where.row.replace(KEY.study, "9.9"), where.partition),
            (where.row, f"{where.partition}0"),
            ("0", where.partition),
            ("9" * 400, "p|" + "x" * 400),
        ):
            step = upsert_replace(row, {"values": b"?"})
            await storage.tables.transact(where.table, partition, [step])
        return figures(await rebuilt(storage)), before == await index_rows(storage)

    assert using(connection, act) == ((STUDIES, 1, 4), True)


def test_it_goes_on_in_turns_that_a_message_brings(connection: Connection) -> None:
    """However short a turn is, it gets on; what was found is counted once."""

    async def act(storage: Storage) -> tuple[tuple[object, ...], int, list[int]]:
        lost = await wipe(storage, "studiesByPatientId")
        operation, percents = works.new_id(), []
        while await rebuild(storage, operation, 0.0) is Status.RUNNING:
            work = await works.read(storage, operation)
            assert work is not None
            assert work.percent is not None
            percents.append(work.percent)
        work = await works.read(storage, operation)
        assert work is not None
        return figures(work), lost, percents

    found, lost, percents = using(connection, act)

    assert found == (STUDIES, lost, 0)
    # One with rows, and one that finds no more; but for the first table of all, they are small.
    assert len(percents) >= len(TABLES)
    assert percents == sorted(percents)
    assert percents[0] == 0
    assert percents[-1] < 100
    assert using(connection, messages_of) > 0


async def messages_of(storage: Storage) -> int:
    """How many messages wait."""
    query = (("peekonly", "true"), ("numofmessages", "32"))
    reply = await storage.wire.send(Request("queue", "GET", f"/{keys.REBUILD_QUEUE}/messages", query))
    return reply.body.count(b"<QueueMessage>")


def test_who_is_at_it_is_left_alone(connection: Connection) -> None:
    """Until it is silent for too long. What is over is not begun again."""

    async def act(storage: Storage) -> list[object]:
        operation = works.new_id()
        await works.create(storage, operation, TYPE)
        work = await works.read(storage, operation)
        assert work is not None
        assert await works.claim(storage, work)
        return [operation, await rebuild(storage, operation)]

    operation, met = using(connection, act)
    after = using(connection, lambda storage: rebuild(storage, str(operation)), grace=timedelta(0))

    assert met is None
    assert after is Status.SUCCEEDED
    assert using(connection, lambda storage: rebuild(storage, str(operation))) is Status.SUCCEEDED


@pytest.mark.parametrize(
    "operation", ["", "x" * 32, "0" * 32, "F" * 32, "f" * 32, "00" * 15, keys.operation_id(1, "0" * 16)]
)
def test_only_an_id_of_today_is_taken(connection: Connection, operation: str) -> None:
    """An operation lies where the time in its id says, and goes when that is long past."""
    with pytest.raises(ValueError, match="rebuild"):
        using(connection, lambda storage: rebuild(storage, operation))


def test_an_operation_of_another_kind_is_none_of_ours(connection: Connection) -> None:
    async def act(storage: Storage) -> None:
        operation = works.new_id()
        await works.create(storage, operation, "upload")
        await rebuild(storage, operation)

    with pytest.raises(ValueError, match="no rebuild"):
        using(connection, act)


def test_what_cannot_be_compared_ends_it_after_some_tries(connection: Connection) -> None:
    """Each is told to the host, so that the message comes back; the last one to the operator."""

    async def act(storage: Storage) -> tuple[list[object], works.Work | None]:
        operation = works.new_id()
        level = await archive.read_level(storage, KEY, keys.STUDY_ROW)
        assert level is not None
        broken = upsert_replace(keys.STUDY_ROW, {"revision": 1, "created": level.created, "values": "{"})
        row = await storage.tables.get(keys.ARCHIVE, KEY.archive, keys.STUDY_ROW)
        assert row is not None
        await storage.tables.transact(keys.ARCHIVE, KEY.archive, [broken])
        told: list[object] = []
        for _ in range(MAX_ATTEMPTS):
            try:
                told.append(await rebuild(storage, operation))
            except json.JSONDecodeError:
                told.append("again")
        await storage.tables.transact(keys.ARCHIVE, KEY.archive, [upsert_replace(keys.STUDY_ROW, row.values)])
        return told, await works.read(storage, operation)

    told, work = using(connection, act)

    assert told == [*["again"] * (MAX_ATTEMPTS - 1), Status.FAILED]
    assert work is not None
    assert work.status is Status.FAILED
    assert "errors" in work.results


def test_as_many_rows_as_are_mended_at_once_fit_an_operation() -> None:
    """With the longest keys there are, each different."""
    uid, text = "2.25." + "7" * 59, "=E3=81" * 30
    rows = tuple(
        IndexKey("endsOfReferringPhysicianName", f"{'p' * 64}|{number}{text}", f"{number:016x}|{uid}")
        for number in range(MENDED_AT_ONCE)
    )
    progress = Progress(3, ("a", "b"), rows, 1, 2, 3)

    state = progress.render()

    assert len(state) < 64 * 1024
    assert Progress.parse(state) == progress
    assert Progress.parse(b"") == Progress()
