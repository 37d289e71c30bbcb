from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.storage.entities import Value, check_key, parse_entity, render_entity

CASES: list[Value] = [
    "",
    "text",
    "Ünïcödé 漢字 😀 \"quoted\" 'single' \\ \r\n\t\x00",
    0,
    -(2**63),
    2**63 - 1,
    True,
    False,
    0.0,
    3.0,
    -1.5e300,
    float("inf"),
    float("-inf"),
    b"",
    bytes(range(256)),
    datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC),
    datetime(1601, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


@pytest.mark.parametrize("value", CASES)
def test_a_value_comes_back_as_it_was(value: Value) -> None:
    found = parse_entity(render_entity("p", "r", {"value": value}))

    assert found.values["value"] == value
    assert type(found.values["value"]) is type(value)


def test_a_time_comes_back_in_utc() -> None:
    noon = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

    found = parse_entity(render_entity("p", "r", {"value": noon}))

    assert found.values["value"] == datetime(2024, 1, 1, 10, tzinfo=UTC)


def test_a_time_finer_than_ours_is_cut() -> None:
    found = parse_entity(
        {
            "PartitionKey": "p",
            "RowKey": "r",
            "t@odata.type": "Edm.DateTime",
            "t": "2024-01-01T00:00:00.1234567Z",
        }
    )

    assert found.values == {"t": datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)}


def test_a_selected_property_the_row_has_not_is_absent() -> None:
    """The real service sends null for it, the emulator nothing."""
    found = parse_entity(
        {"PartitionKey": "p", "RowKey": "r", "a": None, "b@odata.type": "Edm.Int64", "b": None}
    )

    assert found.values == {}


@pytest.mark.parametrize("character", ["/", "\\", "#", "?", "\x00", "\n", "\x1f", "\x7f", "\x9f", "\ud800"])
def test_a_key_the_real_service_refuses_is_refused(character: str) -> None:
    with pytest.raises(ValueError, match="key"):
        check_key(f"a{character}b")


@pytest.mark.parametrize("key", ["", "a" * 512, "é" * 512, "😀" * 256, "a|b'c%d+e=f&g h^~"])
def test_a_key_the_real_service_takes_is_taken(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["a" * 513, "é" * 513, "😀" * 257])
def test_a_key_longer_than_a_kilobyte_of_utf16_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="1024"):
        check_key(key)


def test_the_largest_properties_fit() -> None:
    values: dict[str, Value] = {"text": "é" * 32768, "bytes": b"x" * 65536}

    assert parse_entity(render_entity("p", "r", values)).values == values


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"a": "é" * 32769}, "65538"),
        ({"a": b"x" * 65537}, "65537"),
        ({f"a{number}": b"x" * 65536 for number in range(16)}, "1048576"),
        ({f"a{number}": 1 for number in range(253)}, "252"),
        ({"a": 2**63}, "64 bits"),
        ({"a": datetime(2024, 1, 1)}, "time zone"),
        ({"a": datetime(1600, 12, 31, tzinfo=UTC)}, "1601"),
        ({"a": "\ud800"}, "Unicode"),
        ({"a": None}, "NoneType"),
        ({"a": ["list"]}, "list"),
        ({"a-b": 1}, "name"),
        ({"1a": 1}, "name"),
        ({"a" * 256: 1}, "name"),
        ({"RowKey": "x"}, "name"),
        ({"Timestamp": "x"}, "name"),
    ],
)
def test_what_the_real_service_refuses_is_refused_here(values: dict[str, Value], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        render_entity("p", "r", values)


def test_the_most_properties_fit() -> None:
    assert len(render_entity("p", "r", {f"a{number}": "x" for number in range(252)})) == 254


def test_a_refusal_does_not_show_the_value() -> None:
    with pytest.raises(ValueError, match="name: ") as caught:
        render_entity("p", "r", {"name": "Doe^Jane\ud800"})

    assert "Doe" not in str(caught.value)
    assert caught.value.__suppress_context__
