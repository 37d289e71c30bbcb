"""What is found wrong with a dataset while it is read, and what metadata and index make of it.

Source: API rules sections 3.3, 3.4 and 7.2.
"""

import struct
from random import Random

import pytest

from shared.dicom.part10 import Part10File
from shared.dicom.validate import MAX_FINDINGS, MAX_QUOTED_CHARACTERS, Checks, Finding, Problem
from tests.unit.dicom.making import (
    BIG,
    EXPLICIT,
    IMPLICIT,
    SEQUENCE_END,
    UNDEFINED,
    explicit,
    file_of,
    implicit,
    item,
    json_of,
    open_item,
    pieces,
    read,
)

STUDY_DATE, STUDY_DESCRIPTION, PATIENT_NAME, PATIENT_ID = 0x00080020, 0x00081030, 0x00100010, 0x00100020
BAD_DATE = explicit(STUDY_DATE, "DA", b"2004.01.19")
DATE = "one of the date values does not match the pattern YYYYMMDD"
INVALID = "value contains invalid character"


def found(dataset: bytes, checks: Checks = Checks.ALL, transfer_syntax: str = EXPLICIT) -> Part10File:
    """A file read with checks."""
    return read(file_of(dataset, transfer_syntax), checks=checks)


def told(file: Part10File) -> list[tuple[int, str]]:
    """What was found, by tag."""
    return [(finding.tag, finding.reason) for finding in file.findings]


def test_a_wrong_element_is_found_and_left_out() -> None:
    """Section 3.4 row 2: of metadata and of the index; its neighbours stay."""
    name = explicit(PATIENT_NAME, "PN", b"A^B ")

    file = found(BAD_DATE + name)

    assert file.findings == (Finding(STUDY_DATE, False, "DA", Problem.VALUE, DATE, "2004.01.19"),)
    assert list(json_of(file)) == ["00100010"]
    assert list(file.attributes) == ["00100010"]


def test_the_first_element_may_be_left_out_and_the_rest_be_one_object() -> None:
    """Commas are where they belong, whichever elements are missing."""
    wrong = [explicit(0x00080060 + 0x10 * number, "CS", b"a-") for number in range(3)]
    right = [explicit(0x00080061 + 0x10 * number, "CS", b"CT") for number in range(3)]

    assert list(json_of(found(b"".join(wrong)))) == []
    assert len(json_of(found(b"".join(wrong[:2] + right[2:])))) == 1
    assert len(json_of(found(b"".join(sorted(wrong + right))))) == 3


@pytest.mark.parametrize("checks", [Checks.NONE, Checks.SEARCHED])
def test_nothing_is_left_out_where_not_everything_is_checked(checks: Checks) -> None:
    """Section 3.4 is of v2."""
    file = found(BAD_DATE + explicit(0x00080030, "TM", b"7:27"), checks)

    assert list(json_of(file)) == list(file.attributes) == ["00080020", "00080030"]
    assert told(file) == ([] if checks is Checks.NONE else [(STUDY_DATE, DATE)])


def test_a_wrong_element_in_a_sequence_is_found_and_stays() -> None:
    """Section 3.4 row 2: and a healthy one of the same tag at the top stays too (the side effect, R)."""
    good = explicit(STUDY_DATE, "DA", b"20240131")

    file = found(good + explicit(0x00081111, "SQ", item(BAD_DATE)))

    assert file.findings == (Finding(STUDY_DATE, True, "DA", Problem.VALUE, DATE, "2004.01.19"),)
    assert json_of(file) == {
        "00080020": {"vr": "DA", "Value": ["20240131"]},
        "00081111": {"vr": "SQ", "Value": [{"00080020": {"vr": "DA", "Value": ["2004.01.19"]}}]},
    }


def test_within_sequences_v1_checks_nothing() -> None:
    """Section 3.3 check 6: what is searched lies at the top."""
    assert found(explicit(0x00081111, "SQ", item(BAD_DATE)), Checks.SEARCHED).findings == ()


def test_only_the_first_problem_of_a_sequence_is_found() -> None:
    """Section 3.4: however deep it lies; the next sequence has a first one of its own."""
    deep = explicit(0x00400275, "SQ", item(explicit(0x00400009, "SH", b"x" * 17)))
    one = explicit(0x00081111, "SQ", item(explicit(0x00080060, "CS", b"CT") + deep) + item(BAD_DATE))
    other = explicit(
        0x00081140, "SQ", open_item(BAD_DATE + explicit(0x00080060, "CS", b"ct")), length=-1 % 2**32
    )
    end = SEQUENCE_END

    file = found(one + other + end)

    assert [(finding.tag, finding.nested) for finding in file.findings] == [
        (0x00400009, True),
        (STUDY_DATE, True),
    ]


def test_one_finding_for_each_tag_of_each_depth() -> None:
    """Section 3.4: the first problem wins."""
    twice = explicit(STUDY_DATE, "DA", b"20041399") + BAD_DATE

    file = found(twice)

    assert told(file) == [(STUDY_DATE, "month component exceeds 12")]


