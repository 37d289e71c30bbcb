"""What real clients send: replays of their requests, and the PyPI `dicomweb-client` itself.

Source: clients sections 1 and 2, checklist 41 to 46.
"""

import http.client
import io
import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread

from shared.dicom.xml import render_xml
from tests.archive import ANY_FRAME, JSON, Archive, Dataset, parts_of, stored, uids, values
from tests.factories import (
    DICOM_PART,
    EXPLICIT,
    JPEG_BASELINE,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_encapsulated,
    make_image,
    new_uid,
    part,
)
from tests.forms import XML, body_of, read_xml, take_apart

GUID = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
TYPED = 'type="application/dicom"'
PATIENCE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Sender:
    """How a client writes a store request, byte for byte."""

    name: str
    content_type: str
    boundary: str = GUID
    before: bytes = b""
    """What stands before the first delimiter."""

    after: bytes = b"\r\n"
    """What stands behind the closing one."""

    part_headers: tuple[str, ...] = (DICOM_PART,)
    headers: tuple[str, ...] = ()
    """Lines of the request's head beside Host, Content-Type and what tells the length."""

    path: str = "studies"
    chunked: bool = False
    answer_type: str = JSON
    """What the client insists on."""

    def body(self, images: Iterable[Instance]) -> bytes:
        """The request's body."""
        parts = b"".join(part(image, self.boundary, self.part_headers) for image in images)
        return self.before + parts + f"--{self.boundary}--".encode() + self.after

    def head(self, archive: Archive, length: int) -> bytes:
        """The request's head."""
        where = urlsplit(archive.url(self.path))
        framing = "Transfer-Encoding: chunked" if self.chunked else f"Content-Length: {length}"
        lines = (f"POST {where.path} HTTP/1.1", f"Host: {where.netloc}", f"Content-Type: {self.content_type}")
        return "\r\n".join((*lines, framing, *self.headers, "", "")).encode()


LONG = "a" * 32 + "-" + "b" * 40
DISPOSITION = 'Content-Disposition: form-data; name="file"; filename="dicomfile"'
CURL = "------------------------6f1c0e5b3a2d4c7e"
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAA")

SENDERS = (
    Sender(
        "OHIF",
        f'multipart/related; {TYPED}; boundary="{GUID}"',
        before=b"\r\n",
        after=b"",
        headers=("Accept: */*", "Origin: http://localhost:3000", "Referer: http://localhost:3000/"),
    ),
    Sender(
        "Python",
        f'multipart/related; {TYPED}; boundary="{GUID}"',
        before=b"\r\n",
        after=b"",
        headers=("Accept: */*", "Accept-Encoding: gzip, deflate", "User-Agent: python-requests/2.32"),
        chunked=True,
    ),
    Sender(
        "Weasis",
        f"multipart/related;{TYPED};boundary={GUID}",
        headers=(f"Accept: {XML}", "User-Agent: Weasis/4.7", *H2C),
        answer_type=XML,
    ),
    Sender(
        "dcm4che",
        f"multipart/related; {TYPED}; boundary=myboundary",
        "myboundary",
        before=b"\r\n",
        part_headers=('Content-Disposition: inline; name="file[]"; filename="a.dcm"', DICOM_PART),
        headers=(f"Accept: {XML}", "charset: utf-8", "User-Agent: Java/17"),
        answer_type=XML,
    ),
    Sender(
        "Microsoft tutorial",
        f"multipart/related; boundary={GUID}",
        part_headers=(DISPOSITION, DICOM_PART),
        headers=(f"Accept: {JSON}",),
    ),
    Sender(
        "curl",
        f"multipart/related; {TYPED}; boundary={CURL}",
        CURL,
        part_headers=('Content-Disposition: form-data; name="file1"; filename="a.dcm"', DICOM_PART),
        headers=(f"Accept: {JSON}", "Expect: 100-continue", "User-Agent: curl/8.5"),
    ),
    Sender(
        "MONAI Deploy",
        f'multipart/related; boundary="{GUID}"; {TYPED}',
        headers=(f"Accept: {JSON}",),
        path="studies/",
    ),
    Sender(
        "Orthanc",
        f"multipart/related; type=application/dicom; boundary={LONG}",
        LONG,
        headers=(f"Accept: {JSON}", "Expect:"),
        chunked=True,
    ),
)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
@pytest.mark.parametrize("rows", [4, 1000], ids=["small", "large"])
def test_every_senders_request_is_understood(archive: Archive, sender: Sender, rows: int) -> None:
    """Matrix 1.2, checklist 41, 42, 45 and 46: exactly 200, the form asked for, and the bytes come back."""
    images = [make_image(rows=rows, columns=rows), make_encapsulated([b"abcd"])]

    answer = exchange(archive, sender, sender.body(images))

    assert answer.status == 200, answer.content
    assert answer.content_type == sender.answer_type
    assert answer.stored == [image.instance for image in images]
    for image in images:
        assert archive.get(image.path, "application/dicom; transfer-syntax=*").content == image.content


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
def test_every_sender_learns_what_failed(archive: Archive, sender: Sender) -> None:
    """Checklist 47: 202 with some failures, 409 when nothing was stored, and the client can read either."""
    image = make_image()

    mixed = exchange(archive, sender, sender.body([image, make(StudyInstanceUID=None)]))
    again = exchange(archive, sender, sender.body([image]))

    assert (mixed.status, again.status) == (202, 409)
    assert mixed.content_type == again.content_type == sender.answer_type
    assert (mixed.stored, mixed.failures) == ([image.instance], [43264])
    assert (again.stored, again.failures) == ([], [45070])


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    content_type: str
    content: bytes

    @property
    def stored(self) -> list[str]:
        """The SOP Instance UIDs said to be stored."""
        return [values(item, "00081155")[0] for item in self._items("00081199")]

    @property
    def failures(self) -> list[int]:
        """The failure reasons."""
        return [int(values(item, "00081197")[0]) for item in self._items("00081198")]

    def _items(self, tag: str) -> list[Dataset]:
        read = json.loads if self.content_type == JSON else read_xml
        dataset: Dataset = read(self.content)
        return values(dataset, tag) if tag in dataset else []


