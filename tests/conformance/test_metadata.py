"""Metadata as DICOM JSON: API rules section 7, PS3.18 annex F."""

import base64
import gzip
import json
import random
from dataclasses import replace
from xml.etree import ElementTree

import httpx
import pytest
from pydicom.dataset import Dataset as DicomDataset

from local.dev.service import Service
from tests.archive import JSON, Archive, parts_of, uids, values
from tests.conftest import StartService
from tests.factories import (
    EXPLICIT,
    IMPLICIT,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_encapsulated,
    make_image,
    new_uid,
)

INSTANCE_UID = "00080018"
AS_XML = 'multipart/related; type="application/dicom+xml"'
NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


class Native:
    """A document of the Native DICOM Model."""

    def __init__(self, content: bytes) -> None:
        self._root = ElementTree.fromstring(content)
        assert self._root.tag == f"{NAMESPACE}NativeDicomModel"

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.text("SOPInstanceUID")

    def find(self, keyword: str, kind: str) -> ElementTree.Element:
        """The first element of a kind within a top-level attribute."""
        found = self._root.find(f"{NAMESPACE}DicomAttribute[@keyword='{keyword}']//{NAMESPACE}{kind}")
        assert found is not None
        return found

    def text(self, keyword: str, kind: str = "Value") -> str:
        """Its text."""
        return self.find(keyword, kind).text or ""


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> tuple[Archive, Instance]:
    """A stored instance, for tests that only read it."""
    archive, instance = Archive.fresh(http, service.url), make()
    archive.keep(instance)
    return archive, instance


@pytest.fixture(scope="module")
def kept_image(service: Service, http: httpx.Client) -> tuple[Archive, Instance]:
    """The same with pixels."""
    archive, image = Archive.fresh(http, service.url), make_image()
    archive.keep(image)
    return archive, image


def test_the_metadata_of_an_instance_are_an_array_of_one(archive: Archive) -> None:
    """Section 7.1."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(f"{image.path}/metadata", JSON)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON
    assert uids(answer.json(), INSTANCE_UID) == [image.instance]


def test_each_level_has_the_metadata_of_its_instances(archive: Archive) -> None:
    """Section 7.1: one dataset per instance, order free."""
    study, series = new_uid(), new_uid()
    first = [make(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(3)]
    other = make(StudyInstanceUID=study)
    archive.keep(*first, other, make())

    of_series = archive.metadata(first[0].series_path)
    of_study = archive.metadata(f"studies/{study}")

    assert set(uids(of_series, INSTANCE_UID)) == {each.instance for each in first}
    assert set(uids(of_study, INSTANCE_UID)) == {each.instance for each in (*first, other)}
    assert len(of_study) == 4


def with_bulk() -> Instance:
    """An instance with bulk data at all levels, of standard and private elements."""
    dataset = make_dataset(RedPaletteColorLookupTableData=b"\0\1")
    item = DicomDataset()
    item.add_new(0x00281201, "OW", b"\0\1")
    item.CodeValue = "X"
    dataset.ProcedureCodeSequence = [item]
    block = dataset.private_block(0x0011, "OURS", create=True)
    block.add_new(1, "LO", "kept")
    block.add_new(2, "OB", b"\0\0")
    block.add_new(3, "UN", b"\0\0")
    block.add_new(4, "OB", b"")
    dataset.Rows = dataset.Columns = 1
    dataset.BitsAllocated = 8
    dataset.PixelData = b"\0\0"
    dataset["PixelData"].VR = "OB"
    return as_instance(dataset)


def test_keys_ascend_and_group_0002_is_left_out(archive: Archive) -> None:
    """Section 7.2, PS3.18 F.2.2, checklist 23: private elements with a VR stay; 00083002 tells the syntax."""
    instance = with_bulk()
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    assert list(found) == sorted(found)
    assert all(key == key.upper() and len(key) == 8 for key in found)
    assert not any(key.startswith("0002") or key.endswith("0000") for key in found)
    assert not {"00081190", "00080056", "00201206", "00201208"} & set(found)
    assert found["00111001"] == {"vr": "LO", "Value": ["kept"]}
    assert found["00083002"] == {"vr": "UI", "Value": [EXPLICIT]}


def test_bulk_data_are_named_by_absolute_urls(archive: Archive) -> None:
    """PS3.18 F.2.2: at every level; an empty value needs none."""
    instance = with_bulk()
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    base = f"{archive.root}/{instance.path}/bulkdata"
    for tag, vr in (("7FE00010", "OB"), ("00281201", "OW"), ("00111002", "OB"), ("00111003", "UN")):
        assert found[tag] == {"vr": vr, "BulkDataURI": f"{base}/{tag}"}
    assert found["00111004"] == {"vr": "OB"}
    assert found["00081032"]["Value"] == [
        {
            "00080100": {"vr": "SH", "Value": ["X"]},
            "00281201": {"vr": "OW", "BulkDataURI": f"{base}/00081032/0/00281201"},
        }
    ]


def test_bulk_data_are_dropped_where_it_is_set(start: StartService, http: httpx.Client) -> None:
    """Section 7.2: Azure's behaviour, at every level; nothing else changes."""
    strict = Archive.fresh(http, start({"DICOM_BULK_DATA": "omit"}).url)
    instance = with_bulk()
    strict.keep(instance)

    (found,) = strict.metadata(instance.path)

    assert not {"7FE00010", "00281201", "00111002", "00111003", "00111004"} & set(found)
    assert found["00081032"] == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}]}
    assert found["00111001"] == {"vr": "LO", "Value": ["kept"]}
    assert strict.get(f"{instance.path}/bulkdata/7FE00010").content == b"\0\0"


