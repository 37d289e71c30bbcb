"""Every committed change gets its entries once, whatever announces it (API rules sections 10.2 and 21)."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from shared.changefeed.emit import emit, emit_pending, retry_aside
from shared.changefeed.order import number
from shared.storage import aside, feed, keys, pending
from shared.storage.aside import MAX_TRIES
from shared.storage.commit import announce_change
from shared.storage.connection import Connection
from shared.storage.feed import Entry
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.pending import Pending
from shared.storage.planning import render_pending
from shared.storage.rows import Change, Location
from shared.storage.storage import Head, Storage, Times, open_storage
from shared.storage.tables import delete, insert, upsert_replace
from shared.storage.versions import next_version
from tests.unit.changefeed.conftest import Using

TOO_LONG = "1." * 40_000
"""A UID that no table takes."""


def study(name: object) -> StudyKey:
    """A study."""
    return StudyKey("p", f"1.2.{name}")


async def commit(
    storage: Storage, key: StudyKey, uids: Sequence[str] = ("1",), *, announced: bool = True
) -> ChangeKey:
    """Leave what a store leaves: a pending row and, as a rule, its blob."""
    version = next_version()
    changes = [Change("2", uid, version + at, Location("b", 0, 1)) for at, uid in enumerate(uids)]
    row = insert(keys.pending_row(version), render_pending("create", changes, ()))
    await storage.tables.transact(keys.ARCHIVE, key.archive, [row])
    if announced:
        await announce_change(storage, key, version)
    return ChangeKey(key, version)


async def entries(storage: Storage) -> list[Entry]:
    """The whole feed, which has no gaps and names each instance of a change once."""
    found = await feed.read_entries(storage, 0)
    assert [entry.sequence for entry in found] == list(range(1, len(found) + 1))
    assert [entry.time for entry in found] == sorted(entry.time for entry in found)
    assert max(Counter((entry.of, entry.series, entry.instance) for entry in found).values(), default=1) == 1
    return found


async def blobs(storage: Storage) -> list[str]:
    """What is announced still."""
    return [blob.name async for blob in storage.blobs.list(keys.CHANGES)]


async def waiting(storage: Storage, *studies: StudyKey) -> list[Pending]:
    """What is pending still."""
    return [change for key in studies for change in await pending.all_pending(storage, key)]


def test_all_that_waits_is_entered_and_nothing_is_left(using: Using) -> None:
    """Changes of many studies, of one or many instances, by some transactions."""

    async def act(storage: Storage) -> tuple[int, list[ChangeKey], list[Entry], list[object]]:
        made = [
            await commit(storage, study(at % 7), [str(n) for n in range(1 + 30 * (at % 3))])
            for at in range(20)
        ]
        count = await emit(storage)
        left = [*await blobs(storage), *await waiting(storage, *map(study, range(7)))]
        return count, made, await entries(storage), left

    count, made, found, left = using(act)

    assert count == len(found) == sum(1 + 30 * (at % 3) for at in range(20))
    assert {entry.of for entry in found} == set(made)
    assert left == []


def test_a_repeated_delivery_leaves_one_entry(using: Using) -> None:
    """Blob triggers deliver at least once; here also to a process that knows nothing of the first time."""

    async def act(storage: Storage) -> tuple[list[int], list[Entry]]:
        change = await commit(storage, study(1))
        name = keys.change_blob(change.study, change.version)
        counts = [await emit(storage, name), await emit(storage, name)]
        await announce_change(storage, change.study, change.version)
        storage.memory.emitted.put(name, False)
        storage.memory.head = None
        counts.append(await emit(storage, name))
        return [*counts, len(await blobs(storage))], await entries(storage)

    counts, found = using(act)

    assert counts == [1, 0, 0, 0]
    assert len(found) == 1


def test_a_late_delivery_finds_its_change_entered(using: Using) -> None:
    """Others of the study were announced first, and what has to come before them came along."""

    async def act(storage: Storage) -> list[Entry]:
        first = await commit(storage, study(1), ["1"], announced=False)
        second = await commit(storage, study(1), ["1"])
        await emit(storage)
        await announce_change(storage, first.study, first.version)
        assert await emit(storage) == 0
        assert await blobs(storage) == []
        assert [entry.of for entry in await entries(storage)] == [first, second]
        return await entries(storage)

    assert len(using(act)) == 2


def test_reordered_deliveries_are_entered_oldest_first(using: Using) -> None:
    """Each once, whichever woke us."""

    async def act(storage: Storage) -> tuple[list[ChangeKey], list[Entry]]:
        made = [await commit(storage, study(1), [str(at)], announced=False) for at in range(5)]
        for change in reversed(made):
            await announce_change(storage, change.study, change.version)
        await emit(storage, keys.change_blob(made[-1].study, made[-1].version))
        return made, await entries(storage)

    made, found = using(act)

    assert [entry.of for entry in found] == made


def test_what_another_process_entered_is_seen(connection: Connection) -> None:
    """Two processes take turns: each has seen an end of the feed that is out of date the next time."""

    async def act() -> list[Entry]:
        times = Times(timedelta(0), timedelta(minutes=15))
        one, other = open_storage(connection, times), open_storage(connection, times)
        try:
            for at in range(6):
                await commit(one, study(at))
                assert await emit(one if at % 2 else other) == 1
            return await entries(one)
        finally:
            await one.aclose()
            await other.aclose()

    assert len(asyncio.run(act())) == 6


def test_what_a_crash_left_unfinished_is_finished_and_not_entered_again(using: Using) -> None:
    """The process ended after the entries, before anything else: neither mark nor rows were touched."""

    async def act(storage: Storage) -> tuple[int, list[Entry], list[object], Head]:
        made = [await commit(storage, study(at), ["1", "2"], announced=at > 0) for at in range(3)]
        rows = await waiting(storage, *(each.study for each in made))
        await feed.append(storage, number(rows[:2], await feed.read_mark(storage), datetime.now(UTC)))
        count = await emit(storage)
        left = [*await blobs(storage), *await waiting(storage, *map(study, range(3)))]
        return count, await entries(storage), left, await feed.read_mark(storage)

    count, found, left, mark = using(act)

    assert count == 2
    assert len(found) == 6
    assert left == []
    assert mark.sequence == 6


def test_a_row_committed_again_is_entered_again(using: Using) -> None:
    """As a transaction may be that is repeated long after its answer was lost: then it happened again."""

    async def act(storage: Storage) -> int:
        change = await commit(storage, study(1))
        await emit(storage)
        again = insert(keys.pending_row(change.version), render_pending("create", [_item(change)], ()))
        await storage.tables.transact(keys.ARCHIVE, change.study.archive, [again])
        await announce_change(storage, change.study, change.version)
        await emit(storage)
        return len(await feed.read_entries(storage, 0))

    assert using(act) == 2


def test_a_deletion_committed_again_is_finished_again(using: Using) -> None:
    """Its purge of the first time is still there, and must not have it entered at every sweep."""

    async def act(storage: Storage) -> tuple[list[int], list[Pending]]:
        key, version, made = study(1), next_version(), []
        values = render_pending("delete", [_item(ChangeKey(key, version))], ())
        row = insert(keys.pending_row(version), values)
        for _ in range(2):
            await storage.tables.transact(keys.ARCHIVE, key.archive, [row])
            await announce_change(storage, key, version)
            made.append(await emit(storage))
        return made, await waiting(storage, key)

    assert using(act) == ([1, 1], [])


@pytest.mark.parametrize("name", ["x", "0/0/0", "~", "000000000000000a/p'/1.2"])
def test_a_blob_that_names_no_change_holds_up_nothing(
    using: Using, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """It goes, as it stands for nothing, and is reported; its name may be anything and is not."""

    async def act(storage: Storage) -> tuple[int, list[str]]:
        await storage.blobs.put(keys.CHANGES, name, b"whatever")
        await commit(storage, study(1))
        return await emit(storage), await blobs(storage)

    assert using(act) == (1, [])
    assert "blobs=1 of container changes name no change" in caplog.text


def test_the_content_of_a_change_blob_does_not_matter(using: Using) -> None:
    """Only its name is looked at."""

    async def act(storage: Storage) -> int:
        change = await commit(storage, study(1), announced=False)
        await storage.blobs.put(keys.CHANGES, keys.change_blob(change.study, change.version), b"\xff\0{")
        return await emit(storage)

    assert using(act) == 1


def test_a_row_that_cannot_be_read_is_set_aside(using: Using, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the rest of its study nor other studies wait for it, and no reader does."""

    async def act(storage: Storage) -> tuple[int, list[str], set[ChangeKey], int]:
        bad = await damaged(storage, study(1))
        for key in (study(1), study(2), study(0)):
            await commit(storage, key)
        made = await emit(storage)
        return (
            made,
            await blobs(storage),
            set(await aside.read_all(storage)) - {bad},
            await retry_aside(storage),
        )

    assert using(act) == (3, [], set(), 1)
    assert "cannot be entered (Unreadable, try 1)" in caplog.text
    assert "not json" not in caplog.text


