"""Store (STOW-RS): API rules section 3, PS3.18 section 10.5."""

import pytest

from tests.archive import JSON, Archive, failures, stored, values
from tests.factories import (
    SECONDARY_CAPTURE,
    Instance,
    make,
    make_dataset,
    make_image,
    multipart,
    new_uid,
    part,
    with_preamble,
    without_preamble,
    write,
)

STUDY_URL, FAILED, REFERENCED = "00081190", "00081198", "00081199"


def test_a_stored_file_is_answered_with_its_class_uid_and_url(archive: Archive) -> None:
    """Section 3.6: exactly these elements, the empty comment sequence included."""
    image = make_image()

    answer = archive.store(image)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON
    item = {
        "00081150": {"vr": "UI", "Value": [SECONDARY_CAPTURE]},
        "00081155": {"vr": "UI", "Value": [image.instance]},
        "00081190": {"vr": "UR", "Value": [archive.url(image.path)]},
        "00741048": {"vr": "SQ"},
    }
    assert answer.json() == {REFERENCED: {"vr": "SQ", "Value": [item]}}


def test_v1_leaves_the_empty_comment_sequence_out(archive: Archive) -> None:
    """Section 3.6: on v1 the sequence is there only if comments exist; URLs carry the version asked."""
    image = make_image()

    answer = archive.as_version("v1").store(image)

    (item,) = values(answer.json(), REFERENCED)
    assert set(item) == {"00081150", "00081155", "00081190"}
    assert values(item, "00081190") == [archive.as_version("v1").url(image.path)]


def test_the_study_url_is_there_when_the_path_names_the_study(archive: Archive) -> None:
    """Section 3.6, first table."""
    image = make_image()

    answer = archive.store(image, path=f"studies/{image.study}")

    assert answer.status_code == 200
    assert set(answer.json()) == {STUDY_URL, REFERENCED}
    assert answer.json()[STUDY_URL] == {"vr": "UR", "Value": [archive.url(f"studies/{image.study}")]}


def test_a_trailing_blank_in_the_path_is_padding(archive: Archive) -> None:
    """Section 1.5: UIDs are compared without trailing blanks."""
    image = make_image()

    answer = archive.store(image, path=f"studies/{image.study}%20")

    assert answer.status_code == 200


@pytest.mark.parametrize("study", ["notAStudyInstanceUid", "1.2.", "1" * 65, "1.2.a", "%20"])
def test_a_malformed_study_in_the_path_is_refused(archive: Archive, study: str) -> None:
    """Section 3.1: 400 before the body is read."""
    answer = archive.store(make(), path=f"studies/{study}")

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_several_studies_may_come_in_one_request(archive: Archive) -> None:
    """PS3.18 section 10.5.1; items keep the order of the parts (section 3.6)."""
    images = [make_image() for _ in range(5)]

    answer = archive.store(*images)

    assert answer.status_code == 200
    assert stored(answer) == [image.instance for image in images]
    assert len(archive.search("studies")) == 5


def test_items_keep_the_order_of_the_parts(archive: Archive) -> None:
    """Section 3.6, across studies, duplicates and refusals."""
    study, series = new_uid(), new_uid()
    kin = [make(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=n) for n in range(1, 40)]
    other = make()
    mixed: list[Instance | bytes] = [kin[0], b"no DICOM", *kin[1:20], other, kin[5], *kin[20:]]

    answer = archive.store(*mixed)

    assert answer.status_code == 202
    assert stored(answer) == [item.instance for item in (*kin[:20], other, *kin[20:])]
    assert failures(answer) == [43264, 45070]


def test_good_and_bad_parts_are_told_apart(archive: Archive) -> None:
    """Section 3.5: 202 when at least one is stored and one failed."""
    good = make_image()

    answer = archive.store(b"", good, b"no DICOM at all")

    assert answer.status_code == 202
    assert stored(answer) == [good.instance]
    assert answer.json()[FAILED]["Value"] == [{"00081197": {"vr": "US", "Value": [43264]}}] * 2


