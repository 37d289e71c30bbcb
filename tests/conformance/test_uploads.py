"""Uploads past the service, and operations: `docs/uploads.md`, API rules sections 12 and 20."""

import gzip
import re
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from azure.storage.blob import BlobClient

from local.dev import azurite
from local.dev.service import Service
from tests.archive import JSON, Archive, comments, failures, stored, values
from tests.conformance.test_large import ALLOWED_BYTES, Host
from tests.conftest import StartService
from tests.factories import IMPLICIT, as_instance, make, make_dataset, make_image, multipart, new_uid

PATIENCE_SECONDS = 60
BLOCK_BYTES = 30_000_000
LARGE_BYTES = 10 * BLOCK_BYTES
BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}
ANY_FILE = "application/dicom; transfer-syntax=*"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z")

Told = dict[str, Any]


def begin(archive: Archive, **wish: str) -> Told:
    """Ask for an address."""
    answer = archive.http.post(archive.url("uploads"), json=wish) if wish else ask(archive, "POST", "uploads")
    assert answer.status_code == 201, answer.text
    told: Told = answer.json()
    return told


def ask(archive: Archive, method: str, path: str) -> httpx.Response:
    """A request without a body."""
    return archive.ask(method, path, None)


def put(archive: Archive, told: Told, content: bytes) -> None:
    """Upload in one call."""
    answer = archive.http.request(told["method"], told["uploadUrl"], content=content, headers=told["headers"])
    assert answer.status_code == 201, answer.text


def finish(archive: Archive, told: Told) -> httpx.Response:
    """Say that all is uploaded."""
    answer = archive.http.post(told["finish"])
    assert answer.status_code == 202, answer.text
    return answer


