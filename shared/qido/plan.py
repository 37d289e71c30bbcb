"""Which rows a search reads. Pure: a query in, ranges of tables out.

The match that is likely to leave fewest rows leads: its rows are read in order, newest first, and the
other matches are applied to what they carry. Which one that is follows from the query alone, so that the
pages of one search come in one order.

A piece of a text leads to rows in the order of the texts. A few are gathered and sorted. Where there are
more, a few days or a whole value lead instead if the query has them; else the rows come as they lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum

from shared.dicom.tags import SEARCHABLE, SearchLevel
from shared.qido.match import Match
from shared.qido.patterns import Texts
from shared.qido.ranges import (
    Scan,
    TextRange,
    all_scan,
    date_scan,
    pieces,
    term_scan,
    text_ranges,
    uid_scan,
)
from shared.storage import terms
from shared.storage.terms import SERIES_TABLES, STUDY_TABLES, SearchTable

STUDY_UID = "0020000D"
SERIES_UID = "0020000E"
INSTANCE_UID = "00080018"

MODALITY = "00080060"
MODALITIES_IN_STUDY = "00080061"

NARROW_DAYS = 31
"""A range of so many dates leads before a term that many studies may share."""

LONG_PIECE = 3
"""Characters of a text that few enough share; where it begins or ends counts as one."""

MOST_TERMS = 32
"""Values of a list that lead, each by a range of its own. Who lists more modalities means nearly all."""


class Lead(Enum):
    """What the rows of a scan stand for."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"


