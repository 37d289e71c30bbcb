"""The checks that decide whether an instance is stored, and with which warning. Pure.

Source: API rules sections 3.3 and 3.4; texts of section 23.
"""

from dataclasses import dataclass

from shared.dicom.part10 import Identity, Part10File
from shared.dicom.uid import is_uid
from shared.stow.outcome import Failure, Refused, Warned

IMPLICIT_VR = "1.2.840.10008.1.2"
PATIENT_ID = "00100020"

_REQUIRED = (
    ("sop_class", "0008,0016", "SOPClassUID"),
    ("study", "0020,000d", "StudyInstanceUID"),
    ("series", "0020,000e", "SeriesInstanceUID"),
    ("instance", "0008,0018", "SOPInstanceUID"),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request asks of its instances."""

    study: str | None
    """The study in the path; every instance must belong to it."""

    is_v1: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """An instance that may be stored."""

    warning: Warned | None
    comments: tuple[str, ...]


def check(file: Part10File, rules: Rules) -> Passed | Refused:
    """Decide whether a file may be stored."""
    problem = identity_problem(file.identity, rules) or _patient_problem(file, rules)
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
            reason = "Value is not a valid UID."
            return f"DICOM100: ({tag}) - Dicom element '{keyword}' failed validation for VR 'UI': {reason}"
    if rules.study is not None and identity.study != rules.study:
        return "DICOM100: (0020,000d) - The StudyInstanceUID is not the one of the study in the URL."
    return None


def _patient_problem(file: Part10File, rules: Rules) -> str | None:
    if PATIENT_ID not in file.attributes or (rules.is_v1 and not _patient_id(file)):
        return _missing("0010,0020")
    return None


def _patient_id(file: Part10File) -> str:
    element = file.attributes.get(PATIENT_ID)
    values = element.get("Value") if element else None
    return str(values[0] or "").strip(" \0") if isinstance(values, list) and values else ""


def _missing(tag: str) -> str:
    return f"DICOM100: ({tag}) - The required tag '({tag})' is missing."
