"""Whether one value matches one search key, by the letter and without regard for cost.

Written for the tests alone, from PS3.4 C.2.2.2, PS3.18 8.3.4 and API rules sections 8.4 and 8.5. It shares
no code with the service, so that a mistake would have to be made twice.

Values are those of DICOM JSON: texts, numbers, names as objects, items of sequences as objects by tag.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
PADDING: Final = " \0"

_EARLIEST: Final = "00000000"
_LATEST: Final = "99999999"
_WORDS: Final = re.compile(r"[ ^=]+")
_LISTS: Final = re.compile(r"[,\\]")
_TIME: Final = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?")


def folded(text: str) -> str:
    """A text as it is compared: without case (section 8.4), by Unicode's canonical caseless matching."""
    decomposed = unicodedata.normalize("NFD", text.strip(PADDING))
    caseless = unicodedata.normalize("NFD", decomposed.casefold())
    return unicodedata.normalize("NFC", caseless)


def without_accents(text: str) -> str:
    """A folded text without what is written above and below its letters."""
    letters = (each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
    return unicodedata.normalize("NFC", "".join(letters))


def name_forms(value: Any) -> list[str]:
    """What a name can be asked for as: each of its groups, and all of them joined (PS3.5 6.2.1)."""
    groups = [_group(value.get(name, "")) for name in GROUPS]
    return [*filter(None, groups), "=".join(groups).rstrip("=")]


def _group(text: str) -> str:
    # Components at the end that are empty, and their delimiters, may be left out (PS3.5 6.2.1.1).
    return without_accents(folded(text)).rstrip("^ ")


def matches_text(asked: str, value: str) -> bool:
    """Single value and wild card matching (C.2.2.2.1, C.2.2.2.4) of SH, LO and CS."""
    return _like(folded(asked), folded(value))


def matches_name(asked: str, value: Any) -> bool:
    """The same of PN, without regard for accents."""
    wanted = "=".join(_group(group) for group in asked.split("=")).rstrip("=")
    forms = name_forms(value)
    # `doe^*` finds who has but a family name as well: the empty rest and its delimiter are left out.
    shorter = wanted[:-2].rstrip("^ ") if wanted.endswith("^*") else ""
    return any(_like(wanted, form) or bool(shorter and _like(shorter, form)) for form in forms)


def matches_words(asked: str, value: Any) -> bool:
    """Fuzzy matching (section 8.5): prefixes of consecutive words, in order."""
    wanted = _words(asked)
    words = _words("=".join(value.get(name, "") for name in GROUPS))
    last = len(words) - len(wanted)
    return any(
        all(word.startswith(part) for part, word in zip(wanted, words[at:], strict=False))
        for at in range(last + 1)
    )


def _words(text: str) -> list[str]:
    return [word for word in _WORDS.split(without_accents(folded(text))) if word]


def _like(pattern: str, text: str) -> bool:
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(each) or re.escape(each) for each in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def matches_uid(asked: str, value: str) -> bool:
    """A list of UIDs (C.2.2.2.2), of which one is the value."""
    return value.strip(PADDING) in listed(asked)


def listed(asked: str) -> list[str]:
    r"""What a list names, whose separator is `,` or `\` (clients section 3.3)."""
    return [piece.strip(PADDING) for piece in _LISTS.split(asked) if piece.strip(PADDING)]


def matches_number(asked: str, value: Any) -> bool:
    """An exact number: `0003` equals 3 (section 8.4)."""
    return int(asked) == int(value)


def matches_date(asked: str, value: str) -> bool:
    """A date or a range of dates, both ends included (C.2.2.2.5)."""
    first, last = ends(asked)
    return _is_day(value) and (first or _EARLIEST) <= value <= (last or _LATEST)


def _is_day(value: str) -> bool:
    try:
        return len(value) == 8 and bool(datetime.strptime(value, "%Y%m%d"))
    except ValueError:
        return False


def matches_time(asked: str, value: str) -> bool:
    """A time or a range of times; what is left out of either counts as nought (section 8.4)."""
    first, last = ends(asked)
    moment = _microseconds(value)
    return (not first or _microseconds(first) <= moment) and (not last or moment <= _microseconds(last))


def matches_moment(dates: str, times: str, date: str, time: str) -> bool:
    """A date and a time of which both are ranges of one form: one range of moments (C.2.2.2.5)."""
    (first_day, last_day), (first_time, last_time) = ends(dates), ends(times)
    moment = (date, _microseconds(time))
    if not _is_day(date) or (first_day and moment < (first_day, _microseconds(first_time))):
        return False
    return not last_day or moment <= (last_day, _microseconds(last_time))


def form_of(asked: str) -> str:
    """Which ends a range has, or that it is none."""
    first, dash, last = asked.partition("-")
    return f"{'a' if first else ''}{dash}{'b' if last else ''}"


def ends(asked: str) -> tuple[str, str]:
    """Both ends of a range; an open one is empty. A single value begins and ends with itself."""
    first, dash, last = asked.strip(PADDING).partition("-")
    return (first.strip(), last.strip()) if dash else (first, first)


def _microseconds(text: str) -> int:
    """A time of day; none is taken for its first moment."""
    found = _TIME.fullmatch(text.strip(PADDING) or "00")
    assert found, text
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((found[4] or "").ljust(6, "0"))


def matches_value(vr: str, asked: str, value: Any, *, fuzzy: bool) -> bool:
    """Whether a single value of an attribute of this VR is what a key asks for."""
    if vr == "PN":
        return matches_words(asked, value) if fuzzy else matches_name(asked, value)
    by_vr = {"UI": matches_uid, "IS": matches_number, "DA": matches_date, "TM": matches_time}
    return by_vr.get(vr, matches_text)(asked, value)


def is_universal(asked: str) -> bool:
    """Whether it is equal to universal matching (C.2.2.2.4 note 1): what has no value matches as well."""
    return set(asked.strip(PADDING)) == {"*"}


def matches_any(vr: str, asked: str, values: Sequence[Any], *, fuzzy: bool = False) -> bool:
    """Whether an attribute with these values, or none, is what a key asks for."""
    if vr not in ("UI", "IS", "DA", "TM") and is_universal(asked):
        return True
    return any(matches_value(vr, asked, value, fuzzy=fuzzy) for value in values)


def matches_all(asked: Iterable[str], values: Sequence[str]) -> bool:
    """Multiple value matching (C.2.2.2.8): each value of the key is one of the attribute's."""
    return all(matches_any("CS", piece, values) for piece in asked)
