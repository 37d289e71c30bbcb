"""The checks that decide whether an instance is stored, and with which warning. Pure.

Source: API rules sections 3.3 and 3.4; texts of section 23.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from shared.dicom.part10 import Identity, Part10File
from shared.dicom.uid import is_uid
from shared.stow.outcome import Failure, Refused, Warned

IMPLICIT_VR = "1.2.840.10008.1.2"
PATIENT_ID = "00100020"

MAX_PATIENT_ID_CHARACTERS = 64

_REQUIRED = (
    ("sop_class", "0008,0016", "SOPClassUID"),
    ("study", "0020,000d", "StudyInstanceUID"),
    ("series", "0020,000e", "SeriesInstanceUID"),
    ("instance", "0008,0018", "SOPInstanceUID"),
)
_OTHER_VR = "The element has another VR."
_CONTROLS = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")
"""All but ESC, which switches character sets."""


class Taken(Enum):
    """What becomes of an instance whose UIDs are stored already."""

    REFUSE = auto()
    """It fails with 45070 (API rules section 3.8)."""

    ACCEPT_IDENTICAL = auto()
    """It counts as stored if its bytes are the stored ones; else it fails with 45070."""

    REPLACE = auto()
    """It takes the place of the stored one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request asks of its instances."""

    study: str | None
    """The study in the path; every instance must belong to it."""

    is_v1: bool
    taken: Taken = Taken.REFUSE


@dataclass(frozen=True, slots=True)
class Passed:
    """An instance that may be stored."""

    warning: Warned | None
    comments: tuple[str, ...]


def check(file: Part10File, rules: Rules) -> Passed | Refused:
    """Decide whether a file may be stored."""
    problem = identity_problem(file.identity, rules) or _vr_problem(file) or _patient_problem(file, rules)
    if problem:
        return Refused(Failure.VALIDATION, file.identity, (problem,))
    comments = () if _patient_id(file) else (_missing("0010,0020"),)
    if file.transfer_syntax == IMPLICIT_VR:
        return Passed(Warned.IMPLICIT_VR, comments)
    return Passed(Warned.ATTRIBUTES if comments else None, comments)


def identity_problem(identity: Identity, rules: Rules) -> str | None:
    """Say what is wrong with the UIDs of an instance, if anything (checks 1, 3 and 4 of section 3.3)."""
    for name, tag, keyword in _REQUIRED:
        uid = getattr(identity, name)
        if not uid:
            return _missing(tag)
        if not is_uid(uid):
            return _invalid(tag, keyword, "UI", "Value is not a valid UID.")
    if rules.study is not None and identity.study != rules.study:
        return "DICOM100: (0020,000d) - The StudyInstanceUID is not the one of the study in the URL."
    return None


def _vr_problem(file: Part10File) -> str | None:
    """Say which UID was written with another VR than its own (check 5). Implicit VR has none to be wrong."""
    for _, tag, keyword in _REQUIRED:
        element = file.attributes.get(tag.replace(",", "").upper())
        if element is None or element["vr"] != "UI":
            return _invalid(tag, keyword, "UI", _OTHER_VR)
    return None


def _patient_problem(file: Part10File, rules: Rules) -> str | None:
    element = file.attributes.get(PATIENT_ID)
    if element is None or (rules.is_v1 and not _patient_id(file)):
        return _missing("0010,0020")
    wrong = _OTHER_VR if element["vr"] != "LO" else None
    reason = wrong or next(filter(None, map(_text_problem, _patient_ids(file))), None)
    return _invalid("0010,0020", "PatientID", "LO", reason) if reason else None


def _text_problem(text: str) -> str | None:
    if len(text) > MAX_PATIENT_ID_CHARACTERS:
        return f"Value is longer than {MAX_PATIENT_ID_CHARACTERS} characters."
    return "Value contains invalid character." if _CONTROLS.search(text) else None


def _patient_id(file: Part10File) -> str:
    return next(iter(_patient_ids(file)), "").strip()


def _patient_ids(file: Part10File) -> list[str]:
    """The values of Patient ID, one as a rule, without padding."""
    element = file.attributes.get(PATIENT_ID)
    return [str(value or "").rstrip("\0 ") for value in element.get("Value", [])] if element else []


def _missing(tag: str) -> str:
    return f"DICOM100: ({tag}) - The required tag '({tag})' is missing."


def _invalid(tag: str, keyword: str, vr: str, reason: str) -> str:
    return f"DICOM100: ({tag}) - Dicom element '{keyword}' failed validation for VR '{vr}': {reason}"
