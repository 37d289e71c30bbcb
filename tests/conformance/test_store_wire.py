"""Compressed bodies, answers in XML, and refusals that the sender gets to see.

Source: API rules sections 3.1, 3.5 and 3.6; clients sections 3.2, 4.1 and 4.3, checklist 43, 44 and 52; RFC
9110 sections 8.4 and 15.5.16.
"""

import gzip
import http.client
import json
import select
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import pytest

from shared.dicom.xml import NAMESPACE
from shared.stow.outcome import MAX_COMMENTS
from tests.archive import JSON, Archive, comments, failures, parts_of, stored, values
from tests.conftest import StartService
from tests.factories import (
    Instance,
    make,
    make_dataset,
    make_image,
    multipart,
    new_uid,
    unchecked,
    with_preamble,
    write,
)
from tests.forms import AS_JSON, XML, body_of, read_xml, take_apart

DICOM = "application/dicom"
PATIENCE_SECONDS = 30


@pytest.mark.parametrize(
    ("vr", "length"),
    [(b"UI", (60_000).to_bytes(2, "little")), (b"UT", bytes(2) + (60_000).to_bytes(4, "little"))],
)
def test_no_more_of_a_uid_is_told_than_one_may_have(archive: Archive, vr: bytes, length: bytes) -> None:
    """What is short is told as it is, so that its sender finds it."""
    long, short = make(SOPInstanceUID="1.2.3.45").content, make(SOPInstanceUID="1.2.3.45").content
    tag, uid = b"\x08\x00\x18\x00", b"1.2.3.45"
    assert long.count(tag + b"UI\x08\x00" + uid) == 1

    answer = archive.store(
        long.replace(tag + b"UI\x08\x00" + uid, tag + vr + length + b"1" * 60_000),
        short.replace(tag + b"UI\x08\x00" + uid, tag + b"UI\x08\x00abc.123\0"),
    )

    assert failures(answer) == [43264, 43264]
    items = values(answer.json(), "00081198")
    assert [values(item, "00081155") for item in items] == [["1" * 64], ["abc.123"]]


def test_no_more_of_a_uid_in_metadata_is_told_either(archive: Archive) -> None:
    metadata = take_apart(make().content).metadata
    metadata["00080018"]["Value"] = ["1" * 100_000]
    unwritable = metadata | {"00280010": {"vr": "US", "Value": [-1]}}

    answer = archive.post(body_of(json.dumps([metadata, unwritable]).encode(), []), AS_JSON)

    items = values(answer.json(), "00081198")
    assert [values(item, "00081155") for item in items] == [["1" * 64]] * 2


