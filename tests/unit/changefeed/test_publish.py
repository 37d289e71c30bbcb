"""Publishing events over real storage to a real endpoint that fails, delays, cuts and repeats."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from azure.core.credentials import AzureKeyCredential

from shared.changefeed import publish as publishing
from shared.changefeed.events import CLOUD_EVENTS, EVENT_GRID, Source, event_id
from shared.changefeed.publish import Publishing, is_behind, pick_delay, publish
from shared.changefeed.sinks import to_endpoint, to_event_grid
from shared.storage import keys
from shared.storage.outbox import Sent, read_sent, write_sent
from shared.storage.storage import Storage
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
    receiver.script = [200, 503, 503, 503, 400]

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


def test_who_asks_for_a_long_pause_gets_a_short_one_and_then_a_long_one(
    using: Using, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retry-After is followed up to a bound; beyond it the run ends."""
    monkeypatch.setattr("shared.changefeed.sinks.LONGEST_DELAY_SECONDS", 0.01)
    receiver.script, receiver.retry_after = [429, 429, 429], "3600"

    async def act(storage: Storage) -> None:
        await enter(storage, [NOON])
        assert await publish(storage, to(receiver)) == 0

    using(act)

    assert len(receiver.posts) == 3


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
    """In seconds."""
    pauses = [pick_delay(failures).total_seconds() for failures in (0, 1, 2, 6, 7, 1000)]

    assert pauses == [5, 10, 20, 320, 600, 600]


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
