"""Having joined metadata looked at: beside the feed, in few messages, and never in its way."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.storage.queue import TextBase64DecodePolicy

from shared.changefeed.emit import emit
from shared.storage import aside, feed, keys, pending, summaries
from shared.storage.commit import announce_change
from shared.storage.connection import Connection
from shared.storage.keys import StudyKey
from shared.storage.planning import render_pending
from shared.storage.rows import Change, Location
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.summaries import MAX_SERIES, named_series, wake_aside
from shared.storage.tables import insert
from shared.storage.versions import next_version
from tests.unit.changefeed.conftest import Using
from tests.unit.changefeed.test_emit import blobs, commit, study, waiting

QUIET = timedelta(minutes=5)


def at_rest_after(storage: Storage, quiet: timedelta) -> Storage:
    """The same with another quiet time."""
    return replace(storage, times=replace(storage.times, quiet=quiet))


async def messages_sent(storage: Storage) -> int:
    """How many lie in the queue, when all that was to be sent is; also those that are hidden."""
    await asyncio.wait_for(asyncio.gather(*storage.memory.waking), 60)
    sdk = await storage.wire.sdk()
    found = await sdk.queues.get_queue_client(keys.REFRESH_QUEUE).get_queue_properties()
    return found.approximate_message_count or 0


@pytest.mark.parametrize("where", ["nowhere", "at the wrong service"])
def test_a_queue_that_fails_holds_up_and_sets_aside_nothing(
    connection: Connection, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """Whether it is away, for which every message takes its time, or refuses: the feed does not notice."""
    queue = "http://127.0.0.1:1/account" if where == "nowhere" else connection.table
    times = Times(timedelta(0), timedelta(minutes=15))

    async def act() -> None:
        storage = open_storage(replace(connection, queue=queue), times)
        try:
            made = [await commit(storage, study(at)) for at in range(3)]
            assert await emit(storage) == 3
            assert await blobs(storage) == []
            assert await waiting(storage, *map(study, range(3))) == []
            assert await aside.read_all(storage) == {}
            assert (await feed.read_mark(storage)).sequence == 3
            assert {entry.of for entry in await feed.read_entries(storage, 0)} == set(made)
            if where != "nowhere":
                await asyncio.wait_for(asyncio.gather(*storage.memory.waking), 60)
        finally:
            await storage.aclose()

    asyncio.run(act())

    assert caplog.text.count("queue refresh takes no message") == (0 if where == "nowhere" else 1)
    assert "set aside" not in caplog.text


def test_deletions_wait_for_a_queue_that_is_away_once_and_not_each(
    connection: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feed goes on; the sweep finds the rows of purges whose messages are missing."""
    monkeypatch.setattr(pending, "PURGE_MESSAGE_SECONDS", 0.2)

    async def act() -> int:
        away = replace(connection, queue="http://127.0.0.1:1/account")
        storage = open_storage(away, Times(timedelta(0), timedelta(minutes=15)))
        try:
            for at in range(5):
                version = next_version()
                removed = [Change("2", str(at), version, Location("b", 0, 1))]
                row = insert(keys.pending_row(version), render_pending("delete", removed, ()))
                await storage.tables.transact(keys.ARCHIVE, study(1).archive, [row])
                await announce_change(storage, study(1), version)
            assert await emit(storage) == 5
            assert await waiting(storage, study(1)) == []
            return len(await pending.all_purges(storage, study(1)))
        finally:
            await storage.aclose()

    assert asyncio.run(act()) == 5
    assert caplog.text.count("a purge could not be announced") == 1


def test_a_series_has_one_message_in_its_quiet_time_and_shares_it(using: Using) -> None:
    """However many changes it has, and however many other series have some."""

    async def act(storage: Storage) -> list[int]:
        quiet, counts = at_rest_after(storage, QUIET), []
        for _ in range(3):
            for at in range(4):
                await commit(storage, study(at), ["1", "2"])
            await emit(quiet)
            counts.append(await messages_sent(storage))
        await commit(storage, study(9))
        await emit(quiet)
        return [*counts, await messages_sent(storage)]

    assert using(act) == [1, 1, 1, 2]


def test_a_message_names_what_it_is_about(using: Using) -> None:
    """Each series of each study that has changed, of any number of them."""
    keys_of = [StudyKey("p", f"1.2.{number}") for number in range(MAX_SERIES + 3)]

    async def act(storage: Storage) -> list[list[tuple[StudyKey, str]]]:
        for key in keys_of:
            wake_aside(storage, key, ["2"], timedelta(0))
        await asyncio.gather(*storage.memory.waking)
        sdk = await storage.wire.sdk()
        policy = TextBase64DecodePolicy()
        client = sdk.queues.get_queue_client(keys.REFRESH_QUEUE, message_decode_policy=policy)
        return [named_series(message.content) async for message in client.receive_messages()]

    found = using(act)

    assert sorted(len(each) for each in found) == [3, MAX_SERIES]
    assert {each for some in found for each in some} == {(key, "2") for key in keys_of}


def test_what_is_too_much_at_once_is_forgotten(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next change, or its next reader, has it looked at."""
    monkeypatch.setattr(summaries, "MAX_TO_WAKE", 2)

    async def act(storage: Storage) -> list[int]:
        wake_aside(storage, study(1), ["1", "2", "3"], QUIET)
        counts = [len(storage.memory.to_wake), await messages_sent(storage)]
        wake_aside(storage, study(1), ["1", "2", "3"], QUIET)
        return [*counts, len(storage.memory.to_wake), await messages_sent(storage)]

    assert using(act) == [2, 1, 1, 2]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{}",
        b"7",
        b"nonsense",
        b"[" * 100_000,
        json.dumps([{"partition": "p", "study": "1.2"}]).encode(),
        json.dumps([{"partition": "p", "study": "1.2", "series": "x"}]).encode(),
        json.dumps([{"partition": "a/b", "study": "1.2", "series": "1.2"}]).encode(),
        json.dumps([{"partition": 1, "study": 2, "series": 3}]).encode(),
        json.dumps([["p", "1.2", "1.2"]]).encode(),
    ],
)
def test_a_message_that_is_not_ours_names_nothing(message: bytes) -> None:
    """Anybody with access to the queue may write into it."""
    assert named_series(message) == []
