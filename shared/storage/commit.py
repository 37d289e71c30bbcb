"""Making instances exist: one transaction, and what must follow before the client is told.

A crash after the transaction leaves the pending row, from which the sweep does the rest.
"""

import asyncio
import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence

from shared.errors import Unavailable
from shared.storage import keys, planning, terms
from shared.storage.archive import read_known, remember, remembered
from shared.storage.index import agree, wanted_rows
from shared.storage.keys import StudyKey
from shared.storage.planning import CommitPlan, Known, plan_commit
from shared.storage.rows import DETAILS, LOCATION, InstanceRow, NewInstance, parse_instance
from shared.storage.storage import Storage
from shared.storage.tables import RowChanged, RowExists, RowMissing, between
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version

MAX_ATTEMPTS = 12
MAX_PAUSE_SECONDS = 0.02
TOO_BUSY = "The study is being changed by too many requests at once; try again."

Conflict = RowExists | RowMissing | RowChanged


async def look(storage: Storage, key: StudyKey, series: Collection[str]) -> Known:
    """What a commit has to know of the study and of the series; asked for while bytes are uploaded."""
    return remembered(storage, key, series) or await read_known(storage, key, series)


async def commit(
    storage: Storage, key: StudyKey, instances: Sequence[NewInstance], seen: Known | None = None
) -> set[int]:
    """Make instances of one study exist, findable and announced to the change feed.

    Args:
        storage: The storage account.
        key: The study.
        instances: What to commit, each address once; few enough for one transaction
            (`planning.batches`).
        seen: From `look`, if it was called. It may be out of date.

    Returns:
        The versions of those that were not committed because their address is taken.

    Raises:
        Unavailable: Storage did not answer, or the study changed too often meanwhile. The
            instances may or may not exist then.
    """
    left = list(instances)
    known = remembered(storage, key, _series(left)) or seen or await look(storage, key, _series(left))
    for attempt in range(MAX_ATTEMPTS):
        if not left:
            break
        version = next_version()
        plan = plan_commit(key, known, left, version)
        conflict = await _transact(storage, key, plan)
        taken = await _taken(storage, key, left) if _asks_who_is_there(conflict, plan) else {}
        if conflict is None or await _is_ours(storage, key, version, conflict, taken):
            await _finish(storage, key, plan, left, version)
            break
        left = [new for new in left if new.version not in taken]
        await _pause(attempt)
        known = await read_known(storage, key, _series(left))
    else:
        raise Unavailable(TOO_BUSY)
    return {new.version for new in instances} - {new.version for new in left}


async def upsert(
    storage: Storage, key: StudyKey, instances: Sequence[NewInstance], seen: Known | None = None
) -> None:
    """As `commit`, but instances take the place of those at their addresses.

    A row changes in one transaction, so that readers see the old instance or the new one, never neither.
    The feed is told of an update, and the bytes of what was replaced go as those of a deletion do.

    Raises:
        Unavailable: As for `commit`.
    """
    left = list(instances)
    for attempt in range(MAX_ATTEMPTS):
        taken = await commit(storage, key, left, seen)
        left = [new for new in left if new.version in taken]
        while left and (rows := await _taken(storage, key, left)):
            there = [new for new in left if new.version in rows]
            if await _replace(storage, key, there, rows):
                left = [new for new in left if new.version not in rows]
            else:
                await _pause(attempt)
                break
        if not left:
            return
    raise Unavailable(TOO_BUSY)


async def _replace(
    storage: Storage, key: StudyKey, instances: Sequence[NewInstance], rows: Mapping[int, InstanceRow]
) -> bool:
    """Put instances in the place of some rows; False when one of these has changed or gone meanwhile."""
    known = await read_known(storage, key, _series(instances))
    version = next_version()
    plan = plan_commit(key, known, instances, version, rows)
    conflict = await _transact(storage, key, plan)
    if conflict is not None:
        taken = await _taken(storage, key, instances) if conflict.after_retry else {}
        if not await _is_ours(storage, key, version, conflict, taken):
            return False
    await _finish(storage, key, plan, instances, version)
    return True


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
    ours = set(touched)
    while True:
        current = await read_known(storage, key, expected.series)
        if _revisions(current) == _revisions(expected):
            return
        await agree(storage.tables, ours, wanted_rows(key, current.study, current.series))
        expected = current


async def _transact(storage: Storage, key: StudyKey, plan: CommitPlan) -> Conflict | None:
    try:
        await storage.tables.transact(keys.ARCHIVE, key.archive, plan.operations)
    except (RowExists, RowMissing, RowChanged) as conflict:
        return conflict
    return None


def _asks_who_is_there(conflict: Conflict | None, plan: CommitPlan) -> bool:
    return conflict is not None and (conflict.after_retry or conflict.index >= plan.first_instance)


async def _taken(storage: Storage, key: StudyKey, instances: Sequence[NewInstance]) -> dict[int, InstanceRow]:
    """The row found at the address of each instance, by the version that was to go there."""
    found: dict[tuple[str, str], InstanceRow] = {}
    for series in _series(instances):
        uids = [new.instance for new in instances if new.series == series]
        first, last = keys.instance_row(series, min(uids)), keys.instance_row(series, max(uids))
        # A blank sorts before all that may follow in a longer UID.
        filter_text = between(key.archive, first, last + " ")
        async for page in storage.tables.query(keys.ARCHIVE, filter_text, select=(*LOCATION, *DETAILS)):
            rows = [parse_instance(row, key.study) for row in page]
            found |= {(row.series, row.instance): row for row in rows}
    addresses = {(new.series, new.instance): new.version for new in instances}
    return {mine: found[address] for address, mine in addresses.items() if address in found}


async def _is_ours(
    storage: Storage, key: StudyKey, version: int, conflict: Conflict, taken: Mapping[int, InstanceRow]
) -> bool:
    """Whether the transaction was carried out after all: an answer was lost, this is the echo."""
    if any(mine == found.version for mine, found in taken.items()):
        return True
    if not conflict.after_retry:
        return False
    # Its instances may have been deleted already; its pending row tells as well.
    row_key = keys.pending_row(version)
    return await storage.tables.get(keys.ARCHIVE, key.archive, row_key, ("RowKey",)) is not None


async def _finish(
    storage: Storage, key: StudyKey, plan: CommitPlan, instances: Sequence[NewInstance], version: int
) -> None:
    after = Known(plan.study.after, {uid: change.after for uid, change in plan.series.items()})
    touched = set(planning.touched(key, plan.study, plan.series))
    wanted = wanted_rows(key, after.study, after.series)
    uids = dict(
        pair for new in instances for pair in terms.instance_row(key, new.series, new.instance).items()
    )
    await agree(storage.tables, [*touched, *uids], wanted | uids)
    if touched:
        await settle(storage, key, touched, after)
    else:
        remember(storage, key, after)
    await announce_change(storage, key, version)


async def announce_change(storage: Storage, key: StudyKey, version: int) -> None:
    """Wake the change feed for a committed change."""
    body = json.dumps({"partition": key.partition, "study": key.study, "version": version})
    await storage.blobs.put(keys.CHANGES, keys.change_blob(key, version), body.encode(), if_absent=False)


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS * attempt))


def _series(instances: Sequence[NewInstance]) -> list[str]:
    return list(dict.fromkeys(new.series for new in instances))


def _revisions(known: Known) -> list[int | None]:
    rows = (known.study, *(known.series[uid] for uid in sorted(known.series)))
    return [row.revision if row else None for row in rows]
