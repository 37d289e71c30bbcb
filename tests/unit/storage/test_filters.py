from datetime import UTC, datetime

import pytest

from shared.storage.entities import Value
from shared.storage.filters import after, both, either, equal, less, literal, starting


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("O'Neil' or '1' eq '1", "'O''Neil'' or ''1'' eq ''1'"),
        (5, "5L"),
        (True, "true"),
        (1.5, "1.5"),
        (b"\x01\xff", "X'01ff'"),
        (datetime(2024, 1, 1, tzinfo=UTC), "datetime'2024-01-01T00:00:00.000000Z'"),
    ],
)
def test_a_value_is_quoted_by_its_type(value: Value, expected: str) -> None:
    assert literal(value) == expected


def test_alternatives_stay_together_within_a_conjunction() -> None:
    condition = both(either(equal("a", 1), equal("a", 2)), less("b", 3))

    assert condition == "((a eq 1L) or (a eq 2L)) and b lt 3L"


def test_a_prefix_ends_before_the_next_key() -> None:
    assert starting("p", "ab") == "PartitionKey eq 'p' and RowKey ge 'ab' and RowKey lt 'ac'"


def test_rows_after_a_key_do_not_include_it() -> None:
    assert after("p", "it's") == "PartitionKey eq 'p' and RowKey gt 'it''s'"
