"""What makes a value one of its VR (API rules section 3.4.2), and how many of them an element may have.

A rule takes one value as text, decoded and without the blanks behind it, and says what is wrong with it.
Reasons are worded freely but where section 23 of the API rules pins them.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from shared.dicom.text import Charset

Rule = Callable[[str], str | None]

NUMBER_BYTES: Final = {"SS": 2, "US": 2, "SL": 4, "UL": 4, "SV": 8, "UV": 8, "FL": 4, "FD": 8, "AT": 4}
"""The width of a value of each VR that is not text."""

LENGTHS: Final = {
    **dict.fromkeys(("AE", "CS", "DS", "SH"), 16),
    **dict.fromkeys(("LO", "PN", "UI"), 64),
    "ST": 1024,
    "LT": 10240,
}
"""Characters a value may have; of a person's name, each of its groups."""

_MAX_SECONDS: Final = 60
_MAX_INTEGER_DIGITS: Final = 10
INVALID: Final = "value contains invalid character"
_NOT_DATE: Final = "one of the date values does not match the pattern YYYYMMDD"
_NOT_DATE_TIME: Final = "value does not match the pattern YYYYMMDDHHMMSS.FFFFFF&ZZXX"
_CONTROLS: Final = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f]")
"""All but ESC, which switches character sets."""

