"""Requests for the change feed: API rules section 10.1."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.changefeed.asked import MAX_INT64, Place, parse_asked, parse_token, render_token
from shared.errors import BadRequest

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


def test_defaults() -> None:
    """The two versions differ."""
    v1, v2 = parse_asked("", is_v1=True), parse_asked("", is_v1=False)

    assert (v1.offset, v1.limit, v1.with_metadata, v1.is_filtered) == (0, 10, True, False)
    assert (v2.offset, v2.limit, v2.with_metadata, v2.start, v2.end) == (0, 100, True, None, None)


def test_names_count_without_case_and_numbers_may_be_signed() -> None:
    """As ASP.NET binds them."""
    asked = parse_asked("OFFSET=%2B7&Limit= 5&x=y", is_v1=False)

    assert (asked.offset, asked.limit) == (7, 5)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31T12:00:00Z", NOON),
        ("2024-01-31t12:00z", NOON),
        ("2024-01-31T12:00:00.0000000Z", NOON),
        ("2024-01-31T13:00:00%2B01:00", NOON),
        ("2024-01-31T13:00:00+01:00", NOON),
        ("2024-01-31T07:30:00-0430", NOON),
        ("2024-01-31T12:00:00.000001Z", NOON + timedelta(microseconds=1)),
        ("2024-01-31T12:00:00.0000001Z", NOON + timedelta(microseconds=1)),
        ("2024-01-31T12:00:00.0000019Z", NOON + timedelta(microseconds=2)),
    ],
)
def test_times_are_read_and_rounded_up(text: str, moment: datetime) -> None:
    """Entries have whole microseconds: the first not before a time decides at both ends of a window."""
    assert parse_asked(f"starttime={text}", is_v1=False).start == moment
    assert parse_asked(f"endtime={text}", is_v1=False).end == moment


def test_the_end_of_time_is_one() -> None:
    """What .NET clients send as the greatest time."""
    end = parse_asked("endTime=9999-12-31T23:59:59.9999999Z", is_v1=False).end

    assert end == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["2024-01-31T12:00:00%2B15:00", "2024-01-31T12:00:00%2B01:99", "9999-12-31T23:59:59-01:00", "x"]
)
def test_impossible_times_are_refused(text: str) -> None:
    """Zones reach from -14 to 14 hours."""
    with pytest.raises(BadRequest, match="startTime"):
        parse_asked(f"startTime={text}", is_v1=False)


def test_a_window_may_be_as_short_as_its_digits() -> None:
    """Start and end are compared as they were sent."""
    query = "startTime=2024-01-31T12:00:00.0000001Z&endTime=2024-01-31T12:00:00.0000002Z"

    assert parse_asked(query, is_v1=False).start == parse_asked(query, is_v1=False).end


@given(st.integers(0, MAX_INT64), st.integers(0, MAX_INT64))
def test_tokens_come_back_as_places(after: int, skip: int) -> None:
    """And stand in a URL as they are."""
    token = render_token(Place(after, skip))

    assert parse_token(token) == Place(after, skip)
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=40) | st.text("ABCDEFabcdef0123456789-_", max_size=40))
def test_other_texts_are_no_tokens(text: str) -> None:
    """The check digits tell."""
    with pytest.raises(BadRequest, match="after"):
        parse_token(text)


@given(st.integers(0, 1000), st.data())
def test_a_token_with_a_changed_character_is_none(after: int, data: st.DataObject) -> None:
    """Each character counts."""
    token = render_token(Place(after))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCDwxyz0189-_").filter(lambda letter: letter != token[at]))

    with pytest.raises(BadRequest):
        parse_token(token[:at] + other + token[at + 1 :])
