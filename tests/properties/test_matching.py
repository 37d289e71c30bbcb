"""The reference matches as examples of the standard and the API rules say: wrong, it would be of no use."""

from typing import Any

import pytest

from tests.properties import matching
from tests.properties.reference import File, Key, Level, Order, Query, Reference, is_ordered, orders

JOHN = {"Alphabetic": "John^Doe"}
YAMADA = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}


@pytest.mark.parametrize("asked", ["joh", "do", "jo do", "Doe", "John Doe", "JÖHN", "john^doe", "d"])
def test_words_match_by_their_beginnings(asked: str) -> None:
    """API rules section 8.5, whose examples these are."""
    assert matching.matches_words(asked, JOHN)


@pytest.mark.parametrize("asked", ["ohn", "do jo", "john x", "johnd"])
def test_other_words_do_not_match(asked: str) -> None:
    """API rules section 8.5: from the beginning of a word, in order, one behind the other."""
    assert not matching.matches_words(asked, JOHN)


@pytest.mark.parametrize(
    ("vr", "asked", "value", "matches"),
    [
        ("LO", "CHEST ", "chest", True),
        ("LO", "chest", "chest\0", True),
        ("LO", "Grosse", "Größe", False),
        ("LO", "GRÖSSE", "Größe", True),
        ("LO", "che", "chest", False),
        ("LO", "che*", "chest", True),
        ("LO", "*es*", "chest", True),
        ("LO", "c?est", "chest", True),
        ("LO", "c?hest", "chest", False),
        ("SH", "a.b", "axb", False),
        ("PN", "muller^jorg", {"Alphabetic": "Müller^Jörg"}, True),
        ("PN", "山田^太郎", YAMADA, True),
        ("PN", "Yamada^Tarou=山田^太郎=やまだ^たろう", YAMADA, True),
        ("PN", "Yamada^Tarou=山田^太郎", YAMADA, False),
        ("PN", "Li==り", {"Alphabetic": "Li", "Phonetic": "り"}, True),
        ("PN", "Doe^Jane^", {"Alphabetic": "Doe^Jane"}, True),
        ("UI", "1.2\\1.3", "1.3", True),
        ("UI", "1.2,1.3", "1.3\0", True),
        ("UI", "1.2", "1.20", False),
        ("IS", "0003", 3, True),
        ("DA", "20240101-20240131", "20240131", True),
        ("DA", "-20240131", "20240201", False),
        ("DA", "20240101-", "20240101", True),
        ("DA", "20230101-", "20230229", False),
        ("TM", "10", "100000", True),
        ("TM", "10-11", "110000", True),
        ("TM", "10-11", "110001", False),
        ("TM", "-0959", "095959", False),
    ],
)
def test_a_value_matches_by_the_rules_of_its_vr(vr: str, asked: str, value: Any, matches: bool) -> None:
    """API rules section 8.4, PS3.4 C.2.2.2."""
    assert matching.matches_value(vr, asked, value, fuzzy=False) == matches


def test_a_range_of_dates_and_one_of_times_are_one_range() -> None:
    """PS3.4 C.2.2.2.5: of the example's range the night between belongs to it, in contrast to two ranges."""
    keys = (Key("StudyDate", "20060705-20060707"), Key("StudyTime", "1000-1800"))
    archive = archive_of(StudyDate=["20060706"], StudyTime=["0300"])

    assert archive.find(Query(Level.STUDY, keys))


def test_members_of_a_sequence_match_within_one_item() -> None:
    """PS3.4 C.2.2.2.6."""
    items = [{"00400009": {"Value": ["A"]}, "00401001": {"Value": ["X"]}}, {"00400009": {"Value": ["B"]}}]
    archive = archive_of(RequestAttributesSequence=items)
    step, procedure = (
        f"RequestAttributesSequence.{name}" for name in ("ScheduledProcedureStepID", "RequestedProcedureID")
    )

    assert archive.find(Query(Level.SERIES, (Key(step, "A"), Key(procedure, "X"))))
    assert not archive.find(Query(Level.SERIES, (Key(step, "B"), Key(procedure, "X"))))


def test_several_values_are_any_of_them_or_all() -> None:
    """Clients section 3.3 and, with `multiplevaluematching`, PS3.4 C.2.2.2.8."""
    archive = archive_of(Modality=["CT"])
    keys = (Key("ModalitiesInStudy", "CT,MR"),)

    assert archive.find(Query(Level.STUDY, keys))
    assert not archive.find(Query(Level.STUDY, keys, every=True))


def test_the_latest_value_counts_and_nothing_does_not() -> None:
    """API rules section 3.9."""
    archive = archive_of(PatientID=["first"], StudyID=["1"])
    archive.store([File("1", "1", "2", {"PatientID": ["second"]})])
    (found,) = archive.find(Query(Level.STUDY))

    assert (found.values["PatientID"], found.values["StudyID"]) == (["second"], ["1"])


def test_what_is_deleted_is_not_found() -> None:
    """API rules section 9."""
    archive = archive_of()

    assert archive.delete("1", "1", "1")
    assert not archive.find(Query(Level.STUDY))
    assert not archive.delete("1")


def test_the_newest_comes_first() -> None:
    """API rules section 8.8."""
    archive = archive_of()
    archive.store([File("2", "1", "1", {})])
    found = sorted(archive.find(Query(Level.STUDY)), key=lambda each: each.uids)

    assert orders(Query(Level.STUDY))[0] == Order()
    assert is_ordered(found[::-1], Order())
    assert not is_ordered(found, Order())


def archive_of(**values: list[Any]) -> Reference:
    """An archive of one instance."""
    archive = Reference()
    archive.store([File("1", "1", "1", values)])
    return archive
