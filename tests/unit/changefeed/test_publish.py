"""Publishing events over real storage to a real endpoint that fails, delays, cuts and repeats."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.credentials import AzureKeyCredential
from azure.storage.blob.aio import BlobLeaseClient

from shared.changefeed import publish as publishing
from shared.changefeed.events import CLOUD_EVENTS, EVENT_GRID, Source, event_id
from shared.changefeed.publish import (
    MAX_REFUSALS,
    MAX_TRIES,
    Publishing,
    is_behind,
    pick_delay,
    publish,
    retry_refused,
)
from shared.changefeed.sinks import TRIES, SinkFailed, to_endpoint, to_event_grid
from shared.storage import feed, keys
from shared.storage.calls import counted
from shared.storage.connection import Connection
from shared.storage.outbox import Refused, Sent, read_refused, read_sent, write_sent
from shared.storage.storage import Storage, Times, open_storage
from tests.receiver import PATIENCE_SECONDS, Receiver, receiving
from tests.unit.changefeed.conftest import NOON, Using, enter, entry


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint."""
    with receiving() as running:
        yield running


def to(receiver: Receiver, schema: str = EVENT_GRID) -> Publishing:
    """Publish there."""
    return Publishing(to_endpoint(f"{receiver.url}/hook?key=1", schema), Source(schema, "", "localhost"))


def to_topic(receiver: Receiver) -> Publishing:
    """Publish there as to an Event Grid topic."""
    topic = to_event_grid(f"{receiver.url}/api/events", lambda: AzureKeyCredential("a key"))
    return Publishing(topic, Source(EVENT_GRID, "", "localhost"))


async def place(storage: Storage) -> int:
    """Up to where events were taken, as it is written down."""
    sent = await read_sent(storage)
    return sent.sequence if sent else 0


async def forget_the_delay(storage: Storage) -> None:
    """As if the time until the next try were over."""
    sent = await read_sent(storage)
    assert sent is not None
    assert await write_sent(storage, sent, Sent(sent.sequence, sent.failures))


def numbers(receiver: Receiver, what: str = "taken") -> list[int]:
    """The sequences of the events that came."""
    return [event["data"]["sequenceNumber"] for event in getattr(receiver, what)]


def test_every_entry_gets_its_event_in_order_and_in_batches(using: Using, receiver: Receiver) -> None:
    """Section 17: every change-feed entry has one event."""

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 230)
        assert await is_behind(storage)
        assert await publish(storage, to(receiver)) == 230
        assert await publish(storage, to(receiver)) == 0
        assert not await is_behind(storage)
        assert await place(storage) == 230

    using(act)

    assert numbers(receiver) == list(range(1, 231))
    assert [len(post.events) for post in receiver.posts] == [100, 100, 30]
    assert receiver.posts[0].path == "/hook?key=1"
    assert receiver.posts[0].headers["content-type"] == "application/json; charset=utf-8"
    assert receiver.posts[0].headers["aeg-event-type"] == "Notification"


def test_cloud_events_come_as_a_batch(using: Using, receiver: Receiver) -> None:
    """CloudEvents 1.0, HTTP binding, batched mode."""

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 2)
        await publish(storage, to(receiver, CLOUD_EVENTS))

    using(act)

    (post,) = receiver.posts
    assert post.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    assert [event["specversion"] for event in post.events] == ["1.0", "1.0"]


def test_a_sink_that_fails_a_moment_is_tried_again_at_once(using: Using, receiver: Receiver) -> None:
    """A status that passes, and a connection that is cut after the events were read: the same ids again."""
    receiver.script = [503, None]

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        assert await publish(storage, to(receiver)) == 3

    using(act)

    assert [post.status for post in receiver.posts] == [503, None, 200]
    assert {tuple(event["id"] for event in post.events) for post in receiver.posts} == {
        tuple(event_id(entry(number)) for number in (1, 2, 3))
    }


