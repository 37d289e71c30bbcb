"""Making instances exist: one transaction, and what must follow before the client is told.

A crash after the transaction leaves the pending row, from which the sweep does the rest.
"""

import asyncio
import json
import random
from collections.abc import Iterable, Sequence

from shared.errors import Unavailable
from shared.storage import keys, planning, terms
from shared.storage.archive import read_instance, read_known, remember, remembered
from shared.storage.index import agree, wanted_rows
from shared.storage.keys import StudyKey
from shared.storage.planning import CommitPlan, Known, plan_commit
from shared.storage.rows import NewInstance
from shared.storage.storage import Storage
from shared.storage.tables import RowChanged, RowExists, RowMissing
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version

MAX_ATTEMPTS = 12
MAX_READS_AT_ONCE = 16
MAX_PAUSE_SECONDS = 0.02

Conflict = RowExists | RowMissing | RowChanged


async def commit(storage: Storage, key: StudyKey, instances: Sequence[NewInstance]) -> set[int]:
    """Make instances of one study exist, findable and announced to the change feed.

    Args:
        storage: The storage account.
        key: The study.
        instances: What to commit, each address once; few enough for one transaction
            (`planning.batches`).

    Returns:
        The versions of those that were not committed because their address is taken.

    Raises:
        Unavailable: Storage did not answer, or the study changed too often meanwhile. The
            instances may or may not exist then.
    """
    left = list(instances)
    known = remembered(storage, key, _series(left)) or await read_known(storage, key, _series(left))
    for attempt in range(MAX_ATTEMPTS):
        if not left:
            break
        version = next_version()
        plan = plan_commit(key, known, left, version)
        conflict = await _transact(storage, key, plan)
        taken = await _taken(storage, key, left) if _asks_who_is_there(conflict, plan) else {}
        if conflict is None or _are_mine(taken):
            await _finish(storage, key, plan, left, version)
            break
        left = [new for new in left if new.version not in taken]
        await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS * attempt))
        known = await read_known(storage, key, _series(left))
    else:
        raise Unavailable("The study is being changed by too many requests at once; try again.")
    return {new.version for new in instances} - {new.version for new in left}


async def settle(storage: Storage, key: StudyKey, touched: Iterable[IndexKey], expected: Known) -> None:
    """Make the search tables agree with the rows of a study as they are by the time this returns.

    Another request may have changed the study after our transaction and written its search rows
    before ours. Whoever writes last looks again, finds what it did not expect, and mends it.

    Args:
        storage: The storage account.
        key: The study.
        touched: The search rows that our change may have written or removed.
        expected: The rows for which the search tables were written last.
    """
    keys_touched = list(touched)
    while True:
        current = await read_known(storage, key, expected.series)
        if _revisions(current) == _revisions(expected):
            return
        await agree(storage.tables, keys_touched, wanted_rows(key, current.study, current.series))
        expected = current


async def _transact(storage: Storage, key: StudyKey, plan: CommitPlan) -> Conflict | None:
    try:
        await storage.tables.transact(keys.ARCHIVE, key.archive, plan.operations)
    except (RowExists, RowMissing, RowChanged) as conflict:
        return conflict
    return None


def _asks_who_is_there(conflict: Conflict | None, plan: CommitPlan) -> bool:
    # After a lost answer the transaction may have been ours; then our own instances are there.
    return conflict is not None and (conflict.after_retry or conflict.index >= plan.first_instance)


async def _taken(storage: Storage, key: StudyKey, instances: Sequence[NewInstance]) -> dict[int, int]:
    """The version found at the address of each instance, by the version that was to go there."""
    limit = asyncio.Semaphore(MAX_READS_AT_ONCE)

    async def read(new: NewInstance) -> tuple[int, int] | None:
        async with limit:
            row = await read_instance(storage, key, new.series, new.instance, ("version",))
            return (new.version, row.version) if row else None

    found = await asyncio.gather(*map(read, instances))
    return dict(pair for pair in found if pair)


def _are_mine(taken: dict[int, int]) -> bool:
    return any(mine == found for mine, found in taken.items())


async def _finish(
    storage: Storage, key: StudyKey, plan: CommitPlan, instances: Sequence[NewInstance], version: int
) -> None:
    after = Known(plan.study.after, {uid: change.after for uid, change in plan.series.items()})
    touched = planning.touched(key, plan.study, plan.series)
    changed = {where: row for where, row in wanted_rows(key, after.study, after.series).items()
               if where in set(touched)}  # fmt: skip
    for new in instances:
        changed |= terms.instance_row(key, new.series, new.instance)
    await agree(storage.tables, touched, changed)
    if touched:
        await settle(storage, key, touched, after)
    else:
        remember(storage, key, after)
    await announce_change(storage, key, version)


async def announce_change(storage: Storage, key: StudyKey, version: int) -> None:
    """Wake the change feed for a committed change."""
    body = json.dumps({"partition": key.partition, "study": key.study, "version": version})
    await storage.blobs.put(keys.CHANGES, keys.change_blob(key, version), body.encode(), if_absent=False)


def _series(instances: Sequence[NewInstance]) -> list[str]:
    return list(dict.fromkeys(new.series for new in instances))


def _revisions(known: Known) -> list[int | None]:
    rows = (known.study, *(known.series[uid] for uid in sorted(known.series)))
    return [row.revision if row else None for row in rows]
