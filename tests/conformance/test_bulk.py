"""Bulk data: what BulkDataURIs lead to (PS3.18 sections 8.7.3 and 10.4; clients sections 3.6 and 4.1)."""

from collections.abc import Iterator, Mapping
from itertools import islice
from random import Random
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset as DicomDataset
from pydicom.encaps import encapsulate

from local.dev.service import Service
from shared.storage.rows import MAX_BULK_BYTES
from tests.archive import Archive, Dataset, Part, parts_of
from tests.conformance.test_real_files import BESIDE, PYDICOM, RealFile, requests, sorted_files
from tests.factories import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_encapsulated,
    make_image,
    new_uid,
)
from tests.unit.dicom.making import read

OCTETS = "application/octet-stream"
MULTIPART = 'multipart/related; type="application/octet-stream"'
PDF = b"%PDF-1.7 a document of odd length\0"


@pytest.fixture(scope="module")
def shared(service: Service, http: httpx.Client) -> Archive:
    """Where tests keep what they only read."""
    return Archive.fresh(http, service.url)


@pytest.fixture(scope="module")
def image(shared: Archive) -> Instance:
    """An instance with native pixels."""
    made = make_image(2)
    shared.keep(made)
    return made


def references(dataset: Dataset) -> Iterator[str]:
    """Every BulkDataURI of a dataset."""
    for element in dataset.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        for item in element.get("Value", []) if element["vr"] == "SQ" else []:
            yield from references(item)


def fetch(archive: Archive, url: str, accept: str | None = None, **headers: str) -> httpx.Response:
    """Ask for what a BulkDataURI names."""
    assert url.startswith(f"{archive.root}/")
    return archive.get(url.removeprefix(f"{archive.root}/"), accept, **headers)


def only_part(answer: httpx.Response) -> Part:
    """The part of a multipart answer that has one."""
    assert answer.status_code == 200, answer.text
    (part,) = parts_of(answer)
    return part


def document(content: bytes = PDF, media_type: str = "application/pdf") -> Instance:
    """An encapsulated document."""
    dataset = make_dataset(EncapsulatedDocument=content, MIMETypeOfEncapsulatedDocument=media_type)
    return as_instance(dataset)


@pytest.mark.parametrize("accept", [None, "*/*", OCTETS, f"{OCTETS}; transfer-syntax=*", "application/*"])
def test_native_pixels_come_as_one(shared: Archive, image: Instance, accept: str | None) -> None:
    """Clients section 6: a single part when that is asked for or nothing is."""
    answer = shared.get(f"{image.path}/bulkdata/7FE00010", accept)

    assert answer.status_code == 200
    assert answer.content == b"".join(image.frames)
    assert answer.headers["Content-Type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "accept",
    [
        MULTIPART,
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        f"multipart/related; type=application/octet-stream; transfer-syntax={EXPLICIT}",
        'multipart/related; type="*/*"',
        "multipart/related",
        'multipart/related; type="application/dicom"',
        f'multipart/related; type="application/pdf", {MULTIPART}',
    ],
)
def test_a_value_comes_as_one_part_on_request(shared: Archive, image: Instance, accept: str) -> None:
    """What OHIF, the Python client and MONAI Deploy send (clients sections 2.1, 2.5 and 4.1)."""
    answer = shared.get(f"{image.path}/bulkdata/7FE00010", accept)

    part = only_part(answer)
    assert part.content == b"".join(image.frames)
    assert part.content_type == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert f"Content-Location: {shared.root}/{image.path}/bulkdata/7FE00010".encode() in part.head
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["Content-Type"].startswith(f'multipart/related; type="{OCTETS}"; ')


@pytest.mark.parametrize(
    "path", ["7fe00010", "7FE00010/", "7FE00010?accept=application/octet-stream", "7FE00010?_=1"]
)
def test_addresses_are_read_leniently(shared: Archive, image: Instance, path: str) -> None:
    """Checklist 8b; OHIF adds `accept` to a BulkDataURI."""
    assert shared.get(f"{image.path}/bulkdata/{path}").content == b"".join(image.frames)


@pytest.mark.parametrize(
    "path", ["7FE00009", "00100010", "7FE00010/0", "7FE00010/0/00100010", "PixelData", "%2E%2E/x"]
)
def test_what_is_no_bulk_value_is_404(shared: Archive, image: Instance, path: str) -> None:
    """PS3.18 section 10.4: also of an instance that does not exist."""
    assert shared.get(f"{image.path}/bulkdata/{path}").status_code == 404
    assert shared.get(f"{make().path}/bulkdata/7FE00010").status_code == 404


