"""Events and what wakes the emitter: API rules sections 17 and 21, with a sink that misbehaves."""

import json
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from azure.storage.queue import QueueClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.dev.service import start_service
from shared.changefeed.sinks import TRIES
from tests.archive import JSON, Archive
from tests.conftest import NewAccount, StartService
from tests.factories import Instance, make, make_image, multipart
from tests.receiver import PATIENCE_SECONDS, Receiver, receiving


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
    """Section 17, failure: it must never delay the API call, which is answered while the sink is silent."""
    arrived, released = threading.Event(), threading.Event()
    answered, images = len(sink.posts), [make(), make()]

    def hold() -> int:
        arrived.set()
        released.wait(PATIENCE_SECONDS)
        return 200

    sink.script = [hold] * TRIES
    telling.keep(images[0])
    assert arrived.wait(PATIENCE_SECONDS)
    telling.keep(images[1])
    found = entries(telling, entries(telling)[-1]["sequence"] - 2)

    assert len(sink.posts) == answered
    assert [entry["sopInstanceUid"] for entry in found] == [image.instance for image in images]
    released.set()
    wait_for_images(sink, images)
    sink.script = []


def test_a_sink_that_fails_or_cuts_gets_the_same_events_again(telling: Archive, sink: Receiver) -> None:
    """Section 17, delivery: at least once; consumers de-duplicate by id."""
    before = len(sink.seen)
    sink.script = [500, None]

    telling.keep(make())

    repeated = sink.wait_for(before + 3, "seen")[before:]
    assert [post.status for post in sink.posts[-3:]] == [500, None, 200]
    assert len({event["id"] for event in repeated}) == 1


def test_an_event_that_is_refused_is_reported_by_the_sweep(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path
) -> None:
    """Section 17, failure: those behind it are sent; the sweep tries it again, and counts what is left."""
    log = tmp_path / "log"
    with receiving() as sink:
        sink.refuse = lambda events: 400 if bad.instance in json.dumps(events) else None
        bad, *good = (make() for _ in range(3))
        with start_service(0, new_account(), settings={"EVENTS_SINK_URL": sink.url}, log=log) as service:
            archive = Archive(http, service.url, None)
            archive.keep(bad)
            archive.keep(*good)
            wait_for_images(sink, good)
            wait_for_log(log, "its event was refused (400); it is set aside")
            assert http.post(f"{service.url}/admin/functions/sweep", json={}).status_code == 202
            wait_for_log(log, "function=sweep refused=1")
            sink.refuse = lambda _: None
            assert http.post(f"{service.url}/admin/functions/sweep", json={}).status_code == 202
            wait_for_log(log, "function=sweep refused=0")

    assert {event["data"]["imageSopInstanceUid"] for event in sink.taken} >= {bad.instance}
    assert bad.instance not in log.read_text()


def test_a_sink_that_is_down_for_long_gets_everything_later(telling: Archive, sink: Receiver) -> None:
    """Section 17, failure: retry from the change feed; the calls do not notice."""
    before, images = len(sink.taken), [make() for _ in range(4)]

    sink.refuse = lambda _: 503
    for image in images:
        telling.keep(image)
    assert len(sink.taken) == before
    sink.refuse = lambda _: None

    wait_for_images(sink, images)
    mine = {image.instance for image in images}
    data = [event["data"] for event in sink.taken if event["data"]["imageSopInstanceUid"] in mine]
    firsts = list(dict.fromkeys(each["sequenceNumber"] for each in data))
    assert firsts == sorted(firsts)


def wait_for_images(sink: Receiver, images: Sequence[Instance]) -> None:
    """Wait until there was an event of each; the pauses between tries double from five seconds on."""
    wanted, deadline = {image.instance for image in images}, time.monotonic() + 3 * PATIENCE_SECONDS
    while not wanted <= {event["data"]["imageSopInstanceUid"] for event in sink.taken}:
        assert time.monotonic() < deadline, "some were lost"
        time.sleep(0.1)


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
        assert event["subject"] == f"{urlsplit(service.url).netloc}/v1/{image.path}"
        assert event["data"]["imageSopInstanceUid"] == image.instance
        assert event["data"]["serviceHostName"] == urlsplit(service.url).hostname


def test_an_event_grid_topic_gets_events_from_the_identity_of_the_app(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path
) -> None:
    """Section 17, by `azure-eventgrid`: `DefaultAzureCredential` gets its token as it does in Azure."""
    chain, tls = make_certificate(tmp_path)
    with (
        identifying() as (endpoint, asked),
        receiving(tls) as topic,
        start_service(
            0,
            new_account(),
            settings={
                "EVENTS_TOPIC_ENDPOINT": f"{topic.url}/api/events",
                "IDENTITY_ENDPOINT": endpoint,
                "IDENTITY_HEADER": "proof",
                "SSL_CERT_FILE": str(chain),
            },
            log=tmp_path / "log",
        ) as service,
    ):
        image = make()
        Archive(http, service.url, None).keep(image)

        (event,) = topic.wait_for(1)

        assert event["data"]["imageSopInstanceUid"] == image.instance
        (post,) = topic.posts
        assert post.path.startswith("/api/events?api-version=")
        assert post.headers["authorization"] == "Bearer a-token"
        assert post.headers["content-type"] == "application/json; charset=utf-8"
        assert asked == [("https://eventgrid.azure.net", "proof")]


@contextmanager
def identifying() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What gives tokens to an app in Azure: its address, and whom tokens were asked for with what proof."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            resource = parse_qs(urlsplit(self.path).query)["resource"][0]
            asked.append((resource, self.headers["X-IDENTITY-HEADER"]))
            expires = str(int(time.time()) + 3600)
            token = {"access_token": "a-token", "expires_on": expires, "resource": resource}
            body = json.dumps({**token, "token_type": "Bearer"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine, to be trusted, and what serves with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, private)
    return chain, context


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
