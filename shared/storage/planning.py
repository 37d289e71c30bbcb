"""What a commit writes: worked out from the rows as they were and the instances that arrive. Pure.

A study is one partition of table `archive`, and one entity group transaction makes a change true.
Stores of one study must not wait for each other, yet must notice when the study or a series they
belong to is changed or removed at the same moment. So each of these rows has an **anchor**: a row
whose key names the revision of the row it belongs to. A store that leaves a study as it is merges
nothing into its anchor: that succeeds for any number of stores at once, fails when the anchor is
gone because somebody changed or removed the study, and changes the anchor's ETag, by which a
removal that looked earlier notices the store. Into the anchor of a series goes the version of the
change, by which readers notice it (`anchors.py`).

The modalities of a study follow from all of its series. A store can only add to them, but where the modality
of a series changes, the old one may be nobody's any more. Such a commit depends on the other series too: it
requires that the study's row has the ETag from before it read them. So whoever changes what series have of
modalities touches that row (`touch`). Other stores do not, and so do not keep it from its turn.
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

    all_series: Mapping[str, LevelRow] | None = None
    """Read after the study's row where a commit depends on all of them (`depends_on_all`)."""


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
        known: Its row, and the row of every series the instances belong to; of all if it `depends_on_all`.
        instances: What to write, in the order it arrived: the latest value wins.
        version: The version of the change.
        replaced: The row at the address of each instance, by the instance's version, if they take the
            place of others. All do or none.
    """
    series = {uid: _changed(known.series[uid], _series_values(known, uid, instances), version)
              for uid in _uids(instances)}  # fmt: skip
    study = _changed(known.study, _study_values(known, instances, series), version)
    levels = [
        *touch(study, series.values(), depends=known.all_series is not None),
        *level_operations(study, keys.STUDY_ROW, Anchored("", {})),
    ]
    for uid, change in series.items():
        levels += level_operations(change, keys.series_row(uid), Anchored(uid, render_change(version)))
    writes = [_write(new, (replaced or {}).get(new.version)) for new in instances]
    changes = [change_of(new) for new in instances]
    row = render_pending("update" if replaced else "create", changes, touched(key, study, series))
    if replaced:
        row |= cut_text("replaced", render_changes([change_from(old) for old in replaced.values()]))
    pending = insert(keys.pending_row(version), row)
    return CommitPlan((*levels, *writes, pending), study, series, len(levels))


def depends_on_all(known: Known, instances: Sequence[NewInstance]) -> bool:
    """Whether instances change the modality of a series, so that the study may have lost the old one."""
    before = {uid: row.values for uid in _uids(instances) if (row := known.series[uid])}
    return any(
        modalities_of(values) != modalities_of(_series_values(known, uid, instances))
        for uid, values in before.items()
        if modalities_of(values)
    )


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


@dataclass(frozen=True, slots=True)
class Anchored:
    """The anchor of a study (no UID) or series, and what it is to say."""

    series: str
    says: Mapping[str, Value]
    etag: str = "*"
    """What it must have, where its row must be as it was read."""


def touch(study: LevelChange, series: Iterable[LevelChange], *, depends: bool = False) -> list[Operation]:
    """Change the ETag of a study's row where modalities of series change and the row stays as it is.

    Args:
        study: What becomes of the study.
        series: What becomes of series.
        depends: The row must have the ETag it was read with.
    """
    row = study.before
    if row is None or row != study.after or all(_keeps_modality(change) for change in series):
        return []
    return [merge(keys.STUDY_ROW, {}, etag=row.etag if depends else "*")]


def _keeps_modality(change: LevelChange) -> bool:
    before, after = (modalities_of(row.values) if row else [] for row in (change.before, change.after))
    return before == after


def level_operations(change: LevelChange, row: str, anchored: Anchored) -> list[Operation]:
    """Operations on the row of a study or series, and on its anchor."""
    before, after = change.before, change.after
    if before is not None and before == after:
        return [merge(keys.anchor_row(anchored.series, before.revision), anchored.says, etag=anchored.etag)]
    gone, made = [], []
    if before is not None:
        gone = [delete(keys.anchor_row(anchored.series, before.revision), etag=anchored.etag)]
    if after is not None:
        made = [insert(keys.anchor_row(anchored.series, after.revision), anchored.says)]
    return [*_row_operations(change, row), *gone, *made]


def _row_operations(change: LevelChange, row: str) -> list[Operation]:
    before, after = change.before, change.after
    if after is None:
        return [delete(row, etag=before.etag)] if before else []
    content = render_level(after.values, revision=after.revision, created=after.created)
    return [replace_row(row, content, etag=before.etag) if before else insert(row, content)]


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


def _uids(instances: Iterable[NewInstance]) -> list[str]:
    return list(dict.fromkeys(new.series for new in instances))


def _study_values(
    known: Known, instances: Sequence[NewInstance], series: Mapping[str, LevelChange]
) -> Values:
    values: Values = known.study.values if known.study else {}
    for new in instances:
        values = merged(values, new.study_values)
    rows = {**(known.all_series or {}), **{uid: change.after for uid, change in series.items()}}
    listed = modalities_of(values, MODALITIES_IN_STUDY) if known.all_series is None else []
    named = [name for row in rows.values() if row for name in modalities_of(row.values)]
    return with_modalities(values, [*listed, *named])


def _series_values(known: Known, series: str, instances: Sequence[NewInstance]) -> Values:
    before = known.series[series]
    values: Values = before.values if before else {}
    for new in instances:
        if new.series == series:
            values = merged(values, new.series_values)
    return values


def _changed(before: LevelRow | None, values: Values, version: int) -> LevelChange:
    after = indexable(values)
    if before is None:
        return LevelChange(None, LevelRow(version, version, after, ""))
    if after == before.values:
        return LevelChange(before, before)
    return LevelChange(before, replace(before, revision=version, values=after))