def test_small_bulk_data_are_inline_where_it_is_set(start: StartService, http: httpx.Client) -> None:
    """PS3.18 F.2.7: up to the length that is set when they are stored, and never pixel data."""
    archive = Archive.fresh(http, start({"DICOM_INLINE_BULK_BYTES": "8"}).url)
    dataset = make_dataset(ICCProfile=b"12345678", RedPaletteColorLookupTableData=b"1234567890")
    dataset.PixelData = b"\0\1"
    dataset["PixelData"].VR = "OB"
    instance = as_instance(dataset)
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    assert found["00282000"] == {"vr": "OB", "InlineBinary": base64.b64encode(b"12345678").decode()}
    base = f"{archive.root}/{instance.path}/bulkdata"
    assert found["00281201"] == {"vr": "OW", "BulkDataURI": f"{base}/00281201"}
    assert found["7FE00010"] == {"vr": "OB", "BulkDataURI": f"{base}/7FE00010"}
    document = Native(parts_of(archive.get(f"{instance.path}/metadata", AS_XML))[0].content)
    assert document.text("ICCProfile", "InlineBinary") == base64.b64encode(b"12345678").decode()


@pytest.mark.parametrize(
    ("headers", "root"),
    [
        (
            {"X-Forwarded-Host": "pacs.example.org", "X-Forwarded-Proto": "https"},
            "https://pacs.example.org/{path}",
        ),
        (
            {"X-Forwarded-Host": "pacs.example.org", "X-Forwarded-Prefix": "/dicom/here"},
            "http://pacs.example.org/dicom/here",
        ),
    ],
)
def test_bulk_data_behind_a_proxy(
    kept_image: tuple[Archive, Instance], headers: dict[str, str], root: str
) -> None:
    """Checklist 27: the host that the client sees, and no query."""
    archive, image = kept_image

    answer = archive.ask("GET", f"{image.series_path}/metadata", JSON, headers=headers)

    base = root.format(path=f"v2/partitions/{archive.partition}")
    (found,) = answer.json()
    assert found["7FE00010"]["BulkDataURI"] == f"{base}/{image.path}/bulkdata/7FE00010"


def test_bulk_data_at_a_configured_address(start: StartService, http: httpx.Client) -> None:
    """Checklist 27: what is configured goes before all headers."""
    service = start({"DICOM_PUBLIC_URL": "https://pacs.example.org/dicom"})
    archive, image = Archive(http, service.url, None), make_image()
    archive.keep(image)

    answer = archive.get(f"{image.path}/metadata", JSON, X_Forwarded_Host="other.example.org")

    url = f"https://pacs.example.org/dicom/v2/{image.path}/bulkdata/7FE00010"
    assert answer.json()[0]["7FE00010"] == {"vr": "OW", "BulkDataURI": url}


