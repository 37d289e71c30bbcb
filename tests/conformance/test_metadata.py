"""Metadata as DICOM JSON: API rules section 7, PS3.18 annex F."""

import random

import httpx
import pytest
from pydicom.dataset import Dataset as DicomDataset

from local.dev.service import Service
from tests.archive import JSON, Archive, uids, values
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


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> tuple[Archive, Instance]:
    """A stored instance, for tests that only read it."""
    archive, instance = Archive.fresh(http, service.url), make()
    archive.keep(instance)
    return archive, instance


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


def test_keys_ascend_and_group_0002_and_bulk_are_left_out(archive: Archive) -> None:
    """Section 7.2, PS3.18 F.2.2: also within sequences; private elements with a VR stay."""
    dataset = make_dataset(RedPaletteColorLookupTableData=b"\0\1")
    item = DicomDataset()
    item.add_new(0x00281201, "OW", b"\0\1")
    item.CodeValue = "X"
    dataset.ProcedureCodeSequence = [item]
    block = dataset.private_block(0x0011, "OURS", create=True)
    block.add_new(1, "LO", "kept")
    block.add_new(2, "OB", b"\0\0")
    block.add_new(3, "UN", b"\0\0")
    dataset.Rows = dataset.Columns = 1
    dataset.BitsAllocated = 8
    dataset.PixelData = b"\0\0"
    dataset["PixelData"].VR = "OB"
    instance = as_instance(dataset)
    archive.keep(instance)

    (found,) = archive.metadata(instance.path)

    assert list(found) == sorted(found)
    assert all(key == key.upper() and len(key) == 8 for key in found)
    assert not any(key.startswith("0002") for key in found)
    assert not {"7FE00010", "00281201", "00111002", "00111003"} & set(found)
    assert found["00081032"] == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}]}
    assert found["00111001"] == {"vr": "LO", "Value": ["kept"]}


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
