"""What makes a value one of its VR: every row of API rules section 3.4.2, and multiplicities."""

import pytest

from shared.dicom.text import LATIN, Charset, charset_of
from shared.dicom.validate_rules import Broken, Multiplicity, find_broken

ONE, MANY = Multiplicity.parse("1"), Multiplicity.parse("1-n")

CONTROL = "value contains control character"
INVALID = "value contains invalid character"
DATE = "one of the date values does not match the pattern YYYYMMDD"
AGE = "value does not match the pattern 000[DWMY]"
DATE_TIME = "value does not match the pattern YYYYMMDDHHMMSS.FFFFFF&ZZXX"
TIME = "value does not match the pattern HHMMSS.FFFFFF"
BLANK = "value may not consist only of blanks"
DECIMAL = "value is no decimal number"
OFFSET = "offset from UTC is not between -1200 and +1400"


def too_long(limit: int) -> str:
    """The reason for too many characters."""
    return f"value exceeds maximum length of {limit} characters"


def reason(vr: str, raw: bytes, charset: Charset = LATIN) -> str | None:
    """What is wrong with a value."""
    broken = find_broken(vr, MANY, raw, charset)
    return broken.reason if broken else None


ROWS = {
    "AE": (
        [b"", b"STORESCP", b"A" * 16, b"a b", b"AE  ", b"A\0", b"A\\B "],
        {b"A" * 17: too_long(16), b"    ": BLANK, b"A\\  \\B ": BLANK, b"A\tB ": CONTROL},
    ),
    "AS": (
        [b"", b"018M", b"000D", b"999W", b"021Y", b"    "],
        {b"18M ": AGE, b"018m": AGE, b"0018M ": AGE, b"018X": AGE, b" 18Y": AGE},
    ),
    "CS": (
        [b"", b"CT", b"ISO_IR 100", b"A" * 16, b"  ", b"A_1 \0", b"ORIGINAL\\PRIMARY "],
        {b"ct": INVALID, b"A-B ": INVALID, b"A" * 17: too_long(16), b"A\nB ": INVALID, b"A\\b ": INVALID},
    ),
    "DA": (
        [b"", b"20240131", b"20240131  ", b"20240131-20240201 ", b"-20240201 ", b"20240131- ", b"20240000"],
        {
            b"NotAValidStudyDate": DATE,
            b"2024.01.31": DATE,
            b"2024013 ": DATE,
            b"202401311 ": DATE,
            b" 20240131": DATE,
            b"-": DATE,
            b"20240131-20240201-20240202": DATE,
            b"20241301": "month component exceeds 12",
            b"20240132": "day component exceeds 31",
            b"20240131-20241301": "month component exceeds 12",
        },
    ),
    "DS": (
        [b"", b"1", b"-1.5 ", b"+.5e-3", b"1.", b" 1.5", b"1234567890.12345", b"1\\\\2.5 ", b"1E10"],
        {
            b"1234567890.123456": too_long(16),
            b" 1234567890.12345": too_long(16),
            b"1,5 ": DECIMAL,
            b"1.5mm ": DECIMAL,
            b"1e": DECIMAL,
            b".": DECIMAL,
            b"NaN ": DECIMAL,
            b"1_0 ": DECIMAL,
            b"1\\x ": DECIMAL,
        },
    ),
    "DT": (
        [
            b"",
            b"2024",
            b"202401",
            b"20240131",
            b"2024013110",
            b"202401311011",
            b"20240131101160",
            b"20240131101112.123456",
            b"20240131101112.1+0100 ",
            b"2024-0500 ",
            b"2024+1400 ",
            b"2024-1200 ",
            b"2024+0000 ",
        ],
        {
            b"20240": DATE_TIME,
            b"20240131101112.1234567": DATE_TIME,
            b"20240131101112. ": DATE_TIME,
            b"2024-01-31": DATE_TIME,
            b"2024-05 ": DATE_TIME,
            b"202400": "month component is not between 01 and 12",
            b"202413": "month component is not between 01 and 12",
            b"20240100": "day component is not between 01 and 31",
            b"20240132": "day component is not between 01 and 31",
            b"2024013124": "hour component exceeds 23",
            b"202401311060": "minute component exceeds 59",
            b"20240131101161": "second component exceeds 60",
            b"2024-0000 ": OFFSET,
            b"2024-1201 ": OFFSET,
            b"2024+1401 ": OFFSET,
            b"2024+0160 ": OFFSET,
        },
    ),
    "IS": (
        [b"", b"0", b"+12 ", b" -12", b"2147483647", b"-2147483648 ", b"000000000000000012", b"1\\2 "],
        {
            b"1.5 ": "value is no integer",
            b"1_0 ": "value is no integer",
            b"one ": "value is no integer",
            b"- ": "value is no integer",
            b"2147483648": "value does not fit into 32 bits",
            b"-2147483649 ": "value does not fit into 32 bits",
            b"9" * 5000: "value does not fit into 32 bits",
        },
    ),
    "LO": (
        [b"", b"x" * 64, b"x" * 64 + b"  ", b"a\\" + b"x" * 64 + b" ", b"\x1b(B", b"\xe4" * 64, b"a\0"],
        {b"x" * 65: too_long(64), b"a\tb ": INVALID, b"\0a": INVALID, b"a\0\\b": INVALID, b"a\x7f": INVALID},
    ),
    "LT": ([b"", b"x" * 10240, b"a\r\n\\b\0 "], {b"x" * 10241: too_long(10240)}),
    "PN": (
        [
            b"",
            b"Doe^Jane",
            b"A^B^C^D^E",
            b"x" * 64 + b"=" + b"y" * 64 + b"=" + b"z" * 64,
            b"=A=B",
            b"Doe\\Roe ",
            b"A^B\x1b(B ",
            b"\xe4^\xf6 ",
        ],
        {
            b"A=B=C=D ": "value has more than 3 groups",
            b"x" * 65: too_long(64),
            b"A=" + b"x" * 65: too_long(64),
            b"A^B^C^D^E^F ": "value has a group of more than 5 components",
            b"A=A^B^C^D^E^ ": "value has a group of more than 5 components",
            b"Doe\n": CONTROL,
        },
    ),
    "SH": ([b"", b"x" * 16, b"a\\b ", b"\x1b(B"], {b"x" * 17: too_long(16), b"a\x01": INVALID}),
    "ST": ([b"", b"x" * 1024, b"a\r\n\\b"], {b"x" * 1025: too_long(1024)}),
    "TM": (
        [b"", b"10", b"1011", b"101112", b"101160", b"101112.1", b"101112.123456 ", b"10\\11 "],
        {
            b"1 ": TIME,
            b"10:11:12": TIME,
            b"101112.1234567 ": TIME,
            b"101112.": TIME,
            b"24": "hour component exceeds 23",
            b"1060": "minute component exceeds 59",
            b"101161": "second component exceeds 60",
        },
    ),
    "UC": ([b"", b"x" * 20_000, b"a\tb\\c "], {}),
    "UR": ([b"", b"http://host/a\\b", b"x" * 20_000], {}),
    "UT": ([b"", b"x" * 20_000, b"a\tb\\c "], {}),
    "UI": (
        [b"", b"1", b"0.0", b"1.2.840.10008.1.2\0", b"1.2 ", b"1" * 64, b"1.2\\1.3\0"],
        {
            b"1" * 65: too_long(64),
            b"1.a ": INVALID,
            b"1.2-3 ": INVALID,
            b"1.02": "component has leading zeros",
            b"00": "component has leading zeros",
            b"1..2": "component is empty",
            b".1": "component is empty",
            b"1. ": "component is empty",
        },
    ),
    **{
        vr: ([b"", b"\xff\0", b"\0" * 6], {b"\0": "value has 1 bytes, which is no multiple of 2"})
        for vr in ("SS", "US")
    },
    **{
        vr: ([b"", b"\xff" * 4, b"\0" * 8], {b"\0\0": "value has 2 bytes, which is no multiple of 4"})
        for vr in ("SL", "UL", "FL", "AT")
    },
    **{
        vr: ([b"", b"\xff" * 8], {b"\0" * 12: "value has 12 bytes, which is no multiple of 8"})
        for vr in ("SV", "UV", "FD")
    },
}  # fmt: skip

