"""Tags, keywords and what search knows (API rules sections 8.3 and 8.7)."""

import pytest

from shared.dicom import dictionary
from shared.dicom.tags import (
    ALWAYS_RETURNED,
    CARRIED,
    INDEXED_TAGS,
    RETURNED_BY_ALL,
    RETURNED_BY_DEFAULT_V1,
    RETURNED_BY_DEFAULT_V2,
    RETURNED_IF_KNOWN,
    SEARCHABLE,
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
    """Keyword and VR of every searched attribute are those of the standard, and so are those always there."""
    for level in SearchLevel:
        for attribute in SEARCHABLE[level]:
            assert keyword_of(attribute.tag) == attribute.keyword
            assert vr_of(attribute.tag) == attribute.vr
        for tag, vr in ALWAYS_RETURNED[level].items():
            assert vr_of(tag) == vr


COMPUTED = {"00080061", "00081190", "00201206", "00201208", "00201209"}


@pytest.mark.parametrize("level", SearchLevel)
def test_what_search_needs_is_kept_by_the_rows(level: SearchLevel) -> None:
    """A search without private or unusual attributes reads no metadata; what is computed no file tells."""
    returned = (
        RETURNED_BY_DEFAULT_V1,
        RETURNED_BY_DEFAULT_V2,
        RETURNED_BY_ALL,
        ALWAYS_RETURNED,
        RETURNED_IF_KNOWN,
    )
    needed = {tag for table in returned for tag in table[level]}
    needed |= {attribute.top for attribute in SEARCHABLE[level]}

    assert set(CARRIED[level]) == needed - COMPUTED
    assert {int(tag, 16) for tag in CARRIED[level]} <= INDEXED_TAGS


def test_the_tables_of_azure_are_in_order() -> None:
    """What is a default is among all; what is returned comes ascending."""
    for level in SearchLevel:
        by_default = {*RETURNED_BY_DEFAULT_V1[level], *RETURNED_BY_DEFAULT_V2[level]}

        assert by_default <= set(RETURNED_BY_ALL[level])
        assert all(
            list(tags[level]) == sorted(tags[level]) for tags in (RETURNED_BY_ALL, RETURNED_BY_DEFAULT_V1)
        )


def test_an_attribute_knows_where_it_lies() -> None:
    """At the top level, or in the items of a sequence."""
    by_keyword = {attribute.keyword: attribute for attribute in SEARCHABLE[SearchLevel.SERIES]}

    plain, inner = by_keyword["Modality"], by_keyword["RequestedProcedureID"]
    assert (plain.top, plain.path) == ("00080060", "00080060")
    assert (inner.top, inner.path) == ("00400275", "00400275.00401001")


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