def test_a_sink_that_fails_on_is_left_alone_for_a_while(using: Using, receiver: Receiver) -> None:
    """Later and later; nothing is lost, and what was taken is not sent again."""
    receiver.script = [200, 503, 503, 503, 403]

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 150)
        assert await publish(storage, to(receiver)) == 100
        assert await publish(storage, to(receiver)) == 0
        assert not await is_behind(storage)
        assert len(receiver.posts) == 4
        sent = await read_sent(storage)
        assert sent is not None
        assert (sent.sequence, sent.failures) == (100, 1)
        await forget_the_delay(storage)
        assert await publish(storage, to(receiver)) == 0
        assert len(receiver.posts) == 5
        await forget_the_delay(storage)
        assert await publish(storage, to(receiver)) == 50
        sent = await read_sent(storage)
        assert sent is not None
        assert (sent.sequence, sent.failures) == (150, 0)

    using(act)

    assert numbers(receiver) == list(range(1, 151))


def test_a_sink_that_is_not_there_loses_nothing(using: Using, receiver: Receiver) -> None:
    """Nobody listens; later somebody does."""
    nowhere = Publishing(to_endpoint("http://127.0.0.1:1/", EVENT_GRID), Source(EVENT_GRID, "", "localhost"))

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        assert await publish(storage, nowhere) == 0
        await forget_the_delay(storage)
        assert await publish(storage, to(receiver)) == 3

    using(act)

    assert numbers(receiver) == [1, 2, 3]


def test_a_publisher_killed_after_sending_sends_again_under_the_same_ids(
    using: Using, receiver: Receiver
) -> None:
    """Between the sink's having the events and the note of it: twice, never lost."""
    arrived, killed = threading.Event(), threading.Event()

    def answer_too_late() -> int:
        arrived.set()
        killed.wait(PATIENCE_SECONDS)
        return 200

    receiver.script = [200, answer_too_late]

    async def die(storage: Storage) -> None:
        await enter(storage, [NOON] * 150)
        dying = asyncio.create_task(publish(storage, to(receiver)))
        assert await asyncio.to_thread(arrived.wait, PATIENCE_SECONDS)
        dying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dying
        killed.set()

    using(die)
    using(lambda storage: publish(storage, to(receiver)))

    ids = [event["id"] for event in receiver.wait_for(200, "seen")]
    assert set(ids) == {event_id(entry(number)) for number in range(1, 151)}
    assert len(ids) == 200
    assert using(place) == 150


def test_two_publishers_at_once_lose_nothing(using: Using, receiver: Receiver) -> None:
    """The lease lets one work; the other leaves a message, and ends."""

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 40)
        counts = await asyncio.gather(*(publish(storage, to(receiver)) for _ in range(3)))
        assert sum(counts) == 40
        assert await place(storage) == 40

    using(act)

    assert sorted(numbers(receiver)) == list(range(1, 41))


def test_a_publisher_that_was_paused_does_not_move_the_place_back(using: Using) -> None:
    """Its lease ended meanwhile; the row is changed only by who knows its version."""

    async def act(storage: Storage) -> None:
        paused = await write_sent(storage, Sent(0), Sent(5))
        assert paused is not None
        assert await write_sent(storage, paused, Sent(9)) is not None

        assert await write_sent(storage, paused, Sent(6)) is None
        assert await write_sent(storage, Sent(0), Sent(6)) is None
        assert await place(storage) == 9

    using(act)


def test_events_begin_where_they_are_told_to(using: Using, receiver: Receiver) -> None:
    """`EVENTS_FROM`: an archive that switches them on need not send its history."""

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)])
        begun = to(receiver)
        late = Publishing(begun.open_sink, begun.source, NOON + timedelta(minutes=1))
        assert await publish(storage, late) == 2

    using(act)

    assert numbers(receiver) == [2, 3]


def test_what_is_too_much_at_once_is_sent_in_halves(using: Using, receiver: Receiver) -> None:
    """413 says so."""
    receiver.script = [413, 200, 413]

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 8)
        assert await publish(storage, to(receiver)) == 8

    using(act)

    assert [len(post.events) for post in receiver.posts] == [8, 4, 4, 2, 2]
    assert numbers(receiver) == list(range(1, 9))


