"""Where something stands among results, and how that is written."""

import json

import pytest

from shared.errors import BadRequest
from shared.qido.position import ALL_OF_IT, Position, Start, Way, later, parse_cursor, render_cursor

QUERY = "all studies of somebody"


@pytest.mark.parametrize(
    ("after", "position", "expected"),
    [
        ((), ("a",), False),
        (("b",), ("a",), True),
        (("b",), ("b",), True),
        (("b",), ("c",), False),
        (("b",), ("b", "x"), True),
        (("b", "x"), ("a",), True),
        (("b", "x"), ("b",), False),
        (("b", "x"), ("b", "w"), True),
        (("b", "x"), ("b", "x"), True),
        (("b", "x"), ("b", "y"), False),
        (("b", "x"), ("b", "x", "1"), True),
        (("b", "x", "1"), ("b", "x"), False),
        (("b", ALL_OF_IT), ("b",), True),
        (("b", ALL_OF_IT), ("b", "x"), True),
        (("b", "x", ALL_OF_IT), ("b", "x"), True),
        (("b", "x", ALL_OF_IT), ("b",), False),
    ],
)
def test_what_came_before_is_known(after: Position, position: Position, *, expected: bool) -> None:
    """A study came before only when all of its series did."""
    assert Start(after).is_behind(position) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((), ("a",), ("a",)),
        (("a",), ("b", "x"), ("b", "x")),
        (("a",), ("a", "x"), ("a",)),
        (("a", ALL_OF_IT), ("a", "x"), ("a", ALL_OF_IT)),
    ],
)
def test_the_later_of_two_positions(one: Position, other: Position, expected: Position) -> None:
    """A study as a whole ends behind each of its series."""
    assert later(one, other) == later(other, one) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [((), ""), (("b",), "b "), (("b", "x"), "b"), (("b", ALL_OF_IT), "b ")],
)
def test_reading_begins_where_something_may_be_left(after: Position, expected: str) -> None:
    """At the study of which some series came, behind the one that is over."""
    assert Start(after).first == expected


@pytest.mark.parametrize(
    "start",
    [
        Start(("667c7639a0714b3c|1.2.4",)),
        Start(("667c7639a0714b3c|1.2.4", "667c7639a0714b3c|1.2.4.1", ALL_OF_IT), Way.GATHERED),
        Start(("1p|doe^jane=03\t667c7639a0714b3c|1.2.4",), Way.SCANNED),
    ],
)
def test_a_cursor_comes_back_as_it_was(start: Start) -> None:
    assert parse_cursor(render_cursor(start, QUERY), QUERY) == start


def test_without_a_cursor_it_is_the_first_page() -> None:
    assert parse_cursor("", QUERY) == Start()


def test_a_cursor_of_another_search_is_refused() -> None:
    """It would answer with a page that begins anywhere."""
    with pytest.raises(BadRequest, match="another search"):
        parse_cursor(render_cursor(Start(("a",)), QUERY), QUERY + " else")


MARK = json.loads(render_cursor(Start(("a",)), QUERY))[0]


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "[",
        "{}",
        "[]",
        "[" * 100_000,
        json.dumps([MARK]),
        json.dumps([MARK, "q", "a"]),
        json.dumps([MARK, "", 1]),
        json.dumps([MARK, "", "a", "b", "c", "d"]),
        json.dumps([MARK, "", ["a"]]),
    ],
)
def test_garbage_is_refused(cursor: str) -> None:
    """It may be of another version of the service."""
    with pytest.raises(BadRequest, match="cursor"):
        parse_cursor(cursor, QUERY)
