"""Making instances disappear, at once and for every reader; their bytes go later.

Instances of one series go in one transaction, with the rows of the series and of the study when
nothing is left of them. The anchors (`planning.py`) are used with the ETag read before: a store
or another removal in between makes the transaction fail, and it is planned again.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.errors import Unavailable
from shared.storage import keys, planning
from shared.storage.anchors import render_change
from shared.storage.archive import read_known, read_series
from shared.storage.commit import announce_change, settle
from shared.storage.index import agree, wanted_rows
from shared.storage.keys import Scope, StudyKey
from shared.storage.planning import Anchored, Known, LevelChange, level_operations
from shared.storage.rows import DETAILS, LOCATION, InstanceRow, LevelRow, parse_instance
from shared.storage.storage import Storage
from shared.storage.tables import Operation, RowChanged, RowExists, RowMissing, between, delete, insert
from shared.storage.terms import IndexKey
from shared.storage.uids import agree_on_uids
from shared.storage.versions import next_version

MAX_INSTANCES = 80
"""Instances removed by one transaction."""

MAX_ATTEMPTS = 12
MAX_PAUSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class _Seen:
    """The rows of a study that decide what one transaction removes."""

    study: LevelRow
    series: LevelRow
    study_anchor: str
    """ETag."""

    series_anchor: str
    instances: Sequence[InstanceRow]
    """Those to remove, all of one series."""

    series_ends: bool
    """Nothing is left of the series."""

    others: dict[str, LevelRow]
    """The other series of the study; read only when the series ends."""


async def remove(storage: Storage, scope: Scope) -> int:
    """Remove everything in a scope, some instances at a time.

    Returns:
        How many instances were removed; 0 when there were none.

    Raises:
        Unavailable: Storage did not answer, or the study changed too often meanwhile. Some of
            the instances may be gone then.
    """
    removed = attempt = 0
    while attempt < MAX_ATTEMPTS:
        rows = await _rows(storage, scope)
        if not rows:
            return removed
        seen = await _see(storage, scope, rows)
        if seen is not None and await _remove_seen(storage, scope.key, seen):
            removed += len(seen.instances)
            attempt = 0
            if scope.instance is not None:
                return removed
        else:
            attempt += 1
            await asyncio.sleep(random.uniform(0, MAX_PAUSE_SECONDS * attempt))
    raise Unavailable("The study is being changed by too many requests at once; try again.")


async def _rows(storage: Storage, scope: Scope) -> list[InstanceRow]:
    """The first rows in a scope, one more than may be removed at once."""
    first, end = keys.instance_rows(scope.series)
    if scope.series is not None and scope.instance is not None:
        first = keys.instance_row(scope.series, scope.instance)
        end = first + " "
    filter_text = between(scope.key.archive, first, end)
    found: list[InstanceRow] = []
    async for page in storage.tables.query(
        keys.ARCHIVE, filter_text, select=(*LOCATION, *DETAILS), limit=MAX_INSTANCES + 1
    ):
        found += [parse_instance(row, scope.key.study) for row in page]
    return found


async def _see(storage: Storage, scope: Scope, rows: Sequence[InstanceRow]) -> _Seen | None:
    """Read what else a removal depends on; None when it changed while it was read."""
    series = rows[0].series
    known = await read_known(storage, scope.key, [series])
    study_row, series_row = known.study, known.series[series]
    if study_row is None or series_row is None:
        return None
    study_anchor, series_anchor = await asyncio.gather(
        _anchor(storage, scope.key, "", study_row.revision),
        _anchor(storage, scope.key, series, series_row.revision),
    )
    if study_anchor is None or series_anchor is None:
        return None
    # Read after the anchors: who adds an instance later changes an anchor's ETag.
    rows = await _rows(storage, scope)
    instances = [row for row in rows if row.series == series][:MAX_INSTANCES]
    if not instances:
        return None
    ends = not await _is_left(storage, scope.key, series, instances)
    others = await read_series(storage, scope.key) if ends else {}
    others.pop(series, None)
    return _Seen(study_row, series_row, study_anchor, series_anchor, instances, ends, others)


async def _anchor(storage: Storage, key: StudyKey, series: str, revision: int) -> str | None:
    row = await storage.tables.get(keys.ARCHIVE, key.archive, keys.anchor_row(series, revision), ("RowKey",))
    return row.etag if row else None


async def _is_left(storage: Storage, key: StudyKey, series: str, removed: Sequence[InstanceRow]) -> bool:
    """Whether a series has instances besides these."""
    gone = {row.instance for row in removed}
    filter_text = between(key.archive, *keys.instance_rows(series))
    async for page in storage.tables.query(
        keys.ARCHIVE, filter_text, select=("RowKey",), limit=len(gone) + 1
    ):
        if any(row.row.rpartition("|")[2] not in gone for row in page):
            return True
    return False


async def _remove_seen(storage: Storage, key: StudyKey, seen: _Seen) -> bool:
    """Remove in one transaction; False when something changed since it was seen."""
    version = next_version()
    study, series = _changes(seen, version)
    by_uid = {seen.instances[0].series: series}
    index_keys = planning.touched(key, study, by_uid)
    operations = _operations(seen, study, series, version)
    changes = [planning.change_from(row) for row in seen.instances]
    pending = insert(keys.pending_row(version), planning.render_pending("delete", changes, index_keys))
    try:
        await storage.tables.transact(keys.ARCHIVE, key.archive, [*operations, pending])
    except (RowExists, RowMissing, RowChanged) as conflict:
        if not (conflict.after_retry and await _committed(storage, key, version)):
            return False
    after = Known(study.after, {uid: change.after for uid, change in by_uid.items()})
    if index_keys:
        await _agree(storage, key, index_keys, after)
    removed = [(row.series, row.instance) for row in seen.instances]
    await agree_on_uids(storage, key, removed, there=frozenset())
    await announce_change(storage, key, version)
    return True


async def _committed(storage: Storage, key: StudyKey, version: int) -> bool:
    row_key = keys.pending_row(version)
    return await storage.tables.get(keys.ARCHIVE, key.archive, row_key, ("RowKey",)) is not None


async def _agree(storage: Storage, key: StudyKey, touched: Sequence[IndexKey], after: Known) -> None:
    await agree(storage.tables, touched, wanted_rows(key, after.study, after.series))
    await settle(storage, key, touched, after)


def _changes(seen: _Seen, version: int) -> tuple[LevelChange, LevelChange]:
    """What becomes of the study's row and of the series' row."""
    if not seen.series_ends:
        return LevelChange(seen.study, seen.study), LevelChange(seen.series, seen.series)
    series = LevelChange(seen.series, None)
    if not seen.others:
        return LevelChange(seen.study, None), series
    modalities = [name for row in seen.others.values() for name in planning.modalities_of(row.values)]
    values = planning.with_modalities(seen.study.values, modalities)
    if values == seen.study.values:
        return LevelChange(seen.study, seen.study), series
    return LevelChange(seen.study, replace(seen.study, revision=version, values=values)), series


def _operations(seen: _Seen, study: LevelChange, series: LevelChange, version: int) -> list[Operation]:
    uid = seen.instances[0].series
    rows = [delete(keys.instance_row(uid, row.instance), etag=row.etag) for row in seen.instances]
    # While the series stays, the study is not concerned, and stores of other series need not notice.
    of_study: list[Operation] = []
    if seen.series_ends:
        anchored = Anchored("", {}, seen.study_anchor)
        of_study = [*planning.touch(study, [series]), *level_operations(study, keys.STUDY_ROW, anchored)]
    anchored = Anchored(uid, render_change(version), seen.series_anchor)
    return [*of_study, *level_operations(series, keys.series_row(uid), anchored), *rows]