def test_search_results_have_no_bulk_data_but_the_transfer_syntax(archive: Archive) -> None:
    """Included fields come without what is only named by reference; 00083002 where it is asked for."""
    instance = with_bulk()
    archive.keep(instance)
    fields = "includefield=PixelData,ProcedureCodeSequence,AvailableTransferSyntaxUID"

    (found,) = archive.search(f"{instance.series_path}/instances?{fields}")
    (study,) = archive.search(f"studies?StudyInstanceUID={instance.study}&{fields}")

    assert found["00083002"] == {"vr": "UI", "Value": [EXPLICIT]}
    assert "7FE00010" not in found
    assert found["00081032"]["Value"] == [{"00080100": {"vr": "SH", "Value": ["X"]}}]
    assert "00083002" not in study


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="application/dicom+xml"',
        "multipart/related;type=application/dicom+xml",
        "image/jpeg, multipart/related; type=application/dicom+xml; q=0.5",
    ],
)
def test_metadata_come_as_xml_on_request(archive: Archive, accept: str) -> None:
    """PS3.18 section 8.7.3: a document of the Native DICOM Model in a part for each instance."""
    study, series = new_uid(), new_uid()
    names = ["Müller^Jörg", "山田^太郎"]
    images = [
        make_image(
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            SpecificCharacterSet="ISO_IR 192",
            PatientName=name,
            PatientWeight="72.50",
        )
        for name in names
    ]
    archive.keep(*images)

    answer = archive.get(f"studies/{study}/metadata", accept)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith('multipart/related; type="application/dicom+xml"; ')
    parts = parts_of(answer)
    assert [part.content_type for part in parts] == ["application/dicom+xml"] * 2
    documents = {document.uid: document for document in (Native(part.content) for part in parts)}
    for image, name in zip(images, names, strict=True):
        document = documents[image.instance]
        assert document.text("PatientName", "FamilyName") == name.partition("^")[0]
        assert document.text("PatientWeight") == "72.50"
        bulk = document.find("PixelData", "BulkData")
        assert bulk.get("uri") == f"{archive.root}/{image.path}/bulkdata/7FE00010"


def test_xml_has_a_tag_of_its_own_and_404(archive: Archive) -> None:
    """Section 7.3 says what that of JSON is; other bytes have another (RFC 9110 section 8.8.3)."""
    instance = make()
    archive.keep(instance)
    etag = archive.get(f"{instance.path}/metadata", JSON).headers["ETag"]

    answer = archive.get(f"{instance.path}/metadata", AS_XML)

    own = answer.headers["ETag"]
    assert own != etag
    assert archive.get(f"{instance.path}/metadata", AS_XML, if_none_match=etag).status_code == 200
    assert archive.get(f"{instance.path}/metadata", AS_XML, if_none_match=own).status_code == 304
    assert archive.get(f"studies/{new_uid()}/metadata", AS_XML).status_code == 404


def test_metadata_too_large_for_xml_are_406_and_come_as_json(archive: Archive) -> None:
    """A document is made of values, which take far more memory than text."""
    dataset = make_dataset()
    block = dataset.private_block(0x0011, "OURS", create=True)
    for number in range(5):
        block.add_new(number, "UT", "x" * 1_000_000)
    instance = as_instance(dataset)
    archive.keep(instance)

    assert archive.get(f"{instance.path}/metadata", AS_XML).status_code == 406
    assert archive.get(f"{instance.path}/metadata", JSON).status_code == 200


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip;q=0.5", "GZIP", "*", "gzip, deflate, br, zstd"])
def test_json_is_compressed_for_who_takes_that(kept: tuple[Archive, Instance], accepted: str) -> None:
    """Checklist 28, RFC 9110 section 12.5.3; caches are told."""
    archive, instance = kept
    headers = {"Accept-Encoding": accepted}

    request = archive.http.build_request("GET", archive.url(f"{instance.path}/metadata"), headers=headers)
    answer = archive.http.send(request, stream=True)
    raw = b"".join(answer.iter_raw())

    assert answer.headers["Content-Encoding"] == "gzip"
    assert set(answer.headers["Vary"].split(", ")) >= {"Accept", "Accept-Encoding"}
    assert uids(json.loads(gzip.decompress(raw)), INSTANCE_UID) == [instance.instance]
    etag = answer.headers["ETag"]
    assert archive.get(f"{instance.path}/metadata", JSON, if_none_match=etag).status_code == 304


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br", "", "*;q=0"])
def test_json_is_plain_for_who_does_not(kept: tuple[Archive, Instance], accepted: str) -> None:
    """Checklist 28."""
    archive, instance = kept
    headers = {"Accept-Encoding": accepted}

    request = archive.http.build_request("GET", archive.url(f"{instance.path}/metadata"), headers=headers)
    answer = archive.http.send(request, stream=True)
    raw = b"".join(answer.iter_raw())

    assert "Content-Encoding" not in answer.headers
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert uids(json.loads(raw), INSTANCE_UID) == [instance.instance]


