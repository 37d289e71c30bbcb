"""Where in the results of a search something stands, so that another page can begin behind it. Pure.

A position has one text for each step that leads to a result: the place of the row that was found, of a study
or series, then the place of the series in its study, then that of the instance. Results come in ascending
order of their positions, and a position stays what it is whatever else is stored or deleted.

It may hold a name, so it leaves the service only under a seal (`seal.py`).
"""

import hashlib
import json
from dataclasses import dataclass
from enum import Enum

from shared.errors import BadRequest
from shared.storage import index_keys, keys

Position = tuple[str, ...]

ALL_OF_IT = keys.AFTER
"""In place of a step: behind everything that the steps before lead to."""

_MAX_STEPS = 3


class Way(Enum):
    """How the rows are found where a text leads."""

    GATHERED = "g"
    """All at once, and sorted newest first."""

    SCANNED = "s"
    """As they lie."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins."""

    after: Position = ()
    """The last thing that came before; () for the first page."""

    way: Way | None = None
    """How the page before was found; None on the first page."""

    @property
    def first(self) -> str:
        """The first place where rows may come; those before it have been seen."""
        if not self.after:
            return ""
        is_over = len(self.after) == 1 or self.after[1] == ALL_OF_IT
        return self.after[0] + index_keys.BEHIND if is_over else self.after[0]

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
    """Write where a page begins as a text.

    Args:
        start: Where the page begins.
        query: What is searched for, in any form that is the same for all pages of a search.
    """
    content = [_mark(query), start.way.value if start.way else "", *start.after]
    return json.dumps(content, separators=(",", ":"))


def parse_cursor(cursor: str, query: str) -> Start:
    """Read what `render_cursor` wrote, maybe in another version; nothing stands for the first page.

    Raises:
        BadRequest: It is something else, or of another search.
    """
    if not cursor:
        return Start()
    mark, way, after = _parse(cursor)
    if mark != _mark(query):
        raise BadRequest("The query parameter 'cursor' is of another search. Follow a 'next' link as it is.")
    return Start(after, Way(way) if way else None)


def impossible_cursor() -> BadRequest:
    """The refusal of what is no cursor."""
    return BadRequest("The query parameter 'cursor' is invalid. Follow a 'next' link as it is.")


def _parse(cursor: str) -> tuple[str, str, Position]:
    try:
        content = json.loads(cursor)
    except (ValueError, RecursionError) as error:
        raise impossible_cursor() from error
    if not isinstance(content, list) or not all(isinstance(each, str) for each in content):
        raise impossible_cursor()
    if not 2 <= len(content) <= 2 + _MAX_STEPS or content[1] not in ("", *(way.value for way in Way)):
        raise impossible_cursor()
    mark, way, *after = content
    return mark, way, tuple(after)


def _mark(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]