def test_a_change_that_storage_refuses_is_set_aside(using: Using) -> None:
    """Those in the same transaction are entered, without a gap."""

    async def act(storage: Storage) -> tuple[int, list[str], list[str], list[Entry]]:
        for at in range(9):
            await commit(storage, study(at), [TOO_LONG] if at in (3, 8) else ["1", "2"])
        made = await emit(storage)
        reasons = [each.reason for each in (await aside.read_all(storage)).values()]
        return made, await blobs(storage), reasons, await entries(storage)

    made, left, reasons, found = using(act)

    assert made == len(found) == 14
    assert left == []
    assert reasons == ["ValueError", "ValueError"]


def test_what_was_set_aside_is_entered_when_it_can_be(using: Using) -> None:
    """The sweep tries again; then nothing is left of the note."""

    async def act(storage: Storage) -> tuple[list[int], list[Entry]]:
        bad = await damaged(storage, study(1))
        await emit(storage)
        left = [await retry_aside(storage)]
        whole = upsert_replace(keys.pending_row(bad.version), render_pending("create", [_item(bad)], ()))
        await storage.tables.transact(keys.ARCHIVE, bad.study.archive, [whole])
        left += [await retry_aside(storage), len(await aside.read_all(storage))]
        return left, await entries(storage)

    left, found = using(act)

    assert left == [1, 0, 0]
    assert len(found) == 1


