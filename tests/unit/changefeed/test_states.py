"""States and the text of entries: API rules sections 10.2 and 10.3."""

import json

import pytest

from shared.changefeed.states import Group, address_of, group, left_over, render_entry, state_of
from shared.storage.keys import StudyKey
from tests.unit.changefeed.conftest import entry


@pytest.mark.parametrize(
    ("action", "version", "state"),
    [
        ("create", 1007, "Current"),
        ("update", 1007, "Current"),
        ("create", 1008, "Replaced"),
        ("update", 1008, "Replaced"),
        ("delete", 1008, "Replaced"),
        ("delete", 1007, "Replaced"),
        ("create", None, "Deleted"),
        ("update", None, "Deleted"),
        ("delete", None, "Deleted"),
    ],
)
def test_the_state_is_that_of_the_version_now(action: str, version: int | None, state: str) -> None:
    """Section 10.3. A deletion is never current, though what it removed had its version."""
    assert state_of(entry(7, action=action), version) == state


def test_an_entry_is_written_without_blanks() -> None:
    """Section 10.2: camelCase names, PascalCase values."""
    text = render_entry(entry(7, action="delete"), "Microsoft.Default", "Deleted")

    assert b": " not in text
    assert json.loads(text) == {
        "sequence": 7,
        "partitionName": "Microsoft.Default",
        "studyInstanceUid": "1.2.3",
        "seriesInstanceUid": "1.2.3.4",
        "sopInstanceUid": "1.2.3.4.7",
        "action": "Delete",
        "timestamp": "2024-01-31T12:00:00.0000000Z",
        "state": "Deleted",
    }


def test_instances_are_gathered_by_series_each_once() -> None:
    """In the order of their rows, which is that of text."""
    found = group([entry(10), entry(9), entry(10)])

    key = StudyKey("microsoft.default", "1.2.3")
    assert found == [Group(key, "1.2.3.4", ("1.2.3.4.10", "1.2.3.4.9"))]
    assert address_of(entry(9)).instance == "1.2.3.4.9"


def test_what_a_reading_did_not_reach_is_known() -> None:
    """What lies behind its last row, if it gave all it could."""
    wanted = Group(StudyKey("p", "1"), "2", ("a", "c", "e"))

    assert left_over(wanted, ["a", "b", "c"], limit=3) == ["e"]
    assert left_over(wanted, ["a", "b"], limit=3) == []
    assert left_over(wanted, ["a", "b", "e"], limit=3) == []
