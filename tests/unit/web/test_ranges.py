"""Range, If-Range and If-None-Match (RFC 9110 sections 13 and 14; clients section 3.6)."""

import pytest

from shared.web.etag import strong_etag
from shared.web.ranges import ByteRange, Conditions, Unsatisfiable, parse_range, unsatisfied

ETAG = strong_etag("a", "b")


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=90-99999999999999999999", 90, 100),
        ("bytes=-10", 90, 100),
        ("bytes=-1000", 0, 100),
        ("Bytes=1-2 ", 1, 3),
    ],
)
def test_a_range_of_a_hundred_bytes(header: str, start: int, end: int) -> None:
    """First and last byte are both meant; what lies behind the end is left out."""
    assert parse_range(header, 100) == ByteRange(start, end)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "byte=0-9",
        "items=0-9",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=9-3",
        "bytes=a-b",
        "bytes=0x1-2",
        "bytes=1.0-2",
        "bytes=--1",
        "bytes=0-9,20-29",
        "bytes=0-9, -1",
        "bytes=" + "1" * 5000 + "-",
    ],
)
def test_what_makes_no_sense_is_ignored(header: str | None) -> None:
    """Section 14.2; MONAI Deploy sends `byte=`. Several ranges may be answered with the whole."""
    assert parse_range(header, 100) is None


@pytest.mark.parametrize(("header", "total"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0)])
def test_a_range_behind_the_end_cannot_be_met(header: str, total: int) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, total)


def test_a_range_says_where_it_lies() -> None:
    assert ByteRange(10, 20).header(100) == "bytes 10-19/100"
    assert unsatisfied(100) == "bytes */100"


@pytest.mark.parametrize(
    ("if_range", "counts"),
    [
        (None, True),
        (ETAG, True),
        (f"W/{ETAG}", False),
        ('"x"', False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", False),
    ],
)
def test_if_range_must_name_exactly_this_version(if_range: str | None, counts: bool) -> None:
    """Section 13.1.5: else the whole is sent."""
    conditions = Conditions(range="bytes=0-1", if_range=if_range)

    assert conditions.range_of(ETAG) == ("bytes=0-1" if counts else None)


def test_a_range_means_nothing_to_head() -> None:
    """Section 14.2: it is defined for GET alone."""
    assert Conditions(body=False, range="bytes=0-1").range_of(ETAG) is None


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [(None, False), (ETAG, True), (f'"x", W/{ETAG}', True), ("*", True), ('"x"', False)],
)
def test_who_has_it_already_is_told_so(if_none_match: str | None, known: bool) -> None:
    assert Conditions(if_none_match=if_none_match).is_known(ETAG) is known


def test_a_strong_tag_is_quoted_and_tells_identities_apart() -> None:
    assert ETAG.startswith('"')
    assert strong_etag("a", "b") == ETAG
    assert len({ETAG, strong_etag("a"), strong_etag("b", "a"), strong_etag("ab")}) == 4
