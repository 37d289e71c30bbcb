"""Values of DICOM JSON as the bytes of a file: what `render.py` does, the other way round.

What does not fit its VR is refused, never bent into something else; text is written in the character set that
the dataset names only if nothing of it is lost.
"""

import re
import struct
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

from shared.dicom.metadata import JsonValue
from shared.dicom.text import charset_of

Encode = Callable[[str], bytes]
"""Text, or one component of a name, to bytes; raises `UnicodeError`."""

MAX_DECIMAL_CHARACTERS: Final = 16

_NUMBERS: Final = {
    "SS": "h",
    "US": "H",
    "SL": "i",
    "UL": "I",
    "SV": "q",
    "UV": "Q",
    "FL": "f",
    "FD": "d",
}
_IN_CHARSET: Final = frozenset({"SH", "LO", "UC", "ST", "LT", "UT", "PN"})
_IN_DEFAULT: Final = frozenset({"AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR", "DS", "IS"})
_WITH_BACKSLASH: Final = frozenset({"ST", "LT", "UT", "UR"})
"""Text of one value, in which a backslash is a character."""

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_DELIMITERS: Final = re.compile(r"([\n\r\t\f\\^=])")

BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Given as InlineBinary or by reference, never as values."""

VALUE_VRS: Final = frozenset({*_NUMBERS, *_IN_CHARSET, *_IN_DEFAULT, "AT"})


class Number(str):
    """A number as it is spelt in the text it came in, so that no digit of a decimal string is lost."""

    __slots__ = ()


class Unfit(ValueError):
    """A value cannot be written as its VR; the message says why, without the value."""


def encode_values(vr: str, values: Sequence[JsonValue], encode: Encode) -> bytes:
    """The value field of an element, of even length.

    Args:
        vr: One of `VALUE_VRS`.
        values: As in DICOM JSON; null is an empty value.
        encode: From `encoder_of`.

    Raises:
        Unfit: A value is none of this VR.
        UnicodeError: The text cannot be written in this character set.
    """
    if all(value is None for value in values):
        values = [""] * len(values) if vr in _IN_CHARSET or vr in _IN_DEFAULT else []
    if vr in _NUMBERS:
        return b"".join(_pack(_NUMBERS[vr], value) for value in values)
    if vr == "AT":
        return b"".join(map(_pack_tag, values))
    texts = [_text(vr, value) for value in values]
    return padded(vr, b"\\".join(map(encode if vr in _IN_CHARSET else _in_default, texts)))


def padded(vr: str, raw: bytes) -> bytes:
    """The value with what makes its length even."""
    return raw + pad_of(vr) if len(raw) % 2 else raw


def pad_of(vr: str) -> bytes:
    """The byte that fills a value of odd length."""
    return b"\0" if vr == "UI" or vr in BINARY_VRS else b" "


def decode_inline(text: JsonValue) -> bytes:
    """The bytes of an InlineBinary.

    Raises:
        Unfit: It is not Base64.
    """
    if not isinstance(text, str):
        raise Unfit("InlineBinary is no text.")
    try:
        return b64decode("".join(text.split()), validate=True)
    except (Base64Error, ValueError) as error:
        raise Unfit("InlineBinary is not Base64.") from error


def encoder_of(names: Sequence[str]) -> Encode | None:
    """How text is written under a Specific Character Set; None when that set is not known.

    What the set cannot hold raises `UnicodeError`, and so does what would be read back as other text.

    Source: PS3.3 section C.12.1.1.2, PS3.5 section 6.1.2.
    """
    plain = [name.strip() for name in names]
    if plain in ([], [""], ["ISO_IR 6"]):
        return lambda text: text.encode("ascii")
    if plain == ["ISO_IR 192"]:
        return lambda text: text.encode("utf-8")
    return _other_encoder(plain)


def _other_encoder(names: list[str]) -> Encode | None:
    from pydicom import charset  # Takes a quarter of a second, and this is seldom needed.

    if any(name not in charset.python_encoding for name in names):
        return None
    codecs = [charset.python_encoding[name] for name in names]
    decode = charset_of("\\".join(names).encode("latin-1")).text

    def encode(text: str) -> bytes:
        if text.isascii():
            return text.encode("ascii")
        for character in set(text):
            _require_in(codecs, character)
        # A set that was switched to ends at each delimiter (PS3.5 section 6.1.2.5.3).
        pieces = _DELIMITERS.split(text)
        raw = b"".join(charset.encode_string(piece, codecs) for piece in pieces)
        if decode(raw) != text:
            raise UnicodeError("The character set does not keep the text.")
        return raw

    return encode


def _require_in(codecs: Sequence[str], character: str) -> None:
    for codec in codecs:
        try:
            character.encode(codec)
        except UnicodeError:
            continue
        return
    raise UnicodeError("A character is in none of the sets named.")


def _in_default(text: str) -> bytes:
    # Bytes above 127 are not allowed here but occur, and are read as these characters.
    try:
        return text.encode("latin-1")
    except UnicodeError as error:
        raise Unfit("Value holds characters beyond the default repertoire.") from error


def _pack(code: str, value: JsonValue) -> bytes:
    try:
        number = _float(value) if code in "fd" else _integer(value)
        return struct.pack(f"<{code}", number)
    except (ValueError, OverflowError, struct.error) as error:
        raise Unfit("Value is no number of this VR.") from error


def _float(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError
    return float(value)


def _integer(value: JsonValue) -> int:
    number = _float(value)
    text = str(value).strip()
    # JavaScript has no integers: 1.0 is 1.
    return int(text) if text.lstrip("+-").isdigit() else _whole(number)


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError
    return int(number)


def _pack_tag(value: JsonValue) -> bytes:
    text = value.strip() if isinstance(value, str) else ""
    if not _TAG.fullmatch(text):
        raise Unfit("Value is no tag of eight hexadecimal digits.")
    return struct.pack("<HH", int(text[:4], 16), int(text[4:], 16))


def _text(vr: str, value: JsonValue) -> str:
    if value is None:
        return ""
    if vr == "PN":
        value = _name(value)
    if isinstance(value, Number | int | float) and not isinstance(value, bool):
        return _number(vr, value)
    if not isinstance(value, str):
        raise Unfit("Value is no text.")
    if "\\" in value and vr not in _WITH_BACKSLASH:
        raise Unfit("Value holds a backslash, which would make two values of it.")
    return value.strip() if vr == "UI" else value


def _number(vr: str, value: Number | int | float) -> str:
    text = str(value)
    if vr == "IS" and not text.lstrip("-").isdigit():
        try:
            return str(_whole(float(text)))
        except (ValueError, OverflowError) as error:
            raise Unfit("Value is no integer.") from error
    return _decimal(text) if vr == "DS" else text


def _decimal(text: str) -> str:
    number = float(text)
    if not isfinite(number):
        raise Unfit("Value is no decimal number, or too large for one.")
    return text if len(text) <= MAX_DECIMAL_CHARACTERS else _shortened(number)


def _shortened(number: float) -> str:
    """The decimal string of sixteen characters that is nearest to a number."""
    digits = range(MAX_DECIMAL_CHARACTERS, 0, -1)
    texts = (repr(number), *(f"{number:.{count}g}" for count in digits))
    return next(text for text in texts if len(text) <= MAX_DECIMAL_CHARACTERS)


def _name(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise Unfit("Value is no person's name.")
    groups = [value.get(group) or "" for group in _GROUPS]
    if not all(isinstance(group, str) for group in groups):
        raise Unfit("Value is no person's name.")
    if any("=" in str(group) for group in groups):
        raise Unfit("A group of the name holds an equals sign, which would make two groups of it.")
    return "=".join(str(group) for group in groups).rstrip("=")