def test_a_request_has_so_many_comments(archive: Archive) -> None:
    """Its instances are stored, and have their warnings, all the same."""
    dataset = make_dataset()
    dataset.add_new(0x00110010, "LO", "ME")
    with unchecked():
        for number in range(50):
            dataset.add_new(0x00111000 + number, "DA", "x")
        bodies = []
        for _ in range(MAX_COMMENTS // 50 + 2):
            dataset.SOPInstanceUID = new_uid()
            bodies.append(write(dataset))

    answer = archive.store(*bodies)

    assert answer.status_code == 202
    items = values(answer.json(), "00081199")
    assert len(items) == len(bodies)
    assert sum(len(comments(item)) for item in items) == MAX_COMMENTS
    assert comments(items[0])
    assert [values(item, "00081196") for item in items] == [[1]] * len(items)


@pytest.mark.parametrize("count", [5, 20])
def test_a_large_file_has_its_uids_before_its_pixels(archive: Archive, count: int) -> None:
    """It is not held until they come; the comment says so."""
    content = make_image(rows=1024, columns=count * 1024).content
    at = content.index(b"\x20\x00\x0e\x00UI")
    length = 8 + int.from_bytes(content[at + 6 : at + 8], "little")

    answer = archive.store(content[:at] + content[at + length :] + content[at : at + length])

    assert failures(answer) == [43264]
    (item,) = values(answer.json(), "00081198")
    told = "The required tag '(0020,000e)' must come before the pixel data."
    assert comments(item) == [f"DICOM100: (0020,000e) - {told}"]


def test_a_file_that_is_a_tiff_too_is_one_no_longer(archive: Archive) -> None:
    """Checklist 50: a departure from PS3.10 section 7.1, as the preamble could hide other things too."""
    image = make_image()
    header = b"II*\0" + len(image.content).to_bytes(4, "little")

    archive.keep(replace(image, content=with_preamble(image.content, header.ljust(128, b"\0"))))

    kept = archive.get(image.path, "application/dicom; transfer-syntax=*").content
    assert kept == bytes(128) + image.content[128:]


def post_xml(archive: Archive, *instances: Instance | bytes, accept: str = XML) -> httpx.Response:
    """Store files and ask for XML."""
    body, content_type = multipart(instances)
    return archive.ask("POST", "studies", accept, content=body, headers={"Content-Type": content_type})


def test_a_store_is_answered_in_xml_when_asked(archive: Archive) -> None:
    """Checklist 43: the same dataset as in JSON, as a Native DICOM Model."""
    good, bad = make(PatientID=""), make(SOPClassUID=None)

    answer = post_xml(archive, good, bad)
    again = archive.store(good, bad).json()

    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == XML
    root = ElementTree.fromstring(answer.content)
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    found = read_xml(answer.content)
    assert found.keys() == {"00081198", "00081199"}
    (stored_item,) = found["00081199"]["Value"]
    assert stored_item["00081155"]["Value"] == [good.instance]
    assert stored_item["00081196"]["Value"] == ["1"]
    assert stored_item["00741048"]["Value"][0]["00000902"]["Value"][0].startswith("DICOM100: (0010,0020) - ")
    (failed_item,) = found["00081198"]["Value"]
    assert failed_item["00081197"]["Value"] == ["43264"]
    assert failed_item["00741048"] == again["00081198"]["Value"][1]["00741048"]


def test_failures_alone_are_told_in_xml_too(archive: Archive) -> None:
    """Weasis shows a 409 to its user."""
    answer = post_xml(archive, b"no file")

    assert answer.status_code == 409
    assert read_xml(answer.content)["00081198"]["Value"][0]["00081197"]["Value"] == ["43264"]


def test_a_value_that_xml_cannot_hold_breaks_no_answer(archive: Archive) -> None:
    """Comments quote what is wrong."""
    answer = post_xml(archive, make(StudyDate="2024\x01\x1b]]><&", PatientName="A\x0bB"))

    assert answer.status_code == 202
    read_xml(answer.content)


def test_nothing_is_answered_to_a_request_without_parts(archive: Archive) -> None:
    answer = post_xml(archive)

    assert (answer.status_code, answer.content) == (204, b"")


def test_xml_comes_in_a_part_when_asked(archive: Archive) -> None:
    """PS3.18 section 8.7.3.3: the way in which metadata in XML are asked for."""
    image = make()

    answer = post_xml(archive, image, accept='multipart/related; type="application/dicom+xml"')

    (part,) = parts_of(answer)
    assert part.content_type == XML
    assert read_xml(part.content)["00081199"]["Value"][0]["00081155"]["Value"] == [image.instance]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON),
        ("application/json", "application/json"),
        ("application/*", JSON),
        (f"{XML}, {JSON}", XML),
        (f"{XML};q=0.2, {JSON}", JSON),
        ("application/dicom+xml;charset=utf-8", XML),
    ],
)
def test_the_form_of_the_answer_is_negotiated(
    archive: Archive, accept: str | None, content_type: str
) -> None:
    """Clients section 4.1; checklist 42: exactly this type, with nothing behind it."""
    body, kind = multipart([make()])

    answer = archive.ask("POST", "studies", accept, content=body, headers={"Content-Type": kind})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize(
    "accept", ["text/html", "image/jpeg", "application/dicom+xml;q=0", "multipart/related; type=image/png"]
)
def test_another_form_is_refused_before_anything_is_stored(archive: Archive, accept: str) -> None:
    """API rules section 3.1."""
    image = make()

    assert post_xml(archive, image, accept=accept).status_code == 406
    assert stored(archive.store(image)) == [image.instance]


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[:1000]) + gzip.compress(data[1000:])


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", members),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    ],
)
def test_a_body_may_be_compressed(archive: Archive, coding: str, compress: object) -> None:
    """RFC 9110 section 8.4."""
    assert callable(compress)
    images = [make_image(), make_image(rows=300, columns=300)]
    body, content_type = multipart(images)

    answer = send(archive, compress(body), content_type, coding)

    assert stored(answer) == [image.instance for image in images]
    for image in images:
        assert archive.get(image.path, f"{DICOM}; transfer-syntax=*").content == image.content