def test_an_instance_is_never_overwritten(archive: Archive) -> None:
    """Section 3.8: a duplicate identity fails with 45070, whatever its bytes."""
    image = make_image(PatientName="First^One")
    again = make_image(
        PatientName="Second^One",
        StudyInstanceUID=image.study,
        SeriesInstanceUID=image.series,
        SOPInstanceUID=image.instance,
    )
    archive.keep(image)

    same, other = archive.store(image), archive.store(again)

    assert (same.status_code, other.status_code) == (409, 409)
    item = {
        "00081150": {"vr": "UI", "Value": [SECONDARY_CAPTURE]},
        "00081155": {"vr": "UI", "Value": [image.instance]},
        "00081197": {"vr": "US", "Value": [45070]},
    }
    assert same.json() == other.json() == {FAILED: {"vr": "SQ", "Value": [item]}}
    assert archive.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    assert values(archive.search("studies")[0], "00100010") == [{"Alphabetic": "First^One"}]


def test_the_same_instance_twice_in_one_request_is_stored_once(archive: Archive) -> None:
    """Section 3.2: first stored, second 45070, overall 202."""
    image = make_image()

    answer = archive.store(image, image)

    assert answer.status_code == 202
    assert stored(answer) == [image.instance]
    assert failures(answer) == [45070]


def test_the_same_instance_uid_in_another_series_is_another_instance(archive: Archive) -> None:
    """Section 3.2 step 4: unique are partition and all three UIDs."""
    one = make()
    other = make(StudyInstanceUID=one.study, SOPInstanceUID=one.instance)

    answer = archive.store(one, other)

    assert answer.status_code == 200
    assert len(archive.search(f"studies/{one.study}/instances")) == 2


def test_the_preamble_is_zeroed(archive: Archive) -> None:
    """Section 3.8, Q-08: everything else is kept byte for byte."""
    image = make_image()
    content = with_preamble(image.content, b"II*\0" + bytes(range(124)))
    one, other = Instance(image.study, image.series, image.instance, content), make()

    archive.keep(one, other)

    assert archive.get(image.path, "application/dicom; transfer-syntax=*").content == image.content


def test_a_file_without_preamble_gets_one(archive: Archive) -> None:
    """Checklist 50: what begins with group 0002 is readable, and leaves as a Part 10 file."""
    image = make_image()

    answer = archive.store(without_preamble(image.content))

    assert answer.status_code == 200
    assert archive.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    frame = archive.get(f"{image.path}/frames/1", "application/octet-stream; transfer-syntax=*")
    assert frame.content == image.frames[0]


def test_a_dataset_without_group_0002_is_refused(archive: Archive) -> None:
    """Checklist 50: refused cleanly."""
    content = make().content
    dataset = content[
        content.index(b"\x08\x00\x05\x00" if b"\x08\x00\x05\x00" in content else b"\x08\x00\x16\x00") :
    ]

    answer = archive.store(dataset)

    assert answer.status_code == 409
    assert failures(answer) == [43264]


def test_a_single_file_may_be_the_whole_body(archive: Archive) -> None:
    """Section 3.1 content type B."""
    image = make_image()

    answer = archive.post(image.content, "application/dicom")

    assert answer.status_code == 200
    assert stored(answer) == [image.instance]


def test_parameters_of_a_single_file_are_ignored(archive: Archive) -> None:
    """Section 3.1: Azure answers 415; ours accepts."""
    answer = archive.post(make().content, 'Application/DICOM; transfer-syntax="1.2.840.10008.1.2.1"')

    assert answer.status_code == 200


def test_an_empty_single_body_is_one_failed_part(archive: Archive) -> None:
    """Section 3.5, row 409."""
    answer = archive.post(b"", "application/dicom")

    assert answer.status_code == 409
    assert answer.json() == {FAILED: {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [43264]}}]}}


def test_a_multipart_without_parts_is_answered_with_nothing(archive: Archive) -> None:
    """Section 3.5, row 204."""
    answer = archive.store()

    assert answer.status_code == 204
    assert answer.content == b""


