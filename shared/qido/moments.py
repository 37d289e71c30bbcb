"""Dates, times and numbers as searches write them, and the ranges of them. Pure.

Whatever is given in part, such as the hour alone, is taken for its first instant, in what is stored as in
what is asked for.

Source: API rules section 8.4, PS3.4 section C.2.2.2.5.
"""

import re
from collections.abc import Callable
from datetime import datetime

from shared.dicom.tags import Attribute
from shared.errors import BadRequest

EARLIEST_DATE, LATEST_DATE = "00010101", "99991231"
EARLIEST_TIME, LATEST_TIME = "000000.000000", "235960.999999"

Span = tuple[str, str]
"""First and last, inclusive, written so that the order of the texts is that of time."""

_TIME = re.compile(r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9]|60)(?:\.([0-9]{1,6}))?)?)?")
_DATE_TIME = re.compile(r"([0-9]{4})(?:([0-9]{2})(?:([0-9]{2})(?:([0-9.]+))?)?)?")
_OFFSET = re.compile(r"[+-][0-9]{4}$")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


def full_date(text: str) -> str | None:
    """A date as YYYYMMDD; None if it is none."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return None
    return text


def full_time(text: str) -> str | None:
    """A time as HHMMSS.FFFFFF; None if it is none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups(default="")
    return f"{hours}{minutes or '00'}{seconds or '00'}.{fraction:0<6}"


def full_moment(text: str) -> str | None:
    """A date with a time as YYYYMMDDHHMMSS.FFFFFF; None if it is none, or has an offset from UTC."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, time = found.groups(default="")
    date, full = full_date(f"{year}{month or '01'}{day or '01'}"), full_time(time or "00")
    return f"{date}{full}" if date and full else None


def stored_moment(text: str) -> str | None:
    """A stored date with a time, as it is told where it was taken: an offset from UTC changes nothing."""
    return full_moment(_OFFSET.sub("", text))


def whole_number(text: str) -> float | None:
    """A whole number; None if it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None


def real_number(text: str) -> float | None:
    """A number; None if it is none, or is not finite."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def read_span(text: str, attribute: Attribute, full: Callable[[str], str | None], bounds: Span) -> Span:
    """Read `a`, `a-b`, `a-` or `-b`; what is open reaches to the bounds. The ends may be in wrong order.

    Raises:
        BadRequest: One end is impossible.
    """
    first, dash, last = text.partition("-")
    if dash and not first and not last:
        raise impossible(text, attribute)
    ends = [full(end) if end else "" for end in (first, last if dash else first)]
    if None in ends:
        raise impossible(text, attribute)
    return ends[0] or bounds[0], ends[1] or bounds[1]


def check_order(span: Span, attribute: Attribute) -> Span:
    """Refuse a range whose ends are in wrong order.

    Raises:
        BadRequest: They are.
    """
    if span[0] > span[1]:
        raise BadRequest(
            f"Invalid query: the range of attribute '{attribute.keyword}' ends before it begins."
        )
    return span


_FORMATS = {
    "DA": ("Date", "Date should be valid and formatted as yyyyMMdd."),
    "TM": ("Time", "Time should be valid and formatted as HHmmss.ffffff, or the beginning of it."),
    "DT": (
        "DateTime",
        "DateTime should be valid, formatted as yyyyMMddHHmmss.ffffff, or the beginning of it, and have no "
        "offset from UTC.",
    ),
}
_NUMBER = ("Number", "It should be a number that the attribute can have.")


def impossible(text: str, attribute: Attribute) -> BadRequest:
    """Make the refusal of a value; it is the client's own and goes back to it alone.

    Source: API rules section 23, L-05.
    """
    name, hint = _FORMATS.get(attribute.vr, _NUMBER)
    where = f"specified {name} value '{text}' is invalid for attribute '{attribute.keyword}'"
    return BadRequest(f"Invalid query: {where}. {hint}")
