"""Names of partitions and rows in search tables: folded texts, dates, and when a study or series came.

The partition of a row is the text it is found by, its row key tells when the study or series came: a term's
rows are one small partition, newest first, and texts that begin alike lie side by side. On Azurite, where a
write costs in proportion to its partition, that keeps it cheap.
"""

import unicodedata
from urllib.parse import quote

from shared.storage import keys

BEHIND = " "
"""Sorts before every character that keys hold: with it a key is the first one behind itself."""

ARRIVAL_DIGITS = 5
"""Digits of a row key, by which tables by arrival are cut into partitions."""

DATE_DIGITS = 6
"""The same in tables by date: a month."""

_MAX_TERM_CHARACTERS = 180
_MAX_TEXT_CHARACTERS = 60


def fold(text: str) -> str:
    """Text as it is compared in searches: without case, without outer blanks and NULs."""
    return unicodedata.normalize("NFC", text.strip(" \0").casefold())


def fold_name(text: str) -> str:
    """A person's name as it is compared: as `fold`, and without accents."""
    decomposed = unicodedata.normalize("NFD", fold(text))
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


def term(folded: str) -> str:
    """A folded value as part of a key. Values too long for a key end in their digest."""
    encoded = _encoded(folded)
    if len(encoded) <= _MAX_TERM_CHARACTERS:
        return encoded
    return f"{encoded[:_MAX_TERM_CHARACTERS]}{keys.digest(folded)}"


def text(folded: str) -> str:
    """The beginning of a folded text as part of a key; what begins alike has keys that begin alike."""
    return _encoded(folded)[:_MAX_TEXT_CHARACTERS]


def _encoded(folded: str) -> str:
    """As in percent-encoding, with `=` for the percent sign, which some tools mishandle in keys."""
    return quote(folded, safe=" !$&()*+,-.:;<>@[]^_`{}~").replace("%", "=")


def term_partition(partition: str, encoded: str) -> str:
    """The partition, in a search table, of all rows of one term or text."""
    return f"{partition}|{encoded}"


def behind_all(beginning: str) -> str:
    """The first key behind all those that have this beginning, which must not be empty."""
    return beginning[:-1] + chr(ord(beginning[-1]) + 1)


def uid_partition(partition: str, uid: str) -> str:
    """The partition, in the table of SOP Instance UIDs, of one UID.

    UIDs made together mostly differ in their last component only, so the rest of the UID places
    them: the instances of one request share a transaction. Random UIDs (2.25 and the like) have
    no such neighbours; four partitions for each prefix bound the transactions there.
    """
    prefix, _, last = uid.rpartition(".")
    spread = f"|{int(keys.digest(uid)[:2], 16) % 4}" if len(last) > 12 else ""
    return f"{partition}|{keys.digest(prefix)[:12]}{spread}"


def date_partition(partition: str, date: str) -> str:
    """The partition of one month in a search table by date, newest month first.

    Args:
        partition: Folded name of the data partition.
        date: A DICOM date, YYYYMMDD.
    """
    return f"{partition}|{invert_digits(date[:DATE_DIGITS])}"


def invert_digits(date: str) -> str:
    """Digits so changed that text order is newest first; reversible."""
    return "".join(str(9 - int(digit)) for digit in date)


def tail(version: int, *uids: str) -> str:
    """The row key, in search tables, of a study or series: when it came, newest first, and its UIDs."""
    return "|".join((keys.newest_first(version), *uids))


def study_of_row(row: str) -> str:
    """The study that a row key of a search table of studies ends with."""
    return row.rpartition("|")[2]


def series_of_row(row: str) -> tuple[str, str]:
    """The study and series that a row key of a search table of series ends with."""
    _, study, series = row.rsplit("|", 2)
    return study, series


def version_of_row(row: str, uids: int) -> int:
    """When a study or series came, by a row key that ends with its `tail` of one or two UIDs."""
    return keys.MAX_VERSION - int(row.split("|")[-1 - uids], 16)


def arrival_bucket(tail: str) -> str:
    """The part of a `tail` that some five hours have in common."""
    return tail[:ARRIVAL_DIGITS]


def arrival_partition(partition: str, version: int) -> str:
    """The partition of some five hours in a search table by arrival, newest first."""
    return f"{partition}|{arrival_bucket(keys.newest_first(version))}"
