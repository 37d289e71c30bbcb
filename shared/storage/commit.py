"""Making instances exist: one transaction, and what must follow before the client is told.

A crash after the transaction leaves the pending row, from which the sweep does the rest.
"""

import asyncio
import json
import logging
import math
import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.errors import Unavailable
from shared.log import log_fault
from shared.storage import keys, pending, planning, terms
from shared.storage.archive import read_all, read_known, remember, remembered
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
MIN_SECONDS = 60.0
"""From the upload of bytes to their commit, however short the grace is."""

TOO_BUSY = "The study is being changed by too many requests at once; try again."

log = logging.getLogger(__name__)

Conflict = RowExists | RowMissing | RowChanged


@dataclass(frozen=True, slots=True)
class Batch:
    """Instances of one study to commit, few enough for one transaction (`planning.batches`)."""

    instances: Sequence[NewInstance]
    """Each address once."""

    uploaded: float = math.inf
    """When the first of their bytes became a blob, in seconds of the clock."""

    seen: Known | None = None
    """From `look`, if it was called. It may be out of date."""


async def look(storage: Storage, key: StudyKey, series: Collection[str]) -> Known:
    """What a commit has to know of the study and of the series; asked for while bytes are uploaded."""
    return remembered(storage, key, series) or await read_known(storage, key, series)


async def commit(storage: Storage, key: StudyKey, batch: Batch) -> set[int]:
    """Make instances of one study exist, findable and announced to the change feed.

    Returns:
        The versions of those that were not committed because their address is taken.

    Raises:
        Unavailable: Storage did not answer, the study changed too often meanwhile, or it took so
            long that the sweep may have taken the bytes for leftovers. The instances may or may
            not exist then.
    """
    left = {new.version: new for new in batch.instances}
    series = _series(batch.instances)
    known = remembered(storage, key, series) or batch.seen or await look(storage, key, series)
    for attempt in range(MAX_ATTEMPTS):
        if not left:
            break
        instances, version = list(left.values()), next_version()
        known = await _enough(storage, key, known, instances)
        plan = plan_commit(key, known, instances, version)
        conflict = await _transact(storage, key, plan, batch.uploaded)
        taken = await _taken(storage, key, instances) if _asks_who_is_there(conflict, plan) else {}
        if conflict is None or await _is_ours(storage, key, version, conflict, taken):
            await _finish(storage, key, plan, instances, version)
            break
        left = _again({mine: new for mine, new in left.items() if new.version not in taken}, conflict)
        await _pause(attempt)
        known = await read_known(storage, key, _series(left.values()))
    else:
        if left:
            raise Unavailable(TOO_BUSY)
    return {new.version for new in batch.instances} - left.keys()


async def upsert(storage: Storage, key: StudyKey, batch: Batch) -> None:
    """As `commit`, but instances take the place of those at their addresses.

    A row changes in one transaction, so that readers see the old instance or the new one, never neither.
    The feed is told of an update, and the bytes of what was replaced go as those of a deletion do.

    Raises:
        Unavailable: As for `commit`.
    """
    left = list(batch.instances)
    for attempt in range(MAX_ATTEMPTS):
        taken = await commit(storage, key, Batch(left, batch.uploaded, batch.seen))
        # A version is never written twice: what was committed may have been replaced since, unknown to us.
        left = [_renewed(new) for new in left if new.version in taken]
        while left and (rows := await _taken(storage, key, left)):
            there = [new for new in left if new.version in rows]
            if await _replace(storage, key, Batch(there, batch.uploaded), rows):
                left = [new for new in left if new.version not in rows]
            else:
                left = [_renewed(new) for new in left]
                await _pause(attempt)
                break
        if not left:
            return
    raise Unavailable(TOO_BUSY)