def test_what_fails_again_and_again_is_tried_a_few_times_only(using: Using) -> None:
    """It stays noted, and is counted by each sweep."""

    async def act(storage: Storage) -> tuple[list[int], int]:
        bad = await damaged(storage, study(1))
        await emit(storage)
        left = [await retry_aside(storage) for _ in range(MAX_TRIES + 3)]
        return left, (await aside.read_all(storage))[bad].tries

    assert using(act) == ([1] * (MAX_TRIES + 3), MAX_TRIES)


def test_what_is_gone_is_set_aside_no_longer(using: Using) -> None:
    """Somebody has removed the row by hand."""

    async def act(storage: Storage) -> list[int]:
        bad = await damaged(storage, study(1))
        await emit(storage)
        await storage.tables.transact(
            keys.ARCHIVE, bad.study.archive, [delete(keys.pending_row(bad.version))]
        )
        return [await retry_aside(storage), len(await aside.read_all(storage))]

    assert using(act) == [0, 0]


def test_the_sweep_leaves_what_is_set_aside_to_its_turn(using: Using) -> None:
    """A visit of the study alone does not use up its tries."""

    async def act(storage: Storage) -> tuple[int, int]:
        bad = await commit(storage, study(1), [TOO_LONG])
        good = await commit(storage, study(1), announced=False)
        await storage.blobs.delete(keys.CHANGES, keys.change_blob(good.study, good.version))
        await emit(storage)
        await emit_pending(storage, await waiting(storage, study(1)))
        return (await aside.read_all(storage))[bad].tries, len(await entries(storage))

    assert using(act) == (1, 1)


def test_an_entry_without_its_finish_does_not_hold_up_the_mark(using: Using) -> None:
    """It is entered, and then its row cannot be read: it is set aside as entered, and never entered twice."""

    async def act(storage: Storage) -> tuple[bool, int, int]:
        change = await commit(storage, study(1), announced=False)
        rows = await waiting(storage, study(1))
        await feed.append(storage, number(rows, await feed.read_mark(storage), datetime.now(UTC)))
        broken = upsert_replace(
            keys.pending_row(change.version), {"action": "create", "changes0": "not json"}
        )
        await storage.tables.transact(keys.ARCHIVE, change.study.archive, [broken])
        await commit(storage, study(2))
        await emit(storage)
        is_entered = (await aside.read_all(storage))[change].is_entered
        whole = upsert_replace(
            keys.pending_row(change.version), render_pending("create", [_item(change)], ())
        )
        await storage.tables.transact(keys.ARCHIVE, change.study.archive, [whole])
        mark = await feed.read_mark(storage)
        assert await retry_aside(storage) == 0
        return is_entered, mark.sequence, len(await entries(storage))

    assert using(act) == (True, 2, 2)


async def damaged(storage: Storage, key: StudyKey) -> ChangeKey:
    """A change whose row is not as we write them."""
    change = await commit(storage, key)
    broken = upsert_replace(keys.pending_row(change.version), {"action": "create", "changes0": "not json"})
    await storage.tables.transact(keys.ARCHIVE, key.archive, [broken])
    return change


def _item(change: ChangeKey) -> Change:
    return Change("2", "1", change.version, Location("b", 0, 1))
