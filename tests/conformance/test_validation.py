"""Validation while storing: API rules sections 3.2 to 3.7, 20 and 23, rule by rule."""

import re
from typing import Any

import httpx
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset as DicomDataset
from pydicom.valuerep import PersonName

from tests.archive import Archive, Dataset, comments, failures, stored, values
from tests.factories import (
    IMPLICIT,
    SECONDARY_CAPTURE,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_image,
    new_uid,
    unchecked,
    write,
)

STUDY_URL, FAILED, REFERENCED = "00081190", "00081198", "00081199"
REASON, WARNING, COMMENTS = "00081197", "00081196", "00741048"
STUDY_DATE, STUDY_DESCRIPTION, PATIENT_NAME, PATIENT_ID = "00080020", "00081030", "00100010", "00100020"

NO_PATIENT = "DICOM100: (0010,0020) - The required tag '(0010,0020)' is missing."
BAD_DATE = (
    'DICOM100: (0008,0020) - Content "NotAValidStudyDate" does not validate VR DA: '
    "one of the date values does not match the pattern YYYYMMDD"
)
SEVERAL_VALUES = "One or more indexed Dicom tag(s) have multiple values, only first value is indexed."


def failed_item(answer: httpx.Response) -> Dataset:
    """The only item of an answer that nothing was stored."""
    assert answer.status_code == 409, answer.text
    assert set(answer.json()) == {FAILED}
    (item,) = values(answer.json(), FAILED)
    assert values(item, REASON) == [43264]
    return item  # type: ignore[no-any-return] # DICOM JSON is open in tests


