"""Names and keys: safe for storage, one for each thing, and in the order they are read."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage import index_keys, keys
from shared.storage.keys import Scope, StudyKey, study_key

FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
"""What Table storage refuses in keys."""

MAX_KEY_CHARACTERS = 512
"""A kibibyte of UTF-16."""

VERSIONS = st.integers(min_value=0, max_value=(1 << 63) - 1)
UIDS = st.text("0123456789.", min_size=1, max_size=64)
DATES = st.dates().map(lambda date: date.strftime("%Y%m%d").zfill(8))


def test_a_partition_is_compared_without_case() -> None:
    """API rules section 15."""
    assert study_key("Ward-A", "1.2") == study_key("WARD-a", "1.2")
    assert study_key("a", "1.2") != study_key("b", "1.2")


@pytest.mark.parametrize(
    ("scope", "level"),
    [
        (Scope(StudyKey("p", "1")), "study"),
        (Scope(StudyKey("p", "1"), "2"), "series"),
        (Scope(StudyKey("p", "1"), "2", "3"), "instance"),
    ],
)
def test_a_scope_knows_its_level(scope: Scope, level: str) -> None:
    """For messages to clients."""
    assert scope.level == level


@given(VERSIONS, VERSIONS)
def test_versions_sort_as_text(one: int, other: int) -> None:
    """Rising, and the other way for what is read newest first."""
    assert (keys.hex_version(one) < keys.hex_version(other)) == (one < other)
    assert (keys.newest_first(one) < keys.newest_first(other)) == (one > other)


@given(DATES, DATES)
def test_dates_sort_newest_first(one: str, other: str) -> None:
    """By month in partitions and by day in keys."""
    assert (index_keys.invert_digits(one) < index_keys.invert_digits(other)) == (one > other)
    assert index_keys.invert_digits(index_keys.invert_digits(one)) == one
    if one[:6] != other[:6]:
        inverted = index_keys.date_partition("p", one) < index_keys.date_partition("p", other)
        assert inverted == (one > other)


@given(VERSIONS, VERSIONS)
def test_arrivals_sort_newest_first(one: int, other: int) -> None:
    """Partition first, then key, as a query over partitions returns rows."""
    first, second = (
        (index_keys.arrival_partition("p", version), keys.newest_first(version)) for version in (one, other)
    )

    assert (first < second) == (one > other)


@given(st.text(max_size=300))
def test_any_text_makes_a_key(text: str) -> None:
    """No character that storage refuses, no bar that would split the key, and short enough."""
    encoded = index_keys.term(index_keys.fold(text))

    assert not FORBIDDEN.search(encoded)
    assert "|" not in encoded
    assert len(encoded) + 2 * 64 + 20 < MAX_KEY_CHARACTERS
    assert encoded.isascii()


@given(st.text(max_size=60), st.text(max_size=60))
def test_different_texts_make_different_keys(one: str, other: str) -> None:
    """Also where one is cut and ends in its digest."""
    assert (index_keys.term(one) == index_keys.term(other)) == (one == other)
    assert (index_keys.term("ä" * 64 + one) == index_keys.term("ä" * 64 + other)) == (one == other)


@pytest.mark.parametrize("text", [*string.printable, "ä", "\0", "\ud7ff", "\U0001f600"])
def test_every_character_can_end_the_range_of_its_key(text: str) -> None:
    """All rows of a term lie between the term's bar and the mark that sorts after all."""
    encoded = index_keys.term(text)
    row = f"{encoded}|{keys.newest_first(5)}|1.2.3"

    assert f"{encoded}|" <= row < f"{encoded}|{keys.AFTER}"


@pytest.mark.parametrize(
    ("one", "other"),
    [("ABC", "abc"), (" a b ", "A B"), ("a\0\0", "A"), ("STRASSE", "straße"), ("e\u0301", "\xe9")],
)
def test_texts_that_are_compared_as_equal(one: str, other: str) -> None:
    """API rules section 8.4: case, padding and how an accent is written do not count."""
    assert index_keys.fold(one) == index_keys.fold(other)


def test_accents_count_in_texts_but_not_in_names() -> None:
    """API rules section 8.4."""
    assert index_keys.fold("José") != index_keys.fold("Jose")
    assert index_keys.fold_name("JOSÉ") == index_keys.fold_name("jose")
    assert index_keys.fold_name("Ångström") == index_keys.fold_name("angstrom")


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    """A folded value may be folded again without being missed."""
    assert index_keys.fold_name(index_keys.fold_name(text)) == index_keys.fold_name(text)


