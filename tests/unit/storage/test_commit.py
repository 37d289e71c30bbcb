"""What a study says of its series while their modalities change, on the real emulator."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

import pytest

from shared.storage import keys
from shared.storage.archive import read_all, read_known, read_series
from shared.storage.calls import counted
from shared.storage.commit import Batch, commit, upsert
from shared.storage.connection import Connection
from shared.storage.index import wanted_rows
from shared.storage.keys import Scope, StudyKey
from shared.storage.mend import mend_index
from shared.storage.pending import all_pending
from shared.storage.planning import MODALITIES_IN_STUDY, MODALITY, depends_on_all, modalities_of, plan_commit
from shared.storage.removal import remove
from shared.storage.rows import Location, NewInstance
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import RowChanged, greater_or_equal
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version

T = TypeVar("T")

BY_MODALITY = "studiesByModality", "seriesByModality"


def using(connection: Connection, act: Callable[[Storage, StudyKey], Awaitable[T]]) -> T:
    """Run `act` against the emulator, on a study of its own."""

    async def whole() -> T:
        storage = open_storage(connection, Times(timedelta(0), timedelta(minutes=15)))
        try:
            return await act(storage, StudyKey("p", f"1.2.{uuid4().int}"))
        finally:
            await storage.aclose()

    return asyncio.run(whole())


def new(series: str, modality: str, number: int = 1) -> NewInstance:
    """An instance that arrives."""
    return NewInstance(
        series=series,
        instance=f"{series}.{number}",
        version=next_version(),
        location=Location("blob", 0, 1),
        transfer_syntax="",
        study_values={"00100020": {"vr": "LO", "Value": ["P"]}},
        series_values={MODALITY: {"vr": "CS", "Value": [modality]}},
        values={},
        metadata=b"m",
        frames=None,
    )


async def modalities(storage: Storage, key: StudyKey) -> list[str]:
    """What the study says of its series; checks that the search tables say the same."""
    known = await read_known(storage, key, await read_series(storage, key))
    wanted = wanted_rows(key, known.study, known.series)
    assert await _found(storage, key) == {where for where in wanted if where.table in BY_MODALITY}
    assert known.study is not None
    return modalities_of(known.study.values, MODALITIES_IN_STUDY)


async def _found(storage: Storage, key: StudyKey) -> set[IndexKey]:
    """The rows of a study and its series by modality."""
    return {
        IndexKey(table, row.partition, row.row)
        for table in BY_MODALITY
        async for page in storage.tables.query(table, greater_or_equal("PartitionKey", ""))
        for row in page
        if key.study in row.row.split("|")
    }


def test_an_upsert_takes_the_old_modality_of_a_series_away(connection: Connection) -> None:
    """From the study, from the series, and from the tables by modality."""

    async def act(storage: Storage, key: StudyKey) -> list[list[str]]:
        await commit(storage, key, Batch([new("1", "CT"), new("2", "US")]))
        seen = [await modalities(storage, key)]
        await upsert(storage, key, Batch([new("1", "MR")]))
        return [*seen, await modalities(storage, key)]

    assert using(connection, act) == [["CT", "US"], ["MR", "US"]]


def test_a_store_takes_the_old_modality_of_its_series_away(connection: Connection) -> None:
    """The last instance that is stored wins (API rules section 8.8)."""

    async def act(storage: Storage, key: StudyKey) -> list[str]:
        await commit(storage, key, Batch([new("1", "CT"), new("2", "US")]))
        await commit(storage, key, Batch([new("1", "MR", 2)]))
        return await modalities(storage, key)

    assert using(connection, act) == ["MR", "US"]


def test_a_modality_stays_while_another_series_has_it(connection: Connection) -> None:
    async def act(storage: Storage, key: StudyKey) -> list[list[str]]:
        await commit(storage, key, Batch([new("1", "CT"), new("2", "CT")]))
        seen = []
        for series in ("1", "2"):
            await upsert(storage, key, Batch([new(series, "MR")]))
            seen.append(await modalities(storage, key))
        return seen

    assert using(connection, act) == [["CT", "MR"], ["MR"]]


@pytest.mark.parametrize("modality", ["MR", "US"], ids=["study changes", "study stays"])
def test_a_series_that_comes_after_the_others_were_read_is_noticed(
    connection: Connection, modality: str
) -> None:
    """It has the old modality: its store leaves what the study's row says, but not its ETag."""

    async def act(storage: Storage, key: StudyKey) -> list[str]:
        await commit(storage, key, Batch([new("1", "CT"), new("2", "US")]))
        changed = new("1", modality, 2)
        known = await read_all(storage, key, ["1"])
        assert depends_on_all(known, [changed])
        plan = plan_commit(key, known, [changed], next_version())

        await commit(storage, key, Batch([new("3", "CT")]))
        with pytest.raises(RowChanged):
            await storage.tables.transact(keys.ARCHIVE, key.archive, plan.operations)
        await commit(storage, key, Batch([changed]))
        return await modalities(storage, key)

    assert using(connection, act) == sorted({"CT", "US", modality})


def test_stores_that_leave_the_modalities_do_not_keep_others_from_changing_them(
    connection: Connection,
) -> None:
    """However many come between what a change of a modality reads and its transaction."""

    async def act(storage: Storage, key: StudyKey) -> list[str]:
        await commit(storage, key, Batch([new("1", "CT"), new("2", "CT")]))
        changed = new("1", "MR", 2)
        plan = plan_commit(key, await read_all(storage, key, ["1"]), [changed], next_version())

        await commit(storage, key, Batch([new("1", "CT", 3), new("2", "CT", 2)]))
        await storage.tables.transact(keys.ARCHIVE, key.archive, plan.operations)
        for change in await all_pending(storage, key):
            await mend_index(storage, change)
        return await modalities(storage, key)

    assert using(connection, act) == ["CT", "MR"]


def test_many_who_change_modalities_at_once_leave_what_the_series_have(connection: Connection) -> None:
    """Each of them may find that it takes the last series of a modality away, or that it does not."""

    async def act(storage: Storage, key: StudyKey) -> list[str]:
        await commit(storage, key, Batch([new(f"{number}", "CT") for number in range(1, 5)]))
        await asyncio.gather(
            *(upsert(storage, key, Batch([new(f"{number}", "MR")])) for number in (1, 2, 3)),
            remove(storage, Scope(key, "4")),
        )
        return await modalities(storage, key)

    assert using(connection, act) == ["MR"]


def test_a_store_into_a_known_study_reads_nothing(connection: Connection) -> None:
    """It takes three calls: the transaction, the row of the UID, and the change."""

    async def act(storage: Storage, key: StudyKey) -> tuple[int, int]:
        await commit(storage, key, Batch([new("1", "CT"), new("2", "MR")]))
        with counted() as calls:
            await commit(storage, key, Batch([new("1", "CT", 2)]))
        return calls.calls, calls.rows

    assert using(connection, act) == (3, 0)