ONE = b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"


@pytest.mark.parametrize(
    ("charset", "raw", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg".encode("latin-1"), {"Alphabetic": "Müller^Jörg"}),
        ("ISO_IR 144", "Люк^Иван".encode("iso8859-5"), {"Alphabetic": "Люк^Иван"}),
        ("ISO_IR 192", "Ça^Ê".encode(), {"Alphabetic": "Ça^Ê"}),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=" + ONE,
            {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"},
        ),
        ("GB18030", "王^小東".encode("gb18030"), {"Alphabetic": "王^小東"}),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            {"Alphabetic": "Hong^Gildong", "Ideographic": "洪^吉洞"},
        ),
        # The second byte of the first character is that of a backslash (PS3.5 section 6.1.2.5.1).
        ("GBK", "誠^太".encode("gbk"), {"Alphabetic": "誠^太"}),
        ("ISO 2022 IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", {"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ"}),
    ],
)
def test_text_is_utf_8_whatever_the_file_has(
    archive: Archive, charset: str, raw: bytes, name: dict[str, str]
) -> None:
    """PS3.18 F.2.2, checklist 24: 00080005 stays as it is."""
    dataset = make_dataset(SpecificCharacterSet=charset.split("\\"), PatientName="#" * len(raw))
    instance = as_instance(dataset)
    archive.keep(replace(instance, content=instance.content.replace(b"#" * len(raw), raw)))

    answer = archive.get(f"{instance.path}/metadata", JSON)

    (found,) = json.loads(answer.content.decode("utf-8"))
    assert values(found, "00100010") == [name]
    assert values(found, "00080005") == [part or None for part in charset.split("\\")]


def test_positions_are_kept_where_values_are_empty(archive: Archive) -> None:
    """PS3.18 F.2.5, checklist 25: null within a list, an empty object for an empty item."""
    dataset = make_dataset(
        SpecificCharacterSet="ISO_IR 192",
        OtherPatientNames=["A^B=山田=やまだ", "", "C^D"],
        ProcedureCodeSequence=[DicomDataset(), make_dataset(StudyDate=None)],
    )
    instance = as_instance(dataset)
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    assert values(found, "00101001") == [
        {"Alphabetic": "A^B", "Ideographic": "山田", "Phonetic": "やまだ"},
        None,
        {"Alphabetic": "C^D"},
    ]
    first, second = values(found, "00081032")
    assert first == {}
    assert "00100010" in second


def test_values_follow_the_json_model(archive: Archive) -> None:
    """PS3.18 F.2: numbers, names in three groups, empty elements, tags as digits."""
    dataset = make_dataset(
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう",
        PatientWeight="72.5",
        AccessionNumber="",
        ImageType=["ORIGINAL", "", "AXIAL"],
        FrameIncrementPointer=0x00181063,
        ProcedureCodeSequence=[],
    )
    instance = as_instance(dataset)
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    assert found["00100010"] == {"vr": "PN", "Value": [name]}
    assert found["00101030"] == {"vr": "DS", "Value": [72.5]}
    assert found["00200011"] == {"vr": "IS", "Value": [1]}
    assert found["00080050"] == {"vr": "SH"}
    assert found["00080008"] == {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]}
    assert found["00280009"] == {"vr": "AT", "Value": ["00181063"]}
    assert found["00081032"] == {"vr": "SQ"}


def test_implicit_vr_gets_its_vrs_from_the_dictionary(archive: Archive) -> None:
    """Section 3.4 row 5: as explicit, but private elements of unknown VR are absent."""
    instance = make(IMPLICIT)
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
    assert found["00080020"] == {"vr": "DA", "Value": ["20240131"]}


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/*",
        JSON,
        "application/dicom+json, application/json",
        f"{JSON}, multipart/related; type=application/octet-stream; transfer-syntax=*",
        f"{JSON}, multipart/related; type=application/octet-stream; transfer-syntax=*; transfer-syntax=*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        'multipart/related; type="*/*"',
    ],
)
def test_every_accept_header_of_real_clients_gives_json(
    kept: tuple[Archive, Instance], accept: str | None
) -> None:
    """Clients section 2.1 (OHIF's joined header), checklist 1 and 4."""
    archive, instance = kept

    answer = archive.get(f"studies/{instance.study}/metadata", accept)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON
    assert uids(answer.json(), INSTANCE_UID) == [instance.instance]


