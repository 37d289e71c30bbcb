"""Element values as the text of DICOM JSON (PS3.18 annex F).

Each function takes the bytes of one value, never empty, and gives the text that follows `"vr":".."` in the
element's object: `,"Value":[...]`, or nothing where only padding is left. None means that the bytes do not
fit the VR and the element stays out. Text goes straight to text: nothing here builds a tree of values.
"""

import json
import re
import struct
from collections.abc import Callable, Iterable
from math import isfinite, isnan
from typing import Final, Literal

from shared.dicom.text import LATIN, Charset

Render = Callable[[bytes, Charset], str | None]
Endian = Literal["<", ">"]

quote: Final = json.encoder.encode_basestring
"""A JSON string, with everything beyond ASCII kept as it is."""

MAX_EXACT_INTEGER = 2**53
SLICE_VALUES = 16_384
"""Numbers rendered at once, so that a long list never exists as Python objects."""

# One or many decimal strings that are JSON numbers as they stand, which nearly all are. The lengths keep out
# what a double cannot hold.
_NUMBER = r"-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,2})?"
_NUMBERS = re.compile(rf"{_NUMBER}(?:\\{_NUMBER})*")
_INTEGER = r"-?(?:0|[1-9][0-9]{0,14})"
_INTEGERS = re.compile(rf"{_INTEGER}(?:\\{_INTEGER})*")
# No digit can match in two ways, or a long row of them would take time that grows with its square.
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def render_text(raw: bytes, charset: Charset) -> str:
    """SH, LO, UC: many values, in the dataset's character set."""
    return _strings(charset.text(raw))


def render_long_text(raw: bytes, charset: Charset) -> str:
    """ST, LT, UT: one value, in which a backslash is only a backslash."""
    text = charset.text(raw).rstrip(" ")
    return f',"Value":[{quote(text)}]' if text else ""


def render_code(raw: bytes, _: Charset) -> str:
    """AE, AS, CS, DA, DT, TM: many values in the default repertoire."""
    return _strings(str(raw, "latin-1"))


def render_url(raw: bytes, _: Charset) -> str:
    """UR: one value in the default repertoire."""
    return render_long_text(raw, LATIN)


def render_uid(raw: bytes, _: Charset) -> str:
    """UI: NUL is padding here and goes."""
    text = str(raw, "latin-1").rstrip("\0 ")
    if "\\" not in text:
        return f',"Value":[{quote(text)}]' if text else ""
    return _many(value.strip("\0 ") for value in text.split("\\"))


def render_name(raw: bytes, charset: Charset) -> str:
    """PN: an object with the groups that are not empty."""
    text = charset.name(raw).rstrip(" ")
    if "=" not in text and "\\" not in text:
        return f',"Value":[{{"Alphabetic":{quote(text)}}}]' if text else ""
    return f',"Value":[{",".join(_name(value) if value else "null" for value in text.split(chr(92)))}]'


def render_decimal(raw: bytes, _: Charset) -> str:
    """DS: JSON numbers, with the digits of the file wherever JSON allows them."""
    text = str(raw, "latin-1").strip("\0 ")
    if _NUMBERS.fullmatch(text):
        return f',"Value":[{text.replace(chr(92), ",")}]'
    if not text:
        return ""
    return f',"Value":[{",".join(_decimal(value.strip(" ")) for value in text.split(chr(92)))}]'


def render_integer(raw: bytes, _: Charset) -> str:
    """IS: JSON numbers."""
    text = str(raw, "latin-1").strip("\0 ")
    if _INTEGERS.fullmatch(text):
        return f',"Value":[{text.replace(chr(92), ",")}]'
    if not text:
        return ""
    return f',"Value":[{",".join(_integer(value.strip(" ")) for value in text.split(chr(92)))}]'


def render_tags(endian: Endian) -> Render:
    """AT: eight upper-case hexadecimal digits."""
    both = struct.Struct(f"{endian}HH")

    def render(raw: bytes, _: Charset) -> str | None:
        if len(raw) % both.size:
            return None
        return f',"Value":[{",".join(f"{chr(34)}{g:04X}{e:04X}{chr(34)}" for g, e in both.iter_unpack(raw))}]'

    return render


def render_numbers(endian: Endian, code: str) -> Render:
    """SS, US, SL, UL, SV, UV, FL, FD: binary numbers of one struct code."""
    size = struct.calcsize(code)
    one = struct.Struct(f"{endian}{code}")
    as_text = {"f": _float, "d": _float, "q": _long, "Q": _long}.get(code, str)

    def render(raw: bytes, _: Charset) -> str | None:
        if len(raw) == size:
            return f',"Value":[{as_text(one.unpack(raw)[0])}]'
        if len(raw) % size:
            return None
        step = size * SLICE_VALUES
        slices = (raw[at : at + step] for at in range(0, len(raw), step))
        texts = (",".join(map(as_text, struct.unpack(f"{endian}{len(s) // size}{code}", s))) for s in slices)
        return f',"Value":[{",".join(texts)}]'

    return render


def _strings(text: str) -> str:
    text = text.rstrip(" ")
    if "\\" not in text:
        return f',"Value":[{quote(text)}]' if text else ""
    return _many(value.rstrip(" ") for value in text.split("\\"))


def _many(values: Iterable[str]) -> str:
    return f',"Value":[{",".join(quote(value) if value else "null" for value in values)}]'


def _name(text: str) -> str:
    """One person name: null when nothing is in it."""
    groups = zip(_PN_GROUPS, text.split("="), strict=False)
    kept = [f'"{group}":{quote(value)}' for group, value in ((g, v.rstrip(" ")) for g, v in groups) if value]
    return f"{{{','.join(kept)}}}" if kept else "null"


def _decimal(text: str) -> str:
    if not text:
        return "null"
    if _NUMBERS.fullmatch(text):
        return text
    if not _DECIMAL.fullmatch(text) or not isfinite(float(text)):
        return quote(text)
    return repr(float(text))


def _integer(text: str) -> str:
    if not text:
        return "null"
    digits = text.lstrip("+-")
    # Python takes more than DICOM does for an integer, such as 1_000.
    if not (digits.isascii() and digits.isdigit() and len(text) <= len(digits) + 1 and len(digits) <= 20):
        return quote(text)
    return _long(int(text))


def _long(value: int) -> str:
    """A JSON number only where every reader keeps it exactly."""
    return str(value) if -MAX_EXACT_INTEGER <= value <= MAX_EXACT_INTEGER else f'"{value}"'


def _float(value: float) -> str:
    if isfinite(value):
        return repr(value)
    return '"NaN"' if isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