@pytest.mark.parametrize("accept", ["text/plain", "audio/basic", "application/zip"])
def test_what_cannot_be_given_is_406_before_anything_is_looked_up(
    shared: Archive, image: Instance, accept: str
) -> None:
    """As for all of WADO-RS (API rules section 4.1)."""
    for path in (image.path, make().path):
        assert shared.get(f"{path}/bulkdata/7FE00010", accept).status_code == 406


@pytest.mark.parametrize(
    "accept", ["application/pdf", "image/jpeg", "video/mp4", f"{OCTETS}; transfer-syntax={JPEG_BASELINE}"]
)
def test_native_pixels_are_no_document_and_no_jpeg(shared: Archive, image: Instance, accept: str) -> None:
    """What is offered for other values, but not for these."""
    assert shared.get(f"{image.path}/bulkdata/7FE00010", accept).status_code == 406


@pytest.mark.parametrize("accept", [None, MULTIPART])
@pytest.mark.parametrize(
    ("header", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=3-9", 3, 10),
        ("bytes=60-", 60, None),
        ("bytes=-5", -5, None),
        ("bytes=9-999", 9, None),
    ],
)
def test_a_range_is_that_part_of_the_answer(
    shared: Archive, image: Instance, accept: str | None, header: str, first: int, end: int | None
) -> None:
    """Clients section 3.6, checklist 32; of a multipart, of its whole body (PS3.18 section 8.6.1.2)."""
    path = f"{image.path}/bulkdata/7FE00010"
    whole = shared.get(path, accept)

    answer = shared.get(path, accept, Range=header)

    assert answer.status_code == 206
    assert answer.content == whole.content[first:end]
    first %= len(whole.content)
    last = first + len(answer.content) - 1
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole.content)}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert answer.headers["ETag"] == whole.headers["ETag"]


def test_a_range_behind_the_end_is_416_and_an_odd_one_ignored(shared: Archive, image: Instance) -> None:
    """Clients section 3.6."""
    path = f"{image.path}/bulkdata/7FE00010"

    behind = shared.get(path, Range="bytes=64-")

    assert behind.status_code == 416
    assert behind.headers["Content-Range"] == "bytes */64"
    for odd in ("byte=0-1", "bytes=x-", "lines=0-1", "bytes=5-2"):
        assert shared.get(path, Range=odd).status_code == 200


def test_a_strong_etag_allows_304_and_if_range(shared: Archive, image: Instance) -> None:
    """Clients section 3.6: over the exact bytes, so another one for another form."""
    path = f"{image.path}/bulkdata/7FE00010"
    etag = shared.get(path).headers["ETag"]

    unchanged = shared.get(path, If_None_Match=etag)

    assert etag.startswith('"')
    assert unchanged.status_code == 304
    assert unchanged.content == b""
    assert unchanged.headers["ETag"] == etag
    assert shared.get(path, MULTIPART).headers["ETag"] != etag
    assert shared.get(path, If_Range=etag, Range="bytes=0-1").status_code == 206
    assert shared.get(path, If_Range='"other"', Range="bytes=0-1").status_code == 200


def test_head_tells_the_length(shared: Archive, image: Instance) -> None:
    """Checklist 56: as GET, without the body."""
    path = f"{image.path}/bulkdata/7FE00010"

    head = shared.ask("HEAD", path)

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Length"] == "64"
    assert head.headers["ETag"] == shared.get(path).headers["ETag"]


@pytest.mark.parametrize("table", ["basic", "empty", "extended"])
def test_compressed_pixels_come_as_frames(archive: Archive, table: str) -> None:
    """PS3.18 section 8.7.3.3: a part for each, in the syntax that they are stored in."""
    image = make_encapsulated([b"first!", b"second", b"3rd\0"], table=table)
    archive.keep(image)
    (url,) = [url for url in references(archive.metadata(image.path)[0]) if url.endswith("7FE00010")]

    as_files = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    for accept in (None, "*/*", f"{MULTIPART}; transfer-syntax=*", as_files):
        parts = parts_of(fetch(archive, url, accept))

        assert [part.content for part in parts] == list(image.frames)
        content_types = {part.content_type for part in parts}
        assert content_types == {f"{OCTETS}; transfer-syntax={JPEG_BASELINE}"}
    assert fetch(archive, url, OCTETS).status_code == 406


