"""Pages that are asked for by offset, so that what arrives meanwhile moves none of them. Pure.

The standard has limit and offset only. An offset alone says little: whatever was stored since the page before
moves all that follows, so that something comes twice. So a search leaves a trail (`storage/trails.py`): the
next page of the same caller begins where the page before it ended, and nothing that came after the first page
is in it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from shared.qido.position import Start, parse_cursor
from shared.storage.trails import Trail
from shared.storage.versions import LATEST
from shared.web.query import SearchRequest

MAX_ENDS = 16
"""Ends of pages that a trail keeps: the last, and others all along, from which a page further back begins."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which of all matches are wanted."""

    start: Start
    before: int
    """How many matches lie before the start."""

    skip: int
    """How many behind the start are not wanted."""

    limit: int
    until: int = LATEST
    """What has a later version is no match."""


def name_search(query: str, caller: str) -> str:
    """What all pages of a search by one caller have in common."""
    return json.dumps([query, caller])


def make_window(request: SearchRequest, query: str, trail: Trail | None) -> Window:
    """Find out where a page begins.

    Args:
        request: Asks for the page.
        query: What is searched for, as cursors know it.
        trail: That of the pages before, if one is known.

    Raises:
        BadRequest: The cursor is impossible.
    """
    if trail is None:
        return Window(parse_cursor(request.cursor, query), 0, request.offset, request.limit)
    before = max((at for at in trail.ends if at <= request.offset), default=0)
    start = parse_cursor(trail.ends.get(before, ""), query)
    return Window(start, before, request.offset - before, request.limit, trail.until)


def with_end(ends: Mapping[int, str], at: int, cursor: str) -> dict[int, str]:
    """Add the end of a page to those known; when there are too many, one goes that is close to others."""
    found = dict(sorted({**ends, at: cursor}.items()))
    if len(found) > MAX_ENDS:
        offsets = [0, *found]
        gaps = {
            offset: following - before
            for before, offset, following in zip(offsets, offsets[1:], offsets[2:], strict=False)
            if offset != at
        }
        del found[min(gaps, key=lambda offset: gaps[offset])]
    return found