def exchange(archive: Archive, sender: Sender, body: bytes) -> Reply:
    """Send exactly these bytes, and read the answer."""
    where = urlsplit(archive.root)
    with socket.create_connection((where.hostname or "", where.port or 0), PATIENCE_SECONDS) as connection:
        connection.sendall(sender.head(archive, len(body)))
        if "Expect: 100-continue" in sender.headers:
            assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in cut(body, 100_003):
            framed = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
            connection.sendall(framed if sender.chunked else piece)
        if sender.chunked:
            connection.sendall(b"0\r\n\r\n")
        with closing(http.client.HTTPResponse(connection)) as response:
            response.begin()
            return Reply(response.status, response.headers["Content-Type"], response.read())


def cut(body: bytes, size: int) -> Iterator[bytes]:
    """A body in pieces."""
    for at in range(0, len(body), size):
        yield body[at : at + size]


@pytest.mark.parametrize(
    "metadata_type", ["application/dicom+xml", "application/dicom+json", "application/json"]
)
def test_dcm4che_sends_metadata_and_bulk_data(archive: Archive, metadata_type: str) -> None:
    """Matrix 1.2, clients section 2.9: the syntax stands with the metadata and with the pixels."""
    image = make_encapsulated([b"\xff\xd8\xff\xd9"])
    apart = take_apart(image.content)
    named = f"{metadata_type}; transfer-syntax={JPEG_BASELINE}"
    document = render_xml(apart.metadata) if metadata_type == XML else json.dumps(apart.metadata).encode()
    bulk = [replace(each, media_type=f"image/jpeg; transfer-syntax={JPEG_BASELINE} ") for each in apart.bulk]
    sender = Sender(
        "dcm4che",
        f'multipart/related; type="{metadata_type}"; boundary=b',
        headers=(f"Accept: {XML}", "charset: utf-8", "User-Agent: Java/17"),
        chunked=True,
    )

    answer = exchange(archive, sender, b"\r\n" + body_of(document, bulk, f"{named} "))

    assert (answer.status, answer.content_type) == (200, XML), answer.content
    assert answer.stored == [image.instance]
    (frame,) = parts_of(archive.get(f"{image.path}/frames/1", ANY_FRAME))
    assert frame.content == image.frames[0]
    assert frame.transfer_syntax == JPEG_BASELINE


def test_dcmweb_posts_a_single_file_without_accept(archive: Archive) -> None:
    """Matrix 1.2: exactly 200."""
    image = make_image()

    answer = archive.ask(
        "POST", "studies", content=image.content, headers={"Content-Type": "application/dicom"}
    )

    assert answer.status_code == 200
    assert stored(answer) == [image.instance]


def test_a_sender_may_wait_for_100_continue(archive: Archive) -> None:
    """Matrix 1.2 (curl), checklist 44: the body is asked for before it is sent."""
    image = make_image(rows=800, columns=800)
    where = urlsplit(archive.url("studies"))
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/dicom\r\n"
        f"Accept: {JSON}\r\nContent-Length: {len(image.content)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(image.content)
        response = http.client.HTTPResponse(connection)
        response.begin()

        assert response.status == 200
        response.close()
    assert archive.get(image.path).status_code == 200


