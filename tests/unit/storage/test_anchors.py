"""What the anchor of a series says."""

from collections.abc import Mapping

import pytest

from shared.storage import keys
from shared.storage.anchors import Joined, Summary, parse_anchor, render_change, render_summary
from shared.storage.keys import study_key
from shared.storage.planning import Known, plan_commit
from shared.storage.rows import LevelRow
from shared.storage.tables import Row, Value
from shared.web.splice import Sum
from tests.unit.storage.test_planning import new

ROW = keys.anchor_row("1.3", 50)
SMALL = Summary(3, 7, None)
LARGE = Summary(1000, 7, Joined("blob", 12, Sum(2**32 - 1, 2**33), "https://h/v2"))


def anchor(*written: Mapping[str, Value]) -> Row:
    """An anchor into which several changes were merged."""
    values = {name: value for each in written for name, value in each.items()}
    return Row("p|1.2", ROW, values, "etag")


@pytest.mark.parametrize("summary", [SMALL, LARGE])
def test_a_summary_holds_as_long_as_the_state_is_the_same(summary: Summary) -> None:
    """Whoever changes instances needs not know what was noted."""
    noted = parse_anchor(anchor(render_change(10), render_summary(10, summary)))
    changed = parse_anchor(anchor(render_change(10), render_summary(10, summary), render_change(11)))

    assert (noted.series, noted.row, noted.etag, noted.state) == ("1.3", ROW, "etag", 10)
    assert noted.summary == summary
    assert (changed.state, changed.summary) == (11, None)


def test_a_series_that_is_not_joined_any_more_names_no_blob() -> None:
    """What was noted before is overwritten."""
    found = parse_anchor(anchor(render_change(10), render_summary(10, LARGE), render_summary(10, SMALL)))

    assert found.summary == SMALL


def test_a_change_takes_the_name_of_the_blob_away() -> None:
    """Else nobody would know that it can go."""
    assert anchor(render_summary(10, LARGE), render_change(11)).values["joinedBlob"] == ""


def test_an_anchor_of_before_says_nothing() -> None:
    """Written by a version of the service that kept nothing there."""
    assert parse_anchor(anchor()).summary is None
    assert parse_anchor(anchor()).state == 0


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_changing", [True, False])
def test_every_commit_writes_its_version_into_the_anchors_of_its_series(
    is_known: bool, is_changing: bool
) -> None:
    """Whatever becomes of the rows of study and series."""
    seen = LevelRow(50, 40, {}, "etag") if is_known else None
    values = {"0008103E": {"vr": "LO", "Value": ["new"]}} if is_changing else {}

    made = plan_commit(study_key("p", "1.2"), Known(seen, {"1.3": seen}), [new(of_series=values)], 99)

    said = [each.values for each in made.operations if each.row.startswith("anchor|1.3|") and each.values]
    assert said == [render_change(99)]


def test_the_anchors_of_all_series_lie_apart_from_that_of_the_study() -> None:
    """The study's anchor has no UID."""
    start, end = keys.anchor_rows(None)
    first, last = keys.anchor_rows("1.3")

    assert all(start <= keys.anchor_row(series, 2**62) < end for series in ("0", "1.3", "2.25.9"))
    assert not start <= keys.anchor_row("", 1) < end
    assert first <= keys.anchor_row("1.3", 2**62) < last
    assert not any(first <= keys.anchor_row(series, 1) < last for series in ("", "1.3.1", "1.30", "1.2"))
