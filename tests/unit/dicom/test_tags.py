"""Tags, keywords and what search knows (API rules sections 8.3 and 8.7)."""

import pytest

from shared.dicom import dictionary
from shared.dicom.tags import (
    CORE_SEARCH,
    INDEXED_TAGS,
    RETURNED_BY_ALL,
    RETURNED_BY_DEFAULT_V1,
    RETURNED_BY_DEFAULT_V2,
    SearchLevel,
    keyword_of,
    parse_tag,
    vr_of,
)

PARSED = [
    ("00100010", "00100010"),
    ("0020000d", "0020000D"),
    ("PatientName", "00100010"),
    ("00091001", "00091001"),
    ("patientname", None),
    ("0010001", None),
    ("(0010,0010)", None),
    ("", None),
    ("00100010\n", None),
]


@pytest.mark.parametrize(("text", "tag"), PARSED)
def test_an_attribute_is_named_by_tag_or_keyword(text: str, tag: str | None) -> None:
    """Digits in either case, private ones too; keywords as the dictionary spells them."""
    assert parse_tag(text) == tag


def test_the_tables_agree_with_the_dictionary() -> None:
    """Keyword and VR of every core attribute are those of the standard."""
    for attribute in (attribute for level in SearchLevel for attribute in CORE_SEARCH[level]):
        assert keyword_of(attribute.tag) == attribute.keyword
        assert vr_of(attribute.tag) == attribute.vr


def test_what_search_returns_is_kept_by_the_index() -> None:
    """A response without private or unusual attributes needs no metadata blob."""
    for level in SearchLevel:
        by_default = {*RETURNED_BY_DEFAULT_V1[level], *RETURNED_BY_DEFAULT_V2[level]}
        core = {attribute.tag for attribute in CORE_SEARCH[level]}

        assert by_default <= set(RETURNED_BY_ALL[level])
        assert {int(tag, 16) for tag in {*RETURNED_BY_ALL[level], *core} - {"00080061"}} <= INDEXED_TAGS
        assert all(
            list(tags[level]) == sorted(tags[level]) for tags in (RETURNED_BY_ALL, RETURNED_BY_DEFAULT_V1)
        )


@pytest.mark.parametrize(
    ("tag", "vr", "keyword"),
    [
        (0x00100010, "PN", "PatientName"),
        (0x60023000, "OB or OW", "OverlayData"),
        (0x002031AB, "CS", "SourceImageIDs"),
        (0x00280410, "US", "RowsForNthOrderCoefficients"),
        (0x10001230, "US", "EscapeTriplet"),
    ],
)
def test_repeating_groups_are_found(tag: int, vr: str, keyword: str) -> None:
    """Overlays and their like share one entry."""
    entry = dictionary.entry_of(tag)

    assert entry is not None
    assert (entry.vr, entry.keyword) == (vr, keyword)


def test_unknown_attributes_have_no_entry() -> None:
    """Neither standard nor private tags are guessed."""
    assert dictionary.entry_of(0x00091001) is None
    assert dictionary.private_vr_of("NOBODY", 0x00091001) is None
    assert dictionary.private_vr_of("SIEMENS CSA HEADER", 0x00291110) == "OB"
    assert vr_of("00091001") is None
    assert keyword_of("00091001") is None