@pytest.mark.parametrize("rows", [40, 2000], ids=["small", "large"])
def test_a_sender_that_leaves_leaves_nothing(archive: Archive, rows: int) -> None:
    """Checklist 44: an upload that was cut short is not stored, and can be repeated."""
    archive.keep(make())
    image = make_image(rows=rows, columns=rows)
    where = urlsplit(archive.url("studies"))
    head = (
        f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/dicom\r\n"
        f"Accept: {JSON}\r\nContent-Length: {len(image.content)}\r\n\r\n"
    )

    with socket.create_connection((where.hostname or "", where.port or 0), timeout=30) as connection:
        connection.sendall(head.encode() + image.content[:-1])

    assert archive.get(image.path).status_code == 404
    assert archive.search(f"instances?SOPInstanceUID={image.instance}") == []
    assert stored(archive.store(image)) == [image.instance]


def test_parts_without_content_type_have_that_of_the_envelope(archive: Archive) -> None:
    """Section 3.1 of the API rules; clients section 3.5."""
    image = make_image()
    body = part(image, GUID, headers=()) + f"--{GUID}--\r\n".encode()

    answer = archive.post(body, f"multipart/related; {TYPED}; boundary={GUID}")

    assert stored(answer) == [image.instance]


def test_lines_may_end_in_lf_alone(archive: Archive) -> None:
    """Clients section 3.5, item 2."""
    image = make_image()
    body = b"--b\nContent-Type: application/dicom\n\n" + image.content + b"\n--b--\n"

    answer = archive.post(body, f"multipart/related; {TYPED}; boundary=b")

    assert stored(answer) == [image.instance]
    assert archive.get(image.path, "application/dicom; transfer-syntax=*").content == image.content


def test_preamble_and_epilogue_are_ignored(archive: Archive) -> None:
    """Clients section 3.5, item 2."""
    image = make_image()
    body = b"This is a multipart message.\r\n" + part(image, "b") + b"--b--\r\nThat was all.\r\n--b\r\n"

    assert stored(archive.post(body, f"multipart/related; {TYPED}; boundary=b")) == [image.instance]


@pytest.mark.parametrize(
    "tail", [b"\r\n", b"\n", b"\r", b"\r\n--", b"--b--", b"\r\n--bx\r\n", b"--b\r\n\r\n"]
)
def test_a_payload_may_look_like_a_delimiter(archive: Archive, tail: bytes) -> None:
    """Checklist 45: boundary text inside a payload, payloads that end in CR or LF."""
    dataset = make_dataset()
    dataset.add_new(
        0xFFFCFFFC, "OB", tail + b"\0" * (len(tail) % 2) + tail + (b"" if len(tail) % 2 == 0 else b"\n")
    )
    instance = as_instance(dataset)
    body = part(instance, "b") + part(make(), "b") + b"--b--\r\n"

    answer = archive.post(body, f"multipart/related; {TYPED}; boundary=b")

    assert answer.status_code == 200
    assert archive.get(instance.path, "application/dicom; transfer-syntax=*").content == instance.content


@pytest.fixture
def client(archive: Archive) -> DICOMwebClient:
    """The Python client on an empty partition."""
    archive.store(b"")  # Only a store makes a partition.
    return DICOMwebClient(url=archive.root)


def test_the_python_client_stores_and_searches(client: DICOMwebClient, archive: Archive) -> None:
    """Clients section 1: store, search at all levels with filters, limits and further attributes."""
    study = new_uid()
    images = [make_image(StudyInstanceUID=study, PatientID="PY") for _ in range(3)]

    answer = client.store_instances([dcmread(io.BytesIO(image.content)) for image in images])

    assert len(answer.ReferencedSOPSequence) == 3
    assert "FailedSOPSequence" not in answer
    (found,) = client.search_for_studies(
        search_filters={"PatientID": "PY", "StudyDate": "20240101-20241231"},
        fields=["NumberOfStudyRelatedInstances"],
    )
    assert found["00201208"]["Value"] == [3]
    assert client.search_for_studies(search_filters={"PatientID": "NN"}) == []
    assert len(client.search_for_series(study)) == 3
    assert len(client.search_for_series(search_filters={"Modality": "OT"})) == 3
    assert len(client.search_for_instances(study, images[0].series)) == 1
    assert len(client.search_for_instances(study, limit=2, offset=2)) == 1
    assert len(client.search_for_instances(search_filters={"SOPInstanceUID": images[1].instance})) == 1


