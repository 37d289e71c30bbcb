"""Where a page begins that is asked for by its offset."""

from dataclasses import replace
from itertools import pairwise

import pytest

from shared.qido.paging import MAX_ENDS, Window, make_window, name_search, with_end
from shared.qido.position import Start, render_cursor
from shared.storage.trails import Trail
from shared.storage.versions import LATEST
from shared.web.query import SearchRequest

QUERY = "all studies of somebody"
REQUEST = SearchRequest(limit=25)
STARTS = {at: Start((f"row {at:04}",)) for at in (25, 50, 500)}
TRAIL = Trail(77, {at: render_cursor(start, QUERY) for at, start in STARTS.items()})


@pytest.mark.parametrize(
    ("offset", "before", "skip"),
    [(1, 0, 1), (24, 0, 24), (25, 25, 0), (49, 25, 24), (50, 50, 0), (499, 50, 449), (9_000, 500, 8_500)],
)
def test_a_page_begins_at_the_last_end_before_it(offset: int, before: int, skip: int) -> None:
    """What lies between is skipped, and nothing that came later is seen."""
    window = make_window(replace(REQUEST, offset=offset), QUERY, TRAIL)

    assert window == Window(STARTS.get(before, Start()), before, skip, 25, until=77)


def test_without_a_trail_a_page_begins_where_it_is_asked_to() -> None:
    """At the beginning, or behind the cursor of a link."""
    cursor = render_cursor(STARTS[25], QUERY)

    assert make_window(replace(REQUEST, offset=9), QUERY, None) == Window(Start(), 0, 9, 25, LATEST)
    assert make_window(replace(REQUEST, cursor=cursor), QUERY, None) == Window(STARTS[25], 0, 0, 25, LATEST)


def test_a_trail_keeps_some_ends_from_all_along_and_the_last() -> None:
    """However long it grows, a page further back is not far from one of them."""
    ends: dict[int, str] = {}

    for page in range(1, 401):
        ends = with_end(ends, page * 25, f"end {page}")
        assert len(ends) <= MAX_ENDS
        assert ends[page * 25] == f"end {page}"

    offsets = [0, *ends]
    assert offsets == sorted(offsets)
    assert max(after - before for before, after in pairwise(offsets)) <= 400 * 25 / 4


def test_an_end_far_back_is_kept_too() -> None:
    """Who goes back goes on from there."""
    ends = dict.fromkeys(range(1_000, 1_000 + MAX_ENDS), "")

    assert 25 in with_end(ends, 25, "end")


def test_a_search_has_another_name_for_each_caller() -> None:
    """Nothing of one can be taken for something of the other."""
    names = {name_search(*each) for each in (("a", "b"), ("a", "c"), ("b", "a"), ('a", "b', ""), ("ab", ""))}

    assert len(names) == 5