def test_private_elements_count_too() -> None:
    """Section 3.4 row 2: by their VR; any number of values is right (section 3.4.2)."""
    creator = explicit(0x00090010, "LO", b"ME")
    wrong = explicit(0x00091001, "DS", b"1,5 ")
    many = explicit(0x00091002, "DS", b"1\\2\\3\\4\\5 ")

    file = found(creator + wrong + many)

    assert told(file) == [(0x00091001, "value is no decimal number")]
    assert list(json_of(file)) == ["00090010", "00091002"]


def test_implicit_vr_is_checked_by_the_dictionary() -> None:
    """Section 3.4: of the standard and of known private creators; what has no VR has no rule."""
    dataset = (
        implicit(STUDY_DATE, b"2004.01.19")
        + implicit(0x00191001, b"\t")
        + implicit(0x00280106, b"\0\0\0\0")
        + implicit(0x00280030, b"1.5 ")
    )

    file = found(dataset, transfer_syntax=IMPLICIT)

    assert told(file) == [
        (STUDY_DATE, DATE),
        (0x00280106, "number of items (2) does not match value multiplicity 1"),
        (0x00280030, "number of items (1) does not match value multiplicity 2"),
    ]
    assert json_of(file) == {"00191001": {"vr": "UN", "BulkDataURI": "00191001"}}


def test_binary_values_are_counted_by_their_length() -> None:
    """Section 3.4.2: little and big endian; the first values are quoted as numbers."""
    for order, syntax in (("<", EXPLICIT), (">", BIG)):
        rows = explicit(0x00280010, "US", struct.pack(f"{order}2H", 7, 8), order=order)
        pointer = explicit(0x00280009, "AT", struct.pack(f"{order}3H", 0x18, 0x1063, 1), order=order)
        table = explicit(0x00281101, "US", struct.pack(f"{order}3H", 1, 2, 3), order=order)

        file = found(pointer + rows + table, transfer_syntax=syntax)

        assert [(finding.tag, finding.problem, finding.value) for finding in file.findings] == [
            (0x00280009, Problem.VALUE, "00181063"),
            (0x00280010, Problem.NUMBER, "7\\8"),
        ]
        assert list(json_of(file)) == ["00281101"]


def test_pixels_and_other_bytes_have_no_rule() -> None:
    """Section 3.4.2: nor do values that came as UN and are in no dictionary."""
    dataset = explicit(0x00091001, "UN", b"\t\t") + explicit(0x7FE00010, "OW", b"\1\2\3")

    assert found(dataset).findings == ()


def test_an_element_that_came_as_unknown_is_checked_by_the_dictionary() -> None:
    """PS3.5 section 6.2.2: its value is what the dictionary says."""
    file = found(explicit(STUDY_DATE, "UN", b"2004.01.19"))

    assert told(file) == [(STUDY_DATE, DATE)]


def test_sequences_that_came_as_unknown_are_checked_within() -> None:
    """PS3.5 section 6.2.2: their items are implicit VR."""
    inner = item(implicit(STUDY_DATE, b"2004.01.19")) + SEQUENCE_END

    file = found(explicit(0x00081111, "UN", inner, length=UNDEFINED))

    assert [(finding.tag, finding.nested) for finding in file.findings] == [(STUDY_DATE, True)]


def test_characters_count_in_the_character_set_of_the_dataset() -> None:
    """Section 3.4.2: 64 characters, whatever their bytes; an item may have a character set of its own."""
    text = ("\u5c71" * 64).encode()
    utf_8 = explicit(0x00080005, "CS", b"ISO_IR 192")
    described = explicit(STUDY_DESCRIPTION, "LO", text)

    assert found(utf_8 + described).findings == ()
    assert found(utf_8 + explicit(0x00081111, "SQ", item(described))).findings == ()
    assert told(found(described)) == [(STUDY_DESCRIPTION, "value exceeds maximum length of 64 characters")]
    within = explicit(0x00081111, "SQ", item(utf_8 + described))
    assert found(within).findings == ()


@pytest.mark.parametrize("padded", [b"A1\0\0", b"A1 \0", b"A\\B\0"])
def test_padding_with_nuls_is_kept(padded: bytes) -> None:
    """Section 3.4 row 3: no warning, in metadata with the NUL, in the index without."""
    file = found(explicit(0x00080061, "CS", padded) + explicit(0x00200010, "SH", b"S1\0\0"))

    assert file.findings == ()
    assert json_of(file)["00080061"]["Value"][-1] == padded.decode().split("\\")[-1]
    assert file.attributes["00200010"] == {"vr": "SH", "Value": ["S1"]}


@pytest.mark.parametrize("value", [b"", b"  ", b"\0\0", b"\0 "])
def test_an_empty_patient_id_is_found_and_left_out(value: bytes) -> None:
    """Section 3.4 row 1."""
    file = found(explicit(PATIENT_ID, "LO", value))

    assert [finding.problem for finding in file.findings] == [Problem.EMPTY]
    assert json_of(file) == file.attributes == {}


def test_other_attributes_may_be_empty() -> None:
    """Type 2 attributes are, often."""
    dataset = explicit(STUDY_DATE, "DA") + explicit(0x00080050, "SH", b"  ") + explicit(0x00280030, "DS")

    file = found(dataset)

    assert file.findings == ()
    assert len(json_of(file)) == 3