def test_one_compressed_frame_may_be_a_single_part(archive: Archive) -> None:
    """Also one in several fragments."""
    image = make_encapsulated([b"one frame in some fragments "], fragments=4)
    archive.keep(image)
    path = f"{image.path}/bulkdata/7FE00010"

    single = archive.get(path)

    assert single.content == image.frames[0]
    assert single.headers["Content-Type"] == f"{OCTETS}; transfer-syntax={JPEG_BASELINE}"
    assert only_part(archive.get(path, f"{MULTIPART}; transfer-syntax=*")).content == image.frames[0]
    typed = archive.get(path, "image/jpeg; transfer-syntax=*")
    assert typed.headers["Content-Type"] == f"image/jpeg; transfer-syntax={JPEG_BASELINE}"
    assert archive.get(path, Range="bytes=4-8").content == b"frame"


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/pdf", "text/html,application/xhtml+xml,*/*;q=0.8"]
)
def test_a_document_comes_in_its_own_type(archive: Archive, accept: str | None) -> None:
    """Checklist 26, 39: for object elements, with ranges; octets for who asks for these."""
    instance = document()
    archive.keep(instance)
    path = f"{instance.path}/bulkdata/00420011"

    answer = archive.get(path, accept)

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content == PDF
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert archive.get(path, OCTETS).headers["Content-Type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert only_part(archive.get(path, 'multipart/related; type="application/pdf"')).content == PDF
    assert archive.get(path, accept, Range="bytes=0-4").content == b"%PDF-"


@pytest.mark.parametrize(
    ("told", "answered"),
    [
        ("text/XML", "text/xml"),
        ("model/stl", "model/stl"),
        ("text/html", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("pdf", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
        ("", f"{OCTETS}; transfer-syntax={EXPLICIT}"),
    ],
)
def test_only_known_types_of_documents_are_passed_on(archive: Archive, told: str, answered: str) -> None:
    """No browser runs what somebody stored as a page of this site."""
    instance = document(b"<x/>", told)
    archive.keep(instance)

    answer = archive.get(f"{instance.path}/bulkdata/00420011")

    assert answer.headers["Content-Type"] == answered
    assert (answer.headers.get("Content-Security-Policy") == "sandbox") is (answered == "text/xml")


def rich(transfer_syntax: str) -> tuple[Instance, Mapping[str, bytes]]:
    """Values of all kinds, and what their paths lead to (checklist 26)."""
    dataset = make_dataset(
        RedPaletteColorLookupTableData=b"\1\2\3\4",
        ICCProfile=b"profile!",
        EncapsulatedDocument=b"%PDF",
        SpectroscopyData=b"\0\0\x80\x3f\0\0\0\x40",
    )
    dataset.add_new(0x60003000, "OW", b"\x0f\xf0")
    dataset.add_new(0x00091010, "UN", b"unknown ")
    dataset.add_new(0x00090010, "LO", "OURS")
    wave, point = DicomDataset(), DicomDataset()
    wave.add_new(0x54001010, "OW", b"\1\0\2\0\3\0")
    dataset.WaveformSequence = [DicomDataset(), wave]
    point.add_new(0x00660016, "OF", b"\0\0\x80\x3f")
    point.add_new(0x00660040, "OL", b"\1\0\0\0\2\0\0\0")
    holder = DicomDataset()
    holder.SurfacePointsSequence = [point]
    dataset.SurfaceSequence = [holder]
    return as_instance(dataset, transfer_syntax), {
        "00281201": b"\1\2\3\4",
        "00282000": b"profile!",
        "00420011": b"%PDF",
        "56000020": b"\0\0\x80\x3f\0\0\0\x40",
        "60003000": b"\x0f\xf0",
        "00091010": b"unknown ",
        "54000100/1/54001010": b"\1\0\2\0\3\0",
        "00660002/0/00660011/0/00660016": b"\0\0\x80\x3f",
        "00660002/0/00660011/0/00660040": b"\1\0\0\0\2\0\0\0",
    }


@pytest.mark.parametrize("transfer_syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_every_reference_of_every_kind_leads_to_its_value(archive: Archive, transfer_syntax: str) -> None:
    """Checklist 26: palettes, profiles, overlays, waveforms, points, documents, private elements."""
    instance, expected = rich(transfer_syntax)
    archive.keep(instance)

    urls = list(references(archive.metadata(instance.path)[0]))

    base = f"{archive.root}/{instance.path}/bulkdata/"
    assert {url.removeprefix(base): fetch(archive, url).content for url in urls} == expected
    assert fetch(archive, urls[0], Range="bytes=1-2").content == fetch(archive, urls[0]).content[1:3]


def test_values_of_big_endian_files_come_low_byte_first(archive: Archive) -> None:
    """Clients section 3.1 row 12: big endian never travels; also in ranges."""
    dataset = make_dataset(Rows=1, Columns=2, BitsAllocated=16, SamplesPerPixel=1)
    dataset.PixelData = b"\x01\x02\x03\x04"
    dataset["PixelData"].VR = "OW"
    instance = as_instance(dataset, BIG_ENDIAN)
    assert instance.content.endswith(b"\x01\x02\x03\x04")
    archive.keep(instance)
    path = f"{instance.path}/bulkdata/7FE00010"

    answer = archive.get(path)

    assert answer.content == b"\x02\x01\x04\x03"
    assert answer.headers["Content-Type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert archive.get(path, Range="bytes=1-2").content == b"\x01\x04"


def test_an_icon_in_fragments_comes_without_item_headers(archive: Archive) -> None:
    """Clients section 3.1 row 17: also where no frame index knows of it."""
    icon = DicomDataset()
    icon.add_new(0x7FE00010, "OB", encapsulate([b"an icon ", b"more"]))
    icon["PixelData"].is_undefined_length = True
    image = make_encapsulated([b"pixels"], IconImageSequence=[icon])
    archive.keep(image)

    answer = archive.get(f"{image.path}/bulkdata/00880200/0/7FE00010")

    assert answer.content == b"an icon more"
    assert answer.headers["Content-Type"] == f"{OCTETS}; transfer-syntax={JPEG_BASELINE}"


def test_more_values_than_fit_a_row_are_found(archive: Archive) -> None:
    """Where they lie is kept in a blob then; nobody sees the difference."""
    random = Random(1)
    values = [random.randbytes(2 * random.randint(1, 40)) for _ in range(12_000)]
    dataset = make_dataset(PixelData=None)
    for number, value in enumerate(values):
        dataset.add_new(0x00211000 + number, "OB", value)
    instance = as_instance(dataset)
    assert len(read(instance.content).bulk) > MAX_BULK_BYTES
    archive.keep(instance)

    answer = archive.get(f"{instance.path}/bulkdata/{0x00211000 + 9999:08X}")

    assert answer.content == values[9999]
    assert len(list(references(archive.metadata(instance.path)[0]))) == len(values)


@pytest.fixture(scope="module")
def study(shared: Archive) -> list[Instance]:
    """A study of two series, with bulk data of all kinds and an instance without any."""
    study, series = new_uid(), new_uid()
    document = make_dataset(
        StudyInstanceUID=study, SeriesInstanceUID=series, EncapsulatedDocument=PDF, ICCProfile=b"icc!"
    )
    made = [
        make_image(2, StudyInstanceUID=study, SeriesInstanceUID=series),
        make_encapsulated([b"one!", b"two!"], fragments=2, StudyInstanceUID=study, SeriesInstanceUID=series),
        make(StudyInstanceUID=study),
        make_image(transfer_syntax=DEFLATED, StudyInstanceUID=study),
        as_instance(document),
    ]
    shared.keep(*made)
    return made


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("resource", ["/bulkdata", ""])
def test_all_bulk_data_of_a_resource_come_together(
    shared: Archive, study: list[Instance], level: str, resource: str
) -> None:
    """PS3.18 sections 10.4.1.1.5 and 10.4.4 note 2: a part for each, with the address that metadata have."""
    image = study[0]
    path = {"study": f"studies/{image.study}", "series": image.series_path, "instance": image.path}[level]
    members = [each for each in study if each.path.startswith(path)]

    answer = shared.get(f"{path}{resource}", MULTIPART)

    assert answer.status_code == 200
    expected: list[tuple[str, bytes]] = []
    for member in members:
        urls = references(shared.metadata(member.path)[0])
        for url in urls:
            frames = member.frames if url.endswith("7FE00010") and member is study[1] else None
            expected += [(url, frame) for frame in frames or [fetch(shared, url, OCTETS).content]]
    found = [(_location(part), part.content) for part in parts_of(answer)]
    assert sorted(found) == sorted(expected)


def _location(part: Part) -> str:
    (location,) = [line[18:] for line in part.head.split(b"\r\n") if line.startswith(b"Content-Location: ")]
    return location.decode()


def test_where_there_are_no_bulk_data_there_is_nothing(shared: Archive, study: list[Instance]) -> None:
    """A multipart without parts is none."""
    assert shared.get(f"{study[2].path}/bulkdata", MULTIPART).status_code == 404
    assert shared.get(f"{make().path}/bulkdata", MULTIPART).status_code == 404
    assert shared.get(f"{study[0].path}/bulkdata", "text/plain").status_code == 406
    assert (
        shared.get(f"{study[0].path}/bulkdata", f"{MULTIPART}; transfer-syntax={IMPLICIT}").status_code == 406
    )


FILES_ASKED = 12


# pydicom remarks on every oddity of these files.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("folder", ["pydicom", "beside"])
def test_references_of_real_files_lead_somewhere(service: Service, http: httpx.Client, folder: str) -> None:
    """Every BulkDataURI of some files of many makers; what the bytes are is compared where files are read."""
    paths = sorted_files(PYDICOM / "test_files") if folder == "pydicom" else sorted_files(BESIDE)
    if not paths:
        pytest.skip(f"THE COLLECTION OF REAL FILES IS NOT THERE: {BESIDE}")
    group: list[RealFile] = next(requests(paths[:: max(1, len(paths) // FILES_ASKED)]))
    archive = Archive.fresh(http, service.url)
    archive.store(*(file.path.read_bytes() for file in group))
    for file in group:
        if file.refusal is not None:
            continue
        (found,) = archive.metadata("studies/{}/series/{}/instances/{}".format(*file.address))
        for url in islice(references(found), 20):
            answer = fetch(archive, url)
            assert answer.status_code == 200, (file.path, url, answer.text)
            assert answer.content, (file.path, url)
            assert_is(file.dataset, url, answer)


def assert_is(dataset: DicomDataset, url: str, answer: httpx.Response) -> None:
    """A value at the top level that is as pydicom reads it."""
    path = url.rpartition("/bulkdata/")[2]
    element: Any = dataset.get_item(int(path, 16)) if len(path) == 8 else None
    is_big = dataset.file_meta.TransferSyntaxUID == BIG_ENDIAN
    if element is None or is_big or not isinstance(element.value, bytes):
        return
    if getattr(element, "length", 0) == 0xFFFFFFFF or getattr(element, "is_undefined_length", False):
        return
    assert answer.content == element.value, url


@pytest.mark.parametrize(
    ("syntax", "media_type"),
    [
        ("1.2.840.10008.1.2.4.100", "video/mpeg"),
        ("1.2.840.10008.1.2.4.102", "video/mp4"),
        ("1.2.840.10008.1.2.4.107", "video/h265"),
    ],
)
def test_a_video_comes_in_its_own_type(archive: Archive, syntax: str, media_type: str) -> None:
    """Clients section 4.1: as stored, single or multipart, and as octets to who asks for these."""
    stream = bytes(range(256)) * 4
    video = make_encapsulated([stream], fragments=2, transfer_syntax=syntax, NumberOfFrames=30)
    archive.keep(video)
    path = f"{video.path}/bulkdata/7FE00010"

    single = archive.get(path, media_type)
    (part,) = parts_of(archive.get(path, f'multipart/related; type="{media_type}"'))
    octets = archive.get(path, OCTETS)

    assert single.headers["Content-Type"].startswith(media_type)
    assert single.content == part.content == octets.content == stream
    assert archive.get(path, "image/jpeg").status_code == 406


def test_nobody_can_put_the_boundary_into_a_file(archive: Archive) -> None:
    """Clients section 4.2: what is stored later changes it."""
    first = make_image(2)
    archive.keep(first)
    path = f"studies/{first.study}/bulkdata"
    boundary = archive.get(path, MULTIPART).headers["Content-Type"].rpartition("=")[2]
    dataset = make_dataset(StudyInstanceUID=first.study, SeriesInstanceUID=first.series)
    forged = f"\r\n--{boundary}\r\nContent-Type: text/html\r\n\r\nforged\r\n--{boundary}--".encode()
    dataset.add_new(0x00660016, "OB", forged + bytes(len(forged) % 2))
    archive.keep(as_instance(dataset))

    answer = archive.get(path, MULTIPART)

    assert len(parts_of(answer)) == 2
    assert not answer.headers["Content-Type"].endswith(boundary)
    assert archive.get(path, MULTIPART).content == answer.content
