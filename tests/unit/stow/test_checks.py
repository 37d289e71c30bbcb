"""Which instances are stored, and with which warning (API rules sections 3.3 and 3.4)."""

from dataclasses import replace

import pytest

from shared.dicom.part10 import Identity, NotDicom, Part10File, Part10Reader
from shared.stow.checks import Passed, Rules, check, identity_problem, refuse_damaged
from shared.stow.outcome import Failure, Refused, Warned
from tests.unit.dicom.making import EXPLICIT, IMPLICIT, explicit, file_of, implicit, item, read

GOOD = Identity("1.2", "1.3", "1.4", "1.5")
V2, V1 = Rules(None, is_v1=False), Rules(None, is_v1=True)
NO_PATIENT = "DICOM100: (0010,0020) - The required tag '(0010,0020)' is missing."
PATIENT_FAILED = "DICOM100: (0010,0020) - Dicom element 'PatientID' failed validation for VR 'LO': "

SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
STUDY_DATE, PATIENT_NAME, PATIENT_ID, MODALITY = 0x00080020, 0x00100010, 0x00100020, 0x00080060
OTHER_IDS = 0x00101002

Elements = dict[int, tuple[str, bytes] | None]
USUAL: Elements = {
    SOP_CLASS: ("UI", b"1.5\0"),
    SOP_INSTANCE: ("UI", b"1.4\0"),
    PATIENT_ID: ("LO", b"P1"),
    STUDY: ("UI", b"1.2\0"),
    SERIES: ("UI", b"1.3\0"),
}


def dataset(changed: Elements) -> bytes:
    """A dataset with good UIDs and a patient, changed as told; None takes an element out."""
    elements = {tag: element for tag, element in {**USUAL, **changed}.items() if element is not None}
    return b"".join(explicit(tag, *elements[tag]) for tag in sorted(elements))


def file_with(changed: Elements, rules: Rules) -> Part10File:
    """A file as a request with these rules would read it."""
    return read(file_of(dataset(changed), EXPLICIT), checks=rules.checks)


def checked(changed: Elements, rules: Rules) -> Passed | Refused:
    """What becomes of such a file."""
    return check(file_with(changed, rules), rules)


def refusal(comment: str) -> Refused:
    """A refusal for one reason."""
    return Refused(Failure.VALIDATION, GOOD, (comment,))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, None),
        ({"sop_class": ""}, "DICOM100: (0008,0016) - The required tag '(0008,0016)' is missing."),
        ({"study": ""}, "DICOM100: (0020,000d) - The required tag '(0020,000d)' is missing."),
        ({"series": ""}, "DICOM100: (0020,000e) - The required tag '(0020,000e)' is missing."),
        ({"instance": ""}, "DICOM100: (0008,0018) - The required tag '(0008,0018)' is missing."),
        (
            {"study": "", "sop_class": "", "instance": "x"},
            "DICOM100: (0008,0016) - The required tag '(0008,0016)' is missing.",
        ),
        (
            {"series": "1.a"},
            "DICOM100: (0020,000e) - Dicom element 'SeriesInstanceUID' failed validation for VR 'UI': "
            "Value is not a valid UID.",
        ),
        ({"instance": "1." * 32 + "1"}, "DICOM100: (0008,0018) - Dicom element 'SOPInstanceUID' failed"),
        ({"instance": "1.2\\1.3"}, "DICOM100: (0008,0018) - Dicom element 'SOPInstanceUID' failed"),
        ({"instance": "1" * 64}, None),
        ({"study": "1.02..3"}, None),
    ],
)
def test_uids_must_be_there_and_be_uids(changed: dict[str, str], expected: str | None) -> None:
    """Section 3.3 checks 1 and 4; only the first problem is told."""
    problem = identity_problem(replace(GOOD, **changed), V2)

    assert problem is None if expected is None else (problem or "").startswith(expected)


@pytest.mark.parametrize(("study", "fits"), [(None, True), ("1.2", True), ("1.20", False), ("1.3", False)])
def test_the_study_must_be_the_one_of_the_path(study: str | None, fits: bool) -> None:
    """Section 3.3 check 3."""
    problem = identity_problem(GOOD, Rules(study, is_v1=False))

    assert problem is None if fits else (problem or "").startswith("DICOM100: (0020,000d)")


@pytest.mark.parametrize("value", [b"", b"  ", b"\0\0", b" \0"])
def test_an_empty_patient_id_is_a_warning_on_v2_and_a_failure_on_v1(value: bytes) -> None:
    """Section 3.3 check 2, and section 3.4 row 1."""
    changed: Elements = {PATIENT_ID: ("LO", value)}

    assert checked(changed, V2) == Passed(Warned.ATTRIBUTES, (NO_PATIENT,))
    assert checked(changed, V1) == refusal(NO_PATIENT)


