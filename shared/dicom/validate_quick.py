"""Telling at first sight, from its bytes alone, that an element breaks no rule.

Nearly every element of nearly every file is fine, and a header has a hundred of them: so one compiled
pattern for each VR and multiplicity says "certainly fine", and only what it does not say that of is decoded,
taken apart and looked at closely (`validate_rules`). A pattern may be stricter than the rules, never laxer.

Bytes stand for characters here. No character set makes more characters than it has bytes; the bytes 0x20 to
0x7E mean themselves until an escape sequence says otherwise, and ESC is left to the closer look, as is a
backslash near bytes above 0x7F, of which it may be a part. Repeats are possessive: nothing is tried twice,
however hostile the value.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from shared.dicom.validate_rules import LENGTHS, NUMBER_BYTES, Multiplicity

IsFine = Callable[[bytes], object]
"""Something true if the bytes of an element, padding included, are certainly as they should be."""

_PADDING: Final = rb"[ \0]*+"
_ANY: Final = rb"[ -\[\]-~\x80-\xff]"
_ASCII: Final = rb"[ -\[\]-~]"
_HOURS: Final = rb"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6}+)?+)?+)?+"
_DAYS: Final = rb"(?:0[1-9]|1[0-2])(?:(?:0[1-9]|[12][0-9]|3[01])(?:" + _HOURS + rb")?+)?+"

_VALUES: Final = {
    "AE": rb"[!-\[\]-~][ -\[\]-~]{0,15}+",
    "AS": rb"[0-9]{3}[DWMY]",
    "CS": rb"[A-Z0-9_ ]{0,16}+",
    "DA": rb"[0-9]{4}(?:0[0-9]|1[0-2])(?:[0-2][0-9]|3[01])",
    "DS": rb"(?![^\\\0]{17}) *+[-+]?+(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][-+]?+[0-9]++)?+",
    "DT": rb"[0-9]{4}(?:" + _DAYS + rb")?+",
    "IS": rb" *+[-+]?+[0-9]{1,9}+",
    "TM": _HOURS,
    "UI": rb"(?![0-9.]{65})(?:0|[1-9][0-9]*+)(?:\.(?:0|[1-9][0-9]*+))*+",
}
"""One value of the default repertoire, without the blanks behind it."""


@lru_cache(maxsize=1024)
def quick_check(vr: str, multiplicity: Multiplicity) -> IsFine:
    """Make the check for elements of a VR and multiplicity; what has no rule is always fine."""
    if vr in NUMBER_BYTES:
        return _check_numbers(NUMBER_BYTES[vr], multiplicity)
    if vr in ("LT", "ST"):
        limit = LENGTHS[vr]
        return lambda raw: len(raw) <= limit
    value = _value(vr, multiplicity)
    if value is None:
        return always_fine
    values = _repeated(value + b" *+", multiplicity)
    # Blanks alone are no value, but of AE a wrong one.
    form = b"(?:%b%b)?+" if vr == "AE" else b"(?:%b)?+%b"
    return re.compile(form % (values, _PADDING)).fullmatch


def always_fine(_: bytes) -> bool:
    """For elements without a rule."""
    return True


def never_fine(_: bytes) -> bool:
    """For elements that are to be looked at closely each time."""
    return False


def _check_numbers(size: int, multiplicity: Multiplicity) -> IsFine:
    if multiplicity.low == multiplicity.high:
        sizes = (size * multiplicity.low, 0)
        return lambda raw: len(raw) in sizes
    return lambda raw: not len(raw) % size and (not raw or multiplicity.takes(len(raw) // size))


def _value(vr: str, multiplicity: Multiplicity) -> bytes | None:
    characters = _ANY if multiplicity.high == 1 else _ASCII
    if vr in ("LO", "SH"):
        return b"%b{0,%d}+" % (characters, LENGTHS[vr])
    if vr == "UC":
        return characters + b"*+"
    if vr == "PN":
        plain = b"[ -<>-\\[\\]_-~%b]" % (b"\x80-\xff" if multiplicity.high == 1 else b"")
        group = b"%b*+(?:\\^%b*+){0,4}+" % (plain, plain)
        return b"(?![^\\\\]{%d})%b(?:=%b){0,2}+" % (LENGTHS[vr] + 1, group, group)
    return _VALUES.get(vr)


def _repeated(value: bytes, multiplicity: Multiplicity) -> bytes:
    """A pattern for as many values as the multiplicity allows, with backslashes between them."""
    more, low, high = rb"(?:\\" + value + b")", multiplicity.low - 1, multiplicity.high
    if multiplicity.step > 1:
        return b"%b%b{%d}(?:%b{%d})*+" % (value, more, low, more, multiplicity.step)
    if high is None:
        return b"%b%b{%d,}+" % (value, more, low)
    return b"%b%b{%d,%d}+" % (value, more, low, high - 1)
