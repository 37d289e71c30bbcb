"""What one search key matches. Pure.

Source: API rules section 8.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.dicom.tags import CORE_SEARCH, Attribute, SearchLevel
from shared.dicom.uid import trim_uid
from shared.errors import BadRequest
from shared.storage.rows import Values
from shared.storage.terms import Kind, fold, terms
from shared.web.query import Filter, not_queryable

_EARLIEST = "00010101"
_LATEST = "99991231"


@dataclass(frozen=True, slots=True)
class Match:
    """One attribute and the folded values it may have: any of a list, or a range of dates."""

    attribute: Attribute
    level: SearchLevel
    kind: Kind
    values: tuple[str, ...] = ()
    dates: tuple[str, str] | None = None
    """First and last date, inclusive."""

    def accepts(self, values: Values) -> bool:
        """Whether the attributes of a study, series or instance match."""
        found = terms(self.kind, values.get(self.attribute.tag, {}))
        if self.dates is None:
            return any(value in self.values for value in found)
        first, last = self.dates
        return any(len(value) == 8 and first <= value <= last for value in found)


def make_matches(filters: Sequence[Filter], levels: Sequence[SearchLevel]) -> tuple[Match, ...]:
    """Work out what a search matches.

    Args:
        filters: The search keys of the request.
        levels: The levels whose attributes may be searched at this resource.

    Raises:
        BadRequest: An attribute cannot be searched here, or its value is impossible.
    """
    known = {attribute.tag: (attribute, level) for level in levels for attribute in CORE_SEARCH[level]}
    return tuple(_make_match(item, known) for item in filters)


def _make_match(item: Filter, known: Mapping[str, tuple[Attribute, SearchLevel]]) -> Match:
    if item.tag not in known:
        raise not_queryable(item.key)
    attribute, level = known[item.tag]
    if attribute.vr == "DA":
        return Match(attribute, level, Kind.DATE, dates=_dates(item.text().strip(" \0"), attribute))
    if attribute.vr == "UI":
        uids = tuple(trim_uid(uid) for uid in item.items())
        return Match(attribute, level, Kind.TEXT, uids)
    if attribute.vr == "CS":
        return Match(attribute, level, Kind.TEXT, tuple(fold(Kind.TEXT, value) for value in item.items()))
    kind = Kind.NAME if attribute.vr == "PN" else Kind.TEXT
    return Match(attribute, level, kind, (fold(kind, item.text()),))


def _dates(text: str, attribute: Attribute) -> tuple[str, str]:
    first, dash, last = text.partition("-")
    if not dash:
        _check_date(text, text, attribute)
        return text, text
    if not first and not last:
        raise _bad_date(text, attribute)
    for date in filter(None, (first, last)):
        _check_date(date, text, attribute)
    if first and last and first > last:
        raise BadRequest(
            f"Invalid query: the range of attribute '{attribute.keyword}' ends before it begins."
        )
    return first or _EARLIEST, last or _LATEST


def _check_date(date: str, text: str, attribute: Attribute) -> None:
    try:
        datetime.strptime(date, "%Y%m%d")
    except ValueError as error:
        raise _bad_date(text, attribute) from error
    if len(date) != 8:
        raise _bad_date(text, attribute)


def _bad_date(text: str, attribute: Attribute) -> BadRequest:
    # L-05 of API rules section 23. The value is the client's own and goes back to it alone.
    return BadRequest(
        f"Invalid query: specified Date value '{text}' is invalid for attribute '{attribute.keyword}'. "
        "Date should be valid and formatted as yyyyMMdd."
    )
