"""Bringing the search tables into agreement with the archive."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from shared.storage import terms
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow
from shared.storage.tables import Operation, RowMissing, Tables, Value, delete, upsert_replace
from shared.storage.terms import IndexKey, IndexRows

MAX_WRITES_AT_ONCE = 16
MAX_OPERATIONS = 100


async def agree(tables: Tables, touched: Iterable[IndexKey], wanted: IndexRows) -> None:
    """Bring some rows into agreement: those that are wanted are written, the others removed.

    It may be repeated, and two callers that know the same rows of the archive write the same. Wanted rows
    that are not touched are somebody else's affair.
    """
    rows = dict.fromkeys(touched)
    limit = asyncio.Semaphore(MAX_WRITES_AT_ONCE)

    async def write(table: str, partition: str, operations: Sequence[Operation]) -> None:
        async with limit:
            await _write(tables, table, partition, operations)

    await asyncio.gather(*(write(*where, operations) for where, operations in _grouped(rows, wanted).items()))


async def _write(tables: Tables, table: str, partition: str, operations: Sequence[Operation]) -> None:
    left = list(operations)
    while left:
        try:
            await tables.transact(table, partition, left[:MAX_OPERATIONS])
        except RowMissing as error:
            # Only a deletion can miss its row, and then there is nothing left to delete.
            del left[error.index]
        else:
            left = left[MAX_OPERATIONS:]


def wanted_rows(
    key: StudyKey, study: LevelRow | None, series: Mapping[str, LevelRow | None]
) -> dict[IndexKey, Mapping[str, Value]]:
    """Every search row that a study and some of its series should have."""
    found = terms.study_rows(key, study)
    for uid, row in series.items():
        found |= terms.series_rows(key, uid, row)
    return found


def _grouped(touched: Iterable[IndexKey], wanted: IndexRows) -> dict[tuple[str, str], list[Operation]]:
    groups: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for where in touched:
        values = wanted.get(where)
        operation = delete(where.row) if values is None else upsert_replace(where.row, values)
        groups[where.table, where.partition].append(operation)
    return groups
