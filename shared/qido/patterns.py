"""The ways in which what is stored can match what is asked for. Pure.

Each takes all that a study, series or instance says of itself, and the attribute to look at in it.

Source: API rules sections 8.4 and 8.5, PS3.4 section C.2.2.2.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.dicom.tags import Attribute
from shared.qido.globs import Glob
from shared.qido.moments import EARLIEST_TIME, Span, full_date, full_time
from shared.storage.rows import Values
from shared.storage.terms import Kind, fold, terms

_WORD_ENDS = re.compile(r"[\s^=]+")


class Pattern(Protocol):
    """Something that values match or do not."""

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether the attribute matches among these values."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Matches whatever is stored, and what has no value."""

    def accepts(self, _: Values, __: Attribute, /) -> bool:
        """Whether the attribute matches: it does."""
        return True


@dataclass(frozen=True, slots=True)
class Nothing:
    """Matches what is absent or has no value (PS3.4 section C.2.2.2.7)."""

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether the attribute has no value."""
        return not _terms(Kind.TEXT, values, attribute)


@dataclass(frozen=True, slots=True)
class Texts:
    """Matches whole values, but for wild cards."""

    kind: Kind
    plain: frozenset[str]
    """What has no wild card. A list may have a thousand, and is compared with every row that is read."""

    wild: tuple[Glob, ...] = ()
    every: bool = False
    """Whether each has to be among the values, instead of any (PS3.4 section C.2.2.2.8)."""

    @classmethod
    def of(cls, kind: Kind, wanted: Sequence[Glob], *, every: bool = False) -> "Texts":
        """Match what is like one of these, or like each of them."""
        plain = frozenset(glob.pieces[0] for glob in wanted if glob.is_plain)
        return cls(kind, plain, tuple(glob for glob in wanted if not glob.is_plain), every)

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether values of the attribute are as wanted."""
        found = _terms(self.kind, values, attribute)
        among = (any(map(glob.fits, found)) for glob in self.wild)
        if self.every:
            return self.plain.issubset(found) and all(among)
        return not self.plain.isdisjoint(found) or any(among)


@dataclass(frozen=True, slots=True)
class Words:
    """Matches names in which these words follow each other, or their beginnings do.

    Source: API rules section 8.5.
    """

    words: tuple[Glob, ...]
    """Each ends in a star."""

    whole: Glob
    """All of it as one text, which may match as well where it has wild cards of its own."""

    @classmethod
    def parse(cls, text: str) -> "Words":
        """Read what a client looks for; it may be nothing but separators, and then has no words."""
        folded = fold(Kind.NAME, text)
        return cls(tuple(Glob.parse(f"{word}*") for word in _words(folded)), Glob.parse(folded))

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether one of the names matches."""
        found = _terms(Kind.NAME, values, attribute)
        return any(self._follow(_words(name)) or self.whole.fits(name) for name in found)

    def _follow(self, words: Sequence[str]) -> bool:
        starts = range(len(words) - len(self.words) + 1)
        return any(
            all(glob.fits(word) for glob, word in zip(self.words, words[start:], strict=False))
            for start in starts
        )


@dataclass(frozen=True, slots=True)
class Within:
    """Matches dates, times, or both in one, in a range."""

    span: Span
    full: Callable[[str], str | None]
    """Writes a stored value as the ends are written; None for what is none."""

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether a value of the attribute lies in the range."""
        found = map(self.full, _terms(Kind.TEXT, values, attribute))
        return any(self.span[0] <= value <= self.span[1] for value in found if value)


@dataclass(frozen=True, slots=True)
class MomentWithin:
    """Matches the moment that a date and a time tell together, in a range; without a time the day's first.

    Source: PS3.18 section 8.3.4.1.1.
    """

    span: Span
    date: Attribute

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether the moment lies in the range; the attribute is that of the time."""
        dates = [date for date in map(full_date, _terms(Kind.TEXT, values, self.date)) if date]
        times = [time for time in map(full_time, _terms(Kind.TEXT, values, attribute)) if time]
        moments = (f"{date}{time}" for date in dates for time in times or [EARLIEST_TIME])
        return any(self.span[0] <= moment <= self.span[1] for moment in moments)


@dataclass(frozen=True, slots=True)
class Number:
    """Matches one number, however it is written."""

    wanted: float
    read: Callable[[str], float | None]
    """Gives the number that a stored value is; None for what is none."""

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether the attribute has this number."""
        return self.wanted in map(self.read, _terms(Kind.TEXT, values, attribute))


@dataclass(frozen=True, slots=True)
class InItem:
    """Matches a sequence of which one item is like all that is asked of it (PS3.4 section C.2.2.2.6)."""

    parts: tuple[tuple[Pattern, Attribute], ...]
    """What is asked, and of which attribute of the item."""

    def accepts(self, values: Values, attribute: Attribute, /) -> bool:
        """Whether an item matches; a sequence without one is like an item without values."""
        found = values.get(attribute.sequence, {}).get("Value")
        items = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
        return any(
            all(pattern.accepts(item, inner) for pattern, inner in self.parts) for item in items or [{}]
        )


def _terms(kind: Kind, values: Values, attribute: Attribute) -> list[str]:
    return terms(kind, values.get(attribute.tag, {}))


def _words(folded: str) -> list[str]:
    return [word for word in _WORD_ENDS.split(folded) if word]
