"""The search rows that lead from SOP Instance UIDs to their studies.

A store writes them right after its transaction, without looking whether the instances are still there:
every store would pay for that read. So whoever deletes or mends looks again after it has written. What a
store writes still later is a ghost: searches skip it, and the purge of the instance removes it.
"""

from collections import defaultdict
from collections.abc import Iterable, Set

from shared.storage import keys, terms
from shared.storage.index import agree
from shared.storage.keys import StudyKey
from shared.storage.storage import Storage
from shared.storage.tables import between
from shared.storage.terms import INSTANCES_BY_UID, IndexKey

Pair = tuple[str, str]
"""Series Instance UID and SOP Instance UID."""


async def agree_on_uids(
    storage: Storage, key: StudyKey, instances: Iterable[Pair], there: Set[Pair] | None = None
) -> Set[Pair]:
    """Make the rows of some instances agree with the archive as it is by the time this returns.

    Args:
        storage: The storage account.
        key: The study.
        instances: Whose rows.
        there: Those of them that exist; looked up when left out.

    Returns:
        Those of them that exist.
    """
    rows = {pair: terms.instance_row(key, *pair) for pair in instances}
    touched = [where for row in rows.values() for where in row]
    written: Set[Pair] | None = None
    if there is None:
        there = await existing(storage, key, rows)
    while there != written:
        wanted = {where: values for pair in there for where, values in rows[pair].items()}
        await agree(storage.tables, touched, wanted)
        written, there = there, await existing(storage, key, rows)
    return there


async def remove_ghosts(storage: Storage, key: StudyKey, deleted: Iterable[Pair]) -> None:
    """Remove what rows of deleted instances a store has written too late."""
    pairs = {where: pair for pair in deleted for where in terms.instance_row(key, *pair)}
    left = [pairs[where] for where in await _found(storage, pairs)]
    if left:
        await agree_on_uids(storage, key, left)


async def existing(storage: Storage, key: StudyKey, instances: Iterable[Pair]) -> set[Pair]:
    """Those of some instances of a study that exist."""
    by_series: dict[str, set[str]] = defaultdict(set)
    for series, instance in instances:
        by_series[series].add(instance)
    found: set[Pair] = set()
    for series, uids in by_series.items():
        first, last = (keys.instance_row(series, uid) for uid in (min(uids), max(uids)))
        for row in await _rows(storage, keys.ARCHIVE, key.archive, (first, last)):
            uid = row.rpartition("|")[2]
            if uid in uids:
                found.add((series, uid))
    return found


async def _found(storage: Storage, wanted: Iterable[IndexKey]) -> list[IndexKey]:
    """Those rows that are there."""
    by_partition: dict[str, dict[str, IndexKey]] = defaultdict(dict)
    for where in wanted:
        by_partition[where.partition][where.row] = where
    found: list[IndexKey] = []
    for partition, named in by_partition.items():
        rows = await _rows(storage, INSTANCES_BY_UID, partition, (min(named), max(named)))
        found += [named[row] for row in rows if row in named]
    return found


async def _rows(storage: Storage, table: str, partition: str, ends: tuple[str, str]) -> list[str]:
    """The keys of the rows from the first to the last named, both inclusive."""
    first, last = ends
    # A blank sorts before all that may follow in a longer UID.
    pages = storage.tables.query(table, between(partition, first, last + " "), select=("RowKey",))
    return [row.row async for page in pages for row in page]
