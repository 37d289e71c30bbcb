"""Queues, blobs, timers and events through the running host, with each invoker."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.local.conftest import NewStorage
from tests.local.hosting import Host, wait_until


class Store:
    """The storage of the sample app, seen from outside."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.queues = QueueServiceClient.from_connection_string(settings["SampleStorage"])
        self.blobs = BlobServiceClient.from_connection_string(settings["SampleStorage"])

    def send(self, queue: str, text: str, *, raw: bool = False) -> None:
        self.queues.get_queue_client(queue).send_message(
            text if raw else base64.b64encode(text.encode()).decode()
        )

    def peek(self, queue: str) -> list[str]:
        """The messages of a queue as they lie there; none when there is no queue yet."""
        try:
            return [str(message.content) for message in self.queues.get_queue_client(queue).peek_messages(32)]
        except ResourceNotFoundError:
            return []

    def peek_decoded(self, queue: str) -> list[str]:
        return [base64.b64decode(text).decode() for text in self.peek(queue)]

    def count(self, queue: str) -> int:
        """Messages in a queue, hidden ones included."""
        return int(self.queues.get_queue_client(queue).get_queue_properties().approximate_message_count or 0)

    def put(self, name: str, text: str, container: str = "events") -> None:
        self.blobs.get_blob_client(container, name).upload_blob(text.encode(), overwrite=True)

    def delete(self, name: str) -> None:
        self.blobs.get_blob_client("events", name).delete_blob()

    def close(self) -> None:
        self.queues.close()
        self.blobs.close()


@pytest.fixture
def store(host: Host, storage: dict[str, str]) -> Iterator[Store]:
    opened = Store(storage)
    yield opened
    opened.close()


def test_a_message_is_worked_off_once_and_deleted(host: Host, store: Store) -> None:
    store.send("work", "plainly")
    host.drain()

    assert host.seen("work plainly") == ["work plainly 1"]
    assert store.count("work") == 0


def test_a_message_is_found_without_a_drain(host: Host, store: Store) -> None:
    store.send("work", "by itself")

    host.wait_for("work by itself")


def test_a_failing_message_is_tried_as_often_as_set_and_then_poisoned(host: Host, store: Store) -> None:
    store.send("work", "bad thing")
    host.drain()

    assert host.seen("work bad thing") == [f"work bad thing {number}" for number in (1, 2, 3)]
    assert "bad thing" in store.peek_decoded("work-poison")
    assert store.count("work") == 0


def test_a_message_that_is_not_base64_is_poisoned_as_it_is(host: Host, store: Store) -> None:
    store.send("work", "not base64!", raw=True)
    host.drain()

    assert "not base64!" in store.peek("work-poison")


def test_a_drain_waits_for_what_is_running(host: Host, store: Store) -> None:
    store.send("work", "slow one")
    host.drain()

    assert host.seen("worked slow one") == ["worked slow one"]


def test_more_messages_than_a_batch_are_all_worked_off(host: Host, store: Store) -> None:
    for number in range(25):
        store.send("work", f"many {number:02}")
    host.drain()

    assert sorted(host.seen("work many")) == [f"work many {number:02} 1" for number in range(25)]


def test_outputs_are_written_to_queue_and_blob(host: Host, store: Store) -> None:
    store.send("relay-in", "words")
    host.drain()

    assert "words by relay" in store.peek_decoded("relay-out")
    assert host.get("/pages/relayed").body == b"words"


def test_an_http_function_has_outputs_and_inputs_too(host: Host, store: Store) -> None:
    assert host.request("POST", "/send/hither").status == 202
    assert host.get("/pages/missing").status == 404

    wait_until(lambda: "hither" in store.peek_decoded("sent"), "the message is sent")


def test_a_message_can_be_handed_in_by_hand(host: Host) -> None:
    answer = host.request("POST", "/admin/functions/WORK", json.dumps({"input": "handed in"}))

    assert answer.status == 202
    assert host.wait_for("work handed in") == ["work handed in 1"]


def test_a_blob_is_handed_over_once(host: Host, store: Store) -> None:
    store.put("2026/one.txt", "first")
    store.put("2026/one.bin", "no match")
    host.wait_for("2026/one.txt")
    host.drain()

    assert host.seen("2026/one") == ["event events/2026/one.txt 5 first"]