def outcome(archive: Archive, told: Told) -> Told:
    """Wait until the operation is over, and give it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        archive.http.post(f"{archive.host}/admin/host/drain")
        answer = archive.http.get(told["operation"]["href"])
        if answer.status_code == 200:
            over: Told = answer.json()
            return over
        assert answer.status_code == 202, answer.text
        time.sleep(0.05)
    raise AssertionError("The operation does not end.")


def upload(archive: Archive, content: bytes, **wish: str) -> tuple[Told, httpx.Response]:
    """Upload and finish; the operation when it is over, and what its results are."""
    told = begin(archive, **wish)
    put(archive, told, content)
    finish(archive, told)
    over = outcome(archive, told)
    return over, archive.http.get(over["results"]["href"])


# What an upload is.


def test_one_file_is_stored_as_a_request_would_store_it(archive: Archive) -> None:
    """By default what is uploaded is one Part 10 file; the results are the answer of section 3.6."""
    image = make_image()
    twin = Archive.fresh(archive.http, archive.host)

    over, results = upload(archive, image.content)

    assert over["status"] == "succeeded"
    assert over["results"] == {
        "storeStatus": 200,
        "stored": 1,
        "failed": 0,
        "href": f"{over_url(archive, over)}/results",
    }
    assert results.headers["Content-Type"] == JSON
    asked = twin.store(image).text.replace(twin.root, archive.root)
    assert results.text == asked
    assert archive.get(image.path, ANY_FILE).content == image.content


def test_what_the_client_is_told(archive: Archive) -> None:
    """Everything it needs to upload, to finish and to look."""
    answer = ask(archive, "POST", "uploads")

    told = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Location"] == told["operation"]["href"]
    assert told["method"] == "PUT"
    assert told["headers"] == BLOCK_BLOB
    assert told["maxBytes"] == 32 * 1024**3
    assert told["finish"] == archive.url(f"uploads/{told['id']}")
    assert told["operation"] == {"id": told["id"], "href": f"{archive.host}/v2/operations/{told['id']}"}
    assert TIME.fullmatch(told["expiresAt"])
    left = datetime.fromisoformat(told["expiresAt"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)


def test_blocks_are_an_upload_too(archive: Archive) -> None:
    """Put Block and Put Block List under the same address."""
    image = make_image(8, rows=64, columns=64)
    told = begin(archive)

    put_blocks(
        archive, told, [image.content[at : at + 20_000] for at in range(0, len(image.content), 20_000)]
    )
    finish(archive, told)

    assert outcome(archive, told)["status"] == "succeeded"
    assert archive.get(image.path, ANY_FILE).content == image.content


def test_the_official_sdk_uploads_to_the_address(archive: Archive) -> None:
    """Which cuts the content into blocks by itself."""
    image = make_image(8, rows=64, columns=64)
    told = begin(archive)

    with BlobClient.from_blob_url(told["uploadUrl"], max_single_put_size=1000, max_block_size=20_000) as blob:
        blob.upload_blob(image.content)
    finish(archive, told)

    assert outcome(archive, told)["status"] == "succeeded"
    assert archive.get(image.path, ANY_FILE).content == image.content


def test_a_whole_request_body_can_be_uploaded(archive: Archive) -> None:
    """A multipart body, named as in a store request."""
    images = [make_image() for _ in range(3)]
    body, content_type = multipart([*images, b"no DICOM"])

    over, results = upload(archive, body, contentType=content_type)

    assert over["status"] == "succeeded"
    assert over["results"]["storeStatus"] == results_status(archive, images)
    assert (over["results"]["stored"], over["results"]["failed"]) == (3, 1)
    assert stored(results) == [image.instance for image in images]
    assert failures(results) == [43264]


def results_status(archive: Archive, images: list[Any]) -> int:
    """What a store request of the same is answered."""
    return Archive.fresh(archive.http, archive.host).store(*images, b"no DICOM").status_code


@pytest.mark.parametrize("is_multipart", [False, True])
def test_what_is_uploaded_may_be_compressed(archive: Archive, is_multipart: bool) -> None:
    """As a request with `Content-Encoding: gzip`."""
    image = make_image(4, rows=64, columns=64)
    body, content_type = multipart([image]) if is_multipart else (image.content, "application/dicom")

    over, _ = upload(archive, gzip.compress(body), contentType=content_type, contentEncoding="gzip")

    assert over["results"]["stored"] == 1
    assert archive.get(image.path, ANY_FILE).content == image.content


def test_what_is_not_compressed_as_said_fails_with_the_reason(archive: Archive) -> None:
    """As in a request: 400."""
    told = begin(archive, contentEncoding="gzip")
    put(archive, told, make().content)
    finish(archive, told)

    over = outcome(archive, told)

    assert over["status"] == "failed"
    assert over["results"]["storeStatus"] == 400


def test_a_study_can_be_demanded(archive: Archive) -> None:
    """As the path of a store request does (section 3.3 check 3)."""
    image, other = make_image(), make_image()
    body, content_type = multipart([image, other])

    _, results = upload(archive, body, study=image.study, contentType=content_type)

    assert stored(results) == [image.instance]
    assert failures(results) == [43264]
    assert values(results.json(), "00081190") == [archive.url(f"studies/{image.study}")]


def test_content_that_is_no_dicom_fails_as_in_a_request(archive: Archive) -> None:
    """Section 3.2 step 1: 43264, and nothing is stored, so the operation failed."""
    over, results = upload(archive, b"This is no DICOM file.")

    assert over["status"] == "failed"
    assert over["results"]["storeStatus"] == 409
    assert "percentComplete" not in over
    assert failures(results) == [43264]
    assert archive_is_empty(archive)


def test_nothing_at_all_fails_as_in_a_request(archive: Archive) -> None:
    """An empty blob is an upload like any other."""
    over, results = upload(archive, b"")

    assert over["status"] == "failed"
    assert failures(results) == [43264]


def test_a_malformed_body_fails_with_the_reason(archive: Archive) -> None:
    """Section 3.1: malformed framing is 400; there is no dataset then."""
    told = begin(archive, contentType="multipart/related; boundary=b")
    put(archive, told, b"there is no boundary in here")
    finish(archive, told)

    over = outcome(archive, told)

    assert over["status"] == "failed"
    assert over["results"]["storeStatus"] == 400
    assert len(over["results"]["errors"]) == 1
    assert "href" not in over["results"]
    assert archive.http.get(f"{told['operation']['href']}/results").status_code == 404


def test_a_duplicate_is_refused_as_in_a_request(archive: Archive) -> None:
    """Section 3.8: 45070."""
    image = make_image()
    archive.keep(image)

    over, results = upload(archive, image.content)

    assert over["status"] == "failed"
    assert failures(results) == [45070]


def test_the_version_at_the_beginning_sets_the_rules(archive: Archive) -> None:
    """Section 20: on v1 a warning leaves the status at 200, and the URLs are those of v1."""
    images = [make(IMPLICIT), make(IMPLICIT)]
    one, two = archive.as_version("v1"), archive

    first, first_results = upload(one, images[0].content)
    second, _ = upload(two, images[1].content)

    assert first["results"]["storeStatus"] == 200
    assert second["results"]["storeStatus"] == 202
    (item,) = values(first_results.json(), "00081199")
    assert values(item, "00081190") == [one.url(images[0].path)]


def test_a_warning_header_comes_with_the_operation(archive: Archive) -> None:
    """Section 3.4 row 6 and L-16: what a store request says by `Warning: 299`."""
    over, _ = upload(archive.as_version("v1"), make(AccessionNumber=["A", "B"]).content)

    assert over["results"]["warnings"] == [
        "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."
    ]


def test_warnings_come_with_the_results(archive: Archive) -> None:
    """Section 3.4: the file is stored, and the comment says what is odd."""
    _, results = upload(archive, make(PatientID="").content)

    (item,) = values(results.json(), "00081199")
    assert comments(item)[0].startswith("DICOM100: (0010,0020)")


def test_an_upload_belongs_to_its_partition(archive: Archive) -> None:
    """Section 15: what is uploaded to one partition is stored there, and can be finished only there."""
    other = Archive.fresh(archive.http, archive.host)
    other.keep(make())
    image = make_image()
    told = begin(archive)
    put(archive, told, image.content)

    assert archive.http.post(other.url(f"uploads/{told['id']}")).status_code == 404
    finish(archive, told)
    outcome(archive, told)

    assert archive.get(image.path).status_code == 200
    assert other.get(image.path).status_code == 404
    assert archive.http.post(other.url(f"uploads/{told['id']}")).status_code == 404


def test_the_default_partition_needs_no_name(archive: Archive) -> None:
    """Section 15."""
    unnamed = Archive(archive.http, archive.host, None)
    image = make_image()

    _, results = upload(unnamed, image.content)

    (item,) = values(results.json(), "00081199")
    assert values(item, "00081190") == [f"{archive.host}/v2/{image.path}"]
    assert unnamed.delete(f"studies/{image.study}").status_code == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"study": "notAUid"}', 400),
        (b'{"study": 1}', 400),
        (b'{"studies": "1.2"}', 400),
        (b"[]", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b'{"contentType": "text/plain"}', 415),
        (b'{"contentType": "multipart/related"}', 415),
        (b'{"contentEncoding": "br"}', 415),
        (b" " * 100_000, 413),
    ],
)
def test_what_cannot_be_stored_is_not_begun(archive: Archive, body: bytes, status: int) -> None:
    """Sections 1.5, 1.7 and 3.1: refused before anything is uploaded."""
    headers = {"Content-Type": "application/json"}

    answer = archive.ask("POST", "uploads", None, content=body, headers=headers)

    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_file_sent_to_the_service_is_refused(archive: Archive) -> None:
    """It goes to the address."""
    headers = {"Content-Type": "application/dicom"}

    assert archive.ask("POST", "uploads", None, content=b"x", headers=headers).status_code == 415


def test_the_wish_is_read_as_all_api_json(archive: Archive) -> None:
    """Section 1.6: names without case, comments and trailing commas tolerated, null is absent."""
    body = b'{"STUDY": null, /* none */ "ContentType": "application/dicom",}'
    headers = {"Content-Type": "application/json; charset=utf-8"}

    assert archive.ask("POST", "uploads", None, content=body, headers=headers).status_code == 201


# What the address is good for.


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_the_address_allows_writing_only(archive: Archive, method: str) -> None:
    """Nobody reads back, or removes, what was uploaded."""
    told = begin(archive)
    put(archive, told, b"secret")

    answer = archive.http.request(method, told["uploadUrl"])

    assert answer.status_code == 403
    assert b"secret" not in answer.content


def test_the_address_is_for_one_blob(archive: Archive) -> None:
    """It lists nothing, and writes nowhere else."""
    told, other = begin(archive), begin(archive)
    parts = urlsplit(told["uploadUrl"])
    container = f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}"
    neighbour = other["uploadUrl"].partition("?")[0]

    listed = archive.http.get(container, params=with_query(told, restype="container", comp="list"))
    written = archive.http.put(f"{neighbour}?{parts.query}", content=b"x", headers=BLOCK_BLOB)
    unsigned = archive.http.put(neighbour, content=b"x", headers=BLOCK_BLOB)

    assert {listed.status_code, written.status_code, unsigned.status_code} == {403}


def test_the_address_says_nothing_of_a_patient_or_partition(archive: Archive) -> None:
    """Its blob has the id of the upload for a name; ids cannot be guessed and differ."""
    told, other = begin(archive, study=new_uid()), begin(archive)

    path = urlsplit(told["uploadUrl"]).path

    assert path.endswith(f"/uploads/{told['id']}")
    assert re.fullmatch(r"[0-9a-f]{32}", told["id"])
    assert told["id"][16:] != other["id"][16:]
    assert archive.partition is not None
    assert archive.partition not in told["uploadUrl"]
    assert set(parse_qs(urlsplit(told["uploadUrl"]).query)["sp"]) == {"cw"}


# Finishing.


def test_finishing_twice_is_one_store(archive: Archive) -> None:
    """Before, while and after it is stored: always the same operation, and one instance in the end."""
    image = make_image()
    told = begin(archive)
    put(archive, told, image.content)

    answers = [finish(archive, told), finish(archive, told)]
    over = outcome(archive, told)
    answers.append(finish(archive, told))

    assert [answer.json() for answer in answers] == [told["operation"]] * 3
    assert {answer.headers["Location"] for answer in answers} == {told["operation"]["href"]}
    assert over["results"]["stored"] == 1
    assert outcome(archive, told) == over
    assert len(archive.search("instances")) == 1


def test_finishing_before_anything_is_uploaded_is_409(archive: Archive) -> None:
    """And uploading and finishing are still possible then; blocks that nobody committed are nothing."""
    image = make_image()
    told = begin(archive)

    first = archive.http.post(told["finish"])
    block = with_query(told, comp="block", blockid="AAAA")
    assert archive.http.put(told["uploadUrl"], params=block, content=b"x").status_code == 201
    second = archive.http.post(told["finish"])
    put(archive, told, image.content)
    finish(archive, told)

    assert first.status_code == second.status_code == 409
    assert "Nothing was uploaded yet" in first.text
    assert outcome(archive, told)["status"] == "succeeded"


@pytest.mark.parametrize("name", [uuid4().hex, str(uuid4()), "x", "0" * 32, "f" * 32])
def test_finishing_what_nobody_began_is_404(archive: Archive, name: str) -> None:
    """Whatever the id looks like."""
    assert archive.http.post(archive.url(f"uploads/{name}")).status_code == 404


# Operations.


def test_an_operation_that_is_not_over_is_202_with_its_own_url(archive: Archive) -> None:
    """Section 12: 202, Location, `notStarted`; neither results nor percentage."""
    told = begin(archive)

    answer = archive.http.get(told["operation"]["href"])

    assert answer.status_code == 202
    assert answer.headers["Location"] == told["operation"]["href"]
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == {"operationId", "type", "createdTime", "lastUpdatedTime", "status"}
    assert body["operationId"] == told["id"]
    assert body["status"] == "notStarted"
    assert archive.http.get(f"{told['operation']['href']}/results").status_code == 404


def test_an_operation_that_is_over_is_200(archive: Archive) -> None:
    """Section 12: 200, no Location; times in UTC with at most seven digits."""
    over, _ = upload(archive, make().content)

    answer = archive.http.get(over_url(archive, over))

    assert answer.status_code == 200
    assert "Location" not in answer.headers
    body = answer.json()
    assert body["type"] == "upload"
    assert body["percentComplete"] == 100
    assert TIME.fullmatch(body["createdTime"])
    assert TIME.fullmatch(body["lastUpdatedTime"])
    assert body["createdTime"] < body["lastUpdatedTime"]


@pytest.mark.parametrize("version", ["v1", "v1.0-prerelease"])
def test_v1_says_completed_for_succeeded(archive: Archive, version: str) -> None:
    """Section 20; the URLs are those of the version that asks."""
    over, _ = upload(archive, make().content)
    older = f"{archive.host}/{version}/operations/{over['operationId']}"

    body = archive.http.get(older).json()

    assert body["status"] == "completed"
    assert body["results"]["href"] == f"{older}/results"
    assert archive.http.get(f"{older}/results").status_code == 200


def test_v1_says_failed_as_v2_does(archive: Archive) -> None:
    """Section 20: only success has another name."""
    over, _ = upload(archive, b"no DICOM")

    body = archive.http.get(f"{archive.host}/v1/operations/{over['operationId']}").json()

    assert body["status"] == "failed"


@pytest.mark.parametrize(
    "spell", [str, lambda id: str(id).upper(), lambda id: f"{{{id}}}", lambda id: id.hex]
)
def test_any_spelling_of_the_id_is_understood(archive: Archive, spell: Callable[[UUID], str]) -> None:
    """Section 1.6: GUIDs; 32 digits in answers."""
    told = begin(archive)

    answer = archive.http.get(f"{archive.host}/v2/operations/{spell(UUID(told['id']))}")

    assert answer.status_code == 202
    assert answer.json()["operationId"] == told["id"]
    assert answer.headers["Location"] == told["operation"]["href"]


@pytest.mark.parametrize("name", [uuid4().hex, str(uuid4()), "x", "0" * 32, "f" * 32, "1.2.3"])
@pytest.mark.parametrize("rest", ["", "/results"])
def test_an_unknown_operation_is_404(archive: Archive, name: str, rest: str) -> None:
    """Section 12: also for what is no GUID."""
    assert archive.http.get(f"{archive.host}/v2/operations/{name}{rest}").status_code == 404


def test_operations_take_no_partition(archive: Archive) -> None:
    """Sections 1.2 and 15."""
    told = begin(archive)

    assert archive.http.get(archive.url(f"operations/{told['id']}")).status_code == 404


def test_head_of_an_operation_has_no_body(archive: Archive) -> None:
    """The same status, for who only waits."""
    told = begin(archive)

    answer = archive.http.head(told["operation"]["href"])

    assert answer.status_code == 202
    assert answer.content == b""


def test_results_are_given_as_dicom_json_only(archive: Archive) -> None:
    """Section 3.1: what a store is answered as."""
    over, _ = upload(archive, make().content)
    href = over["results"]["href"]

    assert archive.http.get(href, headers={"Accept": "application/json"}).status_code == 200
    assert archive.http.get(href, headers={"Accept": "image/png"}).status_code == 406


# Settings, and the sweep.


@pytest.fixture(scope="module")
def hasty(start: StartService) -> Service:
    """A service whose uploads end soon, take little, and are swept at once."""
    return start(
        {"DICOM_GRACE_SECONDS": "0", "DICOM_UPLOAD_SECONDS": "2", "DICOM_MAX_UPLOAD_BYTES": "100000"}
    )


@pytest.fixture
def brief(hasty: Service, http: httpx.Client) -> Archive:
    """An empty archive of that service."""
    return Archive.fresh(http, hasty.url)


def test_the_address_ends(brief: Archive) -> None:
    """After that nothing can be written to it."""
    told = begin(brief)
    put(brief, told, b"x")

    wait_until_expired(brief, told)

    assert put_again(brief, told) == 403


def test_an_upload_not_finished_in_time_is_gone(brief: Archive) -> None:
    """What was uploaded is removed, the operation is canceled, finishing is 410, and nothing was visible."""
    told = begin(brief)
    put(brief, told, make_image().content)
    wait_until_expired(brief, told)

    before = brief.http.post(told["finish"])
    sweep(brief)

    over = outcome(brief, told)
    assert before.status_code == 410
    assert over["status"] == "canceled"
    assert over["results"] == {"errors": ["It was not finished before its address ended."]}
    assert brief.http.post(told["finish"]).status_code == 410
    assert archive_is_empty(brief)


def test_what_is_too_long_cannot_be_finished(brief: Archive) -> None:
    """Section 1.7: 413, and the limit is told at the beginning."""
    told = begin(brief)
    put(brief, told, bytes(100_001))

    answer = brief.http.post(told["finish"])

    assert told["maxBytes"] == 100_000
    assert answer.status_code == 413
    assert "100000 bytes" in answer.text


# Memory.


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to see memory")
def test_a_large_upload_passes_through_little_memory(tmp_path: Path, http: httpx.Client) -> None:
    """300 MB in blocks, stored within what a request of this size is allowed."""
    with azurite.start(tmp_path / "data", logs=tmp_path) as storage:
        host = Host(storage.connection_string(), tmp_path / "log")
        try:
            archive = Archive.fresh(http, host.url)
            upload(archive, make_image().content)
            front, path = front_of(LARGE_BYTES)
            told = begin(archive)
            put_blocks(archive, told, [front, *[bytes(BLOCK_BYTES)] * (LARGE_BYTES // BLOCK_BYTES)])
            idle = host.memory("VmRSS")
            host.forget_peak()

            finish(archive, told)
            over = outcome(archive, told)

            assert over["results"]["stored"] == 1
            assert host.memory("VmHWM") - idle < ALLOWED_BYTES
            assert http.head(archive.url(path), headers={"Accept": ANY_FILE}).status_code == 200
        finally:
            host.stop()


def front_of(pixels: int) -> tuple[bytes, str]:
    """A file up to its pixels, of which there are so many bytes, and its path."""
    mark = b"PIXELS COME HERE"
    dataset = make_dataset(Rows=4096, Columns=4096, BitsAllocated=8, SamplesPerPixel=1, PixelData=mark)
    dataset["PixelData"].VR = "OB"
    small = as_instance(dataset)
    return small.content[: -len(mark) - 4] + pixels.to_bytes(4, "little"), small.path


def put_blocks(archive: Archive, told: Told, blocks: Sequence[bytes]) -> None:
    """Upload in blocks, and commit them."""
    names = [b64encode(f"{number:04}".encode()).decode() for number in range(len(blocks))]
    for name, block in zip(names, blocks, strict=True):
        query = with_query(told, comp="block", blockid=name)
        assert archive.http.put(told["uploadUrl"], params=query, content=block).status_code == 201
    listed = "".join(f"<Latest>{name}</Latest>" for name in names)
    answer = archive.http.put(
        told["uploadUrl"],
        params=with_query(told, comp="blocklist"),
        content=f"<?xml version='1.0' encoding='utf-8'?><BlockList>{listed}</BlockList>",
    )
    assert answer.status_code == 201, answer.text


def wait_until_expired(archive: Archive, told: Told) -> None:
    """Write until the address refuses it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while put_again(archive, told) != 403:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def put_again(archive: Archive, told: Told) -> int:
    """Write something to the address; the status."""
    return archive.http.put(told["uploadUrl"], content=b"again", headers=BLOCK_BLOB).status_code


def sweep(archive: Archive) -> None:
    """Have the sweep begin now."""
    assert archive.http.post(f"{archive.host}/admin/functions/sweep", json={}).status_code == 202


def with_query(told: Told, **more: str) -> dict[str, str]:
    """The query of the address, and more."""
    signed = parse_qs(urlsplit(told["uploadUrl"]).query)
    return {name: value for name, (value,) in signed.items()} | more


def over_url(archive: Archive, over: Told) -> str:
    """Where an operation can be asked for."""
    return f"{archive.host}/v2/operations/{over['operationId']}"


def archive_is_empty(archive: Archive) -> bool:
    """Whether nothing was stored, not even a partition to store in."""
    answer = archive.get("instances", JSON)
    return answer.status_code == 204 or answer.text == "Specified PartitionName does not exist."
