"""Where in the results of a search something stands, so that another page can begin behind it. Pure.

A position has one text for each step that leads to a result: the row key of the study or series whose row
was found, then the place of the series in its study, then that of the instance. Results come in ascending
order of their positions, and a position stays what it is whatever else is stored or deleted.
"""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum

from shared.errors import BadRequest
from shared.storage import keys

Position = tuple[str, ...]

ALL_OF_IT = keys.AFTER
"""In place of a step: behind everything that the steps before lead to."""

_MAX_STEPS = 3
_MAX_TOKEN_CHARACTERS = 2_000


class Way(Enum):
    """How the rows are found where a text leads."""

    GATHERED = "g"
    SCANNED = "s"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins."""

    after: Position = ()
    """The last thing that came before; () for the first page."""

    way: Way | None = None
    """How the page before was found; None on the first page."""

    @property
    def first(self) -> str:
        """The least row key that may come; rows before that have been seen."""
        if not self.after:
            return ""
        is_over = len(self.after) == 1 or self.after[1] == ALL_OF_IT
        return self.after[0] + keys.BEHIND if is_over else self.after[0]

    def is_behind(self, position: Position) -> bool:
        """Whether something, or all that it leads to, came before."""
        if len(position) >= len(self.after):
            return bool(self.after) and position[: len(self.after)] <= self.after
        head, rest = self.after[: len(position)], self.after[len(position) :]
        return position < head or (position == head and rest[0] == ALL_OF_IT)


def later(one: Position, other: Position) -> Position:
    """The later of two positions; what ends early stands for all it leads to, and () for the beginning."""
    return max(one, other, key=lambda position: (*position, ALL_OF_IT) if position else ())


def render_cursor(start: Start, query: str) -> str:
    """Write where a page begins as a text that a client can send back.

    Args:
        start: Where the page begins.
        query: What is searched for, in any form that is the same for all pages of a search.
    """
    content = [_mark(query), start.way.value if start.way else "", *start.after]
    return urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def parse_cursor(token: str, query: str) -> Start:
    """Read what `render_cursor` wrote; nothing stands for the first page.

    Raises:
        BadRequest: It is something else, or of another search.
    """
    if not token:
        return Start()
    mark, way, after = _parse(token)
    if mark != _mark(query):
        raise BadRequest("The query parameter 'cursor' is of another search. Follow a 'next' link as it is.")
    return Start(after, Way(way) if way else None)


def _parse(token: str) -> tuple[str, str, Position]:
    refusal = BadRequest("The query parameter 'cursor' is invalid. Follow a 'next' link as it is.")
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise refusal
    try:
        content = json.loads(urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4)))
    except (ValueError, RecursionError) as error:
        raise refusal from error
    if not isinstance(content, list) or not all(isinstance(each, str) for each in content):
        raise refusal
    if not 2 <= len(content) <= 2 + _MAX_STEPS or content[1] not in ("", *(way.value for way in Way)):
        raise refusal
    mark, way, *after = content
    return mark, way, tuple(after)


def _mark(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]
