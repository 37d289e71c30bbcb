"""Rows of the archive as values, and back."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage import rows
from shared.storage.entities import Row
from shared.storage.rows import (
    MAX_BULK_BYTES,
    MAX_INLINE_BYTES,
    MAX_PROPERTY_BYTES,
    MAX_VALUES_BYTES,
    Change,
    Location,
    NewInstance,
)
from shared.storage.tables import Value

MAX_PROPERTY_CHARACTERS = 32 * 1024
"""Of text, which is kept as UTF-16."""


def new(metadata: bytes = b"m", frames: bytes | None = b"f") -> NewInstance:
    """An instance with these details."""
    return NewInstance(
        series="1.3",
        instance="1.4",
        version=99,
        location=Location("blob", 5, 1 << 40),
        transfer_syntax="1.2.840.10008.1.2.1",
        study_values={},
        series_values={},
        values={"00280010": {"vr": "US", "Value": [512]}},
        metadata=metadata,
        frames=frames,
    )


def row(key: str, values: Mapping[str, Value]) -> Row:
    """A row as it is read."""
    return Row("p|1.2", key, values, etag="etag")


@pytest.mark.parametrize("size", [0, 1, MAX_PROPERTY_BYTES, MAX_PROPERTY_BYTES + 1, MAX_INLINE_BYTES])
def test_an_instance_comes_back_as_it_went(size: int) -> None:
    """Details are spread over as many properties as they need."""
    details = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    properties = rows.render_instance(new(details, details))
    found = rows.parse_instance(row("instance|1.3|1.4", properties), "1.2")

    assert (found.study, found.series, found.instance) == ("1.2", "1.3", "1.4")
    assert (found.version, found.location, found.etag) == (99, Location("blob", 5, 1 << 40), "etag")
    assert (found.metadata, found.frames, found.has_frames) == (details, details, True)
    assert found.values == {"00280010": {"vr": "US", "Value": [512]}}
    assert all(len(value) <= MAX_PROPERTY_BYTES for value in properties.values() if isinstance(value, bytes))


@pytest.mark.parametrize("size", [0, 1, MAX_BULK_BYTES])
def test_an_index_of_bulk_values_comes_back_as_it_went(size: int) -> None:
    """In one property; nothing is none."""
    properties = rows.render_instance(replace(new(), bulk=bytes(size)))
    found = rows.parse_instance(row("instance|1.3|1.4", properties), "1.2")

    assert (found.bulk, found.bulk_blob) == (bytes(size), "")
    assert set(properties) & set(rows.BULK) == ({"bulk0"} if size else set())


def test_everything_that_may_lie_in_a_row_fits_an_entity() -> None:
    """1 MiB with names and types (limits of Table storage)."""
    large = bytes(MAX_INLINE_BYTES)
    properties = rows.render_instance(replace(new(large, large), bulk=bytes(MAX_BULK_BYTES)))

    binary = sum(len(value) for value in properties.values() if isinstance(value, bytes))
    assert binary + 2 * MAX_VALUES_BYTES < 1024 * 1024 - 16 * 1024


def test_an_instance_without_pixels_says_so() -> None:
    """No index is not an empty index."""
    found = rows.parse_instance(row("instance|1.3|1.4", rows.render_instance(new(frames=None))), "1.2")

    assert not found.has_frames
    assert found.frames == b""


def test_what_lies_in_a_blob_is_not_in_the_row() -> None:
    """Only its name is."""
    large = bytes(MAX_INLINE_BYTES + 1)
    blobs = {"metadata_blob": "m", "frames_blob": "f", "bulk_blob": "b"}
    instance = replace(new(large, large), bulk=large, **blobs)  # type: ignore[arg-type]  # all are text
    properties = rows.render_instance(instance)
    found = rows.parse_instance(row("instance|1.3|1.4", properties), "1.2")

    assert found.details == instance.details == ("m", "f", "b")
    assert found.has_frames
    assert (found.metadata, found.frames, found.bulk) == (b"", b"", b"")
    assert rows.row_bytes(instance) < 4096


def test_what_was_not_selected_is_empty() -> None:
    """A query names the properties it needs."""
    found = rows.parse_instance(row("instance|1.3|1.4", {"version": 7}), "1.2")

    assert found.version == 7
    assert found.location == Location("", 0, 0)


@pytest.mark.parametrize("size", [0, 1000, MAX_INLINE_BYTES])
def test_the_size_of_a_row_is_not_underestimated(size: int) -> None:
    """Binary properties travel in base64, and a transaction has a limit."""
    details = bytes(size)

    assert rows.row_bytes(replace(new(details, details), bulk=details)) >= 3 * size * 4 // 3


def test_a_level_comes_back_as_it_went() -> None:
    """With text of any script."""
    values = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller", "Ideographic": "山田"}]}}

    found = rows.parse_level(row("study", rows.render_level(values, revision=9, created=7)))

    assert (found.revision, found.created, found.values, found.etag) == (9, 7, values, "etag")


def text(length: int, character: str = "x") -> dict[str, object]:
    """An element of so many characters."""
    return {"vr": "UT", "Value": [character * length]}


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({}, []),
        ({"1": text(10), "2": text(10)}, ["1", "2"]),
        ({"1": text(10), "2": text(40_000)}, ["1"]),
        ({"1": text(20_000), "2": text(10), "3": text(15_000)}, ["2", "3"]),
        ({"1": text(29_000, "\U0001f600"), "2": text(14_000)}, ["2"]),
    ],
)
def test_the_longest_elements_are_left_out_of_searches(
    values: dict[str, dict[str, object]], kept: list[str]
) -> None:
    """As few as make the others fit a property; metadata have them whole."""
    found = rows.indexable(values)

    assert list(found) == kept
    assert len(rows.render_values(found).encode("utf-16-le")) <= MAX_PROPERTY_BYTES


CHANGES = st.builds(
    Change,
    st.text("0123456789.", min_size=1),
    st.text("0123456789.", min_size=1),
    st.integers(min_value=0, max_value=(1 << 63) - 1),
    st.builds(Location, st.text(min_size=1), st.integers(min_value=0), st.integers(min_value=0)),
    st.lists(st.text(min_size=1), max_size=2).map(tuple),
)


@given(st.lists(CHANGES))
def test_changes_come_back_as_they_went(changes: list[Change]) -> None:
    """As one text."""
    assert rows.parse_changes(rows.render_changes(changes)) == tuple(changes)


@given(st.text(), st.integers(min_value=1, max_value=7))
def test_long_text_comes_back_whole(text: str, size: int) -> None:
    """However it was cut."""
    properties = rows.cut_text("name", text, characters=size)

    assert rows.joined_text(row("r", {**properties, "other0": "x"}), "name") == text
    assert all(0 < len(str(value)) <= size for value in properties.values())


def test_pieces_of_text_fit_a_property() -> None:
    """What is cut so is ASCII: JSON with escapes, or keys."""
    change = Change("1.3", "1.4", 1, Location("\U0001f600", 0, 1))
    text = rows.render_changes([change] * 3000)

    properties = rows.cut_text("name", text)

    assert text.isascii()
    assert max(len(str(value)) for value in properties.values()) <= MAX_PROPERTY_CHARACTERS
    assert len(properties) > 1


def test_more_than_ten_pieces_keep_their_order() -> None:
    """Pieces are numbered, not sorted as text."""
    text = "".join(chr(0x4E00 + number) for number in range(25))

    assert rows.joined_text(row("r", rows.cut_text("n", text, characters=1)), "n") == text