@pytest.mark.parametrize("rules", [V1, V2])
def test_an_absent_patient_id_is_a_failure(rules: Rules) -> None:
    """Section 3.3 check 2."""
    assert checked({PATIENT_ID: None}, rules) == refusal(NO_PATIENT)


def test_a_patient_id_within_a_sequence_is_none_of_the_instance() -> None:
    """Section 3.3 check 2: neither does it stand for one, nor is it fatal when wrong or empty."""
    nested: Elements = {OTHER_IDS: ("SQ", item(explicit(PATIENT_ID, "LO", b"\t1")))}
    empty: Elements = {OTHER_IDS: ("SQ", item(explicit(PATIENT_ID, "LO")))}

    assert checked({PATIENT_ID: None, **nested}, V2) == refusal(NO_PATIENT)
    passed = checked(nested, V2)
    assert isinstance(passed, Passed)
    assert passed.comments == (
        'DICOM100: (0010,0020) - Content "?1" does not validate VR LO: value contains invalid character',
    )
    assert checked(empty, V2) == checked(nested, V1) == Passed(None, ())


@pytest.mark.parametrize("rules", [V1, V2])
def test_a_good_file_passes(rules: Rules) -> None:
    """Nothing to remark."""
    assert checked({}, rules) == Passed(None, ())


def test_implicit_vr_is_the_warning_that_is_told() -> None:
    """Section 3.4 row 5 and below: 45063 goes before 1, the comments stay."""
    elements = {tag: element[1] for tag, element in sorted(USUAL.items()) if element}

    def implicit_file(**patient: bytes) -> Part10File:
        changed = {**elements, PATIENT_ID: patient.get("id", b"P1")}
        return read(
            file_of(b"".join(implicit(tag, changed[tag]) for tag in sorted(changed)), IMPLICIT),
            checks=V2.checks,
        )

    assert check(implicit_file(), V2) == Passed(Warned.IMPLICIT_VR, ())
    assert check(implicit_file(id=b""), V2) == Passed(Warned.IMPLICIT_VR, (NO_PATIENT,))


def test_the_study_of_the_path_is_looked_at_before_the_patient() -> None:
    """One comment, the first problem."""
    refused = checked({PATIENT_ID: None}, Rules("9", is_v1=False))

    assert isinstance(refused, Refused)
    assert len(refused.comments) == 1
    assert "(0020,000d)" in refused.comments[0]


@pytest.mark.parametrize("rules", [V1, V2])
@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (("LO", b"x" * 65), "Value exceeds maximum length of 64 characters."),
        (("LO", b"\x00123\x00"), "Value contains invalid character."),
        (("LO", b"1\t2"), "Value contains invalid character."),
        (("LO", b"1\\2\x7f"), "Value contains invalid character."),
        (("SH", b"1"), "The element has another VR."),
        (("OB", b"P1"), "The element has another VR."),
    ],
)
def test_a_patient_id_must_be_one(element: tuple[str, bytes], reason: str, rules: Rules) -> None:
    """Section 3.3 checks 4 and 5, with the text of L-04."""
    assert checked({PATIENT_ID: element}, rules) == refusal(PATIENT_FAILED + reason)


@pytest.mark.parametrize("value", [b"x" * 64, b"\xe4" * 64, b"\x1b$B;3\x1b(B", b"123\x00", b"123 \x00\x00"])
def test_an_odd_patient_id_passes(value: bytes) -> None:
    """Section 3.3 check 4: ESC switches character sets, and a NUL at the end is padding."""
    assert checked({PATIENT_ID: ("LO", value)}, V2) == Passed(None, ())


@pytest.mark.parametrize("tag", [PATIENT_ID, STUDY_DATE, PATIENT_NAME, MODALITY])
def test_a_nul_at_the_end_is_a_character_on_v1(tag: int) -> None:
    """Section 3.3 check 4, last column, and check 6: "NUL not trimmed on v1"."""
    element = {
        PATIENT_ID: ("LO", b"123\0 "),
        STUDY_DATE: ("DA", b"20240131\0\0"),
        PATIENT_NAME: ("PN", b"Doe\0"),
        MODALITY: ("CS", b"CT\0\0"),
    }[tag]

    refused = checked({tag: element}, V1)

    assert isinstance(refused, Refused)
    assert refused.comments[0].endswith("Value contains invalid character.")
    assert checked({tag: element}, V2) == Passed(None, ())


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [(b"1.2\0", True), (b"1.2 ", True), (b"1.22", True), (b"1.2\0\0\0", False), (b"1.22\0\0", False)],
)
def test_one_nul_pads_a_uid_on_v1(value: bytes, is_fine: bool) -> None:
    """Sections 1.5 and 3.3 check 4: a single one is the padding of UI, more are not trimmed."""
    outcome = checked({SERIES: ("UI", value)}, V1)

    assert isinstance(outcome, Passed if is_fine else Refused)
    assert isinstance(checked({SERIES: ("UI", value)}, V2), Passed)