async def _replace(storage: Storage, key: StudyKey, batch: Batch, rows: Mapping[int, InstanceRow]) -> bool:
    """Put instances in the place of some rows; False when one of these has changed or gone meanwhile."""
    instances = batch.instances
    known = await read_known(storage, key, _series(instances))
    known = await _enough(storage, key, known, instances)
    version = next_version()
    plan = plan_commit(key, known, instances, version, rows)
    conflict = await _transact(storage, key, plan, batch.uploaded)
    if conflict is not None:
        taken = await _taken(storage, key, instances) if conflict.after_retry else {}
        if not await _is_ours(storage, key, version, conflict, taken):
            return False
    await _finish(storage, key, plan, instances, version)
    return True


async def _enough(storage: Storage, key: StudyKey, known: Known, instances: Sequence[NewInstance]) -> Known:
    """What is known, with the other series where what becomes of the study depends on them."""
    if planning.depends_on_all(known, instances):
        return await read_all(storage, key, known.series)
    return known


def _again(left: Mapping[int, NewInstance], conflict: Conflict) -> dict[int, NewInstance]:
    """The instances to try once more, by the version they came with.

    Where an answer was lost they may have been committed, and deleted since: then theirs is another life.
    """
    return {mine: _renewed(new) if conflict.after_retry else new for mine, new in left.items()}


def _renewed(new: NewInstance) -> NewInstance:
    return replace(new, version=next_version())


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


async def _transact(storage: Storage, key: StudyKey, plan: CommitPlan, uploaded: float) -> Conflict | None:
    # Of bytes that are older than the grace and named by no row the sweep thinks that a crash left them.
    if time.time() - uploaded > max(storage.times.grace.total_seconds() / 2, MIN_SECONDS):
        raise Unavailable("Storing took too long; try again.")
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
    try:
        after = await _write_search_rows(storage, key, plan, instances)
        if not _is_findable(storage, key, plan):
            await _finish_others(storage, key, version)
        remember(storage, key, after)
        await announce_change(storage, key, version)
    except Unavailable:
        raise
    except Exception as error:
        log_fault(log, "a commit could not be finished; the sweep does it")
        raise Unavailable("It is stored, but cannot be found by searches yet.") from error


async def _write_search_rows(
    storage: Storage, key: StudyKey, plan: CommitPlan, instances: Sequence[NewInstance]
) -> Known:
    after = Known(plan.study.after, {uid: change.after for uid, change in plan.series.items()})
    touched = set(planning.touched(key, plan.study, plan.series))
    wanted = wanted_rows(key, after.study, after.series)
    uids = dict(
        pair for new in instances for pair in terms.instance_row(key, new.series, new.instance).items()
    )
    await agree(storage.tables, [*touched, *uids], wanted | uids)
    if touched:
        await settle(storage, key, touched, after)
    return after


def _is_findable(storage: Storage, key: StudyKey, plan: CommitPlan) -> bool:
    """Whether the search rows of the study and the series are written, as they were before this change."""
    before = Known(
        plan.study.before, {uid: change.before for uid, change in plan.series.items() if change.before}
    )
    found = remembered(storage, key, before.series)
    return before.study is None or (found is not None and _revisions(found) == _revisions(before))


async def _finish_others(storage: Storage, key: StudyKey, version: int) -> None:
    """Write the search rows of changes that are committed: their requests are still at work, or have died.

    What is stored into a study is found only when the study and the series are, whoever has made them.
    """
    for change in await pending.all_pending(storage, key):
        if change.touched and change.version != version:
            known = await read_known(storage, key, {item.series for item in change.changes})
            await agree(storage.tables, change.touched, wanted_rows(key, known.study, known.series))
            await settle(storage, key, change.touched, known)


async def announce_change(storage: Storage, key: StudyKey, version: int) -> None:
    """Wake the change feed for a committed change."""
    body = json.dumps({"partition": key.partition, "study": key.study, "version": version})
    await storage.blobs.put(keys.CHANGES, keys.change_blob(key, version), body.encode(), if_absent=False)
    storage.memory.news.tell()


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS * attempt))


def _series(instances: Iterable[NewInstance]) -> list[str]:
    return list(dict.fromkeys(new.series for new in instances))


def _revisions(known: Known) -> list[int | None]:
    rows = (known.study, *(known.series[uid] for uid in sorted(known.series)))
    return [row.revision if row else None for row in rows]
