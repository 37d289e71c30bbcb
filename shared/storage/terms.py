"""Which search tables exist, and which rows a study or a series has in them. Pure.

Each table serves one attribute. A row carries all that a search answers about its study or series,
so that a page of results is one range of one table. Rows of one term come newest first: by arrival
of the study or series (API rules section 8.8), or, in tables by date, by that date and then arrival.

Text is found by any piece of it. The table of an attribute holds its values whole, in their order, so a range
of it is all values that begin with a piece; the table of its ends holds what is left of each value from its
second character on, from its third, and so on, so a range of that is all values with the piece further in.

See docs/search-index.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from shared.storage import index_keys
from shared.storage.compact import pack_values
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow, Values
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

    ends: str = ""
    """The table of the ends of its values; "" where pieces from within are not looked for."""

    sequence: str = ""
    """The sequence in whose items the attribute lies; "" at the top level."""

    @property
    def path(self) -> str:
        """How a search names the attribute by digits."""
        return f"{self.sequence}.{self.tag}" if self.sequence else self.tag

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it takes."""
        return (self.table, self.ends) if self.ends else (self.table,)


STUDIES = "studies"
"""All studies, newest first."""

SERIES = "series"
"""All series, newest first."""

SERIES_BY_UID = "seriesByUid"
INSTANCES_BY_UID = "instancesByUid"

STUDY_TABLES = (
    SearchTable("studiesByAccessionNumber", "00080050", Kind.TEXT, ends="endsOfAccessionNumber"),
    SearchTable("studiesByPatientId", "00100020", Kind.TEXT, ends="endsOfPatientId"),
    SearchTable("studiesByStudyId", "00200010", Kind.TEXT, ends="endsOfStudyId"),
    SearchTable("studiesByPatientName", "00100010", Kind.NAME, ends="endsOfPatientName"),
    SearchTable("studiesByPatientBirthDate", "00100030", Kind.DATE),
    SearchTable("studiesByStudyDate", "00080020", Kind.DATE),
    SearchTable(
        "studiesByReferringPhysicianName", "00080090", Kind.NAME, ends="endsOfReferringPhysicianName"
    ),
    SearchTable(
        "studiesByStudyDescription", "00081030", Kind.TEXT, is_common=True, ends="endsOfStudyDescription"
    ),
    SearchTable("studiesByModality", "00080061", Kind.TEXT, is_common=True),
    SearchTable("studiesByIssuerOfPatientId", "00100021", Kind.TEXT, is_common=True),
    SearchTable("studiesByPatientSex", "00100040", Kind.TEXT, is_common=True),
)
SERIES_TABLES = (
    SearchTable("seriesByRequestedProcedureId", "00401001", Kind.TEXT, sequence="00400275"),
    SearchTable("seriesByScheduledProcedureStepId", "00400009", Kind.TEXT, sequence="00400275"),
    SearchTable("seriesByPerformedProcedureStepStartDate", "00400244", Kind.DATE),
    SearchTable("seriesBySeriesDate", "00080021", Kind.DATE),
    SearchTable("seriesBySeriesDescription", "0008103E", Kind.TEXT, is_common=True),
    SearchTable("seriesByManufacturerModelName", "00081090", Kind.TEXT, is_common=True),
    SearchTable("seriesByModality", "00080060", Kind.TEXT, is_common=True),
)
INDEX_TABLES = (
    STUDIES,
    SERIES,
    SERIES_BY_UID,
    INSTANCES_BY_UID,
    *(table for search_table in (*STUDY_TABLES, *SERIES_TABLES) for table in search_table.tables),
)
"""Every search table there is."""


@dataclass(frozen=True, slots=True)
class IndexKey:
    """Where a row of a search table lies."""

    table: str
    partition: str
    row: str


START = "\x02"
END = "\x03"
"""What stands before and behind a value wherever a piece of it is looked for: `START + "do"` is a value that
begins with `do`, `"oe" + END` one that ends with `oe`."""

