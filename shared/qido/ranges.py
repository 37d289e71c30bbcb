"""Ranges of search tables. Pure; the only place that makes filters for them.

Every row that a range has stands at a place, a text: results come in ascending order of the places of their
rows, and from any place on a range can be read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.qido.match import Match
from shared.storage import index_keys, keys, terms
from shared.storage.filters import both, equal, greater, greater_or_equal, less
from shared.storage.tables import Row
from shared.storage.terms import END, START, IndexKey, Kind, SearchTable

_PARTITION_END = "\t"
"""Between partition and row key in a place of a text: sorts before all that keys have, and none has it."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One range of one search table, in the order of its rows' keys."""

    table: str
    partition: str
    """The partition, or what the partitions have in common."""

    spread: int = 0
    """How many characters of a row's key its partition ends with; 0 for one partition."""

    first: str = ""
    """The first row key; empty where the range is all there is."""

    end: str = ""
    """The row key behind the last."""

    @property
    def filter(self) -> str:
        """The condition for its rows."""
        return self.filter_from("")

    def filter_from(self, row: str) -> str:
        """The condition for its rows from a key on."""
        first = max(self.first, row)
        rows = [greater_or_equal("RowKey", first)] if first else []
        rows += [less("RowKey", self.end)] if self.end else []
        if not self.spread:
            return both(equal("PartitionKey", self.partition), *rows)
        # What bounds the rows bounds their partitions too.
        last = self.end[: self.spread] + keys.AFTER
        return both(
            greater_or_equal("PartitionKey", self.partition + first[: self.spread]),
            less("PartitionKey", self.partition + last),
            *rows,
        )

    def place_of(self, row: Row) -> str:
        """Where a row stands: newest first, or by date."""
        return row.row

    def filters_from(self, place: str) -> tuple[str, ...]:
        """Conditions that, one after the other, give its rows from a place on."""
        return (self.filter_from(place),)


@dataclass(frozen=True, slots=True)
class TextRange:
    """The rows of all texts that begin alike, text by text, and of each the newest first."""

    table: str
    partition: str
    """What the partitions begin with."""

    number: int = 0
    """Its place among the ranges of a text, one digit."""

    def filter_newest(self, row: str) -> str:
        """The condition for those of its rows whose keys are not before that one, which may be empty."""
        rows = [greater_or_equal("RowKey", row)] if row else []
        return both(greater_or_equal("PartitionKey", self.partition), self._before_end, *rows)

    def place_of(self, row: Row) -> str:
        """Where a row stands: by text, then newest first."""
        return self._place(row.partition, row.row)

    def filters_from(self, place: str) -> tuple[str, ...]:
        """Conditions that, one after the other, give its rows from a place on.

        Two, as storage would read a whole table to find what either of two partitions has.
        """
        if place[:1] > str(self.number):
            return ()
        if place[:1] < str(self.number):
            return (self.filter_newest(""),)
        partition, _, row = place[1:].partition(_PARTITION_END)
        return (
            both(equal("PartitionKey", partition), greater_or_equal("RowKey", row)),
            both(greater("PartitionKey", partition), self._before_end),
        )

    def places(self, rows: Iterable[IndexKey]) -> list[str]:
        """Where those rows stand that are in this range."""
        return [
            self._place(where.partition, where.row)
            for where in rows
            if where.table == self.table and where.partition.startswith(self.partition)
        ]

    @property
    def _before_end(self) -> str:
        return less("PartitionKey", index_keys.behind_all(self.partition))

    def _place(self, partition: str, row: str) -> str:
        return f"{self.number}{partition}{_PARTITION_END}{row}"


def first_place(ranges: Sequence[TextRange], rows: Iterable[IndexKey]) -> str:
    """The first place of a study or series that has these rows; "" when none of them is in a range.

    A text may have a piece more than once, and a name has several groups.
    """
    known = list(rows)
    return min((place for each in ranges for place in each.places(known)), default="")


def all_scan(table: str, partition: str) -> Scan:
    """All rows of a table by arrival, newest first."""
    return Scan(table, f"{partition}|", index_keys.ARRIVAL_DIGITS)


def uid_scan(table: str, partition: str, uid: str) -> Scan:
    """The rows of one UID."""
    return Scan(table, index_keys.uid_partition(partition, uid), 0, f"{uid}|", f"{uid}|{keys.AFTER}")


def date_scan(table: SearchTable, partition: str, first: str, last: str) -> Scan:
    """The rows of a range of dates, the last date first."""
    begin, end = index_keys.invert_digits(last), index_keys.invert_digits(first) + "|" + keys.AFTER
    return Scan(table.table, f"{partition}|", index_keys.DATE_DIGITS, begin, end)


def term_scan(table: SearchTable, partition: str, folded: str) -> Scan:
    """The rows of one value, newest first."""
    of_term = index_keys.term_partition(partition, index_keys.term(folded + END))
    if table.is_common:
        return Scan(table.table, f"{of_term}|", index_keys.ARRIVAL_DIGITS)
    return Scan(table.table, of_term)


def text_ranges(table: SearchTable, partition: str, piece: str) -> tuple[TextRange, ...]:
    """The rows of all values that have a piece, given as by `pieces`."""
    whole = TextRange(
        table.table, index_keys.term_partition(partition, index_keys.text(piece.removeprefix(START)))
    )
    if piece.startswith(START):
        return (whole,)
    return whole, TextRange(table.ends, index_keys.term_partition(partition, index_keys.text(piece)), 1)


def pieces(table: SearchTable, match: Match) -> list[str]:
    """The pieces of a match's values that can be looked for in a table, the longest first."""
    found = [piece for fragment in match.fragments for piece in _split(table.kind, fragment)]
    usable = [piece for piece in found if _is_usable(table, piece)]
    return sorted(usable, key=lambda piece: -len(piece))


def _split(kind: Kind, fragment: str) -> list[str]:
    """What of a fragment lies within one text: the groups of a name are kept apart."""
    parts = fragment.split("=") if kind is Kind.NAME else [fragment]
    # Each group ends without the separators that a whole name may have there.
    parts = [*(part.rstrip("^ ") for part in parts[:-1]), parts[-1]]
    return [part if part.startswith(START) else _from_first_letter(part) for part in parts]


def _from_first_letter(piece: str) -> str:
    at = next((at for at, character in enumerate(piece) if character.isalnum()), len(piece))
    return piece[at:]


def _is_usable(table: SearchTable, piece: str) -> bool:
    if piece.startswith(START):
        return len(piece) > 1
    return bool(table.ends) and terms.is_piece(piece)
