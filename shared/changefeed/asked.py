"""Reading a request for the change feed. Pure.

Names of parameters count without case, and those of no meaning here are passed over, as Azure does.

Source: API rules section 10.1; the last four parameters of `Asked` are ours.
"""

import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.dicom.uid import parse_uid
from shared.errors import BadRequest
from shared.web.query import read_parameters

MAX_INT64: Final = (1 << 63) - 1
ACTIONS: Final = ("create", "update", "delete")

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.([0-9]{1,7}))?"
    r"(?:([Zz])|([+\- ])([0-9]{2}):?([0-9]{2}))"
)
_BOOLEANS: Final = {"true": True, "false": False}

Parameters = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the feed to go on."""

    after: int
    """The sequence of the last entry that was dealt with."""

    skip: int = 0
    """Entries to pass over still, of those that are wanted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wants of the change feed."""

    is_v1: bool
    offset: int
    limit: int
    with_metadata: bool
    start: datetime | None = None
    """Inclusive."""

    end: datetime | None = None
    """Exclusive."""

    place: Place | None = None
    """From the resume token; then neither `offset` nor `start` matters."""

    study: str | None = None
    action: str | None = None
    """One of `ACTIONS`."""

    partition: str | None = None
    """As the client spelt it."""

    @property
    def is_filtered(self) -> bool:
        """Whether some of the entries are not wanted."""
        return not (self.study is None and self.action is None and self.partition is None)


def parse_asked(query: str, *, is_v1: bool) -> Asked:
    """Read the raw query string of `GET changefeed`.

    Raises:
        BadRequest: A parameter has an impossible value.
    """
    found = read_parameters(query)
    window = () if is_v1 else (_moment(found, "startTime"), _moment(found, "endTime"))
    start, end = window or (None, None)
    if start and end and start >= end:
        raise BadRequest("The query parameter 'startTime' is invalid. It must be before endTime.")
    place = _place(found)
    if place and ("offset" in found or start):
        raise BadRequest("The query parameter 'after' cannot be combined with offset or startTime.")
    action = _one(found, "action")
    if action is not None and action.lower() not in ACTIONS:
        raise BadRequest(f"The query parameter 'action' is invalid. It must be one of {', '.join(ACTIONS)}.")
    study = _one(found, "study")
    return Asked(
        is_v1=is_v1,
        offset=_whole(found, "Offset", 0, (0, MAX_INT64)),
        limit=_whole(found, "Limit", 10, (1, 100)) if is_v1 else _whole(found, "Limit", 100, (1, 200)),
        with_metadata=parse_with_metadata(found),
        start=_rounded(start),
        end=_rounded(end),
        place=place,
        study=None if study is None else parse_uid(study),
        action=action and action.lower(),
        partition=_one(found, "partition"),
    )


def parse_with_metadata(found: Parameters) -> bool:
    """Read `includeMetadata`, which is true when left out.

    Raises:
        BadRequest: It is neither true nor false.
    """
    text = _one(found, "includeMetadata")
    if text is None:
        return True
    if text.strip().lower() not in _BOOLEANS:
        raise BadRequest("The query parameter 'includeMetadata' is invalid. It must be true or false.")
    return _BOOLEANS[text.strip().lower()]


def render_token(place: Place) -> str:
    """Write a place as clients carry it about. It says nothing to them, and stays good for ever."""
    content = f"{place.after}.{place.skip}"
    return urlsafe_b64encode(f"{content}.{_check(content)}".encode()).decode().rstrip("=")


def parse_token(text: str) -> Place:
    """Read what `render_token` wrote.

    Raises:
        BadRequest: It is something else.
    """
    try:
        after, skip, check = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").split(".")
        place = Place(int(after), int(skip))
    except ValueError:
        raise _no_token() from None
    if render_token(place) != text or check != _check(f"{after}.{skip}") or min(place.after, place.skip) < 0:
        raise _no_token()
    return place


def _no_token() -> BadRequest:
    return BadRequest("The query parameter 'after' is invalid. It must come from the link to a next page.")


def _check(content: str) -> str:
    return f"{zlib.crc32(content.encode()):08x}"


def _place(found: Parameters) -> Place | None:
    text = _one(found, "after")
    return None if text is None else parse_token(text)


def _one(found: Parameters, name: str) -> str | None:
    values = set(found.get(name.lower(), ()))
    if len(values) > 1:
        raise BadRequest(f"The query parameter '{name}' is invalid. It is given more than once.")
    return next(iter(values), None)


def _whole(found: Parameters, name: str, default: int, bounds: tuple[int, int]) -> int:
    text = _one(found, name)
    if text is None:
        return default
    least, most = bounds
    number = int(text) if _INTEGER.fullmatch(text.strip()) else least - 1
    if not least <= number <= most:
        # The wording of L-07 (API rules section 23).
        raise BadRequest(
            f"The query parameter '{name}' is invalid. The field {name} must be between {least} and {most}."
        )
    return number


_Moment = tuple[datetime, int]
"""A time, and the tenths of a microsecond beyond it."""


def _moment(found: Parameters, name: str) -> _Moment | None:
    text = _one(found, name)
    if text is None:
        return None
    parts = _MOMENT.fullmatch(text.strip())
    try:
        if parts:
            return _parsed(parts)
    except (ValueError, OverflowError):
        # No such day or hour, or so near the ends of time that it has no equal in UTC.
        pass
    raise BadRequest(
        f"The query parameter '{name}' is invalid. "
        "It must be a date and time with a time zone, such as 2024-01-31T12:00:00Z."
    )


def _parsed(parts: re.Match[str]) -> _Moment:
    day, clock, fraction, _, sign, hours, minutes = parts.groups()
    digits = (fraction or "").ljust(7, "0")
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(microsecond=int(digits[:6]), tzinfo=UTC)
    # A plus sign that was not encoded has become a blank.
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    if abs(ahead) > timedelta(hours=14) or int(minutes or 0) > 59:
        raise ValueError
    return moment - ahead, int(digits[6])


def _rounded(moment: _Moment | None) -> datetime | None:
    """The first whole microsecond that is not before a time; entries have no finer times."""
    if moment is None:
        return None
    time, tenths = moment
    return time + timedelta(microseconds=1) if tenths and time < datetime.max.replace(tzinfo=UTC) else time