@pytest.mark.parametrize(
    ("tag", "element", "comment"),
    [
        (
            STUDY_DATE,
            ("DA", b"NotAValidStudyDate"),
            "DICOM100: (0008,0020) - Dicom element 'StudyDate' failed validation for VR 'DA': "
            "One of the date values does not match the pattern YYYYMMDD.",
        ),
        (
            0x00080050,
            ("SH", b"x" * 17),
            "DICOM100: (0008,0050) - Dicom element 'AccessionNumber' failed validation for VR 'SH': "
            "Value exceeds maximum length of 16 characters.",
        ),
        (
            MODALITY,
            ("CS", b"ct"),
            "DICOM100: (0008,0060) - Dicom element 'Modality' failed validation for VR 'CS': "
            "Value contains invalid character.",
        ),
        (
            MODALITY,
            ("SH", b"CT"),
            "DICOM100: (0008,0060) - Dicom element 'Modality' failed validation for VR 'CS': "
            "The element has another VR.",
        ),
    ],
)
def test_what_is_searched_must_be_right_on_v1(tag: int, element: tuple[str, bytes], comment: str) -> None:
    """Section 3.3 check 6; on v2 nothing of it is fatal."""
    assert checked({tag: element}, V1) == refusal(comment)
    assert isinstance(checked({tag: element}, V2), Passed)


@pytest.mark.parametrize(
    "element", [(0x00080030, ("TM", b"noon")), (0x00181030, ("LO", b"x" * 65)), (0x00090010, ("CS", b"a"))]
)
def test_v1_looks_at_nothing_else(element: tuple[int, tuple[str, bytes]]) -> None:
    """Section 3.4 is of v2; what is not searched does not matter on v1."""
    tag, value = element

    assert checked({tag: value}, V1) == Passed(None, ())
    assert isinstance(checked({tag: value}, V2), Passed)
    assert checked({tag: value}, V2) != Passed(None, ())


@pytest.mark.parametrize(
    ("tag", "digits", "keyword"),
    [
        (SOP_CLASS, "0008,0016", "SOPClassUID"),
        (SOP_INSTANCE, "0008,0018", "SOPInstanceUID"),
        (STUDY, "0020,000d", "StudyInstanceUID"),
        (SERIES, "0020,000e", "SeriesInstanceUID"),
    ],
)
@pytest.mark.parametrize("rules", [V1, V2])
def test_a_uid_must_have_the_vr_of_one(tag: int, digits: str, keyword: str, rules: Rules) -> None:
    """Section 3.3 check 5."""
    value = USUAL[tag]
    assert value is not None

    refused = checked({tag: ("SH", value[1].replace(b"\0", b" "))}, rules)

    failed = f"Dicom element '{keyword}' failed validation for VR 'UI': The element has another VR."
    assert refused == refusal(f"DICOM100: ({digits}) - {failed}")


def test_a_uid_that_came_as_unknown_is_what_the_dictionary_says() -> None:
    """Section 3.3 check 5 and PS3.5 6.2.2: UN stands for a VR that the writer did not know."""
    assert checked({STUDY: ("UN", b"1.2\0")}, V2) == Passed(None, ())


@pytest.mark.parametrize("uid", [b"1.02 ", b"1..2"])
@pytest.mark.parametrize("tag", [SOP_CLASS, SOP_INSTANCE, STUDY, SERIES])
def test_a_uid_that_breaks_the_stricter_rule_is_a_warning_on_v2(tag: int, uid: bytes) -> None:
    """Section 3.4 row 4; v1 has no such rule."""
    passed = checked({tag: ("UI", uid)}, V2)

    assert isinstance(passed, Passed)
    assert passed.warning is Warned.ATTRIBUTES
    assert len(passed.comments) == 1
    assert f'Content "{uid.decode().strip()}" does not validate VR UI: component ' in passed.comments[0]
    assert checked({tag: ("UI", uid)}, V1) == Passed(None, ())