@pytest.mark.parametrize(("asked", "seconds"), [("3600", 600), ("30", 30), ("1", 5), ("soon", 5)])
def test_who_asks_for_a_long_pause_gets_a_short_one_and_then_a_long_one(
    using: Using, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, asked: str, seconds: int
) -> None:
    """429 with Retry-After is followed up to a bound; beyond it the run ends, and the next one is later."""
    monkeypatch.setattr("shared.changefeed.sinks.LONGEST_DELAY_SECONDS", 0.01)
    receiver.script, receiver.headers = [429, 429, 429], {"Retry-After": asked}

    async def act(storage: Storage) -> tuple[datetime, Sent | None, datetime]:
        await enter(storage, [NOON])
        began = datetime.now(UTC)
        assert await publish(storage, to(receiver)) == 0
        return began, await read_sent(storage), datetime.now(UTC)

    began, sent, ended = using(act)

    assert len(receiver.posts) == 3
    assert sent is not None
    assert began <= sent.not_before - timedelta(seconds=seconds) <= ended


def test_a_sink_that_hangs_is_tried_again(
    using: Using, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the events and says nothing: whether they were taken nobody knows, so they come again."""
    monkeypatch.setattr("shared.changefeed.sinks.TRY_SECONDS", 0.5)
    released = threading.Event()

    def hang() -> int:
        released.wait(PATIENCE_SECONDS)
        return 200

    receiver.script = [hang]

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        # More than once where this machine is as slow as that sink.
        while await place(storage) < 3:
            await publish(storage, to(receiver))
            if await place(storage) < 3:
                await forget_the_delay(storage)

    using(act)
    released.set()

    ids = [event["id"] for event in receiver.wait_for(6, "seen")]
    assert ids[:3] == ids[3:6] == [event_id(entry(number)) for number in (1, 2, 3)]


@pytest.mark.parametrize("is_topic", [False, True])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_a_redirect_is_not_followed(using: Using, receiver: Receiver, status: int, is_topic: bool) -> None:
    """Whoever is there was not named as somebody to be told; nothing is lost meanwhile."""

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        assert await publish(storage, there) == 0
        assert await place(storage) == 0
        await forget_the_delay(storage)
        assert await publish(storage, there) == 3

    with receiving() as elsewhere:
        receiver.script, receiver.headers = [status], {"Location": elsewhere.url}
        there = to_topic(receiver) if is_topic else to(receiver)
        using(act)

        assert elsewhere.posts == []
    assert numbers(receiver) == [1, 2, 3]


def refusing(status: int, *refused: int) -> Callable[[list[dict[str, Any]]], int | None]:
    """Refuses what holds one of some events."""

    def refuse(events: list[dict[str, Any]]) -> int | None:
        found = {event["data"]["sequenceNumber"] for event in events}
        return status if found & set(refused) else None

    return refuse


@pytest.mark.parametrize("is_topic", [False, True])
@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_that_is_refused_for_good_holds_up_nothing(
    using: Using, receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int, is_topic: bool
) -> None:
    """Section 17, failure: the batch is split, what is refused by itself is set aside, the rest goes on."""
    receiver.refuse = refusing(status, 3, 7)
    there = to_topic(receiver) if is_topic else to(receiver)

    async def act(storage: Storage) -> list[Refused]:
        await enter(storage, [NOON] * 10)
        assert await publish(storage, there) == 8
        assert await place(storage) == 10
        assert not await is_behind(storage)
        return await read_refused(storage)

    assert using(act) == [Refused(3, 1), Refused(7, 1)]
    assert numbers(receiver) == [1, 2, 4, 5, 6, 8, 9, 10]
    assert f"sequence=3 its event was refused ({status}); it is set aside" in caplog.text
    assert "1.2.3" not in caplog.text


def test_a_sink_that_refuses_everything_is_wrong_itself(using: Using, receiver: Receiver) -> None:
    """Such as an endpoint that wants the other schema: no event is given up for that."""
    receiver.refuse = lambda _: 400

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 4)
        for _ in range(MAX_REFUSALS + 2):
            assert await publish(storage, to(receiver)) == 0
            await forget_the_delay(storage)
        assert await place(storage) == 0
        assert await read_refused(storage) == []
        receiver.refuse = lambda _: None
        assert await publish(storage, to(receiver)) == 4

    using(act)

    assert numbers(receiver) == [1, 2, 3, 4]


def test_the_only_event_there_is_waits_for_another_or_some_tries(using: Using, receiver: Receiver) -> None:
    """Alone it does not tell whether it or the sink is wrong; the next one does."""
    receiver.refuse = refusing(400, 1, 3)

    async def act(storage: Storage) -> list[Refused]:
        await feed.append(storage, [entry(1)])
        assert await publish(storage, to(receiver)) == 0
        assert await read_refused(storage) == []
        await feed.append(storage, [entry(2)])
        await forget_the_delay(storage)
        assert await publish(storage, to(receiver)) == 1
        await feed.append(storage, [entry(3)])
        for number in range(MAX_REFUSALS + 1):
            assert await place(storage) == 2, f"it was given up after {number} tries"
            assert await publish(storage, to(receiver)) == 0
            await forget_the_delay(storage)
        assert await place(storage) == 3
        return await read_refused(storage)

    assert using(act) == [Refused(1, 1), Refused(3, 1)]
    assert numbers(receiver) == [2]


def test_what_was_set_aside_is_tried_again_some_times(using: Using, receiver: Receiver) -> None:
    """By each sweep, which counts what is left."""
    receiver.refuse = refusing(400, 1, 3)

    async def act(storage: Storage) -> list[int]:
        await enter(storage, [NOON] * 3)
        await publish(storage, to(receiver))
        left = [await retry_refused(storage, to(receiver))]
        receiver.refuse = refusing(400, 3)
        left += [await retry_refused(storage, to(receiver)) for _ in range(MAX_TRIES)]
        count = len(receiver.posts)
        left += [await retry_refused(storage, to(receiver))]
        assert len(receiver.posts) == count
        return left

    assert using(act) == [2, *[1] * (MAX_TRIES + 1)]
    assert numbers(receiver) == [2, 1]


def test_a_sink_that_is_away_uses_up_no_tries(using: Using, receiver: Receiver) -> None:
    """Of what was set aside."""
    receiver.refuse = refusing(400, 1)

    async def act(storage: Storage) -> list[Refused]:
        await enter(storage, [NOON] * 2)
        await publish(storage, to(receiver))
        receiver.script = [503] * TRIES
        assert await retry_refused(storage, to(receiver)) == 1
        return await read_refused(storage)

    assert using(act) == [Refused(1, 1)]


def test_the_lease_is_held_for_as_long_as_it_takes(
    using: Using, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renewed while a sink takes long."""
    monkeypatch.setattr(publishing, "RENEW_SECONDS", 0.02)
    arrived, released = threading.Event(), threading.Event()

    def hold() -> int:
        arrived.set()
        released.wait(PATIENCE_SECONDS)
        return 200

    receiver.script = [hold]

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON])
        with counted() as calls:
            working = asyncio.create_task(publish(storage, to(receiver)))
            assert await asyncio.to_thread(arrived.wait, PATIENCE_SECONDS)
            before, deadline = calls.calls, time.monotonic() + PATIENCE_SECONDS
            # One that was lost would be asked for once and no more.
            while calls.calls < before + 3:
                assert time.monotonic() < deadline, "it is not renewed"
                await asyncio.sleep(0.02)
        assert await publish(storage, to(receiver)) == 0
        released.set()
        assert await working == 1

    using(act)

    assert numbers(receiver) == [1]