def send(archive: Archive, body: bytes, content_type: str, coding: str) -> httpx.Response:
    """Post a body that is compressed."""
    headers = {"Content-Type": content_type, "Content-Encoding": coding}
    return archive.ask("POST", "studies", JSON, content=body, headers=headers)


def test_a_single_file_may_be_compressed(archive: Archive) -> None:
    image = make_image(rows=1600, columns=1600)

    assert stored(send(archive, gzip.compress(image.content), DICOM, "gzip")) == [image.instance]


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br"])
def test_an_unknown_coding_is_refused(archive: Archive, coding: str) -> None:
    """RFC 9110 section 15.5.16: with the codings known."""
    answer = send(archive, make().content, DICOM, coding)

    assert answer.status_code == 415
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"


def test_only_that_names_the_codings_known(archive: Archive) -> None:
    """RFC 9110 section 12.5.3 forbids it where something else is wrong."""
    answer = archive.post(b"x", "text/plain")

    assert answer.status_code == 415
    assert "Accept-Encoding" not in answer.headers


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes(20) + data[len(data) // 2 + 20 :]


def cut(data: bytes) -> bytes:
    return data[:-9]


@pytest.mark.parametrize("spoil", [damaged, cut, gzip.decompress])
def test_a_damaged_body_is_malformed(archive: Archive, spoil: object) -> None:
    """400, and nothing is stored."""
    assert callable(spoil)
    images = [make_image(rows=100, columns=100) for _ in range(2)]
    body, content_type = multipart(images)

    answer = send(archive, spoil(gzip.compress(body)), content_type, "gzip")

    assert answer.status_code == 400
    assert archive.search("studies") == []


def test_what_was_stored_before_the_damage_is_told(archive: Archive) -> None:
    """The rest counts as one failed part."""
    large, small = make_image(rows=1500, columns=1500), make_image(rows=100, columns=100)
    body, content_type = multipart([large, small])

    answer = send(archive, gzip.compress(body)[:-1000], content_type, "gzip")

    assert answer.status_code == 202
    assert stored(answer) == [large.instance]
    assert failures(answer) == [272]


@pytest.fixture(scope="module")
def narrow(start: StartService) -> str:
    """A service that takes a megabyte."""
    return start({"DICOM_MAX_REQUEST_BYTES": "1000000"}).url


@pytest.fixture
def small(narrow: str, http: httpx.Client) -> Archive:
    """An archive of its own there."""
    return Archive.fresh(http, narrow)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_told_the_other_way(small: Archive, chunked: bool) -> None:
    """API rules section 3.5, checklist 52: 413 names the route for larger bodies."""
    content = make_image(rows=1000, columns=1000).content

    body = iter([content[:500_000], content[500_000:]]) if chunked else content
    answer = small.ask("POST", "studies", JSON, content=body, headers={"Content-Type": DICOM})

    assert answer.status_code == 413
    assert f"POST {small.root}/uploads" in answer.text


def test_a_bomb_is_refused(small: Archive) -> None:
    """What counts is what it is inflated."""
    image = make_image(rows=2000, columns=2000)
    bomb = gzip.compress(image.content[:2000] + bytes(100_000_000))
    assert len(bomb) < 200_000

    answer = send(small, bomb, DICOM, "gzip")

    assert answer.status_code == 413
    assert send(small, gzip.compress(gzip.compress(bytes(10**8))), DICOM, "gzip, gzip").status_code == 413
    assert small.search("studies") == []


@contextmanager
def connected(archive: Archive) -> Iterator[socket.socket]:
    """A connection to the service."""
    where = urlsplit(archive.root)
    with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE_SECONDS) as connection:
        yield connection


