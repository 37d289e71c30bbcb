"""Reading the feed beside other writers, and with filters, over real storage."""

import asyncio
import json
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.changefeed.asked import Asked, Place, parse_asked
from shared.changefeed.emit import LEASE_BLOB
from shared.changefeed.fresh import catch_up
from shared.changefeed.page import MAX_SCANNED, Page, find_place, read_page
from shared.changefeed.read import Form, render_array, render_one
from shared.errors import Unavailable
from shared.storage import feed, keys
from shared.storage.calls import counted
from shared.storage.keys import StudyKey
from shared.storage.storage import Storage
from shared.storage.tables import Value, delete, insert, upsert_replace
from shared.storage.versions import next_version
from tests.unit.changefeed.conftest import NOON, Using, enter, entry


async def announce(storage: Storage) -> None:
    """What a commit leaves that somebody else has entered since."""
    name = keys.change_blob(StudyKey("p", "1.2"), next_version())
    await storage.blobs.put(keys.CHANGES, name, b"{}")


async def nobody() -> None:
    """There is no publisher to wake."""


async def page(storage: Storage, query: str, place: Place | None = None, settled: datetime = NOON) -> Page:
    """A page of v2."""
    asked: Asked = parse_asked(query, is_v1=False)
    return await read_page(storage, asked, place or await find_place(storage, asked), settled)


def test_without_announcements_a_reader_asks_once(using: Using) -> None:
    """A list of nothing."""

    async def act(storage: Storage) -> int:
        with counted() as calls:
            assert await catch_up(storage, nobody)
        return calls.calls

    assert using(act) == 1


def test_a_reader_waits_for_another_writer_but_not_for_ever(
    using: Using, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds the lease is entering what is announced, or will be found dead."""
    monkeypatch.setattr("shared.changefeed.fresh.PATIENCE_SECONDS", 0.5)

    async def act(storage: Storage) -> None:
        await announce(storage)
        lease = await storage.leases.acquire(keys.LOCKS, LEASE_BLOB, 60)
        assert lease is not None

        assert not await catch_up(storage, nobody)

        await storage.leases.release(keys.LOCKS, LEASE_BLOB, lease)
        monkeypatch.setattr("shared.changefeed.fresh.PATIENCE_SECONDS", 20)
        assert await catch_up(storage, nobody)
        assert [blob.name async for blob in storage.blobs.list(keys.CHANGES)] == []

    using(act)


def test_many_readers_of_a_process_have_it_done_once(using: Using) -> None:
    """They share the work, and each gets what was announced before it came."""

    async def act(storage: Storage) -> int:
        await announce(storage)
        with counted() as calls:
            assert all(await asyncio.gather(*(catch_up(storage, nobody) for _ in range(8))))
        return calls.calls

    # Eight lists, and the work of one.
    assert using(act) < 8 + 16


def test_a_reader_that_leaves_does_not_end_the_work(using: Using) -> None:
    """Others rely on it."""

    async def act(storage: Storage) -> None:
        await announce(storage)
        leaving = asyncio.create_task(catch_up(storage, nobody))
        for _ in range(20_000):
            if storage.memory.emission is not None:
                break
            await asyncio.sleep(0.001)
        leaving.cancel()
        assert storage.memory.emission is not None
        assert await storage.memory.emission

    using(act)


@pytest.mark.parametrize(("becomes", "state"), [("deleted", "Deleted"), ("replaced", "Replaced")])
def test_metadata_that_go_while_a_page_is_read_spoil_nothing(using: Using, becomes: str, state: str) -> None:
    """A client may read slowly: what was replaced or purged since its row was read is given as it is then."""
    key, row = StudyKey("microsoft.default", "1.2.3"), keys.instance_row("1.2.3.4", "1.2.3.4.2")
    older = insert(row, {"version": 1002, "metadataBlob": "gone"})
    newer: dict[str, Value] = {"version": 2002, "metadata0": zlib.compress(b'{"00080018":{"vr":"UI"}}')}

    async def act(storage: Storage) -> list[Any]:
        await storage.tables.transact(keys.ARCHIVE, key.archive, [older])
        pieces = render_array(storage, [entry(1), entry(2)], Form("http://localhost/v2", True, False))
        text = await anext(pieces)
        change = delete(row) if becomes == "deleted" else upsert_replace(row, newer)
        await storage.tables.transact(keys.ARCHIVE, key.archive, [change])
        found: list[Any] = json.loads(text + b"".join([piece async for piece in pieces]))
        return found

    first, second = using(act)

    assert first["state"] == "Deleted"
    assert second["state"] == state
    assert second.get("metadata") == (None if becomes == "deleted" else {"00080018": {"vr": "UI"}})


def test_metadata_that_are_missing_are_not_left_out_silently(using: Using) -> None:
    """The row says that they are there: rather no answer than a wrong one."""
    key, row = StudyKey("microsoft.default", "1.2.3"), keys.instance_row("1.2.3.4", "1.2.3.4.1")

    async def act(storage: Storage) -> None:
        damaged = insert(row, {"version": 1001, "metadataBlob": "gone"})
        await storage.tables.transact(keys.ARCHIVE, key.archive, [damaged])
        with pytest.raises(Unavailable):
            await anext(render_one(storage, entry(1), Form("http://localhost/v2", True, False)))

    using(act)


def test_who_wants_a_few_of_many_gets_on_in_bounded_steps(using: Using) -> None:
    """A filter that finds nothing among some thousand entries answers so, and where to go on."""
    count = MAX_SCANNED + 150

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * count)
        await feed.append(storage, [entry(count + 1, action="delete"), entry(count + 2)])

        first = await page(storage, "action=delete")
        with counted() as calls:
            second = await page(storage, "action=delete", first.place)
        third = await page(storage, "action=delete", second.place)

        assert (first.entries, first.place, first.is_at_end) == ((), Place(MAX_SCANNED), False)
        assert [each.sequence for each in second.entries] == [count + 1]
        assert (second.place, second.is_at_end) == (Place(count + 2), True)
        assert calls.calls <= 2
        assert (third.entries, third.place) == ((), second.place)

    using(act)


def test_what_is_skipped_is_skipped_over_several_answers(using: Using) -> None:
    """`offset` counts entries that fit; the place knows how many are left."""
    count = MAX_SCANNED + 10

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * count)

        first = await page(storage, f"study=1.2.3&offset={MAX_SCANNED + 4}&limit=2")
        second = await page(storage, "study=1.2.3&limit=2", first.place)

        assert (first.entries, first.place) == ((), Place(MAX_SCANNED, 4))
        assert [each.sequence for each in second.entries] == [MAX_SCANNED + 5, MAX_SCANNED + 6]
        assert second.place == Place(MAX_SCANNED + 6)

    using(act)


@pytest.mark.parametrize("more", ["", "&study=1.2.3"])
def test_a_window_is_closed_only_when_nothing_can_come(using: Using, more: str) -> None:
    """An entry behind it shows that, or the time before which everything has been entered."""
    soon = NOON + timedelta(minutes=1)
    query = f"endTime={soon:%Y-%m-%dT%H:%M:%SZ}{more}"

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        assert not (await page(storage, query, settled=NOON)).is_closed
        assert (await page(storage, query, settled=soon)).is_closed
        assert not (await page(storage, f"{query}&limit=3", settled=NOON)).is_closed
        await feed.append(storage, [replace(entry(4), time=soon)])

        after = await page(storage, query, settled=NOON)

        assert [each.sequence for each in after.entries] == [1, 2, 3]
        assert after.is_closed

    using(act)
