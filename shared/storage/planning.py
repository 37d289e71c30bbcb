"""What a commit writes: worked out from the rows as they were and the instances that arrive. Pure.

A study is one partition of table `archive`, and one entity group transaction makes a change true.
Stores of one study must not wait for each other, yet must notice when the study or a series they
belong to is changed or removed at the same moment. So each of these rows has an **anchor**: a row
whose key names the revision of the row it belongs to. A store that leaves a study as it is merges
nothing into its anchor: that succeeds for any number of stores at once, fails when the anchor is
gone because somebody changed or removed the study, and changes the anchor's ETag, by which a
removal that looked earlier notices the store. Into the anchor of a series goes the version of the
change, by which readers notice it (`anchors.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.storage import keys, terms
from shared.storage.anchors import render_change
from shared.storage.keys import StudyKey
from shared.storage.rows import (
    Change,
    InstanceRow,
    LevelRow,
    NewInstance,
    Values,
    cut_text,
    indexable,
    render_changes,
    render_instance,
    render_level,
    row_bytes,
    squeeze_text,
)
from shared.storage.tables import Operation, Value, delete, insert, merge
from shared.storage.tables import replace as replace_row

MAX_OPERATIONS = 100
MAX_BATCH_BYTES = 3 * 1024 * 1024
MAX_SERIES = 12
"""Series of one transaction: the keys of their search rows must fit the pending row."""

MODALITY = "00080060"
MODALITIES_IN_STUDY = "00080061"


@dataclass(frozen=True, slots=True)
class Known:
    """The rows of a study and of some of its series as they were last seen."""

    study: LevelRow | None
    series: Mapping[str, LevelRow | None]


@dataclass(frozen=True, slots=True)
class LevelChange:
    """What becomes of the row of one study or series. Equal sides mean it stays as it is."""

    before: LevelRow | None
    after: LevelRow | None


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """One entity group transaction and what must follow it."""

    operations: tuple[Operation, ...]
    study: LevelChange
    series: Mapping[str, LevelChange]
    first_instance: int
    """Index of the first operation on an instance."""


def batches(instances: Sequence[NewInstance]) -> list[list[NewInstance]]:
    """Split instances of one study into what one transaction each can hold, in order."""
    found: list[list[NewInstance]] = []
    operations = series_bytes = 0
    series: set[str] = set()
    for new in instances:
        size = row_bytes(new)
        added = 1 + (3 if new.series not in series else 0)
        full = operations + added > MAX_OPERATIONS - 4 or series_bytes + size > MAX_BATCH_BYTES
        if not found or full or len(series | {new.series}) > MAX_SERIES:
            found.append([])
            operations, series_bytes, series, added = 0, 0, set(), 4
        found[-1].append(new)
        series.add(new.series)
        operations, series_bytes = operations + added, series_bytes + size
    return found


def plan_commit(
    key: StudyKey,
    known: Known,
    instances: Sequence[NewInstance],
    version: int,
    replaced: Mapping[int, InstanceRow] | None = None,
) -> CommitPlan:
    """Work out the transaction that makes instances exist.

    Args:
        key: The study.
        known: Its row, and the row of every series the instances belong to.
        instances: What to write, in the order it arrived: the latest value wins.
        version: The version of the change.
        replaced: The row at the address of each instance, by the instance's version, if they take the
            place of others. All do or none.
    """
    series = {uid: _level_after(known.series[uid], _series_values(uid, instances), version)
              for uid in dict.fromkeys(new.series for new in instances)}  # fmt: skip
    study = _level_after(known.study, _study_values(known.study, instances), version)
    levels = [*_level_operations(study, keys.STUDY_ROW, "", {})]
    for uid, change in series.items():
        levels += _level_operations(change, keys.series_row(uid), uid, render_change(version))
    writes = [_write(new, (replaced or {}).get(new.version)) for new in instances]
    changes = [change_of(new) for new in instances]
    row = render_pending("update" if replaced else "create", changes, touched(key, study, series))
    if replaced:
        row |= cut_text("replaced", render_changes([change_from(old) for old in replaced.values()]))
    pending = insert(keys.pending_row(version), row)
    return CommitPlan((*levels, *writes, pending), study, series, len(levels))


def _write(new: NewInstance, old: InstanceRow | None) -> Operation:
    row, values = keys.instance_row(new.series, new.instance), render_instance(new)
    return replace_row(row, values, etag=old.etag) if old else insert(row, values)


def change_of(new: NewInstance) -> Change:
    """What the feed is told of an instance."""
    return Change(new.series, new.instance, new.version, new.location, new.details)


def change_from(row: InstanceRow) -> Change:
    """What the feed, or the purge, is told of an instance that goes."""
    return Change(row.series, row.instance, row.version, row.location, row.details)


def render_pending(
    action: str, changes: Sequence[Change], index_keys: Iterable[terms.IndexKey]
) -> dict[str, Value]:
    """The properties of a pending row: what happened, and which search rows it may have touched."""
    lines = "\n".join(f"{where.table}\t{where.partition}\t{where.row}" for where in index_keys)
    return {
        "action": action,
        **cut_text("changes", render_changes(changes)),
        **squeeze_text("index", lines),
    }


def touched(key: StudyKey, study: LevelChange, series: Mapping[str, LevelChange]) -> list[terms.IndexKey]:
    """Every row of a search table that a change writes or takes away."""
    found: dict[terms.IndexKey, None] = {}
    if study.before != study.after:
        found |= dict.fromkeys([*terms.study_rows(key, study.before), *terms.study_rows(key, study.after)])
    for uid, change in series.items():
        if change.before != change.after:
            before = terms.series_rows(key, uid, change.before)
            found |= dict.fromkeys([*before, *terms.series_rows(key, uid, change.after)])
    return list(found)


def merged(before: Values, after: Values) -> Values:
    """Elements overwritten by those that have a value; the others stay (API rules section 3.9)."""
    return {**before, **{tag: element for tag, element in after.items() if element.get("Value")}}


def with_modalities(values: Values, modalities: Iterable[str]) -> Values:
    """Study-level elements with Modalities in Study set to these, sorted; left out when none."""
    rest = {tag: element for tag, element in values.items() if tag != MODALITIES_IN_STUDY}
    listed = sorted(set(modalities))
    return {**rest, MODALITIES_IN_STUDY: {"vr": "CS", "Value": listed}} if listed else rest


def modalities_of(values: Values, tag: str = MODALITY) -> list[str]:
    """The modalities named by a series, or with another tag by a study."""
    listed = values.get(tag, {}).get("Value")
    return [str(value) for value in listed if value] if isinstance(listed, list) else []


def _study_values(study: LevelRow | None, instances: Sequence[NewInstance]) -> Values:
    values: Values = study.values if study else {}
    modalities = modalities_of(values, MODALITIES_IN_STUDY)
    for new in instances:
        values = merged(values, new.study_values)
        modalities += modalities_of(new.series_values)
    return with_modalities(values, modalities)


def _series_values(series: str, instances: Sequence[NewInstance]) -> Values:
    values: Values = {}
    for new in instances:
        if new.series == series:
            values = merged(values, new.series_values)
    return values


def _level_after(before: LevelRow | None, values: Values, version: int) -> LevelChange:
    if before is None:
        return LevelChange(None, LevelRow(version, version, indexable(values), ""))
    after = indexable(merged(before.values, values))
    if after == before.values:
        return LevelChange(before, before)
    return LevelChange(before, replace(before, revision=version, values=after))


def _level_operations(
    change: LevelChange, row: str, series: str, said: Mapping[str, Value]
) -> list[Operation]:
    """Operations on a row and its anchor, which is to say so much."""
    before, after = change.before, change.after
    if before is not None and before == after:
        return [merge(keys.anchor_row(series, before.revision), said)]
    if after is None:
        return []
    content = render_level(after.values, revision=after.revision, created=after.created)
    anchor = insert(keys.anchor_row(series, after.revision), said)
    if before is None:
        return [insert(row, content), anchor]
    gone = delete(keys.anchor_row(series, before.revision))
    return [replace_row(row, content, etag=before.etag), gone, anchor]