def test_a_publisher_that_is_paused_for_longer_than_its_lease_leaves_no_gap(
    connection: Connection, receiver: Receiver
) -> None:
    """Section 17: another goes on. First deliveries come in order; what comes late is a repetition."""
    arrived, released = threading.Event(), threading.Event()

    def hold() -> int:
        arrived.set()
        released.wait(PATIENCE_SECONDS)
        return 200

    receiver.script = [200, hold]

    async def act() -> list[int]:
        times = Times(timedelta(0), timedelta(minutes=15))
        one, other = open_storage(connection, times), open_storage(connection, times)
        try:
            await enter(one, [NOON] * 330)
            paused = asyncio.create_task(publish(one, to(receiver)))
            assert await asyncio.to_thread(arrived.wait, PATIENCE_SECONDS)
            await break_lease(other)
            count = await publish(other, to(receiver))
            released.set()
            return [count, await paused, await place(other)]
        finally:
            await one.aclose()
            await other.aclose()

    assert asyncio.run(act()) == [230, 200, 330]
    seen = numbers(receiver, "seen")
    assert list(dict.fromkeys(sorted(seen))) == list(range(1, 331))
    assert [len(post.events) for post in receiver.posts].count(100) == 4
    firsts = [number for number in dict.fromkeys(numbers(receiver)) if number > 200]
    assert firsts == sorted(firsts)


