"""What the search index takes on real Table storage: `python -m bench.cost`, for `docs/scale.md`.

Rows and bytes are those of the code that makes the rows, for studies of the made-up hospital.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.fill import study_rows
from bench.population import Hospital
from shared.storage import keys, terms
from shared.storage.entities import utf16_bytes
from shared.storage.tables import MAX_OPERATIONS, Value

SAMPLE: Final = 2_000
STUDIES: Final = 10_000_000
GIB: Final = 2**30

USD_A_GB_MONTH: Final = 0.045
USD_A_TRANSACTION: Final = 0.00036 / 10_000
ACCOUNT_TRANSACTIONS_A_SECOND: Final = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """A group of tables, for one study."""

    name: str
    rows: float
    calls: float
    """Writes, where the rows of one study that lie in one partition go together."""

    size: float
    """Bytes."""


def main() -> None:
    """Print the tables."""
    parts = list(measure())
    print("| for each study | rows | writes | bytes |\n|---|--:|--:|--:|")
    for part in (*parts, total(parts)):
        print(f"| {part.name} | {part.rows:.1f} | {part.calls:.1f} | {part.size:,.0f} |")
    index = total([part for part in parts if part.name != _ARCHIVE])
    print(f"\nThe index of {STUDIES:,} studies:")
    for line in _bill(index):
        print(f"- {line}")


def measure() -> Iterator[Part]:
    """Rows, writes and bytes of one study, by groups of tables."""
    rows: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    hospital = Hospital(SAMPLE)
    for number in range(SAMPLE):
        found = study_rows(hospital.study(number))
        for where, values in found.items():
            rows[_group(where.table)] += 1
            sizes[_group(where.table)] += row_bytes(where.partition + where.row, values)
        partitions = Counter((where.table, where.partition) for where in found)
        for (table, _), count in partitions.items():
            calls[_group(table)] += -(-count // MAX_OPERATIONS)
    for name in rows:
        yield Part(name, rows[name] / SAMPLE, calls[name] / SAMPLE, sizes[name] / SAMPLE)


_ARCHIVE: Final = "table `archive`: the study itself"
_ENDS: Final = {table.ends for table in terms.STUDY_TABLES if table.ends}
_OF_STUDIES: Final = {terms.STUDIES, *(table.table for table in terms.STUDY_TABLES)}


def _group(table: str) -> str:
    if table == keys.ARCHIVE:
        return _ARCHIVE
    if table in _ENDS:
        return "ends of texts"
    if table in _OF_STUDIES:
        return "studies by a value"
    return "SOP Instance UIDs" if table == terms.INSTANCES_BY_UID else "series by a value"


def row_bytes(key: str, values: Mapping[str, Value]) -> int:
    """What a row is charged as.

    Source: "How the size of an entity is calculated in Windows Azure table storage".
    """
    return 4 + utf16_bytes(key) + sum(8 + 2 * len(name) + _size(value) for name, value in values.items())


def _size(value: Value) -> int:
    if isinstance(value, str):
        return 4 + utf16_bytes(value)
    return 4 + len(value) if isinstance(value, bytes) else 8


def total(parts: list[Part]) -> Part:
    """All of them together."""
    return Part(
        "together",
        sum(part.rows for part in parts),
        sum(part.calls for part in parts),
        sum(part.size for part in parts),
    )


def _bill(index: Part) -> Iterator[str]:
    gigabytes = index.size * STUDIES / GIB
    yield f"{index.rows * STUDIES / 1e6:,.0f} million rows, {gigabytes:,.0f} GiB"
    yield f"to keep: {gigabytes * USD_A_GB_MONTH:,.0f} USD a month"
    low, high = (each * STUDIES * USD_A_TRANSACTION for each in (index.calls, index.rows))
    yield f"to write once: {low:,.0f} USD by calls, {high:,.0f} USD by rows"
    rate = ACCOUNT_TRANSACTIONS_A_SECOND / index.rows
    hours = STUDIES / rate / 3600
    yield f"at the account's limit: {rate:,.0f} new studies a second, all of them in {hours:.0f} hours"


if __name__ == "__main__":
    main()