def stored_item(answer: httpx.Response, status: int) -> Dataset:
    """The only item of an answer that everything was stored."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {REFERENCED}
    (item,) = values(answer.json(), REFERENCED)
    return item  # type: ignore[no-any-return] # DICOM JSON is open in tests


def warned_item(answer: httpx.Response, reason: int = 1) -> Dataset:
    """The only item of an answer of v2 that an instance was stored with a warning."""
    item = stored_item(answer, 202)
    assert values(item, WARNING) == [reason]
    return item


def with_element(tag: int, vr: str, value: object, **attributes: object) -> Instance:
    """A file with an element as it is, whatever pydicom thinks of it."""
    dataset = make_dataset(**attributes)
    with unchecked():
        dataset.add(DataElement(tag, vr, value, already_converted=True))
    return as_instance(dataset)


# Section 3.2 step 1 and 3.6: what cannot be read.


@pytest.mark.parametrize(
    "content",
    [b"", b"no DICOM", bytes(128) + b"DICM", make_image().content[:200], make_image().content[:380]],
    ids=["empty", "text", "nothing behind the prefix", "cut in group 0002", "cut before the UIDs"],
)
def test_an_unreadable_file_fails_without_uids(archive: Archive, content: bytes) -> None:
    """Section 3.2 step 1: the item carries only the reason."""
    item = failed_item(archive.store(content))

    assert item == {REASON: {"vr": "US", "Value": [43264]}}


@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_file_fails_with_its_uids_and_the_place(archive: Archive, large: bool) -> None:
    """Section 3.6: they are "readable from file"; the comment tells a tag, and no value."""
    image = make_image(rows=1600, columns=1600) if large else make_image()

    item = failed_item(archive.store(image.content[:-3]))

    assert item["00081150"] == {"vr": "UI", "Value": [SECONDARY_CAPTURE]}
    assert item["00081155"] == {"vr": "UI", "Value": [image.instance]}
    assert comments(item) == [
        "DICOM100: (7fe0,0010) - The file ends within the dataset, at or behind (7fe0,0010)."
    ]
    assert archive.get(f"studies/{image.study}").status_code == 404


def test_a_damaged_file_spoils_nothing_else_of_the_request(archive: Archive) -> None:
    """Section 3.2: parts are processed independently."""
    good, other = make_image(), make_image()

    answer = archive.store(make_image().content[:-3], good, b"", other)

    assert answer.status_code == 202
    assert stored(answer) == [good.instance, other.instance]
    assert failures(answer) == [43264, 43264]


# Section 3.3: identity checks.


@pytest.mark.parametrize(
    ("keyword", "tag"),
    [
        ("SOPClassUID", "0008,0016"),
        ("StudyInstanceUID", "0020,000d"),
        ("SeriesInstanceUID", "0020,000e"),
        ("SOPInstanceUID", "0008,0018"),
    ],
)
@pytest.mark.parametrize("value", [None, ""], ids=["absent", "empty"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_each_identifying_uid_is_required(
    archive: Archive, keyword: str, tag: str, value: str | None, version: str
) -> None:
    """Section 3.3 check 1, L-03."""
    item = failed_item(archive.as_version(version).store(make(**{keyword: value})))

    assert comments(item) == [f"DICOM100: ({tag}) - The required tag '({tag})' is missing."]


def test_only_the_first_missing_uid_is_reported(archive: Archive) -> None:
    """Section 3.3 check 1: in the order SOP class, study, series, instance."""
    item = failed_item(archive.store(make(SeriesInstanceUID=None, SOPInstanceUID=None)))

    assert set(item) == {"00081150", REASON, COMMENTS}
    assert comments(item) == ["DICOM100: (0020,000e) - The required tag '(0020,000e)' is missing."]


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_an_identifying_uid_has_one_value(archive: Archive, keyword: str) -> None:
    """Section 3.3 check 1: "exactly one"."""
    item = failed_item(archive.store(make(**{keyword: "1.2\\1.3"})))

    assert f"Dicom element '{keyword}' failed validation for VR 'UI': " in comments(item)[0]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_absent_patient_id_is_refused(archive: Archive, version: str) -> None:
    """Section 3.3 check 2."""
    item = failed_item(archive.as_version(version).store(make(PatientID=None)))

    assert comments(item) == [NO_PATIENT]


@pytest.mark.parametrize("value", ["", "   ", "\0\0"], ids=["empty", "blank", "padding"])
def test_an_empty_patient_id_is_refused_by_v1(archive: Archive, value: str) -> None:
    """Section 3.3 check 2, last column; section 20, first row."""
    item = failed_item(archive.as_version("v1").store(make(PatientID=value)))

    assert comments(item) == [NO_PATIENT]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_instance_of_another_study_than_the_path_names_fails(archive: Archive, version: str) -> None:
    """Section 3.3 check 3, Q-06: 43264 with a comment, no study URL as nothing is stored."""
    image = make_image()

    item = failed_item(archive.as_version(version).store(image, path=f"studies/{new_uid()}"))

    assert set(item) == {"00081150", "00081155", REASON, COMMENTS}
    assert comments(item)[0].startswith("DICOM100: (0020,000d) - ")
    assert archive.search("studies") == []


def test_only_the_instance_of_another_study_fails(archive: Archive) -> None:
    """Checklist 48: the other instances of the request are stored."""
    right, wrong = make_image(), make_image()

    answer = archive.store(wrong, right, path=f"studies/{right.study}")

    assert answer.status_code == 202
    assert set(answer.json()) == {STUDY_URL, FAILED, REFERENCED}
    assert stored(answer) == [right.instance]
    assert failures(answer) == [43264]


def test_the_study_of_the_path_is_compared_without_padding(archive: Archive) -> None:
    """Section 3.3 check 3: "trimmed compare"."""
    study = new_uid()

    answer = archive.store(make(StudyInstanceUID=f"{study} "), path=f"studies/{study}%20")

    assert answer.status_code == 200


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("uid", ["abc.123", "1.2.", "1" * 65, "1.2 3", "1.2-3"])
def test_a_uid_of_other_characters_is_refused(archive: Archive, uid: str, version: str) -> None:
    """Section 3.3 check 4, with the text of section 3.4.1."""
    item = failed_item(archive.as_version(version).store(make(StudyInstanceUID=uid)))

    expected = "DICOM100: (0020,000d) - Dicom element 'StudyInstanceUID' failed validation for VR 'UI': "
    assert comments(item)[0].startswith(expected)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("value", ["x" * 65, "\x00123\x00", "1\t2"])
def test_a_malformed_patient_id_is_refused(archive: Archive, value: str, version: str) -> None:
    """Section 3.3 check 4."""
    item = failed_item(archive.as_version(version).store(make(PatientID=value)))

    expected = "DICOM100: (0010,0020) - Dicom element 'PatientID' failed validation for VR 'LO': Value "
    assert comments(item)[0].startswith(expected)


def test_the_comment_of_a_malformed_patient_id_on_v1(archive: Archive) -> None:
    """L-04, word for word; a NUL at the end is not trimmed on v1 (section 3.3 check 4, section 20)."""
    item = failed_item(archive.as_version("v1").store(make(PatientID="123\0")))

    assert comments(item) == [
        "DICOM100: (0010,0020) - Dicom element 'PatientID' failed validation for VR 'LO': "
        "Value contains invalid character."
    ]


@pytest.mark.parametrize(
    ("keyword", "vr"), [("StudyInstanceUID", "LO"), ("SOPClassUID", "SH"), ("PatientID", "SH")]
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_identifier_of_another_vr_is_refused(
    archive: Archive, keyword: str, vr: str, version: str
) -> None:
    """Section 3.3 check 5."""
    dataset = make_dataset(PatientID="1")
    dataset[keyword].VR = vr

    item = failed_item(archive.as_version(version).store(write(dataset)))

    assert f"Dicom element '{keyword}' failed validation" in comments(item)[0]


def of_other_kind(vr: str, content: bytes, keyword: str) -> bytes:
    """A file in which an attribute is a sequence or bulk data."""
    dataset = make_dataset(**{keyword: None})
    dataset.add_new(keyword, "OB", content)
    if vr == "SQ":
        dataset.add_new(keyword, "SQ", [make_dataset()])
    else:
        dataset[keyword].VR = vr
    return write(dataset)


@pytest.mark.parametrize("vr", ["SQ", "OB", "OW"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_identifier_that_is_no_text_is_refused(archive: Archive, vr: str, version: str) -> None:
    """Section 3.3 check 5: neither a sequence nor bulk data name a patient."""
    item = failed_item(archive.as_version(version).store(of_other_kind(vr, b"P1", "PatientID")))

    assert "Dicom element 'PatientID' failed validation for VR 'LO'" in comments(item)[0]


@pytest.mark.parametrize("vr", ["SQ", "OB"])
def test_a_searched_attribute_that_is_no_text_is_not_indexed(archive: Archive, vr: str) -> None:
    """Section 3.3 check 6 on v1; on v2 it is stored, and searches do not see it (section 3.9)."""
    content = of_other_kind(vr, b"20240131", "StudyDate")

    item = failed_item(archive.as_version("v1").store(content))
    assert "Dicom element 'StudyDate' failed validation for VR 'DA'" in comments(item)[0]
    assert archive.store(content).status_code in (200, 202)
    (study,) = archive.search("studies")
    assert "Value" not in study.get("00080020", {})


def test_a_date_that_is_a_number_is_not_indexed(archive: Archive) -> None:
    """Section 3.9: it would take the place of the dates that others gave the study."""
    dataset = make_dataset(StudyDate=None)
    dataset.add_new("StudyDate", "US", 1)

    assert archive.store(write(dataset)).status_code in (200, 202)
    (study,) = archive.search("studies")
    assert "Value" not in study.get("00080020", {})


@pytest.mark.parametrize(
    ("keyword", "tag", "vr", "value"),
    [
        ("StudyDate", "0008,0020", "DA", "NotAValidStudyDate"),
        ("AccessionNumber", "0008,0050", "SH", "x" * 17),
        ("ReferringPhysicianName", "0008,0090", "PN", "x" * 65),
        ("StudyDescription", "0008,1030", "LO", "a\tb"),
        ("PatientName", "0010,0010", "PN", "A^B\0"),
        ("PatientBirthDate", "0010,0030", "DA", "19801301"),
        ("Modality", "0008,0060", "CS", "ct"),
        ("ManufacturerModelName", "0008,1090", "LO", "x" * 65),
        ("PerformedProcedureStepStartDate", "0040,0244", "DA", "2024-01-31"),
    ],
)
def test_what_is_searched_must_be_valid_on_v1(
    archive: Archive, keyword: str, tag: str, vr: str, value: str
) -> None:
    """Section 3.3 check 6, Q-28: every attribute of section 8.3; nothing of it is fatal on v2."""
    instance = make(**{keyword: value})

    item = failed_item(archive.as_version("v1").store(instance))

    expected = f"DICOM100: ({tag}) - Dicom element '{keyword}' failed validation for VR '{vr}': "
    assert comments(item)[0].startswith(expected)
    assert archive.store(instance).status_code in (200, 202)


# Section 3.4: full-dataset checks.


@pytest.mark.parametrize("value", ["", "   ", "\0\0"], ids=["empty", "blank", "padding"])
def test_an_empty_patient_id_is_stored_with_a_warning(archive: Archive, value: str) -> None:
    """Section 3.4 row 1, L-03: 202, reason 1, one comment; left out of metadata and index."""
    instance = make(PatientID=value)

    item = warned_item(archive.store(instance))

    assert comments(item) == [NO_PATIENT]
    assert PATIENT_ID not in archive.metadata(instance.path)[0]
    (study,) = archive.search("studies")
    assert values(study, "0020000D") == [instance.study]
    assert values(study, PATIENT_ID) == [] if PATIENT_ID in study else True


def test_an_empty_patient_id_leaves_the_earlier_one_in_place(archive: Archive) -> None:
    """Section 3.9: "overwritten only by a non-empty value"."""
    first = make(PatientID="P7")
    archive.keep(first, make(StudyInstanceUID=first.study, PatientID=""))

    assert len(archive.search("studies?PatientID=P7")) == 1


def test_a_bad_date_is_stored_with_a_warning(archive: Archive) -> None:
    """Section 3.4 row 2, L-01 word for word: the file unchanged, the element nowhere else."""
    instance = make(StudyDate="NotAValidStudyDate")

    item = warned_item(archive.store(instance))

    assert comments(item) == [BAD_DATE]
    assert STUDY_DATE not in archive.metadata(instance.path)[0]
    (study,) = archive.search("studies")
    assert values(study, STUDY_DATE) == [] if STUDY_DATE in study else True
    assert archive.get(instance.path, "application/dicom; transfer-syntax=*").content == instance.content


def test_a_bad_code_is_stored_with_a_warning(archive: Archive) -> None:
    """L-02."""
    item = warned_item(archive.store(make(PatientSex="f-m")))

    assert comments(item) == [
        'DICOM100: (0010,0040) - Content "f-m" does not validate VR CS: value contains invalid character'
    ]


def test_what_is_invalid_is_not_searched_but_by_another_instance(archive: Archive) -> None:
    """Section 3.9, "partial data": an invalid value leaves the earlier one in place."""
    good = make(StudyDate="20240131")
    bad = make(StudyInstanceUID=good.study, StudyDate="NotAValidStudyDate")

    archive.keep(good)
    warned_item(archive.store(bad))

    assert len(archive.search("studies?StudyDate=20240131")) == 1
    assert values(archive.search("studies")[0], STUDY_DATE) == ["20240131"]


@pytest.mark.parametrize(
    ("tag", "vr", "value", "digits"),
    [
        (0x00080054, "AE", "A" * 17, "0008,0054"),
        (0x00101010, "AS", "22Y", "0010,1010"),
        (0x00080008, "CS", ["ORIGINAL", "primary"], "0008,0008"),
        (0x00080021, "DA", "2024.01.31", "0008,0021"),
        (0x00101030, "DS", "72.5kg", "0010,1030"),
        (0x0008002A, "DT", "2024013124", "0008,002a"),
        (0x00200013, "IS", "2147483648", "0020,0013"),
        (0x0008103E, "LO", "x" * 65, "0008,103e"),
        (0x001021B0, "LT", "x" * 10241, "0010,21b0"),
        (0x00081050, "PN", PersonName("A^B^C^D^E^F"), "0008,1050"),
        (0x00200010, "SH", "x" * 17, "0020,0010"),
        (0x00080081, "ST", "x" * 1025, "0008,0081"),
        (0x00080030, "TM", "7:27", "0008,0030"),
        (0x00200052, "UI", "1.02.3", "0020,0052"),
    ],
)
def test_a_value_that_breaks_the_rule_of_its_vr_is_left_out(
    archive: Archive, tag: int, vr: str, value: object, digits: str
) -> None:
    """Section 3.4 row 2 for every VR of section 3.4.2 that has a rule; text of section 3.4.1."""
    instance = with_element(tag, vr, value)

    (comment,) = comments(warned_item(archive.store(instance)))

    assert re.fullmatch(rf'DICOM100: \({digits}\) - Content "[^"]+" does not validate VR {vr}: \S.*', comment)
    assert f"{tag:08X}" not in archive.metadata(instance.path)[0]


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00404018, "UT", "x" * 20_000),
        (0x00081190, "UR", f"http://host/{'x' * 2000}"),
        (0x00189367, "UC", "x" * 5000),
        (0x00281201, "OW", b"\0\1\2\3"),
    ],
)
def test_what_has_no_rule_is_stored_without_remark(
    archive: Archive, tag: int, vr: str, value: object
) -> None:
    """Section 3.4.2: "no limit checked"; bytes have no content rule."""
    item = stored_item(archive.store(with_element(tag, vr, value)), 200)

    assert item[COMMENTS] == {"vr": "SQ"}


@pytest.mark.parametrize(
    ("tag", "vr", "value", "comment"),
    [
        (
            0x00280030,
            "DS",
            "0.5",
            'DICOM100: (0028,0030) - Content "0.5" does not validate VR DS: '
            "number of items (1) does not match value multiplicity 2",
        ),
        (
            0x00280010,
            "US",
            [4, 5],
            'DICOM100: (0028,0010) - Content "4\\5" does not validate VR US: '
            "number of items (2) does not match value multiplicity 1",
        ),
    ],
)
def test_a_wrong_number_of_values_is_left_out(
    archive: Archive, tag: int, vr: str, value: object, comment: str
) -> None:
    """Section 3.4 row 2, section 3.4.1 "multiplicity problem"."""
    instance = with_element(tag, vr, value)

    item = warned_item(archive.store(instance))

    assert comments(item) == [comment]
    assert f"{tag:08X}" not in archive.metadata(instance.path)[0]


def test_private_elements_count_too(archive: Archive) -> None:
    """Section 3.4 row 2: by their VR, with any number of values."""
    dataset = make_dataset()
    with unchecked():
        block = dataset.private_block(0x0011, "OURS", create=True)
        block.add_new(1, "CS", "lower")
        block.add_new(2, "DS", ["1", "2", "3"])
    instance = as_instance(dataset)

    (comment,) = comments(warned_item(archive.store(instance)))

    assert comment.startswith('DICOM100: (0011,1001) - Content "lower" does not validate VR CS: ')
    (found,) = archive.metadata(instance.path)
    assert "00111001" not in found
    assert values(found, "00111002") == [1, 2, 3]


def nested(**attributes: Any) -> DicomDataset:
    """A sequence item with values as they are."""
    item = DicomDataset()
    with unchecked():
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
    return item


def test_a_nested_problem_is_told_and_stays_in_metadata(archive: Archive) -> None:
    """Section 3.4 row 2: under its own tag; a healthy element of that tag at the top stays (R)."""
    with unchecked():
        items = [nested(StudyDate="NotAValidStudyDate")]
        instance = make(StudyDate="20240131", ReferencedStudySequence=items)

    item = warned_item(archive.store(instance))

    assert comments(item) == [BAD_DATE]
    (found,) = archive.metadata(instance.path)
    assert values(found, STUDY_DATE) == ["20240131"]
    assert values(found, "00081110") == [{STUDY_DATE: {"vr": "DA", "Value": ["NotAValidStudyDate"]}}]
    assert len(archive.search("studies?StudyDate=20240131")) == 1


def test_one_comment_for_each_tag_and_each_sequence(archive: Archive) -> None:
    """Section 3.4, "comment de-duplication"."""
    with unchecked():
        instance = make(
            StudyDate="NotAValidStudyDate",
            ReferencedStudySequence=[
                nested(AccessionNumber="x" * 17, PatientSex="f-m"),
                nested(StudyTime="7:27"),
            ],
            ReferencedPatientSequence=[nested(StudyDate="NotAValidStudyDate")],
            PatientSex="f-m",
        )

    item = warned_item(archive.store(instance))

    assert [comment[:22] for comment in comments(item)] == [
        "DICOM100: (0008,0020) ",
        "DICOM100: (0008,0050) ",
        "DICOM100: (0010,0040) ",
    ]


@pytest.mark.parametrize("padding", ["\0", "\0\0", " \0"])
def test_padding_with_nuls_is_no_problem(archive: Archive, padding: str) -> None:
    """Section 3.4 row 3: 200, kept in metadata, found with and without."""
    instance = make(PatientID=f"123{padding}", AccessionNumber=f"A7{padding}")

    item = stored_item(archive.store(instance), 200)

    assert item[COMMENTS] == {"vr": "SQ"}
    (found,) = archive.metadata(instance.path)
    assert values(found, PATIENT_ID)[0].startswith(f"123{padding}")
    assert len(archive.search("studies?PatientID=123")) == 1
    assert len(archive.search("studies?AccessionNumber=A7%00")) == 1


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_uid_that_breaks_the_stricter_rule_stays(archive: Archive, keyword: str) -> None:
    """Section 3.4 row 4: the comment, and the instance is filed and found under it."""
    uid = f"{new_uid()}.01"
    instance = make(**{keyword: uid})

    item = warned_item(archive.store(instance))

    assert len(comments(item)) == 1
    assert f'Content "{uid}" does not validate VR UI: component has leading zeros' in comments(item)[0]
    (found,) = archive.metadata(instance.path)
    assert {values(found, tag)[0] for tag in ("0020000D", "0020000E", "00080018")} > {uid}
    assert len(archive.search(f"studies/{instance.study}/instances")) == 1


@pytest.mark.parametrize("uid", ["1.02.3", "1..2"])
def test_a_sop_class_that_breaks_the_stricter_rule_goes(archive: Archive, uid: str) -> None:
    """Section 3.4 row 4: out of metadata; the answer names it."""
    instance = make(SOPClassUID=uid)

    item = warned_item(archive.store(instance))

    assert values(item, "00081150") == [uid]
    assert len(comments(item)) == 1
    assert "00080016" not in archive.metadata(instance.path)[0]


@pytest.mark.parametrize("uid", ["1.02.3", "1..2", "1.2.3 ", "1.2.3\0"])
def test_an_odd_uid_is_found_without_its_padding(archive: Archive, uid: str) -> None:
    """Sections 1.5 and 3.4 row 4: leading zeros and empty components pass; padding is no part of the UID."""
    answer = archive.store(make(StudyInstanceUID=uid))

    trimmed = uid.rstrip(" \0")
    assert answer.status_code == (200 if trimmed == "1.2.3" else 202)
    assert len(archive.search(f"studies?StudyInstanceUID={trimmed}")) == 1


def test_implicit_vr_is_stored_with_a_warning(archive: Archive) -> None:
    """Section 3.4 row 5, Q-07: 45063 makes 202 on v2."""
    item = warned_item(archive.store(make_image(transfer_syntax=IMPLICIT)), 45063)

    assert item[COMMENTS] == {"vr": "SQ"}


def test_implicit_vr_leaves_the_status_of_v1_at_200(archive: Archive) -> None:
    """Section 3.4 row 5: the same reason, but 200."""
    item = stored_item(archive.as_version("v1").store(make_image(transfer_syntax=IMPLICIT)), 200)

    assert values(item, WARNING) == [45063]
    assert COMMENTS not in item


@pytest.mark.parametrize(
    ("attributes", "comment"),
    [({"PatientID": ""}, NO_PATIENT), ({"StudyDate": "NotAValidStudyDate"}, BAD_DATE)],
)
def test_implicit_vr_goes_before_other_warnings(
    archive: Archive, attributes: dict[str, object], comment: str
) -> None:
    """Section 3.4, below the table: 45063, and the comments are still listed."""
    item = warned_item(archive.store(make(IMPLICIT, **attributes)), 45063)

    assert comments(item) == [comment]


@pytest.mark.parametrize(
    ("keyword", "tag", "several", "query"),
    [
        ("PatientID", PATIENT_ID, ["P1", "P2"], "PatientID=P{}"),
        ("StudyDescription", STUDY_DESCRIPTION, ["Head1", "Head2"], "StudyDescription=Head{}"),
        ("StudyDate", STUDY_DATE, ["20240101", "20240102"], "StudyDate=2024010{}"),
    ],
)
def test_several_values_of_what_is_searched_on_v1(
    archive: Archive, keyword: str, tag: str, several: list[str], query: str
) -> None:
    """Section 3.4 row 6, L-16: 200 and a header; the first value is searched, all are in metadata."""
    instance = make(**{keyword: several})

    answer = archive.as_version("v1").store(instance)

    item = stored_item(answer, 200)
    assert COMMENTS not in item
    assert WARNING not in item
    assert answer.headers["Warning"] == f'299 127.0.0.1: "{SEVERAL_VALUES}"'
    assert values(archive.metadata(instance.path)[0], tag) == several
    assert len(archive.search(f"studies?{query.format(1)}")) == 1
    assert archive.search(f"studies?{query.format(2)}") == []


@pytest.mark.parametrize(
    ("keyword", "tag", "several", "query"),
    [
        ("PatientID", PATIENT_ID, ["P1", "P2"], "PatientID=P{}"),
        ("StudyDescription", STUDY_DESCRIPTION, ["Head1", "Head2"], "StudyDescription=Head{}"),
    ],
)
def test_several_values_of_what_is_searched_on_v2(
    archive: Archive, keyword: str, tag: str, several: list[str], query: str
) -> None:
    """Section 3.4 row 6, Q-29: 202 and a comment; out of metadata, the first value is searched.

    The header comes for Patient ID alone.
    """
    instance = make(**{keyword: several})

    answer = archive.store(instance)

    (comment,) = comments(warned_item(answer))
    assert f'Content "{several[0]}\\{several[1]}" does not validate VR LO: number of items (2)' in comment
    assert answer.headers.get("Warning") == (
        f'299 127.0.0.1: "{SEVERAL_VALUES}"' if keyword == "PatientID" else None
    )
    assert tag not in archive.metadata(instance.path)[0]
    assert len(archive.search(f"studies?{query.format(1)}")) == 1
    assert archive.search(f"studies?{query.format(2)}") == []


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_header_comes_only_when_due(archive: Archive, version: str) -> None:
    """Section 3.4 row 6: not for what may have several values, nor for what was not stored."""
    fine = make(ImageType=["ORIGINAL", "PRIMARY"])
    refused = make(PatientID=["P1", "P2"], SOPClassUID=None)

    answer = archive.as_version(version).store(fine, refused)

    assert failures(answer) == [43264]
    assert "Warning" not in answer.headers


def test_a_sop_class_need_not_fit_the_dataset(archive: Archive) -> None:
    """Section 3.4 row 7: not checked; nor is the transfer syntax against the pixel data."""
    compressed_by_name = make_image(transfer_syntax="1.2.840.10008.1.2.1")
    ct = make(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")

    assert archive.store(compressed_by_name, ct).status_code == 200


def test_v1_makes_no_full_dataset_checks(archive: Archive) -> None:
    """Sections 3.4 and 20: no comments, nothing left out."""
    with unchecked():
        instance = make(StudyTime="7:27", PatientSex="f-m", ReferencedStudySequence=[nested(StudyDate="x")])

    item = stored_item(archive.as_version("v1").store(instance), 200)

    assert set(item) == {"00081150", "00081155", "00081190"}
    (found,) = archive.metadata(instance.path)
    assert values(found, "00080030") == ["7:27"]
    assert values(found, "00100040") == ["f-m"]


def test_a_name_in_japanese_is_measured_in_characters(archive: Archive) -> None:
    """Section 3.4.2: 64 characters a group, here of three bytes each."""
    fits, exceeds = (
        make(SpecificCharacterSet="ISO_IR 192", PatientName=f"Yamada={'山' * length}") for length in (64, 65)
    )

    assert archive.store(fits).status_code == 200
    assert comments(warned_item(archive.store(exceeds)))[0].startswith("DICOM100: (0010,0010) - Content")


def test_comments_stay_bounded(archive: Archive) -> None:
    """Beyond the rules: a hostile file cannot fill the answer, nor bring invalid elements into metadata."""
    dataset = make_dataset()
    with unchecked():
        block = dataset.private_block(0x0011, "OURS", create=True)
        for number in range(200):
            block.add_new(number, "DA", "never" * 1000)
    instance = as_instance(dataset)

    answer = archive.store(instance)

    assert len(comments(warned_item(answer))) == 50
    assert len(answer.content) < 50_000
    assert not any(key.startswith("001110") for key in archive.metadata(instance.path)[0])


# Section 3.5: what warnings make of the status.


def test_a_warning_makes_202_of_the_whole_answer_on_v2(archive: Archive) -> None:
    """Section 3.5: also when other parts are fine; on v1 it stays 200."""
    odd, fine = make(StudyTime="7:27"), make()

    answer = archive.store(odd, fine)

    assert answer.status_code == 202
    assert stored(answer) == [odd.instance, fine.instance]
    items = values(answer.json(), REFERENCED)
    assert [WARNING in item for item in items] == [True, False]
    assert items[1][COMMENTS] == {"vr": "SQ"}
    assert archive.as_version("v1").store(make(StudyTime="7:27")).status_code == 200
