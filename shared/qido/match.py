"""What one search key matches. Pure.

A match has two sides: the pattern, which decides, and what the planner may look for in an index. Of that,
whatever matches has all: it is equal to one of the exact terms, lies within the dates, holds all fragments.

Source: API rules section 8.4, PS3.18 section 8.3.4.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.dicom.tags import SEARCHABLE, TIMES_OF_DATES, Attribute, SearchLevel
from shared.dicom.uid import trim_uid
from shared.errors import BadRequest
from shared.qido.globs import ANY, Glob
from shared.qido.moments import (
    EARLIEST_DATE,
    EARLIEST_TIME,
    LATEST_DATE,
    LATEST_TIME,
    Span,
    check_order,
    full_date,
    full_moment,
    full_time,
    impossible,
    read_span,
    real_number,
    stored_moment,
    whole_number,
)
from shared.qido.patterns import (
    Anything,
    InItem,
    MomentWithin,
    Nothing,
    Number,
    Pattern,
    Texts,
    Within,
    Words,
)
from shared.storage.rows import Values
from shared.storage.terms import Kind, fold
from shared.web.query import Filter, not_queryable

MAX_WILD = 32
"""Values of one list that may have wild cards: each is compared with every row that is read."""

NO_UID = "-"
"""Stands for what cannot be a UID, so that nothing has it."""

_MANY_VALUED = frozenset({"00080061"})
"""Searched attributes of which one dataset may have several values by the dictionary."""


@dataclass(frozen=True, slots=True)
class Match:
    """One attribute and what it has to be like."""

    attribute: Attribute
    level: SearchLevel
    pattern: Pattern

    exact: tuple[str, ...] = ()
    """Folded terms, one of which a value has to be; none if it need not be equal to anything."""

    dates: Span | None = None
    """First and last date, inclusive."""

    fragments: tuple[str, ...] = ()
    """Folded pieces that a value has all of, with START and END where they begin or end it."""

    def accepts(self, values: Values) -> bool:
        """Whether the attributes of a study, series or instance match."""
        return self.pattern.accepts(values, self.attribute)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One search key, with the attribute it names."""

    item: Filter
    attribute: Attribute
    level: SearchLevel
    fuzzy: bool
    several: bool

    @property
    def text(self) -> str:
        return self.item.text().strip(" \0")

    @property
    def range_form(self) -> tuple[bool, bool] | None:
        """Which ends a range of dates or times has; None if it is none."""
        first, dash, last = self.text.partition("-")
        return (bool(first), bool(last)) if dash and not self.item.is_empty else None

    def match(
        self,
        pattern: Pattern,
        *,
        exact: tuple[str, ...] = (),
        dates: Span | None = None,
        fragments: tuple[str, ...] = (),
    ) -> Match:
        return Match(self.attribute, self.level, pattern, exact, dates, fragments)


def make_matches(
    filters: Sequence[Filter], levels: Sequence[SearchLevel], *, fuzzy: bool = False, several: bool = False
) -> tuple[Match, ...]:
    """Work out what a search matches.

    Args:
        filters: The search keys of the request.
        levels: The levels whose attributes may be searched at this resource.
        fuzzy: Whether names match by words.
        several: Whether each of several values has to be there, where a dataset may have several.

    Raises:
        BadRequest: An attribute cannot be searched here, or its value is impossible.
    """
    known = {each.path: (each, level) for level in levels for each in SEARCHABLE[level]}
    asked = [_Asked(item, *_known(item, known), fuzzy, several) for item in filters]
    dates = {TIMES_OF_DATES[key.attribute.tag]: key for key in asked if key.attribute.tag in TIMES_OF_DATES}
    return _within_items([_make_match(key, dates.get(key.attribute.tag)) for key in asked])


def _known(item: Filter, known: Mapping[str, tuple[Attribute, SearchLevel]]) -> tuple[Attribute, SearchLevel]:
    if item.tag not in known:
        raise not_queryable(item.key)
    return known[item.tag]


def _within_items(matches: Sequence[Match]) -> tuple[Match, ...]:
    """Let all that is asked of one sequence be asked of one of its items."""
    inner: dict[str, list[tuple[Pattern, Attribute]]] = defaultdict(list)
    for match in matches:
        inner[match.attribute.sequence].append((match.pattern, match.attribute))
    return tuple(
        replace(match, pattern=InItem(tuple(inner[match.attribute.sequence])))
        if match.attribute.sequence
        else match
        for match in matches
    )


def _make_match(key: _Asked, date: _Asked | None) -> Match:
    if key.item.is_empty:
        return key.match(Nothing())
    if date is not None and key.range_form and key.range_form == date.range_form:
        return _moment_match(date, key)
    return _MAKERS.get(key.attribute.vr, _text_match)(key)


