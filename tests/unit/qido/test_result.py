"""Which attributes a search answers with (API rules section 8.7)."""

import pytest

from shared.dicom.tags import SearchLevel
from shared.qido.result import (
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
# What the standard and viewers need besides (clients section 3.3).
MORE_STUDY = {
    "00080030", "00080056", "00080061", "00080201", "00081190", "00100040", "00200010", "00201206",
    "00201208",
}  # fmt: skip
MORE_SERIES = {"0008103E", "00080201", "00081190", "00200011", "00201209", "00400245", "00400275"}
MORE_INSTANCE = {
    "00080016", "00080056", "00080201", "00081190", "00200013", "00280008", "00280010", "00280011",
    "00280100",
}  # fmt: skip


def wanted(
    *levels: SearchLevel, is_v1: bool = False, every: bool = False, included: tuple[str, ...] = ()
) -> Wanted:
    """What is wanted without search keys."""
    return make_wanted(levels, is_v1=is_v1, include_all=every, included=included, matched=())


def test_a_level_has_its_defaults() -> None:
    """The v2 column and what viewers need; the UIDs of levels below have no value to show."""
    assert wanted(STUDY).tags == V2_STUDY | MORE_STUDY | UIDS
    assert wanted(SERIES).tags == V2_SERIES | MORE_SERIES | UIDS
    assert wanted(INSTANCE).tags == MORE_INSTANCE | UIDS
    every = V2_STUDY | V2_SERIES | MORE_STUDY | MORE_SERIES | MORE_INSTANCE | UIDS
    assert wanted(STUDY, SERIES, INSTANCE).tags == every


def test_v1_has_other_defaults() -> None:
    """The v1 column: without the description, with times and identifiers."""
    tags = wanted(STUDY, is_v1=True).tags

    assert "00081030" not in tags
    assert {"00080005", "00080030", "00100040", "00200010"} <= tags
    assert tags >= MORE_STUDY


@pytest.mark.parametrize("levels", [(STUDY,), (SERIES,), (INSTANCE,), (STUDY, SERIES, INSTANCE)])
@pytest.mark.parametrize("every", [True, False])
def test_what_is_returned_unasked_needs_no_metadata(levels: tuple[SearchLevel, ...], every: bool) -> None:
    """Section 8.7, speed: it is computed, or in the search rows."""
    everything = wanted(*levels, every=every)

    assert everything.extra == frozenset()
    assert everything.tags >= wanted(*levels).tags


@pytest.mark.parametrize(
    ("included", "extra"),
    [
        (("00100040",), frozenset()),
        (("00081030", "00200010"), frozenset()),
        (("00101010",), frozenset()),
        (("00080070",), {"00080070"}),
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


@pytest.mark.parametrize(
    ("levels", "included", "answered"),
    [
        ((STUDY,), "00080060", False),
        ((STUDY,), "0008103E", False),
        ((STUDY,), "00201209", False),
        ((STUDY,), "00280010", False),
        ((STUDY,), "00080005", True),
        ((STUDY,), "00080070", True),
        ((STUDY, SERIES), "00280010", False),
        ((STUDY, SERIES), "00080060", True),
        ((SERIES,), "00100010", True),
        ((SERIES,), "00080016", False),
        ((INSTANCE,), "00080060", True),
        ((STUDY, SERIES, INSTANCE), "00280010", True),
    ],
)
def test_what_describes_lower_levels_is_dropped(
    levels: tuple[SearchLevel, ...], included: str, answered: bool
) -> None:
    """Clients section 3.3: neither refused nor answered, and no metadata read; OHIF asks it of studies."""
    assert wanted(*levels, included=(included,)).asks(included) is answered


@pytest.mark.parametrize(
    ("levels", "tags"),
    [
        ((STUDY,), "00080020 00080030 00080050 00080061 00080090 00100010 00100020 00100030 00100040 "
                   "0020000D 00200010 00201206 00201208"),
        ((SERIES,), "00080060 0020000E 00200011 00201209"),
        ((INSTANCE,), "00080016 00080018 00200013"),
    ],
)  # fmt: skip
def test_what_the_standard_demands_comes_even_without_a_value(
    levels: tuple[SearchLevel, ...], tags: str
) -> None:
    """PS3.18 tables 10.6.3-3 to 10.6.3-5, checklist 10."""
    dataset = make_dataset(wanted(*levels), {})

    assert list(dataset) == tags.split()
    assert all(set(element) == {"vr"} for element in dataset.values())


def test_search_keys_come_back() -> None:
    """Section 8.7: match attributes are part of the answer."""
    asked = make_wanted((STUDY,), is_v1=False, include_all=False, included=(), matched=("00080061",))

    assert asked.asks("00080061")
    assert asked.asks("00201209", "00080061")
    assert not asked.asks("00101010", "00201209")


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