@pytest.mark.parametrize("tag", [0x00080018, 0x0020000D, 0x0020000E])
def test_the_uids_an_instance_is_filed_under_stay(tag: int) -> None:
    """Section 3.4 row 4."""
    file = found(explicit(tag, "UI", b"1.02"))

    assert told(file) == [(tag, "component has leading zeros")]
    assert json_of(file)[f"{tag:08X}"] == {"vr": "UI", "Value": ["1.02"]}


def test_the_sop_class_goes_like_all_others() -> None:
    """Section 3.4 row 4: out of metadata; the identity has it all the same."""
    file = found(explicit(0x00080016, "UI", b"1.02"))

    assert told(file) == [(0x00080016, "component has leading zeros")]
    assert json_of(file) == file.attributes == {}
    assert file.identity.sop_class == "1.02"


@pytest.mark.parametrize(
    ("element", "key", "all_of_it", "first"),
    [
        (explicit(STUDY_DESCRIPTION, "LO", b"Head\\Neck "), "00081030", ["Head", "Neck"], ["Head"]),
        (
            explicit(PATIENT_NAME, "PN", b"A^B\\C^D "),
            "00100010",
            [{"Alphabetic": "A^B"}, {"Alphabetic": "C^D"}],
            [{"Alphabetic": "A^B"}],
        ),
        (explicit(STUDY_DESCRIPTION, "LO", b"\\Neck "), "00081030", [None, "Neck"], None),
    ],
)
def test_of_several_values_the_first_is_searched(
    element: bytes, key: str, all_of_it: list[object], first: list[object] | None
) -> None:
    """Section 3.4 row 6 and Q-29: metadata have all of them on v1 and none on v2."""
    for checks in (Checks.SEARCHED, Checks.ALL):
        file = found(element, checks)

        assert [finding.problem for finding in file.findings] == [Problem.NUMBER]
        assert file.attributes[key].get("Value") == first
        metadata = json_of(file)
        assert (metadata[key]["Value"] if key in metadata else None) == (
            all_of_it if checks is Checks.SEARCHED else None
        )


def test_of_several_values_of_what_is_not_searched_none_is_in_the_index() -> None:
    """Section 3.4 row 6: as row 2."""
    file = found(explicit(0x00080030, "TM", b"10\\11 "))

    assert [finding.problem for finding in file.findings] == [Problem.NUMBER]
    assert json_of(file) == file.attributes == {}


def test_findings_are_bounded_in_number() -> None:
    """A hostile file fills neither memory nor answer; what is searched is found beyond the bound."""
    many = b"".join(explicit(0x00091000 + number, "DA", b"never ") for number in range(200))

    file = found(many + explicit(PATIENT_ID, "LO", b"\t1"))

    assert len(file.findings) == MAX_FINDINGS + 1
    assert told(file)[-1] == (PATIENT_ID, INVALID)
    assert json_of(file) == {}


def test_what_is_quoted_is_short_and_printable() -> None:
    """An answer may be XML, which knows no control characters."""
    file = found(explicit(0x00081030, "LO", b"\x01" * 30_000) + explicit(0x00080060, "CS", b"a\tb\xa0"))

    quoted = {finding.tag: finding.value for finding in file.findings}
    assert quoted[0x00080060] == "a?b?"
    assert quoted[0x00081030] == "?" * (MAX_QUOTED_CHARACTERS - 3) + "..."


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [(PATIENT_ID, "SH", b"P1"), (0x0020000D, "LO", b"1.2 "), (0x00080016, "SH", b"1.2 ")],
)
@pytest.mark.parametrize("checks", [Checks.SEARCHED, Checks.ALL])
def test_what_names_an_instance_has_the_vr_of_the_dictionary(
    tag: int, vr: str, value: bytes, checks: Checks
) -> None:
    """Section 3.3 check 5, at the top level only."""
    element = explicit(tag, vr, value)

    assert [finding.problem for finding in found(element, checks).findings] == [Problem.OTHER_VR]
    assert found(explicit(0x00081111, "SQ", item(element)), checks).findings == ()


def test_other_elements_are_taken_at_the_vr_they_have() -> None:
    """Section 3.3 check 5 is about five; on v1 what is searched must be what the index takes it for."""
    element = explicit(STUDY_DATE, "LO", b"some day")

    assert found(element).findings == ()
    assert [finding.problem for finding in found(element, Checks.SEARCHED).findings] == [Problem.OTHER_VR]


def test_findings_do_not_depend_on_how_the_bytes_come() -> None:
    """Whole or byte by byte."""
    nested = explicit(0x00081111, "SQ", item(BAD_DATE) + item(b""))
    data = file_of(BAD_DATE + nested + explicit(PATIENT_ID, "LO", b"x" * 65))
    whole = read(data, checks=Checks.ALL)

    assert len(whole.findings) == 3
    for seed in range(5):
        assert read(data, pieces(data, Random(seed), largest=7), checks=Checks.ALL) == whole