def _text_match(key: _Asked) -> Match:
    return _like(key, Kind.TEXT, (key.item.text(),))


def _code_match(key: _Asked) -> Match:
    return _like(key, Kind.TEXT, key.item.items())


def _name_match(key: _Asked) -> Match:
    text = key.item.text()
    if not key.fuzzy:
        return _like_name(key, Glob.parse(fold(Kind.NAME, text)))
    if '"' in text:
        raise BadRequest(f"Invalid query: a fuzzy search by '{key.attribute.keyword}' cannot have quotes.")
    words = Words.parse(text)
    if words.whole.is_any:
        return key.match(Anything())
    if not words.words:
        raise BadRequest(f"Invalid query: AttributeId {key.item.key} has no value.")
    return key.match(words, fragments=tuple(piece for word in words.words for piece in word.literals()))


def _like_name(key: _Asked, glob: Glob) -> Match:
    """Match a name; `doe^*` is what a name form sends where only a family name was filled in."""
    shorter = glob.shorter()
    if shorter is None or not any(shorter.pieces):
        return _like(key, Kind.NAME, (ANY.join(glob.pieces),))
    begun = Glob((*shorter.pieces, ""))
    return key.match(Texts.of(Kind.NAME, (glob, shorter)), fragments=begun.fragments())


def _like(key: _Asked, kind: Kind, texts: Sequence[str]) -> Match:
    globs = tuple(Glob.parse(fold(kind, text)) for text in texts)
    every = key.several and key.attribute.tag in _MANY_VALUED
    if every:
        globs = tuple(glob for glob in globs if not glob.is_any)
    if not globs or any(glob.is_any for glob in globs):
        return key.match(Anything())
    pattern = Texts.of(kind, globs, every=every)
    if len(pattern.wild) > MAX_WILD:
        name = key.item.key
        raise BadRequest(
            f"Invalid query: AttributeId {name} has more than {MAX_WILD} values with wild cards."
        )
    # Where each has to be there, each alone leads to all.
    leading = globs[:1] if every else globs
    if all(glob.is_plain for glob in leading):
        return key.match(pattern, exact=tuple(dict.fromkeys(glob.pieces[0] for glob in leading)))
    return key.match(pattern, fragments=leading[0].fragments() if len(leading) == 1 else ())


def _uid_match(key: _Asked) -> Match:
    uids = [uid for uid in map(trim_uid, key.item.items()) if set(uid) <= set("0123456789.")]
    found = tuple(dict.fromkeys(uids)) or (NO_UID,)
    return key.match(Texts(Kind.TEXT, frozenset(found)), exact=found)


def _date_match(key: _Asked) -> Match:
    dates = check_order(_dates(key), key.attribute)
    return key.match(Within(dates, full_date), dates=dates)


def _dates(key: _Asked) -> Span:
    return read_span(key.text, key.attribute, full_date, (EARLIEST_DATE, LATEST_DATE))


def _time_match(key: _Asked) -> Match:
    return key.match(Within(check_order(_times(key), key.attribute), full_time))


def _times(key: _Asked) -> Span:
    return read_span(key.text, key.attribute, full_time, (EARLIEST_TIME, LATEST_TIME))


def _date_time_match(key: _Asked) -> Match:
    bounds = (EARLIEST_DATE + EARLIEST_TIME, LATEST_DATE + LATEST_TIME)
    span = read_span(key.item.moment().strip(" \0"), key.attribute, full_moment, bounds)
    return key.match(Within(check_order(span, key.attribute), stored_moment))


def _moment_match(date: _Asked, time: _Asked) -> Match:
    """Match the ends of two ranges of the same form, of dates and of times, as one range of moments.

    The dates alone are a match of their own.
    """
    (first, last), (begin, end) = _dates(date), _times(time)
    span = check_order((first + begin, last + end), time.attribute)
    return time.match(MomentWithin(span, date.attribute))


def _whole_match(key: _Asked) -> Match:
    return _number_match(key, whole_number)


def _real_match(key: _Asked) -> Match:
    return _number_match(key, real_number)


def _number_match(key: _Asked, read: Callable[[str], float | None]) -> Match:
    number = read(key.text)
    if number is None:
        raise impossible(key.text, key.attribute)
    return key.match(Number(number, read))


_MAKERS: dict[str, Callable[[_Asked], Match]] = {
    "UI": _uid_match,
    "CS": _code_match,
    "PN": _name_match,
    "DA": _date_match,
    "TM": _time_match,
    "DT": _date_time_match,
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US", "UV"), _whole_match),
    **dict.fromkeys(("DS", "FD", "FL"), _real_match),
}
