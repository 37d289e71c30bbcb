"""Values as DICOM JSON, VR by VR (PS3.18 annex F; API rules sections 1.6 and 7.2)."""

import json
import struct

import pytest

from shared.dicom import render
from shared.dicom.text import LATIN
from tests.unit.dicom.making import BIG, EXPLICIT, IMPLICIT, explicit, implicit, metadata_of

TEXT_CASES = [
    ("LO", b"abc ", ["abc"]),
    ("LO", b" abc", [" abc"]),
    ("LO", b"a\\b ", ["a", "b"]),
    ("LO", b"a \\b ", ["a", "b"]),
    ("LO", b"a\\\\b", ["a", None, "b"]),
    ("LO", b"\\", [None, None]),
    ("LO", b"abc\0", ["abc\0"]),
    ("LO", b'say "x"\x1b', ['say "x"\x1b']),
    ("LO", b"  ", None),
    ("LO", b"", None),
    ("SH", b"a\\b", ["a", "b"]),
    ("UC", b"a\\b", ["a", "b"]),
    ("LT", b"a\\b ", ["a\\b"]),
    ("ST", b"a\r\nb", ["a\r\nb"]),
    ("UT", b" a ", [" a"]),
    ("UR", b"http://x/y  ", ["http://x/y"]),
    ("CS", b"ORIGINAL \\PRIMARY ", ["ORIGINAL", "PRIMARY"]),
    ("DA", b"20200101", ["20200101"]),
    ("DA", b"20200101\0", ["20200101\0"]),
    ("UI", b"1.2.3\0", ["1.2.3"]),
    ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
    ("UI", b"\0", None),
    ("PN", b"A^B ", [{"Alphabetic": "A^B"}]),
    ("PN", b"A=B=C", [{"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}]),
    ("PN", b"=B", [{"Ideographic": "B"}]),
    ("PN", b"A==", [{"Alphabetic": "A"}]),
    ("PN", b"A\\\\B=C", [{"Alphabetic": "A"}, None, {"Alphabetic": "B", "Ideographic": "C"}]),
    ("PN", b"==", [None]),
    ("PN", b"", None),
]
NUMBER_CASES = [
    ("DS", b"1.50 ", "[1.50]"),
    ("DS", b"-0.5\\1e3\\0 ", "[-0.5,1e3,0]"),
    ("DS", b" 1 \\ 2", "[1,2]"),
    ("DS", b"+1.5\\.5\\1.\\007", "[1.5,0.5,1.0,7.0]"),
    ("DS", b"1\\\\2", "[1,null,2]"),
    ("DS", b"1.5\0", "[1.5]"),
    ("DS", b"abc", '["abc"]'),
    ("DS", b"NaN\\inf\\1e999", '["NaN","inf","1e999"]'),
    ("DS", b"1_000", '["1_000"]'),
    ("DS", b"0x10", '["0x10"]'),
    ("DS", b"  ", None),
    ("IS", b"12 ", "[12]"),
    ("IS", b"-3\\+4\\007", "[-3,4,7]"),
    ("IS", b"1A", '["1A"]'),
    ("IS", b"1.0", '["1.0"]'),
    ("IS", b"--1", '["--1"]'),
    ("IS", b"\xb2", '["\xb2"]'),
    ("IS", b"9007199254740993", '["9007199254740993"]'),
    ("US", struct.pack("<2H", 1, 65535), "[1,65535]"),
    ("SS", struct.pack("<h", -1), "[-1]"),
    ("UL", struct.pack("<I", 2**32 - 1), "[4294967295]"),
    ("SL", struct.pack("<i", -5), "[-5]"),
    ("UV", struct.pack("<2Q", 2**53, 2**53 + 1), '[9007199254740992,"9007199254740993"]'),
    ("SV", struct.pack("<2q", -(2**53), -(2**53) - 1), '[-9007199254740992,"-9007199254740993"]'),
    ("FD", struct.pack("<d", 0.1), "[0.1]"),
    ("FL", struct.pack("<f", 0.5), "[0.5]"),
    ("FL", struct.pack("<3f", float("nan"), float("inf"), float("-inf")), '["NaN","Infinity","-Infinity"]'),
    ("FD", struct.pack("<d", 1e300), "[1e+300]"),
    ("AT", struct.pack("<4H", 0x0010, 0x001F, 0x7FE0, 0x0010), '["0010001F","7FE00010"]'),
    ("US", b"", None),
]


@pytest.mark.parametrize(("vr", "raw", "values"), TEXT_CASES)
def test_text_is_trimmed_split_and_quoted(vr: str, raw: bytes, values: list[object] | None) -> None:
    """Trailing blanks go, NULs stay but in UIDs, empty values are null, empty elements have no Value."""
    found = metadata_of(explicit(0x00091001, vr, raw))

    assert found == {"00091001": {"vr": vr} if values is None else {"vr": vr, "Value": values}}


@pytest.mark.parametrize(("vr", "raw", "text"), NUMBER_CASES)
def test_numbers_are_json_numbers_where_json_can_hold_them(vr: str, raw: bytes, text: str | None) -> None:
    """Everything else becomes a string; never NaN or Infinity as a literal."""
    plan_render = metadata_of(explicit(0x00091001, vr, raw))["00091001"]

    assert plan_render.get("Value") == (None if text is None else json.loads(text))


def test_decimal_strings_keep_their_digits() -> None:
    """A JSON number may be written as the file has it."""
    assert render.render_decimal(b"1.500\\-0.0", LATIN) == ',"Value":[1.500,-0.0]'


@pytest.mark.parametrize(("vr", "raw"), [("US", b"\1"), ("FD", b"\0" * 12), ("AT", b"\0\0"), ("SL", b"\0\0")])
def test_values_that_do_not_fit_their_vr_stay_out(vr: str, raw: bytes) -> None:
    """An element that breaks its VR is absent from metadata (section 7.2)."""
    found = metadata_of(explicit(0x00091001, vr, raw) + explicit(0x00091002, "LO", b"next"))

    assert list(found) == ["00091002"]


def test_long_lists_are_complete() -> None:
    """Lists longer than a slice come out whole."""
    values = list(range(render.SLICE_VALUES * 2 + 7))
    raw = struct.pack(f"<{len(values)}I", *values)

    text = render.render_numbers("<", "I")(raw, LATIN)

    assert json.loads(f'{{"vr":"UL"{text}}}')["Value"] == values


@pytest.mark.parametrize(
    ("syntax", "dataset"),
    [
        (EXPLICIT, explicit(0x00091001, "US", b"\1\2") + explicit(0x00091002, "AT", b"\x10\0\x20\0")),
        (
            BIG,
            explicit(0x00091001, "US", b"\2\1", order=">")
            + explicit(0x00091002, "AT", b"\0\x10\0\x20", order=">"),
        ),
    ],
)
def test_binary_numbers_follow_the_byte_order(syntax: str, dataset: bytes) -> None:
    """The same values in either order of bytes."""
    found = metadata_of(dataset, syntax)

    assert found["00091001"]["Value"] == [0x0201]
    assert found["00091002"]["Value"] == ["00100020"]


def test_implicit_vr_comes_from_the_dictionary() -> None:
    """A patient's name is PN, though the file does not say so."""
    assert metadata_of(implicit(0x00100010, b"A^B "), IMPLICIT) == {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}
    }
