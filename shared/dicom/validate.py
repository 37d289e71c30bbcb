"""Finding what is wrong with a dataset while it is read (API rules sections 3.3 and 3.4).

The reader hands over only what is not certainly fine (`validate_quick`); here it is looked at closely, and
remembered: a file with a hundred thousand wrong elements must not fill the memory or the answer, so what is
kept is bounded in number and in length. What to make of a finding is decided where an instance is stored.

Not checked are values longer than `levels.MAX_VALUE_BYTES`, which nobody holds and metadata never have.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from shared.dicom import plans
from shared.dicom.plans import Plan
from shared.dicom.text import Charset
from shared.dicom.validate_rules import INVALID, NUMBER_BYTES, find_broken

MAX_FINDINGS: Final = 50
"""Findings kept of one dataset, beside those about `plans.SEARCHED_VRS`. Elements beyond are left out of
metadata like the others, but nobody is told."""

MAX_QUOTED_CHARACTERS: Final = 128
"""Of a value in a finding. A longer one is cut, and ends in three points."""

_OF_THEIR_VR: Final = plans.IDENTIFYING_TAGS | {plans.PATIENT_ID}
_OTHER_VR: Final = "the element has another VR"
# Whatever is wrong with these, the instance is filed under them (API rules section 3.4 row 4).
_NEVER_LEFT_OUT: Final = frozenset({plans.STUDY_INSTANCE, plans.SERIES_INSTANCE, plans.SOP_INSTANCE})


class Checks(Enum):
    """Which elements are checked."""

    NONE = auto()

    SEARCHED = auto()
    """Those that are searched or name the instance, at the top level, as v1 does: it takes a NUL at the end
    for a character, but for the one that pads a UID, and does not mind how a UID's parts begin."""

    ALL = auto()
    """All at every level, as v2 does."""


class Problem(Enum):
    """In which way an element is wrong."""

    EMPTY = auto()
    """Patient ID has no value."""

    OTHER_VR = auto()
    """An element that names the instance, or on v1 one that is searched, has not the VR of the dictionary."""

    VALUE = auto()
    """A value breaks the rule of its VR."""

    NUMBER = auto()
    """There are more or fewer values than the dictionary allows."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One element that is wrong, and the first thing that is wrong with it."""

    tag: int
    nested: bool
    """Whether it lies within a sequence."""

    vr: str
    """As in the file."""

    problem: Problem
    reason: str
    """For the sender: a phrase without a value of the dataset in it."""

    value: str
    """What is wrong, on one line and no longer than `MAX_QUOTED_CHARACTERS`: for the sender alone."""


_Wrong = tuple[Problem, str, str]
"""The problem, the reason, and the value."""


class Findings:
    """What was found in one dataset so far."""

    def __init__(self, checks: Checks) -> None:
        self._checks_all = checks is Checks.ALL
        self._checks_searched = checks is Checks.SEARCHED
        self._found: dict[tuple[int, bool], Finding] = {}
        self._sequence_told = False

    def begin_sequence(self) -> None:
        """A sequence of the top level begins: only the first problem in all of it counts."""
        self._sequence_told = False

    def examine(self, plan: Plan, raw: bytes, charset: Charset, *, nested: bool) -> Finding | None:
        """Look closely at an element; say what is wrong with it, if anything that counts."""
        if nested and (self._sequence_told or self._checks_searched):
            return None
        wrong = (None if nested else self._searched(plan, raw)) or self._broken(plan, raw, charset)
        if wrong is None:
            return None
        problem, reason, value = wrong
        finding = Finding(plan.tag, nested, plan.vr, problem, reason, _quoted(value))
        if len(self._found) < MAX_FINDINGS or (not nested and plan.tag in plans.SEARCHED_VRS):
            self._found.setdefault((plan.tag, nested), finding)
        self._sequence_told = nested
        return finding

    def examine_vr(self, plan: Plan) -> None:
        """Look at an element of the top level that is no plain value, but a sequence or bulk data."""
        expected = plans.SEARCHED_VRS.get(plan.tag, plan.vr)
        if expected != plan.vr and (self._checks_searched or plan.tag in _OF_THEIR_VR):
            self._found[plan.tag, False] = Finding(plan.tag, False, plan.vr, Problem.OTHER_VR, _OTHER_VR, "")

    def leaves_out(self, finding: Finding) -> bool:
        """Whether metadata leave the element out: v2 does, at the top level (API rules section 3.4 row 2)."""
        return self._checks_all and not finding.nested and finding.tag not in _NEVER_LEFT_OUT

    def all(self) -> tuple[Finding, ...]:
        """Every finding kept, in file order: one for each tag at the top level, and one within sequences."""
        return tuple(self._found.values())

    def several(self) -> list[int]:
        """The searched attributes that should have one value and have several."""
        found = (each for each in self._found.values() if each.problem is Problem.NUMBER and not each.nested)
        return [each.tag for each in found if each.tag in plans.SEARCHED_VRS]

    def _searched(self, plan: Plan, raw: bytes) -> _Wrong | None:
        """What is demanded of the attributes that searches look for, at the top level only."""
        expected = plans.SEARCHED_VRS.get(plan.tag)
        if expected is None:
            return None
        if plan.tag == plans.PATIENT_ID and not raw.strip(b"\0 "):
            return Problem.EMPTY, "value is empty", ""
        if plan.vr != expected and (self._checks_searched or plan.tag in _OF_THEIR_VR):
            return Problem.OTHER_VR, _OTHER_VR, ""
        padding = b"\0" if plan.vr == "UI" else b""
        if self._checks_searched and raw.rstrip(b" ").removesuffix(padding).endswith(b"\0"):
            return Problem.VALUE, INVALID, ""
        return None

    def _broken(self, plan: Plan, raw: bytes, charset: Charset) -> _Wrong | None:
        # On v1 a UID needs to be one as in a URL; that is checked where an instance is stored.
        if plan.vr == "UI" and self._checks_searched:
            return None
        broken = find_broken(plan.vr, plan.multiplicity, raw, charset)
        if broken is None:
            return None
        value = broken.value or _numbers(plan, raw, charset)
        return Problem.NUMBER if broken.by_count else Problem.VALUE, broken.reason, value


def _numbers(plan: Plan, raw: bytes, charset: Charset) -> str:
    """The first of several binary numbers as text."""
    size = NUMBER_BYTES.get(plan.vr, 0)
    whole = raw[: size * min(len(raw) // size, MAX_QUOTED_CHARACTERS)] if size else b""
    text = (plan.render(whole, charset) or "") if whole and plan.render else ""
    return text.removeprefix(',"Value":[').removesuffix("]").replace('"', "").replace(",", "\\")


def _quoted(value: str) -> str:
    """A value as it may stand in an answer, also in XML: what is not printable becomes a question mark."""
    cut = value if len(value) <= MAX_QUOTED_CHARACTERS else f"{value[: MAX_QUOTED_CHARACTERS - 3]}..."
    return cut if cut.isprintable() else "".join(each if each.isprintable() else "?" for each in cut)