@dataclass(frozen=True, slots=True)
class TextLead:
    """Rows that a piece of a text leads to, text by text."""

    lead: Lead
    table: SearchTable
    ranges: tuple[TextRange, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search reads."""

    lead: Lead
    """What the scans stand for, or without any the rows of the text."""

    scans: tuple[Scan, ...] = ()
    """Rows that lead to what may match; several are merged, newest first."""

    studies: tuple[str, ...] = ()
    """Study Instance UIDs that are named, so that nothing has to be scanned for them."""

    rest: tuple[Match, ...] = ()
    """What the rows found must match."""

    date: Match | None = None
    """The dates that lead, if dates do: the rows come in the order of theirs."""

    text: TextLead | None = None
    """What leads while it has few rows, and if there are no scans also when it has many."""


def make_plan(partition: str, level: SearchLevel, matches: Sequence[Match]) -> Plan:
    """Choose the rows that a search over a whole data partition reads.

    Args:
        partition: Folded name of the data partition.
        level: What is searched for: studies, series or instances.
        matches: All that must match.
    """
    by_path = {match.attribute.path: match for match in matches}
    query = _Query(partition, level, by_path, (*matches, *_implied(by_path)))
    return (
        query.by_uid()
        or query.by_order(_RARE)
        or query.by_text()
        or query.by_order((*_LESS_RARE, *_COMMON))
        or query.all()
    )


def _implied(by_path: Mapping[str, Match]) -> list[Match]:
    """What follows for a study: without a modality it has no series of it, and none needs to be read."""
    match = by_path.get(MODALITY)
    if match is None or not isinstance(match.pattern, Texts):
        return []
    return [replace(match, attribute=_MODALITIES_IN_STUDY, level=SearchLevel.STUDY)]


_MODALITIES_IN_STUDY = next(
    attribute for attribute in SEARCHABLE[SearchLevel.STUDY] if attribute.tag == MODALITIES_IN_STUDY
)


@dataclass(frozen=True, slots=True)
class _Step:
    """One attribute that may lead, at its place in the order."""

    lead: Lead
    table: SearchTable
    days: int = 0
    """Dates only: how many of them a range has at most that leads here; 0 for any number."""


def _steps(lead: Lead, *paths: str, days: int = 0) -> tuple[_Step, ...]:
    tables = {table.path: table for table in (*STUDY_TABLES, *SERIES_TABLES)}
    return tuple(_Step(lead, tables[path], days) for path in paths)


_REQUEST = ("00400275.00401001", "00400275.00400009")
_DATES_OF_STUDY = ("00100030", "00080020")
_DATES_OF_SERIES = ("00400244", "00080021")
_DESCRIPTIONS_OF_SERIES = ("0008103E", "00081090")

# In the order in which they lead: the fewer rows a value is likely to have, the earlier. Of ten million
# studies some 300 have one date of birth, but 3,000 one study date: the one leads before any piece of a text,
# the other only before a piece that many have. A wide range of dates comes behind all but modalities: some
# percent of all studies have any modality, so that among those of the dates a page is full soon, while among
# those of a modality old dates lie behind all the new ones.
_RARE = (
    *_steps(Lead.STUDIES, "00080050", "00100020"),
    *_steps(Lead.SERIES, *_REQUEST),
    *_steps(Lead.STUDIES, "00200010", "00100010"),
    *_steps(Lead.STUDIES, "00100030", days=1),
)
_LESS_RARE = (
    *_steps(Lead.STUDIES, *_DATES_OF_STUDY, days=NARROW_DAYS),
    *_steps(Lead.SERIES, *_DATES_OF_SERIES, days=NARROW_DAYS),
    *_steps(Lead.STUDIES, "00080090", "00081030"),
)
_COMMON = (
    *_steps(Lead.SERIES, *_DESCRIPTIONS_OF_SERIES),
    *_steps(Lead.STUDIES, *reversed(_DATES_OF_STUDY)),
    *_steps(Lead.SERIES, *_DATES_OF_SERIES),
    *_steps(Lead.SERIES, "00080060"),
    *_steps(Lead.STUDIES, "00080061", "00100021", "00100040"),
)
# A number is as good as unique, a name is had by some, and of a description each word by hundreds.
_TEXTS = (
    *_steps(Lead.STUDIES, "00080050", "00100020", "00100010", "00200010", "00080090"),
    *_steps(Lead.SERIES, *_REQUEST),
    *_steps(Lead.STUDIES, "00081030"),
    *_steps(Lead.SERIES, *_DESCRIPTIONS_OF_SERIES),
)
_ALL = {
    SearchLevel.STUDY: (Lead.STUDIES, terms.STUDIES),
    SearchLevel.SERIES: (Lead.SERIES, terms.SERIES),
    SearchLevel.INSTANCE: (Lead.SERIES, terms.SERIES),
}


@dataclass(frozen=True, slots=True)
class _Query:
    partition: str
    level: SearchLevel
    by_path: Mapping[str, Match]
    matches: tuple[Match, ...]

    def by_uid(self) -> Plan | None:
        """A plan led by UIDs: what they name is known without looking."""
        if studies := self._exact(STUDY_UID):
            return Plan(Lead.STUDIES, studies=tuple(dict.fromkeys(studies)), rest=self.matches)
        for path, lead, table in (
            (INSTANCE_UID, Lead.INSTANCES, terms.INSTANCES_BY_UID),
            (SERIES_UID, Lead.SERIES, terms.SERIES_BY_UID),
        ):
            if uids := self._exact(path):
                scans = tuple(uid_scan(table, self.partition, uid) for uid in dict.fromkeys(uids))
                return Plan(lead, scans, rest=self.matches)
        return None

    def by_order(self, steps: Sequence[_Step]) -> Plan | None:
        """A plan led by the first attribute of an order that is given as a term or a range of dates."""
        plans = (self._led_by(step) for step in steps if step.table.path in self.by_path)
        return next((plan for plan in plans if plan), None)

    def by_text(self) -> Plan | None:
        """A plan led by the piece of a text that is likely to be rarest."""
        found = [
            (step, piece)
            for step in _TEXTS
            if step.table.path in self.by_path
            for piece in pieces(step.table, self.by_path[step.table.path])[:1]
        ]
        if not found:
            return None
        # The first of those that are long enough, or else the first.
        step, piece = next((each for each in found if len(each[1]) >= LONG_PIECE), found[0])
        text = TextLead(step.lead, step.table, text_ranges(step.table, self.partition, piece))
        other = self.by_order(_LESS_RARE)
        return replace(other, text=text) if other else Plan(step.lead, rest=self.matches, text=text)

    def all(self) -> Plan:
        """A plan that reads everything, newest first."""
        lead, table = _ALL[self.level]
        return Plan(lead, (all_scan(table, self.partition),), rest=self.matches)

    def _led_by(self, step: _Step) -> Plan | None:
        match = self.by_path[step.table.path]
        if match.dates is not None:
            if step.days and _days(*match.dates) > step.days:
                return None
            scan = date_scan(step.table, self.partition, *match.dates)
            return Plan(step.lead, (scan,), rest=self.matches, date=match)
        if len(match.exact) > MOST_TERMS:
            return None
        scans = tuple(term_scan(step.table, self.partition, term) for term in match.exact)
        return Plan(step.lead, scans, rest=self.matches) if scans else None

    def _exact(self, path: str) -> tuple[str, ...]:
        return self.by_path[path].exact if path in self.by_path else ()


def _days(first: str, last: str) -> int:
    return _date(last).toordinal() - _date(first).toordinal() + 1


def _date(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