def test_a_new_version_of_a_blob_is_handed_over_again(host: Host, store: Store) -> None:
    for text in ("first", "second"):
        store.put("2026/two.txt", text)
        host.drain()

    assert host.seen("2026/two.txt") == [
        f"event events/2026/two.txt {len(t)} {t}" for t in ("first", "second")
    ]


def test_blobs_that_arrive_while_others_run_are_not_lost(host: Host, store: Store) -> None:
    for number in range(6):
        store.put(f"2026/slow{number}.txt", "slow")
    host.wait_for("2026/slow")
    for number in range(12):
        store.put(f"2026/late{number:02}.txt", "quick")
    host.drain()

    assert len(host.seen("2026/slow")) == 6
    assert sorted(host.seen("2026/late")) == [f"event events/2026/late{n:02}.txt 5 quick" for n in range(12)]


def test_a_failing_blob_is_tried_five_times_and_set_aside(host: Host, store: Store) -> None:
    store.put("2026/failing.txt", "bad blob")
    host.drain()

    assert len(host.seen("2026/failing.txt")) == 5
    notes = [json.loads(text) for text in store.peek_decoded("webjobs-blobtrigger-poison")]
    note = next(note for note in notes if note["BlobName"] == "2026/failing.txt")
    assert (note["ContainerName"], note["FunctionId"]) == ("events", "Host.Functions.event")


def test_a_blob_that_vanishes_is_no_failure(host: Host, store: Store) -> None:
    for number in range(8):
        store.put(f"2026/slowly{number}.txt", "slow")
    store.put("2026/vanishing.txt", "gone soon")
    store.delete("2026/vanishing.txt")
    host.drain()

    assert "event failed" not in host.wait_for_log("local")[-200:]


def test_a_blob_can_be_handed_in_by_hand(host: Host, store: Store) -> None:
    store.put("2026/again.txt", "once more")
    host.drain()

    host.request("POST", "/admin/functions/event", json.dumps({"input": "events/2026/again.txt"}))

    host.wait_for("2026/again.txt", times=2)


def test_a_timer_can_be_run_by_hand(host: Host) -> None:
    before = len(host.seen("tick"))

    assert host.request("POST", "/admin/functions/tick", b"{}").status == 202

    assert host.wait_for("tick", before + 1)[-1] == "tick False"


def test_a_timer_may_run_at_the_start(host: Host) -> None:
    assert len(host.wait_for("at start")) == 1


def test_a_disabled_function_never_runs(host: Host) -> None:
    host.wait_for("at start")

    assert host.seen("asleep") == []
    host.wait_for_log("asleep is disabled")


def test_a_missing_connection_puts_only_its_function_in_error(host: Host) -> None:
    host.wait_for_log("THE FUNCTION unconnected IS IN ERROR AND NOT LOADED: The connection NoSuchConnection")


def test_events_are_delivered_one_by_one(host: Host) -> None:
    answer = deliver(host, "EventGrid?functionName=grid", [event("one", "a"), event("two", "b")])

    assert answer.status == 202
    assert {"grid one a", "grid two b"} <= set(host.seen("grid"))


def test_a_subscription_is_validated(host: Host) -> None:
    asked = event("check", "") | {
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "1234"},
    }

    for hook in ("EventGrid?functionName=grid", "blobs?functionName=Host.Functions.event"):
        answer = deliver(host, hook, [asked])

        assert (answer.status, answer.json()) == (200, {"validationResponse": "1234"})


def test_a_blob_event_wakes_the_listing(host: Host, store: Store) -> None:
    store.put("2026/woken.txt", "up")

    answer = deliver(host, "blobs?functionName=Host.Functions.event", [event("one", "a")])

    assert answer.status == 202
    host.wait_for("2026/woken.txt")


def test_a_timer_runs_on_its_schedule(sample_app: Path, invoker: str, new_storage: NewStorage) -> None:
    settings = {**new_storage(), "TICK": "* * * * * *"}

    with Host(sample_app, "--invoker", invoker, settings=settings) as host:
        assert host.wait_for("tick", 2) == ["tick False"] * 2


