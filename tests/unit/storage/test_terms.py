"""The rows that studies, series and instances have in the search tables."""

import pytest

from shared.storage import index_keys, terms
from shared.storage.compact import unpack_values
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow, Values
from shared.storage.terms import Kind, SearchTable

KEY = StudyKey("p", "1.2")


def tables_of(values: Values) -> list[str]:
    """The tables in which a study with these values has a row, with one name for each row."""
    return sorted(where.table for where in terms.study_rows(KEY, LevelRow(7, 7, values, "")))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["studies"]),
        ({"00100020": {"vr": "LO", "Value": ["1"]}}, ["studies", "studiesByPatientId"]),
        ({"00100020": {"vr": "LO"}}, ["studies"]),
        ({"00100020": {"vr": "LO", "Value": [" \0"]}}, ["studies"]),
        ({"00100020": {"vr": "LO", "Value": [None]}}, ["studies"]),
        ({"00080020": {"vr": "DA", "Value": ["20240131"]}}, ["studies", "studiesByStudyDate"]),
        ({"00080020": {"vr": "DA", "Value": ["2024.01.31"]}}, ["studies"]),
        ({"00080020": {"vr": "DA", "Value": ["٢٠٢٤٠١٣١"]}}, ["studies"]),
        (
            {"00080061": {"vr": "CS", "Value": ["CT", "MR"]}},
            ["studies", "studiesByModality", "studiesByModality"],
        ),
        ({"00080061": {"vr": "CS", "Value": ["CT", "ct "]}}, ["studies", "studiesByModality"]),
        ({"00400000": {"vr": "LO", "Value": ["x"]}}, ["studies"]),
    ],
)
def test_a_study_has_a_row_for_each_value(values: Values, expected: list[str]) -> None:
    """None for what is empty or is no date; one for values that are compared as equal."""
    assert tables_of(values) == expected