def test_each_tag_has_one_comment_in_file_order() -> None:
    """Section 3.4, "comment de-duplication": the first problem wins, wherever it lies."""
    nested = item(explicit(0x00100010, "PN", b"x" * 65) + explicit(0x00101030, "DS", b"y"))
    changed: Elements = {
        STUDY_DATE: ("DA", b"NotAValidStudyDate"),
        0x00081120: ("SQ", nested),
        PATIENT_NAME: ("PN", b"a\\b"),
        0x00101030: ("DS", b"z "),
    }

    passed = checked(changed, V2)

    assert isinstance(passed, Passed)
    assert [comment[10:21] for comment in passed.comments] == ["(0008,0020)", "(0010,0010)", "(0010,1030)"]
    assert passed.comments[0] == (
        'DICOM100: (0008,0020) - Content "NotAValidStudyDate" does not validate VR DA: '
        "one of the date values does not match the pattern YYYYMMDD"
    )
    assert "VR PN: value exceeds maximum length of 64 characters" in passed.comments[1]


SEVERAL: list[tuple[int, tuple[str, bytes]]] = [
    (PATIENT_ID, ("LO", b"P1\\P2 ")),
    (PATIENT_NAME, ("PN", b"Doe\\Roe")),
    (STUDY_DATE, ("DA", b"20240131\\20240201 ")),
]


@pytest.mark.parametrize(("tag", "element"), SEVERAL)
def test_several_values_of_what_is_searched_are_told_in_the_header_on_v1(
    tag: int, element: tuple[str, bytes]
) -> None:
    """Section 3.4 row 6, v1."""
    assert checked({tag: element}, V1) == Passed(None, (), first_value_only=True)


@pytest.mark.parametrize(("tag", "element"), SEVERAL)
def test_several_values_are_a_warning_on_v2_and_in_the_header_for_patient_id_alone(
    tag: int, element: tuple[str, bytes]
) -> None:
    """Section 3.4 row 6, v2."""
    passed = checked({tag: element}, V2)

    assert isinstance(passed, Passed)
    assert passed.warning is Warned.ATTRIBUTES
    assert passed.first_value_only is (tag == PATIENT_ID)
    assert passed.comments[0].endswith("number of items (2) does not match value multiplicity 1")


def test_several_values_of_what_is_not_searched_need_no_header_on_v1() -> None:
    """Section 3.4 row 6 speaks of indexed attributes; many may have several values."""
    assert checked({0x00080008: ("CS", b"A\\B ")}, V1) == Passed(None, ())


def test_of_several_patient_ids_v1_wants_the_first() -> None:
    """Section 3.3 check 2: it is the one that is searched."""
    assert checked({PATIENT_ID: ("LO", b"\\P2 ")}, V1) == refusal(NO_PATIENT)


def damaged(content: bytes) -> Refused:
    """What becomes of a file that cannot be read to its end."""
    reader = Part10Reader(checks=V2.checks)
    try:
        reader.feed(content)
        reader.finish()
    except NotDicom as reason:
        return refuse_damaged(reader, reason)
    raise AssertionError("the file is whole")


@pytest.mark.parametrize(
    "content",
    [b"", b"no DICOM", file_of(b""), file_of(explicit(SOP_CLASS, "UI", b"1.5\0")) + b"\x08\x00"],
    ids=["empty", "text", "no dataset", "no instance UID"],
)
def test_of_what_cannot_be_read_only_the_reason_is_told(content: bytes) -> None:
    """Section 3.2 step 1."""
    if content == file_of(b""):
        content += b"\x08"

    assert damaged(content) == Refused(Failure.VALIDATION)


def test_of_a_damaged_file_the_uids_and_the_place_are_told() -> None:
    """Section 3.6: they were readable; the comment names a tag and no value."""
    content = file_of(dataset({PATIENT_NAME: ("PN", b"Doe^Jane")}) + explicit(0x7FE00010, "OW", length=9))

    refused = damaged(content)

    comment = "DICOM100: (7fe0,0010) - The file ends within the dataset, at or behind (7fe0,0010)."
    assert refused == Refused(Failure.VALIDATION, GOOD, (comment,))


def test_of_a_file_damaged_early_the_uids_so_far_are_told() -> None:
    """Section 3.6: "readable from file"."""
    content = file_of(dataset({}))[:-5]

    refused = damaged(content)

    comment = "DICOM100: (0020,000d) - The file ends within the dataset, at or behind (0020,000d)."
    assert refused == Refused(Failure.VALIDATION, replace(GOOD, series=""), (comment,))


def test_what_stands_in_place_of_a_uid_is_not_told() -> None:
    """A damaged file may have anything there, also what is nobody's business."""
    start = dataset({SOP_INSTANCE: ("UI", b"Doe^Jane")})[:-3]
    other = dataset({SOP_CLASS: ("UI", b"Doe^Jane")})[:-3]

    assert damaged(file_of(start)) == Refused(Failure.VALIDATION)
    told = damaged(file_of(other))
    assert told.identity is not None
    assert (told.identity.instance, told.identity.sop_class) == ("1.4", "")
