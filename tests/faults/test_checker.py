"""The checker sees every kind of damage. A proof is worth no more than what it would have noticed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.storage import keys, terms
from shared.storage.storage import Storage
from shared.storage.tables import Value, delete, insert, merge
from tests.faults import checker, reading
from tests.faults.accounts import Account
from tests.faults.crashing import Trial, begin_trial, opened
from tests.faults.driver import Delete, Emit, Store
from tests.faults.files import File
from tests.faults.nursery import Nursery
from tests.faults.snapshot import Snapshot, read_snapshot

STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
OVERSIZE = File(
    STUDY, "1.2.3.4", "1.2.3.4.1", modality="MR", is_oversize=True, has_many_values=True, variant=4
)

Damage = Callable[[Storage, Snapshot], Awaitable[object]]


def _without(table: str, number: int = 0) -> Damage:
    """A row that is lost."""

    async def damage(storage: Storage, snapshot: Snapshot) -> None:
        row = sorted(snapshot.tables[table], key=lambda row: row.row)[number]
        await storage.tables.transact(table, row.partition, [delete(row.row)])

    return damage


def _archive_without(row_key: str) -> Damage:
    async def damage(storage: Storage, snapshot: Snapshot) -> None:
        partition = snapshot.studies[0].key.archive
        await storage.tables.transact(keys.ARCHIVE, partition, [delete(row_key)])

    return damage


def _archive_with(row_key: str) -> Damage:
    async def damage(storage: Storage, snapshot: Snapshot) -> None:
        values: dict[str, Value] = {"action": "create", "changes0": "[]", "revision": 1, "values": "{}"}
        partition = snapshot.studies[0].key.archive
        await storage.tables.transact(keys.ARCHIVE, partition, [insert(row_key, values)])

    return damage


def _with_blob(container: str, name: str) -> Damage:
    return lambda storage, _snapshot: storage.blobs.put(container, name, b"{}")


def _with_row(table: str, partition: str, row: str, values: dict[str, Value]) -> Damage:
    return lambda storage, _snapshot: storage.tables.transact(table, partition, [insert(row, values)])


async def _lengthen(storage: Storage, snapshot: Snapshot) -> None:
    """A pack has bytes of one more file."""
    name, content = next(item for item in snapshot.blobs[keys.DICOM].items() if keys.is_pack(item[0]))
    await storage.blobs.put(keys.DICOM, name, content + NECK.content(), if_absent=False)


def _without_blob(container: str, ending: str = "") -> Damage:
    async def damage(storage: Storage, snapshot: Snapshot) -> None:
        name = next(name for name in sorted(snapshot.blobs[container]) if name.endswith(ending))
        await storage.blobs.delete(container, name)

    return damage


def _with_feed_row(**changed: str | int) -> Damage:
    """The last entry once more under the next number."""

    async def damage(storage: Storage, snapshot: Snapshot) -> None:
        last = max(
            (row for row in snapshot.tables[keys.FEED] if row.partition != "head"), key=lambda row: row.row
        )
        number = f"{int(last.row) + 1:020d}"
        await storage.tables.transact(keys.FEED, last.partition, [insert(number, {**last.values, **changed})])

    return damage


async def _swap_places(storage: Storage, snapshot: Snapshot) -> None:
    """Two instances of a pack exchange their bytes."""
    first, second = (row for row in snapshot.studies[0].instances if row.series == HEAD.series)
    await storage.tables.transact(
        keys.ARCHIVE,
        snapshot.studies[0].key.archive,
        [
            merge(keys.instance_row(first.series, first.instance), {"start": second.location.start}),
            merge(keys.instance_row(second.series, second.instance), {"start": first.location.start}),
        ],
    )


async def _age(storage: Storage, snapshot: Snapshot) -> None:
    """A search row tells of an earlier state."""
    row = snapshot.tables[terms.STUDIES][0]
    await storage.tables.transact(terms.STUDIES, row.partition, [merge(row.row, {"revision": 1})])


async def _turn_back_time(storage: Storage, snapshot: Snapshot) -> None:
    """The first entry is said to be later than those after it."""
    first = min(snapshot.tables[keys.FEED], key=lambda row: row.row)
    late = {"time": datetime.now(UTC) + timedelta(hours=1)}
    await storage.tables.transact(keys.FEED, first.partition, [merge(first.row, late)])


DAMAGES: dict[str, tuple[Damage, str]] = {
    "an instance row lost": (_archive_without("instance|1.2.3.1|1.2.3.1.1"), "is not there"),
    "a series row lost": (_archive_without("series|1.2.3.1"), "instances without a row"),
    "the study row lost": (_archive_without("study"), "series without a study row"),
    "an empty series": (_archive_with("series|1.2.3.9"), "row without instances"),
    "an anchor too many": (_archive_with("anchor||0000000000000001"), "missing or too many"),
    "a change left pending": (_archive_with("pending|0000000000000001"), "still pending"),
    "a blob lost": (_without_blob(keys.DICOM), "not the bytes that were sent"),
    "metadata lost": (_without_blob(keys.METADATA, ".metadata"), "no metadata"),
    "an index of bulk values lost": (_without_blob(keys.METADATA, ".bulk"), "no index of bulk values"),
    "an orphan blob": (_with_blob(keys.DICOM, "abc/p/1.2.3/x.dcm"), "no row names the blob"),
    "orphan metadata": (_with_blob(keys.METADATA, "abc/p/1.2.3/x.metadata"), "no row names the blob"),
    "bytes of a pack that nobody names": (_lengthen, "bytes of"),
    "an upload left": (_with_row(keys.UPLOADS, "0", "abc", {}), "the upload abc is left"),
    "an uploaded blob left": (_with_blob(keys.UPLOADS, "abc"), "the blob abc is left"),
    "an operation that does not end": (
        _with_row(keys.OPERATIONS, "20240229", "abc", {"status": "running"}),
        "abc is running",
    ),
    "an answer lost": (
        _with_row(keys.OPERATIONS, "20240229", "abc", {"status": "succeeded", "answer": "20240229/abc/1"}),
        "names the answer",
    ),
    "an answer of nothing": (_with_blob(keys.ANSWERS, "20240229/abc/1"), "no operation has the answer"),
    "a change blob left": (_with_blob(keys.CHANGES, "0/p/1.2.3"), "is left"),
    "bytes exchanged": (_swap_places, "not the bytes that were sent"),
    "a study not listed": (_without(terms.STUDIES), "lacks a row"),
    "a UID not listed": (_without(terms.INSTANCES_BY_UID), "lacks a row"),
    "a patient not found": (_without("studiesByPatientId"), "lacks a row"),
    "a series not listed": (_without(terms.SERIES), "lacks a row"),
    "a search row of nothing": (_with_row(terms.SERIES, "p|0", "9.9", {}), "has a ghost"),
    "a search row out of date": (_age, "out of date"),
    "a gap in the feed": (_without(keys.FEED, 1), "sequences are"),
    "the first entry lost": (_without(keys.FEED, 0), "sequences are"),
    "time runs backwards": (_turn_back_time, "time runs backwards"),
    "an entry twice": (_with_feed_row(), "entered 2 times"),
    "a change entered twice": (_with_feed_row(change=1), "the history of"),
    "an entry of nothing": (_with_feed_row(instance="9.9", change=1, action="create"), "the feed says"),
}


@pytest.mark.parametrize(("damage", "complaint"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_noticed(damage: Damage, complaint: str, account: Account, nursery: Nursery) -> None:
    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(Store("p", (HEAD, NECK, OVERSIZE)), Emit())
            before = await read_snapshot(storage)
            assert checker.problems(before, trial.told) == []
            await damage(storage, before)
            return checker.problems(await read_snapshot(storage), trial.told)

    found = asyncio.run(whole())

    assert any(complaint in line for line in found), found


def test_what_searches_do_not_find_is_noticed(account: Account, nursery: Nursery) -> None:
    async def lose_a_row(trial: Trial, storage: Storage) -> list[str]:
        await _without(terms.INSTANCES_BY_UID)(storage, await read_snapshot(storage))
        return await reading.broken_word(storage, trial.told)

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(Store("p", (HEAD, NECK)), Emit())
            assert await reading.broken_word(storage, trial.told) == []
            return await lose_a_row(trial, storage)

    assert [line for line in asyncio.run(whole()) if "not found by SOPInstanceUID" in line]


def test_what_was_told_deleted_and_is_there_is_noticed(account: Account, nursery: Nursery) -> None:
    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store("p", (HEAD, NECK)), Delete("p", STUDY, HEAD.series, HEAD.instance))
            await trial.restart()
            assert await trial.problems() == []
            trial.told.gone |= {NECK.address("p")}
            return await trial.problems()

    found = asyncio.run(whole())

    assert any("was told to be deleted and is there" in line for line in found)
    assert any("is deleted and found by SOPInstanceUID" in line for line in found)