def test_a_large_file_comes_back_as_it_was(archive: Archive) -> None:
    """Section 3.8, beyond what is held in memory while it arrives; large and small in one request."""
    study = new_uid()
    large = make_image(rows=1600, columns=1600, StudyInstanceUID=study)
    small = make_image(StudyInstanceUID=study)
    assert len(large.content) > 4 * 1024 * 1024

    answer = archive.store(small, large)

    assert stored(answer) == [small.instance, large.instance]
    for image in (small, large):
        got = archive.get(image.path, "application/dicom; transfer-syntax=*")
        assert got.headers["Content-Length"] == str(len(image.content))
        assert got.content == image.content


def test_a_large_file_may_be_refused_after_its_uids(archive: Archive) -> None:
    """Section 3.3 check 3 for a file that does not wait in memory."""
    large, small = make_image(rows=1600, columns=1600), make_image()

    answer = archive.store(large, small, path=f"studies/{small.study}")

    assert answer.status_code == 202
    assert failures(answer) == [43264]
    assert stored(answer) == [small.instance]
    assert archive.get(f"studies/{large.study}").status_code == 404


def test_a_large_file_stored_twice_keeps_the_first(archive: Archive) -> None:
    """Section 3.8, for a file that has a blob of its own."""
    large = make_image(rows=1600, columns=1600)
    archive.keep(large)

    answer = archive.store(large)

    assert failures(answer) == [45070]
    assert archive.get(large.path, "application/dicom; transfer-syntax=*").content == large.content


@pytest.mark.parametrize(
    "accept", [JSON, "*/*", "application/*", f"text/html, {JSON}; q=0.5", "*", "nonsense, */*", None]
)
def test_an_accept_header_that_covers_json_is_taken(archive: Archive, accept: str | None) -> None:
    """Section 3.1, read leniently (Q-05); absent counts as anything (clients section 4)."""
    body, content_type = multipart([make()])

    answer = archive.ask("POST", "studies", accept, content=body, headers={"Content-Type": content_type})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON


def test_plain_json_is_given_to_who_names_only_that(archive: Archive) -> None:
    """Clients section 4.1: the Python client takes either."""
    body, content_type = multipart([make()])

    answer = archive.ask(
        "POST", "studies", "application/json", content=body, headers={"Content-Type": content_type}
    )

    assert answer.headers["Content-Type"] == "application/json"
    assert len(stored(answer)) == 1


@pytest.mark.parametrize("accept", ["application/dicom", "text/html", "image/png, application/octet-stream"])
def test_an_accept_header_without_json_is_refused(archive: Archive, accept: str) -> None:
    """Section 3.1: 406, and nothing is stored."""
    instance = make()
    body, content_type = multipart([instance])

    answer = archive.ask("POST", "studies", accept, content=body, headers={"Content-Type": content_type})

    assert answer.status_code == 406
    assert archive.store(instance).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b",
        "multipart/form; boundary=b",
        "application/dicom+json",
        "text/plain",
        "nonsense",
        'multipart/related; type="application/dicom"',
        'multipart/related; type="image/jpeg"; boundary=b',
    ],
)
def test_another_content_type_is_refused(archive: Archive, content_type: str) -> None:
    """Section 3.1: 415, also for a missing boundary."""
    assert archive.post(b"--b--\r\n", content_type).status_code == 415


def test_a_body_without_content_type_is_refused(archive: Archive) -> None:
    """Section 3.1."""
    assert archive.ask("POST", "studies", JSON, content=b"x").status_code == 415


def test_the_start_parameter_is_refused(archive: Archive) -> None:
    """Section 3.1: 400."""
    answer = archive.post(b"--b--\r\n", 'multipart/related; type="application/dicom"; boundary=b; start=x')

    assert answer.status_code == 400


def test_one_part_of_another_type_refuses_the_request(archive: Archive) -> None:
    """Section 3.1: the whole request is 415."""
    body = part(make()) + part(b"{}", headers=["Content-Type: application/dicom+json"])
    _, content_type = multipart([])

    assert archive.post(body, content_type).status_code == 415


