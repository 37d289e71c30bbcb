"""Events and what wakes the emitter: API rules sections 17 and 21, with a sink that misbehaves."""

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.queue import QueueClient

from local.dev.service import start_service
from tests.archive import JSON, Archive
from tests.conftest import NewAccount, StartService
from tests.factories import make, make_image, multipart
from tests.receiver import PATIENCE_SECONDS, Receiver, receiving

QUICK_SECONDS = 2.0


@pytest.fixture(scope="module")
def sink() -> Iterator[Receiver]:
    """An endpoint for events."""
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def telling(start: StartService, http: httpx.Client, sink: Receiver) -> Iterator[Archive]:
    """An archive that tells of its changes."""
    settings = {"EVENTS_SINK_URL": f"{sink.url}/events", "DICOM_PUBLIC_URL": "https://pacs.example.org"}
    with start(settings) as service:
        yield Archive(http, service.url, None)


def entries(archive: Archive, offset: int = 0) -> list[dict[str, Any]]:
    """The feed without metadata."""
    query = f"changefeed?limit=200&includeMetadata=false&offset={offset}"
    answer = archive.http.get(f"{archive.host}/v2/{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def wait_for_log(log: Path, words: str) -> None:
    """Wait until a service has logged something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in log.read_text():
        assert time.monotonic() < deadline, f"it never logged: {words}"
        time.sleep(0.05)


def test_every_change_is_told_once_with_its_sequence(telling: Archive, sink: Receiver) -> None:
    """Section 17: created, updated, deleted; the host without scheme; only UIDs."""
    before = len(sink.seen)
    image = make_image(PatientName="Secret^Name", PatientID="secret", StudyDescription="Secret too")
    body, content_type = multipart([image])

    telling.keep(image)
    put = telling.ask("PUT", "studies", JSON, content=body, headers={"Content-Type": content_type})
    telling.delete(image.path)

    assert put.status_code == 200
    events = sink.wait_for(before + 3)[before:]
    found = entries(telling)[-3:]
    assert [event["eventType"].rpartition(".")[2] for event in events] == [
        "DicomImageCreated",
        "DicomImageUpdated",
        "DicomImageDeleted",
    ]
    assert [event["data"]["sequenceNumber"] for event in events] == [entry["sequence"] for entry in found]
    assert [event["eventTime"] for event in events] == [entry["timestamp"] for entry in found]
    assert events[0]["subject"] == f"pacs.example.org/v1/{image.path}"
    assert events[0]["data"] == {
        "partitionName": "Microsoft.Default",
        "imageStudyInstanceUid": image.study,
        "imageSeriesInstanceUid": image.series,
        "imageSopInstanceUid": image.instance,
        "serviceHostName": "pacs.example.org",
        "sequenceNumber": found[0]["sequence"],
    }
    assert "ecret" not in json.dumps(events)


def test_an_event_comes_after_its_entry(telling: Archive, sink: Receiver) -> None:
    """Section 17: emitted after the commit; who is told finds the entry."""
    seen_at_once: list[int] = []

    def look() -> int:
        with httpx.Client() as client:
            latest = client.get(f"{telling.host}/v1/changefeed/latest?includeMetadata=false").json()
        seen_at_once.append(latest["sequence"])
        return 200

    before = len(sink.seen)
    sink.script = [look]
    telling.keep(make())

    event = sink.wait_for(before + 1)[-1]
    assert seen_at_once[0] >= event["data"]["sequenceNumber"]


def test_another_partition_is_named(telling: Archive, sink: Receiver) -> None:
    """Section 17: in the data and in the subject."""
    before, image = len(sink.seen), make()
    elsewhere = Archive.fresh(telling.http, telling.host)

    elsewhere.keep(image)

    event = sink.wait_for(before + 1)[-1]
    assert event["data"]["partitionName"] == elsewhere.partition
    assert event["subject"] == f"pacs.example.org/v1/partitions/{elsewhere.partition}/{image.path}"


def test_a_slow_sink_delays_neither_a_store_nor_the_feed(telling: Archive, sink: Receiver) -> None:
    """Section 17, failure: it must never delay the API call."""
    held, before = threading.Event(), len(sink.seen)

    def hold() -> int:
        held.wait(8)
        return 200

    sink.script = [hold]
    telling.keep(make())
    began = time.monotonic()
    telling.keep(make())
    count = len(entries(telling, entries(telling)[-1]["sequence"] - 2))
    took = time.monotonic() - began
    held.set()

    assert count == 2
    assert took < QUICK_SECONDS
    assert len({event["id"] for event in sink.wait_for(before + 2)[before:]}) == 2


def test_a_sink_that_fails_or_cuts_gets_the_same_events_again(telling: Archive, sink: Receiver) -> None:
    """Section 17, delivery: at least once; consumers de-duplicate by id."""
    before = len(sink.seen)
    sink.script = [500, None]

    telling.keep(make())

    repeated = sink.wait_for(before + 3, "seen")[before:]
    assert [post.status for post in sink.posts[-3:]] == [500, None, 200]
    assert len({event["id"] for event in repeated}) == 1


def test_a_sink_that_is_down_for_long_gets_everything_later(telling: Archive, sink: Receiver) -> None:
    """Section 17, failure: retry from the change feed; the calls do not notice."""
    before = {event["id"] for event in sink.seen}
    sink.script = [503] * 3
    images = [make() for _ in range(4)]

    began = time.monotonic()
    for image in images:
        telling.keep(image)
    took = time.monotonic() - began

    assert took < 4 * QUICK_SECONDS
    wanted = {image.instance for image in images}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted <= {event["data"]["imageSopInstanceUid"] for event in sink.taken}:
        assert time.monotonic() < deadline, "some were lost"
        time.sleep(0.1)
    new = [event for event in sink.taken if event["id"] not in before]
    numbers = [event["data"]["sequenceNumber"] for event in new]
    assert numbers == sorted(numbers)


def test_cloud_events_are_sent_where_that_is_set(
    start: StartService, http: httpx.Client, sink: Receiver
) -> None:
    """Section 17, CloudEvents 1.0 variant."""
    settings = {"EVENTS_SCHEMA": "cloudevents", "EVENTS_TOPIC": "/subscriptions/1/archive"}
    with receiving() as other, start({**settings, "EVENTS_SINK_URL": other.url}) as service:
        archive, image = Archive(http, service.url, None), make()
        archive.keep(image)

        (event,) = other.wait_for(1)

        assert other.posts[0].headers["content-type"].startswith("application/cloudevents-batch+json")
        assert event["specversion"] == "1.0"
        assert event["source"] == "/subscriptions/1/archive"
        assert event["type"] == "Microsoft.HealthcareApis.DicomImageCreated"
        assert event["subject"] == f"localhost/v1/{image.path}"
        assert event["data"]["imageSopInstanceUid"] == image.instance


def test_no_events_are_sent_unless_that_is_set(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path
) -> None:
    """Off by default: nobody is even woken."""
    log = tmp_path / "log"
    with start_service(0, new_account(), log=log) as service:
        archive = Archive(http, service.url, None)
        archive.keep(make())
        assert len(entries(archive)) == 1
        assert http.post(f"{service.url}/admin/host/drain").status_code == 200

    assert "function=publish_events" not in log.read_text()


@pytest.mark.parametrize("form", ["event grid", "cloud event", "event grid in base64 twice", "nonsense"])
def test_changes_are_entered_when_a_queue_tells_of_them(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path, form: str
) -> None:
    """Where Event Grid writes to a queue, as it must for a private network; any message is a wake-up."""
    log, account = tmp_path / "log", new_account()
    settings = {"AzureWebJobs.emit_changes.Disabled": "true"}
    with start_service(0, account, settings=settings, log=log) as service:
        image = make()
        Archive(http, service.url, None).keep(image)
        with QueueClient.from_connection_string(account, "announced") as queue:
            queue.send_message(b64encode(message(form, image.study)).decode())

        wait_for_log(log, "function=emit_announced entries=1")

        (entry,) = entries(Archive(http, service.url, None))
        assert entry["sopInstanceUid"] == image.instance
        assert ("names no change" in log.read_text()) == (form == "nonsense")


def message(form: str, study: str) -> bytes:
    """What Event Grid would write."""
    subject = f"/blobServices/default/containers/changes/blobs/0006/microsoft.default/{study}"
    common = {"id": "1", "subject": subject, "data": {"api": "PutBlob", "contentLength": 90}}
    if form == "cloud event":
        cloud = {"specversion": "1.0", "type": "Microsoft.Storage.BlobCreated", "source": "/s", **common}
        return json.dumps(cloud).encode()
    grid = {"eventType": "Microsoft.Storage.BlobCreated", "dataVersion": "", "topic": "/s", **common}
    text = json.dumps(grid).encode()
    return {"event grid": text, "event grid in base64 twice": b64encode(text)}.get(form, b"nonsense")