_CODE: Final = re.compile(r"[A-Z0-9_ ]*")
_AGE: Final = re.compile(r"[0-9]{3}[DWMY]")
_DATE: Final = re.compile(r"[0-9]{4}([0-9]{2})([0-9]{2})")
_TIME: Final = re.compile(r"([0-9]{2})(?:([0-9]{2})(?:([0-9]{2})(?:\.[0-9]{1,6})?)?)?")
_DATE_TIME: Final = re.compile(
    r"[0-9]{4}(?:([0-9]{2})(?:([0-9]{2})([0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:\.[0-9]{1,6})?)?)?)?)?)?"
    r"(?:([+-])([0-9]{2})([0-9]{2}))?"
)
_DECIMAL: Final = re.compile(r" *[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_INTEGER: Final = re.compile(r" *+([-+]?+)([0-9]++)")
_UID: Final = re.compile(r"[0-9.]*")


class Multiplicity(NamedTuple):
    """How many values an element may have, such as 1, 1-3, 1-n or 2-2n."""

    text: str
    low: int
    high: int | None
    """None for n."""

    step: int = 1

    @classmethod
    def parse(cls, text: str) -> "Multiplicity":
        """Read what the dictionary says."""
        low, _, high = text.partition("-")
        if high.endswith("n"):
            return cls(text, int(low), None, int(high[:-1] or 1))
        return cls(text, int(low), int(high or low))

    def takes(self, count: int) -> bool:
        """Whether an element may have so many values."""
        return count >= self.low and (self.high is None or count <= self.high) and count % self.step == 0


ANY_NUMBER: Final = Multiplicity("1-n", 1, None)


class Broken(NamedTuple):
    """What is wrong with an element."""

    reason: str
    value: str
    """The value that breaks its rule, or all of them when they are too many or too few; "" when they are
    no text."""

    by_count: bool = False
    """Whether it is the number of values that is wrong."""


def find_broken(vr: str, multiplicity: Multiplicity, raw: bytes, charset: Charset) -> Broken | None:
    """Say what is wrong with an element, if anything: first its values, then how many they are.

    An element without a value breaks no rule. Blanks and NULs at the end of an element are padding, whatever
    its VR (API rules section 3.4 row 3); a NUL before is a control character.
    """
    if vr in NUMBER_BYTES:
        return _broken_numbers(NUMBER_BYTES[vr], multiplicity, raw)
    decoded = _decode(vr, raw, charset)
    text = decoded.rstrip("\0 ")
    if vr in _WHOLE:
        reason = _too_long(vr, text)
        return Broken(reason, text) if reason else None
    if not text:
        return Broken(_ONLY_BLANKS, "") if vr == "AE" and decoded.rstrip("\0") else None
    values = text.split("\\")
    rule = _RULES.get(vr)
    for value in values if rule else ():
        trimmed = value.rstrip(" ")
        if rule and value and (trimmed or vr == "AE") and (reason := rule(trimmed)):
            return Broken(reason, value)
    return None if multiplicity.takes(len(values)) else _miscounted(len(values), multiplicity, text)


def _broken_numbers(size: int, multiplicity: Multiplicity, raw: bytes) -> Broken | None:
    count, rest = divmod(len(raw), size)
    if rest:
        return Broken(f"value has {len(raw)} bytes, which is no multiple of {size}", "")
    return _miscounted(count, multiplicity, "") if count and not multiplicity.takes(count) else None


def _miscounted(count: int, multiplicity: Multiplicity, text: str) -> Broken:
    reason = f"number of items ({count}) does not match value multiplicity {multiplicity.text}"
    return Broken(reason, text, by_count=True)


def _decode(vr: str, raw: bytes, charset: Charset) -> str:
    if vr == "PN":
        return charset.name(raw)
    return charset.text(raw) if vr in ("LO", "LT", "SH", "ST", "UC", "UT") else str(raw, "latin-1")


def _too_long(vr: str, value: str) -> str | None:
    limit = LENGTHS.get(vr)
    return f"value exceeds maximum length of {limit} characters" if limit and len(value) > limit else None


_ONLY_BLANKS: Final = "value may not consist only of blanks"


def _title(value: str) -> str | None:
    if not value.strip(" "):
        return _ONLY_BLANKS
    return _too_long("AE", value) or ("value contains control character" if _CONTROLS.search(value) else None)


def _age(value: str) -> str | None:
    return None if _AGE.fullmatch(value) else "value does not match the pattern 000[DWMY]"


def _code(value: str) -> str | None:
    return _too_long("CS", value) or (None if _CODE.fullmatch(value) else INVALID)


def _date(value: str) -> str | None:
    """A date; also a range of two, which the API rules tolerate, with at least one of them."""
    days = value.split("-")
    if len(days) > 2 or not any(days):
        return _NOT_DATE
    for day in filter(None, days):
        found = _DATE.fullmatch(day)
        if not found:
            return _NOT_DATE
        if found[1] > "12":
            return "month component exceeds 12"
        if found[2] > "31":
            return "day component exceeds 31"
    return None


def _decimal(value: str) -> str | None:
    return _too_long("DS", value) or (None if _DECIMAL.fullmatch(value) else "value is no decimal number")


def _date_time(value: str) -> str | None:
    found = _DATE_TIME.fullmatch(value)
    if not found:
        return _NOT_DATE_TIME
    month, day, time, *offset = found.groups()
    if month is not None and not "01" <= month <= "12":
        return "month component is not between 01 and 12"
    if day is not None and not "01" <= day <= "31":
        return "day component is not between 01 and 31"
    return (_time(time) if time else None) or (_offset(*offset) if offset[0] else None)


def _offset(sign: str, hours: str, minutes: str) -> str | None:
    """The distance from UTC: -0000 does not exist (PS3.5 section 6.2)."""
    limit = "1400" if sign == "+" else "1200"
    wrong = hours + minutes > limit or minutes > "59" or (sign == "-" and hours + minutes == "0000")
    return "offset from UTC is not between -1200 and +1400" if wrong else None


def _integer(value: str) -> str | None:
    found = _INTEGER.fullmatch(value)
    if not found:
        return "value is no integer"
    sign, digits = found[1], found[2].lstrip("0") or "0"
    # Digits are counted first, as Python refuses to read thousands of them.
    limit = 2**31 if sign == "-" else 2**31 - 1
    too_large = len(digits) > _MAX_INTEGER_DIGITS or int(digits) > limit
    return "value does not fit into 32 bits" if too_large else None


def _string(vr: str) -> Rule:
    """LO and SH. A backslash separates their values, so that none holds one."""

    def rule(value: str) -> str | None:
        return _too_long(vr, value) or (INVALID if _CONTROLS.search(value) else None)

    return rule


def _name(value: str) -> str | None:
    groups = value.split("=")
    if len(groups) > 3:
        return "value has more than 3 groups"
    if any(group.count("^") > 4 for group in groups):
        return "value has a group of more than 5 components"
    too_long = next(filter(None, (_too_long("PN", group.rstrip(" ")) for group in groups)), None)
    return too_long or ("value contains control character" if _CONTROLS.search(value) else None)


def _time(value: str) -> str | None:
    found = _TIME.fullmatch(value)
    if not found:
        return "value does not match the pattern HHMMSS.FFFFFF"
    hour, minute, second = found.groups()
    if hour > "23":
        return "hour component exceeds 23"
    if minute is not None and minute > "59":
        return "minute component exceeds 59"
    return "second component exceeds 60" if second is not None and int(second) > _MAX_SECONDS else None


def _uid(value: str) -> str | None:
    if reason := _too_long("UI", value):
        return reason
    if not _UID.fullmatch(value):
        return INVALID
    components = value.split(".")
    if not all(components):
        return "component is empty"
    leading = any(component[0] == "0" and component != "0" for component in components)
    return "component has leading zeros" if leading else None


_WHOLE: Final = frozenset({"LT", "ST", "UR", "UT"})
"""VRs of one value, in which a backslash is only a backslash."""

_RULES: Final[dict[str, Rule]] = {
    "AE": _title,
    "AS": _age,
    "CS": _code,
    "DA": _date,
    "DS": _decimal,
    "DT": _date_time,
    "IS": _integer,
    "LO": _string("LO"),
    "PN": _name,
    "SH": _string("SH"),
    "TM": _time,
    "UI": _uid,
}
