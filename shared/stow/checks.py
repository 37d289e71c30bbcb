"""The checks that decide whether an instance is stored, and with which warning. Pure.

Single elements are looked at while the file is read (`shared/dicom/validate.py`). Here it is decided what
comes of what was found: on v2 little is fatal and everything is told; on v1 what is searched must be right,
and the rest is not looked at.

Two rules speak of a Patient ID with a backslash. Section 3.3 row 4 allows none in the value; section 3.4 row
6 has an instance stored whose Patient ID has several values, which is what a backslash makes (PS3.5 6.2).
Both hold when row 4 is read of each value by itself, none of which can have a backslash then: such an
instance is stored, with the comment and the header of row 6.

Source: API rules sections 3.3 and 3.4; texts of section 23.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from shared.dicom.part10 import Identity, NotDicom, Part10File, Part10Reader
from shared.dicom.tags import keyword_of, vr_of
from shared.dicom.uid import is_uid
from shared.dicom.validate import Checks, Finding, Problem
from shared.stow.outcome import Failure, Refused, Warned

IMPLICIT_VR = "1.2.840.10008.1.2"
PATIENT_ID = "00100020"

_REQUIRED = (
    ("sop_class", "00080016"),
    ("study", "0020000D"),
    ("series", "0020000E"),
    ("instance", "00080018"),
)
"""In the order of section 3.3 check 1."""


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
    inline_bytes: int = 0
    """Bulk values up to here are put into metadata."""

    @property
    def checks(self) -> Checks:
        """Which elements are to be checked while a file is read."""
        return Checks.SEARCHED if self.is_v1 else Checks.ALL


@dataclass(frozen=True, slots=True)
class Passed:
    """An instance that may be stored."""

    warning: Warned | None
    comments: tuple[str, ...]
    first_value_only: bool = False
    """Whether the client is to be told that only the first value of an attribute is searched by."""


def check(file: Part10File, rules: Rules) -> Passed | Refused:
    """Decide whether a file may be stored that was read with `rules.checks`."""
    problem = identity_problem(file.identity, rules) or _patient_problem(file, rules)
    problem = problem or next(map(_render_fatal, _fatal(file, rules)), None)
    if problem:
        return Refused(Failure.VALIDATION, file.identity, (problem,))
    comments = () if rules.is_v1 else tuple(_comments(file))
    if file.transfer_syntax == IMPLICIT_VR:
        return Passed(Warned.IMPLICIT_VR, comments, _first_value_only(file, rules))
    return Passed(Warned.ATTRIBUTES if comments else None, comments, _first_value_only(file, rules))


def refuse_damaged(reader: Part10Reader, reason: NotDicom) -> Refused:
    """Refuse a file that cannot be read to its end.

    Where so little was read that the sender could not even be told which instance it is, the item carries
    the failure reason and nothing else (API rules section 3.2 step 1). Else it names the instance, and has
    the comment that section 3.6 wants when "reason 43264 and dataset readable": as far as it was readable,
    the tag where that ended and the reason, never a value.
    """
    seen = reader.seen
    if seen is None or not is_uid(seen.instance):
        return Refused(Failure.VALIDATION)
    identity = seen if is_uid(seen.sop_class) else replace(seen, sop_class="")
    return Refused(Failure.VALIDATION, identity, (f"DICOM100: ({_digits(reader.stopped_at)}) - {reason}",))


def identity_problem(identity: Identity, rules: Rules) -> str | None:
    """Say what is wrong with the UIDs of an instance, if anything (checks 1, 3 and 4 of section 3.3)."""
    for name, key in _REQUIRED:
        uid = getattr(identity, name)
        if not uid:
            return _missing(key)
        if not is_uid(uid):
            return _invalid(key, "Value is not a valid UID.")
    if rules.study is not None and identity.study != rules.study:
        return "DICOM100: (0020,000d) - The StudyInstanceUID is not the one of the study in the URL."
    return None


def late_identity_problem(seen: Identity | None, rules: Rules) -> str | None:
    """Say the same of a file too long to be kept until all its UIDs have come; `seen` are those so far."""
    for name, key in _REQUIRED:
        if not (seen and getattr(seen, name)):
            digits = _digits(key)
            return f"DICOM100: ({digits}) - The required tag '({digits})' must come before the pixel data."
    return identity_problem(seen, rules) if seen else None


def _patient_problem(file: Part10File, rules: Rules) -> str | None:
    """Say whether there is no Patient ID where one must be (check 2)."""
    element = file.attributes.get(PATIENT_ID)
    finding = next((each for each in _of_top_level(file) if _key(each) == PATIENT_ID), None)
    is_absent = element is None and finding is None
    is_empty = finding is not None and finding.problem is Problem.EMPTY
    # Of several values the first counts, which may be empty.
    is_empty = is_empty or (element is not None and not element.get("Value"))
    return _missing(PATIENT_ID) if is_absent or (rules.is_v1 and is_empty) else None


def _fatal(file: Part10File, rules: Rules) -> Iterator[Finding]:
    """What prevents that an instance is stored: checks 4 and 5, and on v1 check 6 of section 3.3."""
    for finding in _of_top_level(file):
        demanded = rules.is_v1 or _key(finding) == PATIENT_ID
        if finding.problem is Problem.OTHER_VR or (demanded and finding.problem is Problem.VALUE):
            yield finding


def _comments(file: Part10File) -> Iterator[str]:
    """One comment for each tag, the first problem wins, wherever it lies (section 3.4)."""
    first = {finding.tag: finding for finding in reversed(file.findings)}
    for finding in file.findings:
        if first.get(finding.tag) is finding:
            yield _render_comment(finding)


def _first_value_only(file: Part10File, rules: Rules) -> bool:
    """Whether the header of section 3.4 row 6 is due: on v2 for Patient ID alone, on v1 for all searched."""
    several = [each for each in _of_top_level(file) if each.problem is Problem.NUMBER]
    return any(rules.is_v1 or _key(finding) == PATIENT_ID for finding in several)


def _of_top_level(file: Part10File) -> Iterator[Finding]:
    return (finding for finding in file.findings if not finding.nested)


def _render_fatal(finding: Finding) -> str:
    return _invalid(_key(finding), f"{finding.reason[0].upper()}{finding.reason[1:]}.")


def _render_comment(finding: Finding) -> str:
    if finding.problem is Problem.EMPTY:
        return _missing(_key(finding))
    broken = f'Content "{finding.value}" does not validate VR {finding.vr}: {finding.reason}'
    return f"DICOM100: ({_digits(_key(finding))}) - {broken}"


def _key(finding: Finding) -> str:
    return f"{finding.tag:08X}"


def _digits(key: str) -> str:
    return f"{key[:4]},{key[4:]}".lower()


def _missing(key: str) -> str:
    return f"DICOM100: ({_digits(key)}) - The required tag '({_digits(key)})' is missing."


def _invalid(key: str, reason: str) -> str:
    failed = f"Dicom element '{keyword_of(key)}' failed validation for VR '{vr_of(key)}'"
    return f"DICOM100: ({_digits(key)}) - {failed}: {reason}"