def test_a_restart_does_not_call_again_for_blobs_handled_before(
    sample_app: Path, invoker: str, new_storage: NewStorage
) -> None:
    settings = new_storage()
    store = Store(settings)
    with Host(sample_app, "--invoker", invoker, settings=settings) as host:
        store.put("2026/kept.txt", "before")
        host.drain()
        wait_until(lambda: has_receipt(store, "2026/kept.txt"), "a receipt is written")

    with Host(sample_app, "--invoker", invoker, settings=settings) as host:
        store.put("2026/new.txt", "after")
        host.drain()

        assert host.seen("event") == ["event events/2026/new.txt 5 after"]
    store.close()


def test_a_run_missed_while_the_host_was_down_is_past_due(sample_app: Path, new_storage: NewStorage) -> None:
    settings = {**new_storage(), "TICK": "0 0 0 * * *"}
    store = Store(settings)
    store.blobs.create_container("azure-webjobs-hosts")
    status = json.dumps({"Last": "2026-01-01T00:00:00+00:00", "Next": "2026-01-02T00:00:00+00:00"})
    store.put("timers/local/tick/status", status, container="azure-webjobs-hosts")
    store.close()

    with Host(sample_app, settings=settings) as host:
        assert host.wait_for("tick") == ["tick True"]


def test_messages_without_base64_are_read_when_host_json_says_so(
    sample_app: Path, new_storage: NewStorage
) -> None:
    settings = {**new_storage(), "AzureFunctionsJobHost__extensions__queues__messageEncoding": "none"}
    store = Store(settings)

    with Host(sample_app, settings=settings) as host:
        store.send("work", "as it is", raw=True)
        store.send("relay-in", "plain", raw=True)
        host.drain()

        assert host.seen("work as it is") == ["work as it is 1"]
        assert store.peek("relay-out") == ["plain by relay"]
    store.close()


def test_a_message_is_held_for_as_long_as_its_function_runs(
    sample_app: Path, invoker: str, new_storage: NewStorage
) -> None:
    settings = {**new_storage(), "LOCAL_HOST_QUEUE_HOLD_SECONDS": "1"}
    store = Store(settings)

    with Host(sample_app, "--invoker", invoker, settings=settings) as host:
        store.send("work", "long")
        host.wait_for("worked long")
        host.drain()

        assert host.seen("long") == ["work long 1", "worked long"]
        assert store.count("work") == 0
    store.close()


def test_a_function_that_takes_too_long_has_failed(
    sample_app: Path, invoker: str, new_storage: NewStorage
) -> None:
    limits = {
        "AzureFunctionsJobHost__functionTimeout": "00:00:01",
        "AzureFunctionsJobHost__extensions__queues__maxDequeueCount": "1",
    }
    settings = {**new_storage(), **limits}
    store = Store(settings)

    with Host(sample_app, "--invoker", invoker, settings=settings) as host:
        store.send("work", "endless")
        host.drain()

        assert store.peek_decoded("work-poison") == ["endless"]
        host.wait_for_log("it ran longer than the functionTimeout of 1 seconds")
    store.close()


def test_a_message_whose_host_was_killed_comes_back_when_its_hold_is_over(
    sample_app: Path, new_storage: NewStorage
) -> None:
    settings = {**new_storage(), "LOCAL_HOST_QUEUE_HOLD_SECONDS": "1", "LOCAL_HOST_GRACE_SECONDS": "0.5"}
    store = Store(settings)
    with Host(sample_app, settings=settings) as host:
        store.send("work", "endless")
        host.wait_for("work endless 1")
        host.process.kill()

    with Host(sample_app, settings=settings) as host:
        host.wait_for("work endless 2")
    store.close()


def has_receipt(store: Store, name: str) -> bool:
    container = store.blobs.get_container_client("azure-webjobs-hosts")
    return container.exists() and any(path.endswith(name) for path in container.list_blob_names())


def event(name: str, word: str) -> dict[str, Any]:
    return {
        "id": name,
        "data": {"word": word},
        "eventType": "Sample.Event",
        "subject": "s",
        "topic": "t",
        "dataVersion": "1",
        "eventTime": "2026-01-01T00:00:00Z",
    }


def deliver(host: Host, hook: str, events: list[dict[str, Any]]) -> Any:
    return host.request("POST", f"/runtime/webhooks/{hook}", json.dumps(events))
