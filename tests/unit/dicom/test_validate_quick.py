"""The look at first sight never calls fine what breaks a rule (API rules section 3.4.2)."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.dicom.text import Charset, charset_of
from shared.dicom.validate_quick import quick_check
from shared.dicom.validate_rules import Multiplicity, find_broken
from tests.unit.dicom.test_validate_rules import ROWS, VALID, short

CHARSETS = [
    charset_of(name)
    for name in (
        b"",
        b"ISO_IR 100",
        b"ISO_IR 192",
        b"ISO_IR 13",
        b"GB18030",
        b"GBK",
        b"\\ISO 2022 IR 87",
        b"ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\\ISO 2022 IR 149",
    )
]
MULTIPLICITIES = [
    Multiplicity.parse(text) for text in ("1", "1-n", "2", "3", "1-2", "1-3", "2-n", "2-2n", "3-3n", "4-5")
]
PIECES = [
    *(b"A", b"a", b"0", b"9", b"12", b"2024", b"0131", b"101112", b".5", b"-", b"+", b"e", b"Y", b"_"),
    *(b" ", b"\\", b"^", b"=", b".", b"\0", b"\t", b"\x7f", b"\x1b", b"\x1b$B", b"\x1b(B", b"\xe4"),
    *(b"\x81\x5c", b"x" * 15, b"x" * 63, b"1" * 63),
]  # fmt: skip


@given(
    st.sampled_from(sorted(ROWS)),
    st.sampled_from(MULTIPLICITIES),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=9).map(b"".join),
    st.sampled_from(CHARSETS),
    st.integers(1, 6),
)
@example("UC", Multiplicity.parse("2"), b"\x81\\1", CHARSETS[5], 1)
@settings(max_examples=500, deadline=None)
def test_what_is_fine_at_first_sight_breaks_no_rule(
    vr: str, multiplicity: Multiplicity, value: bytes, charset: Charset, times: int
) -> None:
    """Whatever the bytes, the character set and the number of values."""
    raw = b"\\".join([value] * times)

    if quick_check(vr, multiplicity)(raw):
        assert find_broken(vr, multiplicity, raw, charset) is None


ORDINARY = [
    ("AE", b"STORESCP"),
    ("AS", b"018M"),
    ("CS", b"ORIGINAL\\PRIMARY "),
    ("DA", b"20240131"),
    ("DS", b"-0.5\\1.25e-10\\3 "),
    ("DT", b"20240131101112.123456 "),
    ("IS", b"-12 "),
    ("LO", b"Thorax \\Abdomen"),
    ("LT", b"a\r\n\\b"),
    ("PN", b"Doe^Jane^^Dr=A=B"),
    ("SH", b"A1"),
    ("ST", b"x" * 1024),
    ("TM", b"101112.123456 "),
    ("UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
    ("US", b"\0\1"),
    ("FD", bytes(16)),
]


@pytest.mark.parametrize(("vr", "value"), ORDINARY, ids=short)
def test_ordinary_values_are_fine_at_first_sight(vr: str, value: bytes) -> None:
    """Otherwise each would cost the closer look."""
    assert quick_check(vr, Multiplicity.parse("1-n"))(value)


@pytest.mark.parametrize("vr", sorted({vr for vr, _ in VALID}))
def test_an_empty_element_is_fine_at_first_sight(vr: str) -> None:
    """Whatever its multiplicity."""
    for multiplicity in MULTIPLICITIES:
        assert quick_check(vr, multiplicity)(b"")


@pytest.mark.parametrize("vr", sorted(ROWS))
@pytest.mark.parametrize("piece", [b" ", b"0", b"0.", b"1\\", b"\\", b"A^", b"=", b"\0", b"1e", b" \\"])
def test_a_hostile_value_takes_no_longer_than_its_length_asks_for(vr: str, piece: bytes) -> None:
    """What is made to be tried in many ways is judged in the time that as many good values take."""
    raw = piece * (200_000 // len(piece)) + b"\x01"
    multiplicity = Multiplicity.parse("2-2n")

    began = time.process_time()
    quick_check(vr, multiplicity)(raw)
    find_broken(vr, multiplicity, raw, CHARSETS[0])

    assert time.process_time() - began < 2
