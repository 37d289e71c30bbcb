"""Which search tables exist, and which rows a study or a series has in them. Pure.

Each table serves one attribute. A row carries all that a search answers about its study or series,
so that a page of results is one range of one table. Rows of one term come newest first: by arrival
of the study or series (API rules section 8.8), or, in tables by date, by that date and then arrival.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from shared.storage import keys
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow, Values, render_values
from shared.storage.tables import Value


class Kind(Enum):
    """How the values of an attribute become terms."""

    TEXT = "text"
    NAME = "name"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class SearchTable:
    """One attribute that can lead a search."""

    table: str
    tag: str
    kind: Kind

    is_common: bool = False
    """Many studies or series share a value: the rows of one term are spread by their arrival."""


STUDIES = "studies"
"""All studies, newest first."""

SERIES = "series"
"""All series, newest first."""

SERIES_BY_UID = "seriesByUid"
INSTANCES_BY_UID = "instancesByUid"

# In the order in which a search prefers them: the fewer rows a term is likely to have, the earlier.
STUDY_TABLES = (
    SearchTable("studiesByAccessionNumber", "00080050", Kind.TEXT),
    SearchTable("studiesByPatientId", "00100020", Kind.TEXT),
    SearchTable("studiesByPatientName", "00100010", Kind.NAME),
    SearchTable("studiesByPatientBirthDate", "00100030", Kind.DATE),
    SearchTable("studiesByStudyDate", "00080020", Kind.DATE),
    SearchTable("studiesByReferringPhysicianName", "00080090", Kind.NAME),
    SearchTable("studiesByStudyDescription", "00081030", Kind.TEXT, is_common=True),
    SearchTable("studiesByModality", "00080061", Kind.TEXT, is_common=True),
)
SERIES_TABLES = (
    SearchTable("seriesByPerformedProcedureStepStartDate", "00400244", Kind.DATE),
    SearchTable("seriesByManufacturerModelName", "00081090", Kind.TEXT, is_common=True),
    SearchTable("seriesByModality", "00080060", Kind.TEXT, is_common=True),
)


@dataclass(frozen=True, slots=True)
class IndexKey:
    """Where a row of a search table lies."""

    table: str
    partition: str
    row: str


MAX_TERMS = 16
"""Values of one attribute that are searched; a hostile file may have thousands."""

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

IndexRows = Mapping[IndexKey, Mapping[str, Value]]


def study_rows(key: StudyKey, study: LevelRow | None) -> dict[IndexKey, Mapping[str, Value]]:
    """Every row that the search tables should have for a study; none when it does not exist."""
    if study is None:
        return {}
    content: dict[str, Value] = {
        "study": key.study,
        "revision": study.revision,
        "values": render_values(study.values),
    }
    tail = f"{keys.newest_first(study.created)}|{key.study}"
    found: dict[IndexKey, Mapping[str, Value]] = {
        IndexKey(STUDIES, keys.arrival_partition(key.partition, study.created), tail): content
    }
    for search_table in STUDY_TABLES:
        found |= dict.fromkeys(_term_keys(search_table, key, study.values, tail), content)
    return found


def series_rows(key: StudyKey, series: str, row: LevelRow | None) -> dict[IndexKey, Mapping[str, Value]]:
    """Every row that the search tables should have for a series; none when it does not exist."""
    if row is None:
        return {}
    content: dict[str, Value] = {
        "study": key.study,
        "series": series,
        "revision": row.revision,
        "values": render_values(row.values),
    }
    tail = f"{keys.newest_first(row.created)}|{key.study}|{series}"
    found: dict[IndexKey, Mapping[str, Value]] = {
        IndexKey(SERIES, keys.arrival_partition(key.partition, row.created), tail): content,
        IndexKey(SERIES_BY_UID, keys.uid_partition(key.partition, series), f"{series}|{key.study}"): content,
    }
    for search_table in SERIES_TABLES:
        found |= dict.fromkeys(_term_keys(search_table, key, row.values, tail), content)
    return found


def instance_row(key: StudyKey, series: str, instance: str) -> dict[IndexKey, Mapping[str, Value]]:
    """The row that leads from a SOP Instance UID to its study."""
    partition = keys.uid_partition(key.partition, instance)
    where = IndexKey(INSTANCES_BY_UID, partition, f"{instance}|{key.study}|{series}")
    return {where: {"study": key.study, "series": series, "instance": instance}}


def terms(kind: Kind, element: Mapping[str, object]) -> list[str]:
    """The folded texts under which an element is found."""
    found = (folded for text in _texts(element) if (folded := fold(kind, text)))
    return list(dict.fromkeys(islice(found, MAX_TERMS)))


def fold(kind: Kind, text: str) -> str:
    """A value, stored or asked for, as it is compared."""
    if kind is Kind.NAME:
        return keys.fold_name(text).rstrip("^ ")
    return keys.fold(text)


def is_date(text: str) -> bool:
    """Whether a folded value can lie in a table by date."""
    return len(text) == 8 and text.isascii() and text.isdigit()


def _term_keys(search_table: SearchTable, key: StudyKey, values: Values, tail: str) -> Iterator[IndexKey]:
    for text in terms(search_table.kind, values.get(search_table.tag, {})):
        if search_table.kind is not Kind.DATE:
            encoded = keys.term(text)
            partition = keys.term_partition(key.partition, encoded)
            if search_table.is_common:
                partition = f"{partition}|{keys.arrival_bucket(tail)}"
            yield IndexKey(search_table.table, partition, f"{encoded}|{tail}")
        elif is_date(text):
            partition = keys.date_partition(key.partition, text)
            yield IndexKey(search_table.table, partition, f"{keys.invert_digits(text)}|{tail}")


def _texts(element: Mapping[str, object]) -> Iterator[str]:
    values = element.get("Value")
    for value in values if isinstance(values, list) else ():
        if isinstance(value, Mapping):
            groups = [str(value[group]) for group in _NAME_GROUPS if group in value]
            yield from groups
            yield "=".join(groups)
        elif value is not None:
            yield str(value)