@given(UIDS, UIDS, VERSIONS)
def test_keys_of_the_archive_are_safe(series: str, instance: str, version: int) -> None:
    """UIDs, versions and the words before them hold nothing that storage refuses."""
    for row in (
        keys.series_row(series),
        keys.instance_row(series, instance),
        keys.anchor_row(series, version),
        keys.pending_row(version),
        keys.purge_row(version),
    ):
        assert not FORBIDDEN.search(row)
        assert len(row) < MAX_KEY_CHARACTERS


@given(UIDS, UIDS, UIDS)
def test_the_instances_of_a_series_are_one_range(series: str, instance: str, other: str) -> None:
    """A series whose UID begins like another's does not see that one's instances."""
    first, end = keys.instance_rows(series)

    assert first <= keys.instance_row(series, instance) < end
    if other != series:
        assert not first <= keys.instance_row(other, instance) < end


@pytest.mark.parametrize("kind", ["series", "pending", "purge", "instance"])
def test_each_kind_of_row_is_one_range(kind: str) -> None:
    """No kind reaches into another's, nor to the study's own row."""
    rows = {
        "study": keys.STUDY_ROW,
        "series": keys.series_row("1.2"),
        "instance": keys.instance_row("1.2", "1.3"),
        "anchor": keys.anchor_row("", 1),
        "pending": keys.pending_row(1),
        "purge": keys.purge_row((1 << 63) - 1),
    }
    first, end = keys.instance_rows(None) if kind == "instance" else keys.rows_of(kind)

    assert [name for name, row in rows.items() if first <= row < end] == [kind]


@given(st.from_regex(r"[a-z0-9_.-]{1,64}", fullmatch=True), UIDS, VERSIONS)
def test_the_blob_of_a_change_names_it(partition: str, study: str, version: int) -> None:
    """What a trigger gets is the name, and nothing else."""
    key = StudyKey(partition, study)

    assert keys.parse_change_blob(keys.change_blob(key, version)) == (key, version)


@pytest.mark.parametrize(
    "name",
    [
        *("x", "a/b", "zz/p/1.2", "1/2/3/4"),
        *(f"{1:016x}/p/1.2'3", f"{1:016x}/p|q/1.2", f"{1:016x}/P?/1.2", f"{1:016x}/../1.2", f"{1:016x}/p/"),
        *("000000000000_001/p/1.2", "1/p/1.2", f"{1:016X}a/p/1.2", "ffffffffffffffff/p/1.2"),
    ],
)
def test_a_blob_that_is_no_change_is_told(name: str) -> None:
    """Somebody else's blob in the container."""
    with pytest.raises(ValueError, match=r"unpack|invalid literal|no change"):
        keys.parse_change_blob(name)


@given(VERSIONS, VERSIONS)
def test_changes_sort_oldest_first(one: int, other: int) -> None:
    """Whatever the study: the feed enters them in that order."""
    first, second = keys.change_blob(StudyKey("z", "9"), one), keys.change_blob(StudyKey("a", "1"), other)

    assert one == other or (first < second) == (one < other)


def test_everything_of_a_study_lies_in_its_folder() -> None:
    """So that the sweep can list it; a study whose UID begins alike has another folder."""
    key, alike = StudyKey("p", "1.2"), StudyKey("p", "1.23")
    blobs = [
        keys.instance_blob(key, "1", "2", 3),
        keys.pack_blob(key, 3),
        keys.detail_blob(key, "1", "2", 3, "metadata"),
        keys.detail_blob(key, "1", "2", 3, "frames"),
    ]

    assert all(blob.startswith(key.folder) for blob in blobs)
    assert not any(blob.startswith(alike.folder) for blob in blobs)
    assert len(set(blobs)) == 4
    assert [keys.is_pack(blob) for blob in blobs] == [False, True, False, False]


def test_a_study_is_found_by_its_partition_of_the_archive() -> None:
    """The table of active studies keeps that name only."""
    key = StudyKey("ward_a.b-c", "1.2.3")

    assert keys.study_of(key.archive) == key


def test_active_studies_are_spread() -> None:
    """Over few partitions, always the same one for a study."""
    shards = {keys.active_key(StudyKey("p", f"1.{number}"))[0] for number in range(500)}

    assert len(shards) == 16
    assert keys.active_key(StudyKey("p", "1.1")) == keys.active_key(StudyKey("p", "1.1"))


def test_uids_made_together_share_a_partition() -> None:
    """So that the instances of a request share a transaction; random UIDs are spread over a few."""
    scanner = {index_keys.uid_partition("p", f"1.2.840.7.{number}") for number in range(100)}
    random_uids = {index_keys.uid_partition("p", f"2.25.{10**30 + number * 7919}") for number in range(100)}

    assert len(scanner) == 1
    assert len(random_uids) == 4
    assert index_keys.uid_partition("p", "1") != index_keys.uid_partition("q", "1")