MAX_TERMS = 16
"""Values of one attribute that are searched; a hostile file may have thousands."""

MAX_ENDS = 192
"""Ends of the values of one attribute that are kept; pieces further back are found by reading studies."""

MAX_END_START = 64
"""The same within one value, in characters; no attribute that is searched so may be longer."""

MAX_NAME = 64
"""Characters that a UID or the name of a data partition may have."""

_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")

IndexRows = Mapping[IndexKey, Mapping[str, Value]]


def study_rows(key: StudyKey, study: LevelRow | None) -> dict[IndexKey, Mapping[str, Value]]:
    """Every row that the search tables should have for a study; none when it does not exist."""
    if study is None:
        return {}
    content: dict[str, Value] = {"values": pack_values(study.values)}
    tail = index_keys.tail(study.created, key.study)
    found: dict[IndexKey, Mapping[str, Value]] = {
        IndexKey(STUDIES, index_keys.arrival_partition(key.partition, study.created), tail): content
    }
    for search_table in STUDY_TABLES:
        found |= dict.fromkeys(keys_of(search_table, key, study.values, tail), content)
    return found


def series_rows(key: StudyKey, series: str, row: LevelRow | None) -> dict[IndexKey, Mapping[str, Value]]:
    """Every row that the search tables should have for a series; none when it does not exist."""
    if row is None:
        return {}
    content: dict[str, Value] = {"values": pack_values(row.values)}
    tail = index_keys.tail(row.created, key.study, series)
    found: dict[IndexKey, Mapping[str, Value]] = {
        IndexKey(SERIES, index_keys.arrival_partition(key.partition, row.created), tail): content,
        IndexKey(SERIES_BY_UID, index_keys.uid_partition(key.partition, series), f"{series}|{tail}"): content,
    }
    for search_table in SERIES_TABLES:
        found |= dict.fromkeys(keys_of(search_table, key, row.values, tail), content)
    return found


