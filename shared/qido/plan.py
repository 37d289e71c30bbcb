"""Which rows a search reads. Pure: a query in, scans out.

The match that is likely to leave fewest rows leads: its rows are read in order, newest first, and the
other matches are applied to what they carry. How likely is the order of the tables in `storage/terms.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from shared.dicom.tags import SearchLevel
from shared.qido.match import Match
from shared.storage import keys, terms
from shared.storage.tables import between, both, greater_or_equal, less
from shared.storage.terms import SERIES_TABLES, STUDY_TABLES, SearchTable

STUDY_UID = "0020000D"
SERIES_UID = "0020000E"
INSTANCE_UID = "00080018"


class Lead(Enum):
    """What the rows of a scan stand for."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"


@dataclass(frozen=True, slots=True)
class Scan:
    """One range of one search table, in the order of its keys."""

    table: str
    filter: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search reads."""

    lead: Lead
    scans: tuple[Scan, ...] = ()
    """Rows that lead to what may match; several are merged, newest first."""

    studies: tuple[str, ...] = ()
    """Study Instance UIDs that are named, so that nothing has to be scanned for them."""

    rest: tuple[Match, ...] = ()
    """What the rows found must match besides."""


def make_plan(partition: str, level: SearchLevel, matches: Sequence[Match]) -> Plan:
    """Choose the rows that a search over a whole data partition reads.

    Args:
        partition: Folded name of the data partition.
        level: What is searched for: studies, series or instances.
        matches: All that must match.
    """
    by_tag = {match.attribute.tag: match for match in matches}
    rest = tuple(matches)
    if studies := by_tag.get(STUDY_UID):
        return Plan(Lead.STUDIES, studies=studies.values, rest=rest)
    if instances := by_tag.get(INSTANCE_UID):
        return Plan(Lead.INSTANCES, _uid_scans(terms.INSTANCES_BY_UID, partition, instances), rest=rest)
    if series := by_tag.get(SERIES_UID):
        return Plan(Lead.SERIES, _uid_scans(terms.SERIES_BY_UID, partition, series), rest=rest)
    for lead, tables in _LEADS[level]:
        for table in tables:
            if match := by_tag.get(table.tag):
                return Plan(lead, _term_scans(table, partition, match), rest=rest)
    lead, table_of_all = _ALL[level]
    return Plan(lead, (_all_scan(table_of_all, partition),), rest=rest)


# Modality alone leaves many rows, so at series level it comes behind all that describes the study.
_BELOW_STUDY = (
    (Lead.STUDIES, STUDY_TABLES[:-1]),
    (Lead.SERIES, SERIES_TABLES),
    (Lead.STUDIES, STUDY_TABLES[-1:]),
)
_LEADS: dict[SearchLevel, tuple[tuple[Lead, tuple[SearchTable, ...]], ...]] = {
    SearchLevel.STUDY: ((Lead.STUDIES, STUDY_TABLES),),
    SearchLevel.SERIES: _BELOW_STUDY,
    SearchLevel.INSTANCE: _BELOW_STUDY,
}
_ALL = {
    SearchLevel.STUDY: (Lead.STUDIES, terms.STUDIES),
    SearchLevel.SERIES: (Lead.SERIES, terms.SERIES),
    SearchLevel.INSTANCE: (Lead.SERIES, terms.SERIES),
}


def _term_scans(table: SearchTable, partition: str, match: Match) -> tuple[Scan, ...]:
    if match.dates is not None:
        return (_date_scan(table, partition, *match.dates),)
    return tuple(_term_scan(table, partition, keys.term(value)) for value in match.values)


def _term_scan(table: SearchTable, partition: str, term: str) -> Scan:
    of_term = keys.term_partition(partition, term)
    first, end = f"{term}|", f"{term}|{keys.AFTER}"
    if not table.is_common:
        return Scan(table.table, between(of_term, first, end))
    filter_text = both(
        greater_or_equal("PartitionKey", f"{of_term}|"),
        less("PartitionKey", f"{of_term}|{keys.AFTER}"),
        greater_or_equal("RowKey", first),
        less("RowKey", end),
    )
    return Scan(table.table, filter_text)


def _date_scan(table: SearchTable, partition: str, first: str, last: str) -> Scan:
    # Keys hold dates inverted, newest first: the last date begins the range.
    filter_text = both(
        greater_or_equal("PartitionKey", keys.date_partition(partition, last)),
        less("PartitionKey", keys.date_partition(partition, first) + keys.AFTER),
        greater_or_equal("RowKey", keys.invert_digits(last)),
        less("RowKey", keys.invert_digits(first) + "|" + keys.AFTER),
    )
    return Scan(table.table, filter_text)


def _uid_scans(table: str, partition: str, match: Match) -> tuple[Scan, ...]:
    return tuple(
        Scan(table, between(keys.uid_partition(partition, uid), f"{uid}|", f"{uid}|{keys.AFTER}"))
        for uid in match.values
    )


def _all_scan(table: str, partition: str) -> Scan:
    first = f"{partition}|"
    filter_text = both(greater_or_equal("PartitionKey", first), less("PartitionKey", first + keys.AFTER))
    return Scan(table, filter_text)