VALID = [(vr, value) for vr, (values, _) in ROWS.items() for value in values]
BROKEN = [(vr, value, why) for vr, (_, values) in ROWS.items() for value, why in values.items()]


def short(value: object) -> str:
    """A name for a case that is not ten thousand letters long."""
    return repr(value)[:24]


@pytest.mark.parametrize(("vr", "value"), VALID, ids=short)
def test_a_value_that_keeps_the_rule_of_its_vr(vr: str, value: bytes) -> None:
    """Section 3.4.2, first column; padding with blanks or NULs is no part of a value (section 3.4 row 3)."""
    assert reason(vr, value) is None


@pytest.mark.parametrize(("vr", "value", "why"), BROKEN, ids=short)
def test_a_value_that_breaks_the_rule_of_its_vr(vr: str, value: bytes, why: str) -> None:
    """Section 3.4.2, second column."""
    assert reason(vr, value) == why


def test_every_vr_with_a_rule_has_a_row() -> None:
    """Section 3.4.2: all VRs of PS3.5 section 6.2 but SQ and those of bytes: 17 of text and 9 of numbers."""
    assert len(ROWS) == 17 + 9


@pytest.mark.parametrize(
    ("charset", "character"),
    [
        (b"ISO_IR 192", "\u5c71".encode()),
        (b"GB18030", "\u5c71".encode("gb18030")),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3\x1b(B"),
        (b"ISO_IR 13", "\uff94".encode("shift_jis")),
        (b"ISO_IR 144", "\u0434".encode("iso8859-5")),
    ],
)
@pytest.mark.parametrize(("vr", "limit"), [("LO", 64), ("SH", 16), ("PN", 64), ("ST", 1024), ("LT", 10240)])
def test_characters_are_counted_not_bytes(charset: bytes, character: bytes, vr: str, limit: int) -> None:
    """Section 3.4.2: "chars"; PS3.5 section 6.1.2.5 for those that take several bytes."""
    assert reason(vr, character * limit, charset_of(charset)) is None
    assert reason(vr, character * (limit + 1), charset_of(charset)) == too_long(limit)


def test_a_backslash_that_is_half_of_a_character_parts_no_values() -> None:
    """PS3.5 section 6.1.2.3: in GBK the second byte of a character may be 0x5C."""
    half = "\u4e57".encode("gbk")
    assert half[1:] == b"\\"

    assert find_broken("LO", ONE, half, charset_of(b"GBK")) is None
    assert find_broken("LO", ONE, half, LATIN) is not None


@pytest.mark.parametrize(
    ("text", "takes", "refuses"),
    [
        ("1", [1], [2, 3]),
        ("3", [3], [1, 2, 4, 6]),
        ("1-2", [1, 2], [3]),
        ("1-n", [1, 2, 1000], []),
        ("2-n", [2, 3], [1]),
        ("2-2n", [2, 4, 100], [1, 3]),
        ("3-3n", [3, 6], [1, 4]),
        ("4-5", [4, 5], [3, 6]),
    ],
)
def test_the_number_of_values_is_the_one_of_the_dictionary(
    text: str, takes: list[int], refuses: list[int]
) -> None:
    """Section 3.4.2, last sentence: text and binary alike."""
    multiplicity = Multiplicity.parse(text)

    for count in takes:
        assert find_broken("DS", multiplicity, b"\\".join([b"1.5"] * count), LATIN) is None
        assert find_broken("FD", multiplicity, bytes(8 * count), LATIN) is None
    for count in refuses:
        wrong = f"number of items ({count}) does not match value multiplicity {text}"
        values = "\\".join(["1.5"] * count)
        assert find_broken("DS", multiplicity, values.encode(), LATIN) == Broken(wrong, values, by_count=True)
        assert find_broken("FD", multiplicity, bytes(8 * count), LATIN) == Broken(wrong, "", by_count=True)


@pytest.mark.parametrize("vr", ["ST", "LT", "UT", "UR"])
def test_a_backslash_in_long_text_is_only_a_backslash(vr: str) -> None:
    """PS3.5 section 6.2: these have one value."""
    assert find_broken(vr, ONE, b"a\\b ", LATIN) is None


@pytest.mark.parametrize("raw", [b"", b"  ", b"\0\0"])
def test_an_element_without_a_value_has_no_wrong_number_of_them(raw: bytes) -> None:
    """An empty element of type 2 is no violation."""
    assert find_broken("DS", Multiplicity.parse("3"), raw, LATIN) is None


def test_the_value_is_named_that_is_wrong() -> None:
    """Section 3.4.1: `Content "{value}"`; of several the first that is wrong."""
    broken = find_broken("CS", MANY, b"GOOD\\bad\\worse ", LATIN)

    assert broken == Broken(INVALID, "bad")


def test_a_wrong_value_is_told_before_a_wrong_number() -> None:
    """Section 3.4: the first problem wins."""
    broken = find_broken("CS", ONE, b"GOOD\\bad ", LATIN)

    assert broken == Broken(INVALID, "bad")