def head(archive: Archive, *lines: str) -> bytes:
    """The head of a store request."""
    where = urlsplit(archive.url("studies"))
    return "\r\n".join((f"POST {where.path} HTTP/1.1", f"Host: {where.netloc}", *lines, "", "")).encode()


def answered(connection: socket.socket) -> http.client.HTTPResponse:
    """The answer, read to its end."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    response.text = response.read().decode()  # type: ignore[attr-defined] # for the message of an assertion
    return response


REFUSALS = {
    "type": (415, ("Content-Type: text/plain",)),
    "accept": (406, (f"Content-Type: {DICOM}", "Accept: text/html")),
    "coding": (415, (f"Content-Type: {DICOM}", "Content-Encoding: br")),
    "not gzip": (400, (f"Content-Type: {DICOM}", "Content-Encoding: gzip")),
    "no multipart": (400, ("Content-Type: multipart/related; boundary=b",)),
    "start": (400, ("Content-Type: multipart/related; boundary=b; start=x",)),
}
LONG = 8 * 1024 * 1024


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("way", ["length", "chunked", "expecting"])
def test_a_refused_upload_is_read_on_so_that_its_sender_sees_why(
    archive: Archive, name: str, way: str
) -> None:
    """A sender that only looks for an answer when it has sent everything."""
    status, lines = REFUSALS[name]
    length = "Transfer-Encoding: chunked" if way == "chunked" else f"Content-Length: {LONG}"
    expect = ("Expect: 100-continue",) if way == "expecting" else ()
    block = b"x" * 65536

    with connected(archive) as connection:
        connection.sendall(head(archive, *lines, length, *expect))
        if expect:
            assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        for _ in range(LONG // len(block)):
            connection.sendall(b"10000\r\n" + block + b"\r\n" if way == "chunked" else block)
        connection.sendall(b"0\r\n\r\n" if way == "chunked" else b"")

        assert answered(connection).status == status


@pytest.mark.parametrize("way", ["length", "chunked", "expecting"])
def test_a_sender_of_too_much_sees_why(small: Archive, way: str) -> None:
    """413 in place of a reset, whether the length was told or not."""
    length = "Transfer-Encoding: chunked" if way == "chunked" else f"Content-Length: {LONG}"
    lines = [f"Content-Type: {DICOM}", length, *(["Expect: 100-continue"] if way == "expecting" else [])]
    block = b"x" * 65536

    with connected(small) as connection:
        connection.sendall(head(small, *lines))
        if way == "expecting":
            assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
        for _ in range(LONG // len(block)):
            connection.sendall(b"10000\r\n" + block + b"\r\n" if way == "chunked" else block)
        connection.sendall(b"0\r\n\r\n" if way == "chunked" else b"")

        assert answered(connection).status == 413


@pytest.mark.parametrize("name", ["type", "not gzip", "no multipart"])
def test_a_refused_sender_that_stalls_gets_its_answer(archive: Archive, name: str) -> None:
    """It is not waited for longer than some seconds."""
    status, lines = REFUSALS[name]
    began = time.monotonic()

    with connected(archive) as connection:
        connection.sendall(head(archive, *lines, f"Content-Length: {LONG}") + b"x" * 10_000)

        assert answered(connection).status == status
    assert time.monotonic() - began < 20


def test_a_refused_sender_that_sends_for_ever_gets_its_answer(archive: Archive) -> None:
    """No more than so much is read of it."""
    block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    sent = 0

    with connected(archive) as connection:
        connection.sendall(head(archive, "Content-Type: text/plain", "Transfer-Encoding: chunked"))
        while not select.select([connection], [], [], 0)[0] and sent < 200 * len(block) * 16:
            sent += connection.send(block[sent % len(block) :])

        assert answered(connection).status == 415


def test_a_connection_goes_on_behind_a_refused_request(archive: Archive) -> None:
    """What is left of it is not taken for the next request."""
    archive.keep(make())
    where = urlsplit(archive.url("studies"))
    search = f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode()

    with connected(archive) as connection:
        connection.sendall(head(archive, "Content-Type: text/plain", f"Content-Length: {LONG}"))
        connection.sendall(b"x" * LONG)
        refused = answered(connection)
        connection.sendall(search)

        assert (refused.status, answered(connection).status) == (415, 200)
