"""Bringing search rows into agreement with the archive whatever the reason why they are not."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable

from shared.storage import terms
from shared.storage.archive import read_known
from shared.storage.commit import settle
from shared.storage.index import agree, wanted_rows
from shared.storage.keys import StudyKey
from shared.storage.pending import Pending
from shared.storage.storage import Storage
from shared.storage.terms import INSTANCES_BY_UID, IndexKey, Subject
from shared.storage.uids import agree_on_uids

STUDIES_AT_ONCE = 4


async def mend_index(storage: Storage, change: Pending) -> None:
    """Do what a commit or a removal had still to do when its process ended."""
    await _mend_levels(storage, change.key, {item.series for item in change.changes}, change.touched)
    await agree_on_uids(storage, change.key, [(item.series, item.instance) for item in change.changes])


async def mend_rows(storage: Storage, rows: Iterable[IndexKey]) -> int:
    """Make search rows agree with the archive as it is by the time this returns.

    Returns:
        How many of them there are now; the others there are not.
    """
    by_study: dict[StudyKey, list[tuple[IndexKey, Subject]]] = defaultdict(list)
    lost: list[IndexKey] = []
    for where in rows:
        subject = terms.subject_of(where)
        if subject is None or _is_misplaced(where, subject):
            lost.append(where)
        else:
            by_study[subject.key].append((where, subject))
    # Nothing that is made today has such a key, so nobody can be writing it.
    await agree(storage.tables, lost, {})
    limit = asyncio.Semaphore(STUDIES_AT_ONCE)

    async def mend(key: StudyKey) -> int:
        async with limit:
            return await _mend_study(storage, key, by_study[key])

    return sum(await asyncio.gather(*map(mend, by_study)))


async def _mend_study(storage: Storage, key: StudyKey, rows: Iterable[tuple[IndexKey, Subject]]) -> int:
    levels = {where: subject for where, subject in rows if not subject.instance}
    instances = [(subject.series, subject.instance) for _, subject in rows if subject.instance]
    there = 0
    if levels:
        series = {subject.series for subject in levels.values() if subject.series}
        there += await _mend_levels(storage, key, series, levels)
    if instances:
        there += len(await agree_on_uids(storage, key, instances))
    return there


async def _mend_levels(
    storage: Storage, key: StudyKey, series: Iterable[str], touched: Collection[IndexKey]
) -> int:
    known = await read_known(storage, key, series)
    wanted = wanted_rows(key, known.study, known.series)
    await agree(storage.tables, touched, wanted)
    await settle(storage, key, touched, known)
    return sum(where in wanted for where in touched)


def _is_misplaced(where: IndexKey, subject: Subject) -> bool:
    """Whether the row of an instance lies where no row of it belongs."""
    if where.table != INSTANCES_BY_UID:
        return False
    return where not in terms.instance_row(subject.key, subject.series, subject.instance)
