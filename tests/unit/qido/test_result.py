"""Which attributes a search answers with (API rules section 8.7)."""

import pytest

from shared.dicom.tags import SearchLevel
from shared.qido.result import (
    COMPUTED,
    Wanted,
    count_element,
    make_dataset,
    make_wanted,
    uid_element,
    url_element,
)

STUDY, SERIES, INSTANCE = SearchLevel
UIDS = {"0020000D", "0020000E", "00080018"}
V2_STUDY = {"00080020", "00081030", "00080050", "00080090", "00100010", "00100020", "00100030"}
V2_SERIES = {"00080060", "00400244", "00081090"}


def wanted(
    *levels: SearchLevel, is_v1: bool = False, every: bool = False, included: tuple[str, ...] = ()
) -> Wanted:
    """What is wanted without search keys."""
    return make_wanted(levels, is_v1=is_v1, include_all=every, included=included, matched=())


def test_a_level_has_its_defaults() -> None:
    """The v2 column; the UIDs of levels below have no value to show."""
    assert wanted(STUDY).tags == V2_STUDY | UIDS
    assert wanted(SERIES).tags == V2_SERIES | UIDS
    assert wanted(STUDY, SERIES, INSTANCE).tags == V2_STUDY | V2_SERIES | UIDS


def test_v1_has_other_defaults() -> None:
    """The v1 column: without the description, with times and identifiers."""
    tags = wanted(STUDY, is_v1=True).tags

    assert "00081030" not in tags
    assert {"00080005", "00080030", "00100040", "00200010"} <= tags


@pytest.mark.parametrize("levels", [(STUDY,), (SERIES,), (INSTANCE,), (STUDY, SERIES, INSTANCE)])
def test_all_holds_nothing_computed_and_needs_no_metadata(levels: tuple[SearchLevel, ...]) -> None:
    """Computed attributes come only by name; all others are in the search rows."""
    everything = wanted(*levels, every=True)

    assert not everything.tags & COMPUTED
    assert everything.extra == frozenset()
    assert everything.tags > wanted(*levels).tags


@pytest.mark.parametrize(
    ("included", "extra"),
    [
        (("00100040",), frozenset()),
        (("00081030", "00200010"), frozenset()),
        (("00280010",), {"00280010"}),
        (("00111001", "00100040"), {"00111001"}),
        (("00201208",), frozenset()),
        (("00081190",), frozenset()),
    ],
)
def test_metadata_are_read_only_for_what_no_row_holds(included: tuple[str, ...], extra: set[str]) -> None:
    """Section 8.7, speed."""
    asked = wanted(STUDY, included=included)

    assert set(included) <= asked.tags
    assert asked.extra == extra


def test_search_keys_come_back() -> None:
    """Section 8.7: match attributes are part of the answer."""
    asked = make_wanted((STUDY,), is_v1=False, include_all=False, included=(), matched=("00080061",))

    assert asked.asks("00080061")
    assert asked.asks("00201208", "00080061")
    assert not asked.asks("00201208", "00201209")


def test_a_dataset_has_what_is_wanted_and_there() -> None:
    """Ascending, without placeholders; the last source counts."""
    asked = Wanted(frozenset({"00100020", "00080020", "0020000D"}), frozenset())

    dataset = make_dataset(
        asked,
        {"00100020": {"vr": "LO", "Value": ["old"]}, "00100010": {"vr": "PN"}},
        {"00100020": {"vr": "LO", "Value": ["new"]}},
        {"0020000D": uid_element("1.2")},
    )

    assert dataset == {"00100020": {"vr": "LO", "Value": ["new"]}, "0020000D": {"vr": "UI", "Value": ["1.2"]}}
    assert list(dataset) == ["00100020", "0020000D"]


def test_computed_values_are_elements() -> None:
    """PS3.18 annex F."""
    assert count_element(3) == {"vr": "IS", "Value": [3]}
    assert url_element("http://x") == {"vr": "UR", "Value": ["http://x"]}
