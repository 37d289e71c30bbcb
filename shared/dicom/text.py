"""Bytes to text under a Specific Character Set (PS3.5 section 6.1, PS3.3 C.12.1.1.2).

A value is decoded whole and split afterwards: the byte 0x5C or 0x3D may be half of a two-byte character, so
bytes are never searched for a backslash or an equals sign. Nothing here raises or warns: what cannot be
decoded becomes U+FFFD, since a store must not fail on a wrong character set.
"""

import codecs
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

Decode = Callable[[bytes], str]


class Charset(NamedTuple):
    """How the text of one dataset is decoded."""

    text: Decode
    """For LO, LT, SH, ST, UC and UT."""

    name: Decode
    """For PN, where ^ and = end an escape sequence's reach too."""


# Latin-1 stands in for the default repertoire: bytes above 127 are not allowed there but occur all the same.
DEFAULT_CODEC = "latin-1"
_CODECS = {
    "": DEFAULT_CODEC,
    "ISO_IR 6": DEFAULT_CODEC,
    "ISO_IR 13": "shift_jis",
    "ISO_IR 58": "gb2312",
    "ISO_IR 87": "iso2022_jp",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 127": "iso8859-6",
    "ISO_IR 138": "iso8859-8",
    "ISO_IR 144": "iso8859-5",
    "ISO_IR 148": "iso8859-9",
    "ISO_IR 149": "euc_kr",
    "ISO_IR 159": "iso2022_jp_2",
    "ISO_IR 166": "iso8859-11",
    "ISO_IR 192": "utf-8",
    "ISO_IR 203": "iso8859-15",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
_ESCAPES = {
    b"\x1b(B": DEFAULT_CODEC,
    b"\x1b(J": "shift_jis",
    b"\x1b)I": "shift_jis",
    b"\x1b-A": "latin-1",
    b"\x1b-B": "iso8859-2",
    b"\x1b-C": "iso8859-3",
    b"\x1b-D": "iso8859-4",
    b"\x1b-F": "iso8859-7",
    b"\x1b-G": "iso8859-6",
    b"\x1b-H": "iso8859-8",
    b"\x1b-L": "iso8859-5",
    b"\x1b-M": "iso8859-9",
    b"\x1b-T": "iso8859-11",
    b"\x1b-b": "iso8859-15",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
}
# Python's codecs for these take the escape sequence themselves; their characters are two bytes below 128, so
# delimiters are not searched for in them (a value must switch back before one anyway, PS3.5 6.1.2.5.3).
_TWO_BYTE_ESCAPES = {b"\x1b$B": "iso2022_jp", b"\x1b$@": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2"}
_RUNS = re.compile(rb"^[^\x1b]+|\x1b(?:\$[()])?[^\x1b]*")
_TEXT_DELIMITERS = re.compile(rb"[\n\r\t\f\\]")
_NAME_DELIMITERS = re.compile(rb"[\n\r\t\f\\^=]")
_MISSPELLED = re.compile(r"ISO.(?:2022.)?IR.(.*)")


@lru_cache(maxsize=256)
def charset_of(value: bytes) -> Charset:
    """The character set that a value of (0008,0005) names; unknown names mean the default repertoire."""
    names = value.decode("latin-1").split("\\")
    codec = _codec_of(names[0])
    if len(names) == 1 and "2022" not in names[0]:
        decode = _single(codec)
        return Charset(decode, decode)
    if codec in ("utf-8", "gb18030", "gbk"):  # These stand alone: what follows them is ignored.
        return Charset(_single(codec), _single(codec))
    # A first value that only escape sequences can reach leaves plain bytes to the default repertoire.
    first = DEFAULT_CODEC if codec.startswith("iso2022") else codec
    return Charset(
        partial(_decode_extended, first, _TEXT_DELIMITERS), partial(_decode_extended, first, _NAME_DELIMITERS)
    )


def _codec_of(name: str) -> str:
    """The codec of one name; ISO 2022 IR 100 and the misspellings ISO-IR 100, ISO IR 100 mean ISO_IR 100."""
    name = name.strip("\0 ")
    found = _MISSPELLED.fullmatch(name)
    plain = f"ISO_IR {found[1]}" if found else name.removeprefix("ISO 2022 ")
    return _CODECS.get(plain, DEFAULT_CODEC)


def _single(codec: str) -> Decode:
    if codec in ("latin-1", "utf-8"):
        return lambda raw: str(raw, codec, "replace")
    decode = codecs.lookup(codec).decode
    return lambda raw: decode(raw, "replace")[0]


def _decode_extended(first: str, delimiters: re.Pattern[bytes], raw: bytes) -> str:
    """Decode a value that may switch character sets with escape sequences."""
    if b"\x1b" not in raw:
        return str(raw, first, "replace")
    return "".join(_decode_run(first, delimiters, run) for run in _RUNS.findall(raw))


def _decode_run(first: str, delimiters: re.Pattern[bytes], run: bytes) -> str:
    """Decode the bytes from one escape sequence to the next."""
    escape = run[:4] if run[1:2] == b"$" and run[2:3] in (b"(", b")") else run[:3]
    if codec := _TWO_BYTE_ESCAPES.get(escape):
        return str(run, codec, "replace")
    codec = _ESCAPES.get(escape)
    if codec is None:
        return str(run, first, "replace")
    rest = run[len(escape) :]
    found = delimiters.search(rest)
    end = found.start() if found else len(rest)
    return str(rest[:end], codec, "replace") + str(rest[end:], first, "replace")


LATIN = charset_of(b"")