@pytest.mark.parametrize("accept", ["application/dicom", "image/jpeg", "text/plain"])
def test_another_type_is_406_also_for_unknown_uids(kept: tuple[Archive, Instance], accept: str) -> None:
    """Section 7.1."""
    assert kept[0].get(f"studies/{new_uid()}/metadata", accept).status_code == 406


def test_unknown_resources_are_404_at_each_level(archive: Archive) -> None:
    """Section 7.1; also with If-None-Match, as existence comes first (section 7.3)."""
    instance = make()
    archive.keep(instance)
    other = make(StudyInstanceUID=instance.study, SeriesInstanceUID=instance.series)

    for path in (f"studies/{new_uid()}", f"studies/{instance.study}/series/{new_uid()}", other.path):
        assert archive.get(f"{path}/metadata", JSON).status_code == 404
        assert archive.get(f"{path}/metadata", JSON, if_none_match="*").status_code == 404


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"', '"x", "{}"', "*"])
def test_a_matching_etag_is_answered_304(kept: tuple[Archive, Instance], level: str, form: str) -> None:
    """Section 7.3: sent without quotes, accepted in every form; empty body of length 0."""
    archive, instance = kept
    path = {"study": f"studies/{instance.study}", "series": instance.series_path, "instance": instance.path}[
        level
    ]
    etag = archive.get(f"{path}/metadata", JSON).headers["ETag"]

    answer = archive.get(f"{path}/metadata", JSON, if_none_match=form.format(etag))

    assert '"' not in etag
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers.get("Content-Length", "0") == "0"
    assert archive.get(f"{path}/metadata", JSON, if_none_match="other").status_code == 200


def test_an_etag_changes_with_what_is_there(archive: Archive) -> None:
    """Section 7.3: storing another instance and deleting one."""
    instance = make()
    archive.keep(instance)
    path = f"studies/{instance.study}/metadata"
    first = archive.get(path, JSON).headers["ETag"]

    other = make(StudyInstanceUID=instance.study)
    archive.keep(other)
    second = archive.get(path, JSON).headers["ETag"]
    archive.delete(other.path)
    third = archive.get(path, JSON).headers["ETag"]

    assert first != second
    assert second != third
    assert archive.get(path, JSON, if_none_match=second).status_code == 200


def test_more_instances_than_one_page_come_in_one_array(archive: Archive) -> None:
    """Section 7.1: no paging; the ETag counts all of them."""
    study, series = new_uid(), new_uid()
    instances = [make(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=n) for n in range(260)]
    archive.keep(*instances)

    answer = archive.get(f"studies/{study}/metadata", JSON)

    assert set(uids(answer.json(), INSTANCE_UID)) == {each.instance for each in instances}
    assert answer.headers["ETag"].endswith("-260")


def test_metadata_too_large_for_a_row_come_whole(archive: Archive) -> None:
    """What does not fit a row lies in a blob; nobody sees the difference."""
    digits = random.Random(1)
    text = "".join(digits.choice("0123456789abcdef") for _ in range(1_000_000))
    instance = as_instance(make_dataset(TextValue=text))
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    assert values(found, "0040A160") == [text]


def test_many_frames_too_many_for_a_row_are_found(archive: Archive) -> None:
    """The same for a frame index."""
    frames = [number.to_bytes(4, "big") * (number % 7 + 1) for number in range(3000)]
    image = make_encapsulated(frames)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/3000", "application/octet-stream; transfer-syntax=*")

    assert answer.content == frames[-1]
    assert values(archive.metadata(image.path)[0], "00280008") == [3000]


def test_head_tells_the_etag(archive: Archive) -> None:
    """As GET, without the body."""
    instance = make(EXPLICIT)
    archive.keep(instance)

    head = archive.ask("HEAD", f"{instance.path}/metadata", JSON)

    assert head.status_code == 200
    assert head.headers["ETag"] == archive.get(f"{instance.path}/metadata", JSON).headers["ETag"]
    assert head.content == b""
