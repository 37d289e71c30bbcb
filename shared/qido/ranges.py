"""Ranges of search tables. Pure; the only place that makes filters for them."""

from dataclasses import dataclass

from shared.qido.match import Match
from shared.storage import keys, terms
from shared.storage.filters import both, equal, greater_or_equal, less
from shared.storage.terms import END, START, Kind, SearchTable


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


@dataclass(frozen=True, slots=True)
class TextRange:
    """The rows of all texts that begin alike, in the order of the texts, which is not that of results."""

    table: str
    partition: str
    """What the partitions begin with."""

    @property
    def filter(self) -> str:
        """The condition for its rows."""
        return both(
            greater_or_equal("PartitionKey", self.partition),
            less("PartitionKey", keys.behind_all(self.partition)),
        )


def all_scan(table: str, partition: str) -> Scan:
    """All rows of a table by arrival, newest first."""
    return Scan(table, f"{partition}|", keys.ARRIVAL_DIGITS)


def uid_scan(table: str, partition: str, uid: str) -> Scan:
    """The rows of one UID."""
    return Scan(table, keys.uid_partition(partition, uid), 0, f"{uid}|", f"{uid}|{keys.AFTER}")


def date_scan(table: SearchTable, partition: str, first: str, last: str) -> Scan:
    """The rows of a range of dates, the last date first."""
    begin, end = keys.invert_digits(last), keys.invert_digits(first) + "|" + keys.AFTER
    return Scan(table.table, f"{partition}|", keys.DATE_DIGITS, begin, end)


def term_scan(table: SearchTable, partition: str, folded: str) -> Scan:
    """The rows of one value, newest first."""
    of_term = keys.term_partition(partition, keys.term(folded + END))
    if table.is_common:
        return Scan(table.table, f"{of_term}|", keys.ARRIVAL_DIGITS)
    return Scan(table.table, of_term)


def text_ranges(table: SearchTable, partition: str, piece: str) -> tuple[TextRange, ...]:
    """The rows of all values that have a piece, given as by `pieces`."""
    whole = TextRange(table.table, keys.term_partition(partition, keys.text(piece.removeprefix(START))))
    if piece.startswith(START):
        return (whole,)
    return whole, TextRange(table.ends, keys.term_partition(partition, keys.text(piece)))


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