def test_a_name_is_found_by_each_of_its_groups_and_by_the_whole() -> None:
    """API rules section 8.4; accents and trailing separators do not count."""
    element = {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarō^^", "Ideographic": "山田^太郎"}]}

    assert terms.terms(Kind.NAME, element) == ["yamada^taro", "山田^太郎", "yamada^taro=山田^太郎"]


def test_of_very_many_values_only_the_first_are_searched() -> None:
    """A hostile file must not make a study cost thousands of rows."""
    element = {"vr": "LO", "Value": [str(number) for number in range(terms.MAX_TERMS + 1)]}

    assert terms.terms(Kind.TEXT, element) == [str(number) for number in range(terms.MAX_TERMS)]


def test_a_row_tells_all_that_a_search_answers() -> None:
    """A page of results is one range of one table."""
    values: Values = {
        "00100020": {"vr": "LO", "Value": ["1"]},
        "00080020": {"vr": "DA", "Value": ["20240131"]},
    }
    rows = terms.study_rows(KEY, LevelRow(9, 7, values, ""))

    assert len(rows) == 3
    for content in rows.values():
        assert unpack_values(content["values"]) == values
    assert {index_keys.study_of_row(where.row) for where in rows} == {"1.2"}


def test_the_keys_follow_the_creation_and_not_the_last_change() -> None:
    """API rules section 8.8: a study does not move when an instance is added."""
    values: Values = {"00100020": {"vr": "LO", "Value": ["1"]}}

    before, after = (terms.study_rows(KEY, LevelRow(revision, 7, values, "")) for revision in (7, 9))

    assert set(before) == set(after)


def test_a_series_has_rows_of_its_own() -> None:
    """By arrival, by UID and by each attribute."""
    values: Values = {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00081090": {"vr": "LO", "Value": ["Model"]},
        "00400244": {"vr": "DA", "Value": ["20240131"]},
    }
    rows = terms.series_rows(KEY, "1.3", LevelRow(7, 7, values, ""))

    assert sorted(where.table for where in rows) == [
        "series", "seriesByManufacturerModelName", "seriesByModality",
        "seriesByPerformedProcedureStepStartDate", "seriesByUid",
    ]  # fmt: skip
    assert {index_keys.series_of_row(where.row) for where in rows} == {("1.2", "1.3")}


def test_what_does_not_exist_has_no_rows() -> None:
    """So all of its rows are taken away."""
    assert terms.study_rows(KEY, None) == {}
    assert terms.series_rows(KEY, "1.3", None) == {}


def test_the_same_instance_uid_in_two_series_has_two_rows() -> None:
    """UIDs are unique per study and series only."""
    one, other = terms.instance_row(KEY, "1.3", "1.4"), terms.instance_row(KEY, "1.5", "1.4")

    assert not set(one) & set(other)
    ((where, content),) = one.items()
    assert where.table == terms.INSTANCES_BY_UID
    assert content == {"study": "1.2", "series": "1.3", "instance": "1.4"}


@pytest.mark.parametrize("table", terms.INDEX_TABLES)
def test_the_name_of_a_table_is_one_that_storage_takes(table: str) -> None:
    """3 to 63 letters and digits, a letter first."""
    assert table.isalnum()
    assert table[0].isalpha()
    assert 3 <= len(table) <= 63


def test_no_two_attributes_share_a_table() -> None:
    """Their values would be found by each other's names."""
    assert len(set(terms.INDEX_TABLES)) == len(terms.INDEX_TABLES)


def ends_of(table: SearchTable, element: dict[str, object]) -> list[str]:
    """The ends that an attribute of a study is found by, as its rows have them."""
    rows = terms.study_rows(KEY, LevelRow(7, 7, {table.tag: element}, ""))
    return [where.partition.removeprefix("p|") for where in rows if where.table == table.ends]


BY_PATIENT_ID = next(table for table in terms.STUDY_TABLES if table.tag == "00100020")
BY_PATIENT_NAME = next(table for table in terms.STUDY_TABLES if table.tag == "00100010")


@pytest.mark.parametrize(
    ("table", "value", "expected"),
    [
        (BY_PATIENT_ID, "", []),
        (BY_PATIENT_ID, "A1", []),
        (BY_PATIENT_ID, "ABC", ["bc=03"]),
        (BY_PATIENT_ID, " abcd ", ["bcd=03", "cd=03"]),
        (BY_PATIENT_ID, "a-bc", ["bc=03"]),
        (BY_PATIENT_ID, "a--", []),
        (BY_PATIENT_NAME, {"Alphabetic": "Doe^Jo"}, ["oe^jo=03", "e^jo=03", "jo=03"]),
        (BY_PATIENT_NAME, {"Alphabetic": "Li", "Ideographic": "李安"}, ["=E5=AE=89=03"]),
        (BY_PATIENT_NAME, {"Alphabetic": "Ré"}, []),
        (BY_PATIENT_NAME, {"Alphabetic": "Abé", "Phonetic": "Abe"}, ["be=03"]),
    ],
)
def test_a_text_has_an_end_wherever_a_piece_may_begin(
    table: SearchTable, value: object, expected: list[str]
) -> None:
    """At a letter or digit with another character behind it; one alone where there are thousands of them."""
    assert ends_of(table, {"vr": "LO", "Value": [value]}) == expected


def test_of_very_long_texts_only_some_ends_are_kept() -> None:
    """A hostile file must not make a study cost thousands of rows."""
    values = ["".join(chr(0x4E00 + 500 * many + at) for at in range(500)) for many in range(10)]

    assert len(ends_of(BY_PATIENT_ID, {"vr": "LO", "Value": values})) == terms.MAX_ENDS
    assert len(ends_of(BY_PATIENT_ID, {"vr": "LO", "Value": values[:1]})) == terms.MAX_END_START - 1


def test_a_name_as_long_as_the_standard_allows_has_all_its_ends() -> None:
    """Three groups of 64 characters (PS3.5 table 6.2-1)."""
    groups = {
        name: "".join(chr(first + at) for at in range(64))
        for name, first in (("Alphabetic", 0x3400), ("Ideographic", 0x4E00), ("Phonetic", 0x5E00))
    }

    assert len(ends_of(BY_PATIENT_NAME, {"vr": "PN", "Value": [groups]})) == 3 * 63


def test_what_lies_in_a_sequence_is_found_in_every_item() -> None:
    """RequestAttributesSequence; damaged items are passed over."""

    def item(text: str) -> dict[str, object]:
        return {"00401001": {"vr": "SH", "Value": [text]}}

    sequence: list[object] = [item("A"), {}, None, {"00401001": None}, item("B")]
    values: Values = {"00400275": {"vr": "SQ", "Value": sequence}}
    rows = terms.series_rows(KEY, "1.3", LevelRow(7, 7, values, ""))

    found = [where.partition for where in rows if where.table == "seriesByRequestedProcedureId"]
    assert found == ["p|a=03", "p|b=03"]