def instance_row(key: StudyKey, series: str, instance: str) -> dict[IndexKey, Mapping[str, Value]]:
    """The row that leads from a SOP Instance UID to its study."""
    partition = index_keys.uid_partition(key.partition, instance)
    where = IndexKey(INSTANCES_BY_UID, partition, f"{instance}|{key.study}|{series}")
    return {where: {"study": key.study, "series": series, "instance": instance}}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a search row leads to."""

    key: StudyKey
    series: str = ""
    instance: str = ""


def subject_of(where: IndexKey) -> Subject | None:
    """What a search row leads to, as its key tells; None when no row of that table has such a key."""
    uids = {INSTANCES_BY_UID: 3, SERIES: 2, SERIES_BY_UID: 2}.get(where.table)
    if uids is None:
        uids = 2 if any(where.table in each.tables for each in SERIES_TABLES) else 1
    parts = [where.partition.partition("|")[0], *where.row.split("|")[-uids:]]
    if len(parts) != uids + 1 or max(map(len, parts)) > MAX_NAME:
        return None
    if where.table == INSTANCES_BY_UID:
        partition, instance, study, series = parts
        return Subject(StudyKey(partition, study), series, instance)
    return Subject(StudyKey(*parts[:2]), *parts[2:])


def is_wanted(where: IndexKey, subject: Subject, row: LevelRow | None) -> bool:
    """Whether a study or series, whose row this is, should have a search row."""
    if row is None:
        return False
    key, series = subject.key, subject.series
    tail = index_keys.tail(row.created, key.study, *([series] if series else []))
    if where.table in (STUDIES, SERIES):
        return where == IndexKey(where.table, index_keys.arrival_partition(key.partition, row.created), tail)
    if where.table == SERIES_BY_UID:
        return where == IndexKey(
            where.table, index_keys.uid_partition(key.partition, series), f"{series}|{tail}"
        )
    search_table = next(each for each in (*STUDY_TABLES, *SERIES_TABLES) if where.table in each.tables)
    return where in keys_of(search_table, key, row.values, tail)


def keys_of(search_table: SearchTable, key: StudyKey, values: Values, tail: str) -> Iterator[IndexKey]:
    """Every row that a study or series has in the tables of one attribute.

    Args:
        search_table: The attribute.
        key: The study.
        values: What the study or series says of itself.
        tail: What its row keys end with.
    """
    element = _element(search_table, values)
    for text in terms(search_table.kind, element):
        if search_table.kind is Kind.DATE:
            if is_date(text):
                partition = index_keys.date_partition(key.partition, text)
                yield IndexKey(search_table.table, partition, f"{index_keys.invert_digits(text)}|{tail}")
            continue
        yield IndexKey(
            search_table.table, _partition(search_table, key, index_keys.term(text + END), tail), tail
        )
    if search_table.ends:
        for end in islice(_ends(search_table.kind, element), MAX_ENDS):
            yield IndexKey(search_table.ends, _partition(search_table, key, index_keys.text(end), tail), tail)


def terms(kind: Kind, element: Mapping[str, object]) -> list[str]:
    """The folded texts under which an element is found."""
    found = (folded for text in _texts(element) if (folded := fold(kind, text)))
    return list(dict.fromkeys(islice(found, MAX_TERMS)))


def fold(kind: Kind, text: str) -> str:
    """A value, stored or asked for, as it is compared."""
    if kind is Kind.NAME:
        return "=".join(group.rstrip("^ ") for group in index_keys.fold_name(text).split("="))
    return index_keys.fold(text)


def is_date(text: str) -> bool:
    """Whether a folded value can lie in a table by date."""
    return len(text) == 8 and text.isascii() and text.isdigit()


def is_piece(text: str) -> bool:
    """Whether values that have this piece within them are found by their ends.

    An end begins with a letter or digit. One character alone is too common to look for, unless it is one of
    the thousands beyond ASCII, of which a name may have two in all.
    """
    return text[:1].isalnum() and (len(text.removesuffix(END)) > 1 or not text[0].isascii())


def _partition(search_table: SearchTable, key: StudyKey, encoded: str, tail: str) -> str:
    partition = index_keys.term_partition(key.partition, encoded)
    return f"{partition}|{index_keys.arrival_bucket(tail)}" if search_table.is_common else partition


def _ends(kind: Kind, element: Mapping[str, object]) -> Iterator[str]:
    """What is left of each value, behind its first character and further on, where a piece may begin."""
    found = dict.fromkeys(fold(kind, text) for groups in _groups(element) for text in groups)
    for text in islice(found, MAX_TERMS):
        for at in range(1, min(len(text), MAX_END_START)):
            if is_piece(text[at:]):
                yield text[at:] + END


def _element(search_table: SearchTable, values: Values) -> Mapping[str, object]:
    """The element of an attribute; of one in a sequence all its values, of whatever item."""
    if not search_table.sequence:
        return values.get(search_table.tag, {})
    items = values.get(search_table.sequence, {}).get("Value")
    elements = [
        item[search_table.tag]
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, Mapping) and isinstance(item.get(search_table.tag), Mapping)
    ]
    return {"Value": [value for element in elements for value in _values(element)]}


def _texts(element: Mapping[str, object]) -> Iterator[str]:
    for groups in _groups(element):
        yield from filter(None, groups)
        if any(groups[1:]):
            yield "=".join(groups).rstrip("=")


def _groups(element: Mapping[str, object]) -> Iterator[list[str]]:
    """Each value: one text, or of a name its groups, an absent one empty: it keeps its place in the name."""
    for value in _values(element):
        if isinstance(value, Mapping):
            yield [str(value.get(group, "")) for group in _NAME_GROUPS]
        elif value is not None:
            yield [str(value)]


def _values(element: Mapping[str, object]) -> list[object]:
    values = element.get("Value")
    return values if isinstance(values, list) else []