@pytest.mark.parametrize(
    "cut", [b"", b"garbage without any delimiter"], ids=["nothing at all", "no delimiter"]
)
def test_a_body_without_delimiters_is_malformed(archive: Archive, cut: bytes) -> None:
    """Section 3.1: malformed framing is 400."""
    _, content_type = multipart([])

    assert archive.post(cut, content_type).status_code == 400


def test_a_body_that_ends_too_early_is_malformed(archive: Archive) -> None:
    """Section 3.1: a cut body cannot pass for a whole one."""
    body, content_type = multipart([make(), make()])

    assert archive.post(body[: len(body) // 2], content_type).status_code == 400


def test_what_is_stored_is_found_at_once(archive: Archive) -> None:
    """Section 21, read your write: search, retrieve, metadata and frames know it when the answer is out."""
    image = make_image()

    archive.keep(image)

    assert len(archive.search(f"studies?StudyInstanceUID={image.study}")) == 1
    assert len(archive.metadata(image.path)) == 1
    assert archive.get(image.path).status_code == 200
    assert archive.get(f"{image.path}/frames/1").status_code == 200


def test_the_latest_value_of_a_study_wins(archive: Archive) -> None:
    """Section 3.9: study rows take the values of the last instance, but never an empty one."""
    study = new_uid()
    archive.keep(make(StudyInstanceUID=study, StudyDescription="old", PatientID="P1"))

    archive.keep(make(StudyInstanceUID=study, StudyDescription="new", AccessionNumber=""))
    archive.store(make(StudyInstanceUID=study, PatientID=""))

    (found,) = archive.search("studies?includefield=StudyDescription")
    assert values(found, "00081030") == ["A study"]
    assert values(found, "00100020") == ["P1"]
    assert values(found, "00080050") == ["A1"]


def test_a_search_finds_only_the_latest_value(archive: Archive) -> None:
    """Section 8.8: only the latest of conflicting values can be searched."""
    study = new_uid()
    archive.keep(make(StudyInstanceUID=study, AccessionNumber="OLD"))

    archive.keep(make(StudyInstanceUID=study, AccessionNumber="NEW"))

    assert archive.search("studies?AccessionNumber=OLD") == []
    assert len(archive.search("studies?AccessionNumber=NEW")) == 1


def test_instances_beyond_one_load_are_all_stored(archive: Archive) -> None:
    """More files, series and studies than one transaction holds."""
    studies = [new_uid() for _ in range(3)]
    instances = [make(StudyInstanceUID=studies[number % 3], InstanceNumber=number) for number in range(150)]

    answer = archive.store(*instances)

    assert answer.status_code == 200
    assert stored(answer) == [instance.instance for instance in instances]
    for study in studies:
        assert len(archive.metadata(f"studies/{study}")) == 50


def test_values_in_other_characters_come_back_as_utf_8(archive: Archive) -> None:
    """PS3.18 F.2.2: JSON is UTF-8 whatever the file's character set."""
    instance = make(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    archive.keep(instance)

    (found,) = archive.search("studies?PatientName=M%C3%BCller%5EJ%C3%B6rg")

    assert values(found, "00100010") == [{"Alphabetic": "Müller^Jörg"}]


def test_a_nul_at_the_end_of_the_patient_id_is_padding(archive: Archive) -> None:
    """Section 3.4 row 3: 200 without a warning, found with and without the NUL."""
    archive_answer = archive.store(make(PatientID="123\0"))

    assert archive_answer.status_code == 200
    assert len(archive.search("studies?PatientID=123")) == 1
    assert len(archive.search("studies?PatientID=123%00")) == 1


def test_group_lengths_and_private_elements_do_not_disturb(archive: Archive) -> None:
    """Section 3.8: bytes are kept as they are."""
    dataset = make_dataset()
    block = dataset.private_block(0x0009, "OURS", create=True)
    block.add_new(1, "LO", "private")
    dataset.add_new(0x00080000, "UL", 4)
    content = write(dataset)

    answer = archive.store(content)

    assert answer.status_code == 200
    path = f"studies/{dataset.StudyInstanceUID}"
    (found,) = archive.metadata(path)
    assert values(found, "00091001") == ["private"]
    assert "00080000" not in found
