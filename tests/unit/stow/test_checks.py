"""Which instances are stored, and with which warning (API rules sections 3.3 and 3.4)."""

from dataclasses import replace

import pytest

from shared.dicom.part10 import Identity, JsonElement, Part10File
from shared.stow.checks import Passed, Rules, check, identity_problem
from shared.stow.outcome import Failure, Refused, Warned

GOOD = Identity("1.2", "1.3", "1.4", "1.5")
V2, V1 = Rules(None, is_v1=False), Rules(None, is_v1=True)
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
NO_PATIENT = "DICOM100: (0010,0020) - The required tag '(0010,0020)' is missing."


UIDS: dict[str, JsonElement] = {
    "00080016": {"vr": "UI", "Value": ["1.5"]},
    "0020000D": {"vr": "UI", "Value": ["1.2"]},
    "0020000E": {"vr": "UI", "Value": ["1.3"]},
    "00080018": {"vr": "UI", "Value": ["1.4"]},
}


def file_with(
    patient_id: JsonElement | None, transfer_syntax: str = EXPLICIT, **changed: JsonElement | None
) -> Part10File:
    """A file with good UIDs; `changed` says what is so at other tags, with a `t` before their digits."""
    elements = {**UIDS, "00100020": patient_id, **{tag[1:]: element for tag, element in changed.items()}}
    return Part10File(
        transfer_syntax=transfer_syntax,
        identity=GOOD,
        attributes={tag: element for tag, element in elements.items() if element is not None},
        metadata=b"",
        bulk=(),
        frames=None,
        number_of_frames=0,
        length=0,
    )


PATIENT: JsonElement = {"vr": "LO", "Value": ["1"]}
EMPTY: JsonElement = {"vr": "LO"}
BLANK: JsonElement = {"vr": "LO", "Value": ["  "]}
NUL: JsonElement = {"vr": "LO", "Value": ["\0"]}
NULL: JsonElement = {"vr": "LO", "Value": [None]}


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
        ({"instance": "1" * 64}, None),
        ({"study": "1.02..3"}, None),
    ],
)
def test_uids_must_be_there_and_be_uids(changed: dict[str, str], expected: str | None) -> None:
    """Checks 1 and 4; only the first problem is told."""
    problem = identity_problem(replace(GOOD, **changed), V2)

    assert problem is None if expected is None else (problem or "").startswith(expected)


@pytest.mark.parametrize(("study", "fits"), [(None, True), ("1.2", True), ("1.20", False), ("1.3", False)])
def test_the_study_must_be_the_one_of_the_path(study: str | None, fits: bool) -> None:
    """Check 3."""
    problem = identity_problem(GOOD, Rules(study, is_v1=False))

    assert problem is None if fits else (problem or "").startswith("DICOM100: (0020,000d)")


@pytest.mark.parametrize("element", [EMPTY, BLANK, NUL, NULL])
def test_an_empty_patient_id_is_a_warning_on_v2_and_a_failure_on_v1(element: JsonElement) -> None:
    """Check 2, and section 3.4 row 1."""
    assert check(file_with(element), V2) == Passed(Warned.ATTRIBUTES, (NO_PATIENT,))
    assert check(file_with(element), V1) == Refused(Failure.VALIDATION, GOOD, (NO_PATIENT,))


@pytest.mark.parametrize("rules", [V1, V2])
def test_an_absent_patient_id_is_a_failure(rules: Rules) -> None:
    """Check 2."""
    assert check(file_with(None), rules) == Refused(Failure.VALIDATION, GOOD, (NO_PATIENT,))


@pytest.mark.parametrize("rules", [V1, V2])
def test_a_good_file_passes(rules: Rules) -> None:
    """Nothing to remark."""
    assert check(file_with(PATIENT), rules) == Passed(None, ())


def test_implicit_vr_is_the_warning_that_is_told() -> None:
    """Section 3.4 row 5 and below: 45063 goes before 1, the comments stay."""
    assert check(file_with(PATIENT, IMPLICIT), V2) == Passed(Warned.IMPLICIT_VR, ())
    assert check(file_with(EMPTY, IMPLICIT), V2) == Passed(Warned.IMPLICIT_VR, (NO_PATIENT,))


def test_the_study_of_the_path_is_looked_at_before_the_patient() -> None:
    """One comment, the first problem."""
    refused = check(file_with(None), Rules("9", is_v1=False))

    assert isinstance(refused, Refused)
    assert len(refused.comments) == 1
    assert "(0020,000d)" in refused.comments[0]


@pytest.mark.parametrize("rules", [V1, V2])
@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ({"vr": "LO", "Value": ["x" * 65]}, "Value is longer than 64 characters."),
        ({"vr": "LO", "Value": ["\x00123\x00"]}, "Value contains invalid character."),
        ({"vr": "LO", "Value": ["1\t2"]}, "Value contains invalid character."),
        ({"vr": "LO", "Value": ["1", "2\x7f"]}, "Value contains invalid character."),
        ({"vr": "SH", "Value": ["1"]}, "The element has another VR."),
    ],
)
def test_a_patient_id_must_be_one(element: JsonElement, reason: str, rules: Rules) -> None:
    """Checks 4 and 5, with the text of L-04."""
    refused = check(file_with(element), rules)

    comment = f"DICOM100: (0010,0020) - Dicom element 'PatientID' failed validation for VR 'LO': {reason}"
    assert refused == Refused(Failure.VALIDATION, GOOD, (comment,))


@pytest.mark.parametrize("text", ["x" * 64, "ä" * 64, "\x1b$B;3\x1b(B", "123\x00", "123 \x00"])
def test_an_odd_patient_id_passes(text: str) -> None:
    """Check 4: ESC switches character sets, and a NUL at the end is padding."""
    assert check(file_with({"vr": "LO", "Value": [text]}), V2) == Passed(None, ())


@pytest.mark.parametrize(("tag", "comma"), [("00080016", "0008,0016"), ("0020000D", "0020,000d")])
@pytest.mark.parametrize("element", [None, {"vr": "LO", "Value": ["1.2"]}], ids=["unknown", "LO"])
def test_a_uid_must_have_the_vr_of_one(tag: str, comma: str, element: JsonElement | None) -> None:
    """Check 5; what could not be understood is not among the attributes."""
    refused = check(file_with(PATIENT, EXPLICIT, **{f"t{tag}": element}), V2)

    assert isinstance(refused, Refused)
    assert refused.comments[0].startswith(f"DICOM100: ({comma}) - Dicom element")