async def break_lease(storage: Storage) -> None:
    """As its end does."""
    sdk = await storage.wire.sdk()
    blob = sdk.blobs.get_blob_client(keys.LOCKS, publishing.LEASE_BLOB)
    await BlobLeaseClient(blob).break_lease(lease_break_period=0)


def test_a_run_ends_and_has_another_follow(using: Using, receiver: Receiver) -> None:
    """So that a function never runs for hours."""

    async def act(storage: Storage) -> list[str]:
        await enter(storage, [NOON] * 200)
        assert await publish(storage, to(receiver)) == 100
        sdk = await storage.wire.sdk()
        messages = sdk.queues.get_queue_client(keys.EVENT_QUEUE).receive_messages()
        return [str(message.content) async for message in messages]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "MAX_BATCHES", 1)
        assert len(using(act)) == 1


def test_pauses_double_up_to_ten_minutes() -> None:
    """In seconds; no longer than one after a refusal, and as a sink asks."""
    away, refused = SinkFailed("503"), SinkFailed("400", is_refused=True)

    assert [pick_delay(each, away).total_seconds() for each in (0, 1, 2, 6, 7, 1000)] == [
        *(5, 10, 20, 320, 600, 600)
    ]
    assert [pick_delay(each, refused).total_seconds() for each in (0, 3, 4, 1000)] == [5, 40, 60, 60]
    assert pick_delay(0, SinkFailed("429", pause_seconds=float("inf"))).total_seconds() == 600


@pytest.mark.parametrize(
    ("schema", "content_type"),
    [
        (EVENT_GRID, "application/json; charset=utf-8"),
        (CLOUD_EVENTS, "application/cloudevents-batch+json; charset=utf-8"),
    ],
)
def test_a_topic_of_event_grid_is_published_to_with_its_own_client(
    using: Using, receiver: Receiver, schema: str, content_type: str
) -> None:
    """`azure-eventgrid`, in batches; what fails a moment is tried again."""
    receiver.script = [503]
    topic = to_event_grid(f"{receiver.url}/api/events", lambda: AzureKeyCredential("a key"))

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        assert await publish(storage, Publishing(topic, Source(schema, "", "localhost"))) == 3

    using(act)

    assert numbers(receiver) == [1, 2, 3]
    assert receiver.posts[-1].headers["content-type"] == content_type
    assert receiver.posts[-1].path.startswith("/api/events?api-version=")
    assert receiver.posts[0].body == receiver.posts[1].body


def test_a_topic_that_refuses_loses_nothing(using: Using, receiver: Receiver) -> None:
    """A role that is missing, for instance."""
    receiver.script = [403]
    topic = to_event_grid(f"{receiver.url}/api/events", lambda: AzureKeyCredential("a key"))

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON] * 3)
        there = Publishing(topic, Source(EVENT_GRID, "", "localhost"))
        assert await publish(storage, there) == 0
        await forget_the_delay(storage)
        assert await publish(storage, there) == 3

    using(act)

    assert numbers(receiver) == [1, 2, 3]
