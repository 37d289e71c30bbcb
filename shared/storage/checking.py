"""Finding search rows that are not as the archive has it. Nothing is changed here, and all is looked at anew.

What is found may be a change that somebody else is in the middle of: it is a suspicion, and `mend.py`
looks again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from shared.storage import archive, index_keys, keys, terms
from shared.storage.cache import RecentlyUsed
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow
from shared.storage.storage import Storage
from shared.storage.tables import Value, after, between, greater, greater_or_equal
from shared.storage.terms import INSTANCES_BY_UID, IndexKey, IndexRows, Subject
from shared.storage.uids import existing

READS_AT_ONCE = 16

FEW = 4
"""Rows of one partition that are read one by one; more are read as a range."""

MAX_REMEMBERED = 4096

Place = tuple[str, str]
"""Partition and row key."""


async def read_keys(storage: Storage, table: str, behind: Place | None, number: int) -> list[IndexKey]:
    """Read where the next rows of a table lie, in the order of their keys, up to a number.

    Args:
        storage: The storage account.
        table: Name of any table.
        behind: The last row that was read before; None at the beginning.
        number: The most that are wanted.
    """
    # Two ranges, as one condition of both would have the service read the whole table.
    conditions = [after(*behind), greater("PartitionKey", behind[0])] if behind else [_ALL]
    found: list[IndexKey] = []
    for condition in conditions:
        left = number - len(found)
        async for page in storage.tables.query(table, condition, select=("RowKey",), limit=left):
            found += [IndexKey(table, row.partition, row.row) for row in page]
    return found


_ALL = greater_or_equal("PartitionKey", "")


class Checker:
    """Compares table `archive` and the search tables. What it has read it knows for some time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._levels: RecentlyUsed[Subject, tuple[LevelRow | None]] = RecentlyUsed(MAX_REMEMBERED)
        self._limit = asyncio.Semaphore(READS_AT_ONCE)

    async def lacking(self, rows: Iterable[IndexKey]) -> list[IndexKey]:
        """Of the search rows that rows of table `archive` lead to, those that lack or hold something else."""
        wanted: dict[IndexKey, Mapping[str, Value]] = {}
        for found in await asyncio.gather(*map(self._wanted_by, rows)):
            wanted |= found
        groups: dict[tuple[str, str], dict[str, Mapping[str, Value]]] = defaultdict(dict)
        for where, values in wanted.items():
            groups[where.table, where.partition][where.row] = values
        held = await asyncio.gather(*(self._held(*where, group) for where, group in groups.items()))
        there = {where: values for group in held for where, values in group.items()}
        return [where for where, values in wanted.items() if there.get(where) != values]

    async def ghosts(self, rows: Sequence[IndexKey]) -> list[IndexKey]:
        """Those of some search rows that nothing in the archive accounts for."""
        found = {where: terms.subject_of(where) for where in rows}
        subjects = {subject for subject in found.values() if subject}
        instances = await self._existing(subject for subject in subjects if subject.instance)
        levels = {subject for subject in subjects if not subject.instance}
        known = dict(zip(levels, await asyncio.gather(*map(self._level, levels)), strict=True))

        def is_ghost(where: IndexKey, subject: Subject | None) -> bool:
            if subject is None:
                return True
            if where.table == INSTANCES_BY_UID:
                row = terms.instance_row(subject.key, subject.series, subject.instance)
                return subject not in instances or where not in row
            return not terms.is_wanted(where, subject, known[subject])

        return [where for where, subject in found.items() if is_ghost(where, subject)]

    async def _wanted_by(self, where: IndexKey) -> IndexRows:
        """The search rows that a row of table `archive` leads to."""
        key, (kind, *uids) = keys.study_of(where.partition), where.row.split("|")
        if kind == "instance":
            return terms.instance_row(key, *uids)
        if kind == "series":
            return terms.series_rows(key, uids[0], await self._level(Subject(key, uids[0])))
        return terms.study_rows(key, await self._level(Subject(key))) if kind == keys.STUDY_ROW else {}

    async def _level(self, subject: Subject) -> LevelRow | None:
        remembered = self._levels.get(subject)
        if remembered is None:
            row_key = keys.series_row(subject.series) if subject.series else keys.STUDY_ROW
            async with self._limit:
                remembered = (await archive.read_level(self._storage, subject.key, row_key),)
            self._levels.put(subject, remembered)
        return remembered[0]

    async def _existing(self, subjects: Iterable[Subject]) -> set[Subject]:
        """Those of some instances that exist."""
        by_study: dict[StudyKey, set[tuple[str, str]]] = defaultdict(set)
        for subject in subjects:
            by_study[subject.key].add((subject.series, subject.instance))

        async def look(key: StudyKey, pairs: Iterable[tuple[str, str]]) -> set[Subject]:
            async with self._limit:
                return {Subject(key, *pair) for pair in await existing(self._storage, key, pairs)}

        return set().union(*await asyncio.gather(*(look(*study) for study in by_study.items())))

    async def _held(self, table: str, partition: str, names: Iterable[str]) -> IndexRows:
        """What some rows of a partition hold; nothing where they are not."""
        left = sorted(names)
        found: dict[IndexKey, Mapping[str, Value]] = {}
        tables = self._storage.tables
        async with self._limit:
            if len(left) > FEW:
                # Others may lie between: not more are read than come to the same as one by one.
                most = FEW * len(left)
                condition = between(partition, left[0], left[-1] + index_keys.BEHIND)
                pages = tables.query(table, condition, limit=most)
                rows = [row async for page in pages for row in page]
                found |= {IndexKey(table, partition, row.row): row.values for row in rows}
                left = [name for name in left if len(rows) == most and name > rows[-1].row]
            for name in left:
                row = await tables.get(table, partition, name)
                if row is not None:
                    found[IndexKey(table, partition, name)] = row.values
        return found
