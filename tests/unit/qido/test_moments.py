"""Dates, times and numbers of searches (API rules section 8.4)."""

from collections.abc import Callable

import pytest

from shared.dicom.tags import Attribute
from shared.errors import BadRequest
from shared.qido.moments import (
    full_date,
    full_moment,
    full_time,
    impossible,
    read_span,
    real_number,
    stored_moment,
    whole_number,
)
from shared.qido.patterns import Number

WEIGHT = Attribute("00101030", "PatientWeight", "DS")


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (full_date, "20240229", "20240229"),
        (full_date, "20230229", None),
        (full_date, "2024022", None),
        (full_date, "2024 229", None),
        (full_date, "2024022\u0669", None),
        (full_time, "10", "100000.000000"),
        (full_time, "1011", "101100.000000"),
        (full_time, "101112.1", "101112.100000"),
        (full_time, "101160", "101160.000000"),
        (full_time, "101161", None),
        (full_time, "10111", None),
        (full_time, "101112.1234567", None),
        (full_time, "1011.5", None),
        (full_moment, "2024", "20240101000000.000000"),
        (full_moment, "202402", "20240201000000.000000"),
        (full_moment, "20240229101112.5", "20240229101112.500000"),
        (full_moment, "20230229", None),
        (full_moment, "2024+0100", None),
        (full_moment, "2024.5", None),
        (stored_moment, "2024022910+0100", "20240229100000.000000"),
        (stored_moment, "2024022910-0500", "20240229100000.000000"),
        (stored_moment, "x", None),
    ],
)
def test_moments_are_written_in_full(
    read: Callable[[str], str | None], text: str, expected: str | None
) -> None:
    """What is left out is taken at its first instant; what is none is none."""
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", ("a", "a")), ("a-b", ("a", "b")), ("a-", ("a", "Z")), ("-b", ("A", "b")), ("b-a", ("b", "a"))],
)
def test_a_range_may_be_open(text: str, expected: tuple[str, str]) -> None:
    """An open end reaches to the bound; in which order the ends are is for the caller."""
    assert read_span(text, WEIGHT, lambda end: end if end.isalpha() else None, ("A", "Z")) == expected


@pytest.mark.parametrize("text", ["-", "1", "a-1", "1-a", "a--b"])
def test_a_range_of_what_is_none_is_refused(text: str) -> None:
    """Section 8.4: a lone dash as well."""
    with pytest.raises(BadRequest):
        read_span(text, WEIGHT, lambda end: end if end.isalpha() else None, ("A", "Z"))


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (whole_number, "0003", 3),
        (whole_number, "-3", -3),
        (whole_number, "3.0", None),
        (whole_number, "", None),
        (real_number, "70.50", 70.5),
        (real_number, "7e1", 70),
        (real_number, "nan", None),
        (real_number, "inf", None),
        (real_number, "x", None),
    ],
)
def test_numbers_are_read(read: Callable[[str], float | None], text: str, expected: float | None) -> None:
    """Section 8.4: integers as integers, the others as doubles."""
    assert read(text) == expected


def test_real_numbers_match_however_they_are_written() -> None:
    """Section 8.4: as FL and FD, so DS."""
    pattern = Number(70.5, real_number)

    assert pattern.accepts({"00101030": {"vr": "DS", "Value": ["70.50"]}}, WEIGHT)
    assert not pattern.accepts({"00101030": {"vr": "DS", "Value": [70]}}, WEIGHT)
    assert not pattern.accepts({}, WEIGHT)


def test_a_refusal_names_value_and_attribute() -> None:
    """Section 23, L-05: to the client alone, whose value it is."""
    assert "Number value 'x' is invalid for attribute 'PatientWeight'" in str(impossible("x", WEIGHT))