def test_the_python_client_reads_all_pages(client: DICOMwebClient, archive: Archive) -> None:
    """Checklist 19: `get_remaining` ends, having seen everything once."""
    images = [make(PatientID="PY") for _ in range(23)]
    archive.keep(*images)

    found = client.search_for_studies(search_filters={"PatientID": "PY"}, limit=5, get_remaining=True)

    assert set(uids(found, "0020000D")) == {image.study for image in images}
    assert len(found) == 23


def test_the_python_client_stores_large_files_in_chunks(client: DICOMwebClient, archive: Archive) -> None:
    """Matrix 1.2: chunked with no length once the body passes about 1 MB."""
    image = make_image(rows=1600, columns=1600)

    client.store_instances([dcmread(io.BytesIO(image.content))], study_instance_uid=image.study)

    dataset = client.retrieve_instance(image.study, image.series, image.instance)
    assert dataset.PixelData == image.frames[0]


def test_the_python_client_retrieves(client: DICOMwebClient, archive: Archive) -> None:
    """Instance, series and study, with and without a named transfer syntax."""
    study, series = new_uid(), new_uid()
    images = [make_image(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(3)]
    archive.keep(*images)
    one = images[1]
    any_syntax = (("application/dicom", "*"),)

    instance = client.retrieve_instance(one.study, one.series, one.instance)
    named = client.retrieve_instance(
        one.study, one.series, one.instance, media_types=(("application/dicom", EXPLICIT),)
    )

    assert instance.SOPInstanceUID == named.SOPInstanceUID == one.instance
    assert instance.PixelData == one.frames[0]
    for found in (
        client.retrieve_series(study, series),
        client.retrieve_study(study, media_types=any_syntax),
        list(client.iter_series(study, series)),
    ):
        assert {each.SOPInstanceUID for each in found} == {image.instance for image in images}


def test_the_python_client_reads_metadata(client: DICOMwebClient, archive: Archive) -> None:
    """Metadata at three levels."""
    image = make_image()
    archive.keep(image, make_image(StudyInstanceUID=image.study))

    assert len(client.retrieve_study_metadata(image.study)) == 2
    assert uids(client.retrieve_series_metadata(image.study, image.series), "00080018") == [image.instance]
    (metadata,) = [client.retrieve_instance_metadata(image.study, image.series, image.instance)]
    assert metadata["00080018"]["Value"] == [image.instance]


def test_the_python_client_reads_frames(client: DICOMwebClient, archive: Archive) -> None:
    """Frames as arrays' bytes, with no media type chosen and with one."""
    image, jpeg = make_image(4), make_encapsulated([b"\xff\xd8ab\xff\xd9", b"\xff\xd8cd\xff\xd9"])
    archive.keep(image, jpeg)

    frames = client.retrieve_instance_frames(image.study, image.series, image.instance, [4, 1])
    chosen = client.retrieve_instance_frames(
        jpeg.study, jpeg.series, jpeg.instance, [2], media_types=(("application/octet-stream", "*"),)
    )

    assert frames == [image.frames[3], image.frames[0]]
    assert chosen == [jpeg.frames[1]]


def test_the_python_client_deletes(client: DICOMwebClient, archive: Archive) -> None:
    """Instance, series and study."""
    study, series = new_uid(), new_uid()
    images = [make_image(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(2)]
    other = make_image(StudyInstanceUID=study)
    archive.keep(*images, other, make_image(StudyInstanceUID=study))

    client.delete_instance(study, series, images[0].instance)
    client.delete_series(study, other.series)

    assert len(archive.metadata(f"studies/{study}")) == 2
    client.delete_study(study)
    assert client.search_for_studies(search_filters={"StudyInstanceUID": study}) == []


def test_cornerstone_finds_the_syntax_in_the_first_header_line(archive: Archive) -> None:
    """Clients section 2.2, checklist 30: literally `Content-Type:`, the syntax unquoted."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/1", ANY_FRAME)

    first = answer.content.split(b"\r\n")[1]
    assert first == f"Content-Type: application/octet-stream; transfer-syntax={EXPLICIT}".encode()


def test_a_tile_storm_is_answered(archive: Archive) -> None:
    """Checklist 36 in small: a viewer that asks for many frames of a large object one after the other."""
    frames = [number.to_bytes(4, "big") * 16 for number in range(2000)]
    slide = make_encapsulated(frames)
    archive.keep(slide)

    for number in range(1, 2001, 50):
        answer = archive.get(f"{slide.path}/frames/{number}", "application/octet-stream; transfer-syntax=*")
        assert answer.content == frames[number - 1]
