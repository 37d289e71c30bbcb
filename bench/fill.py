"""Fills a file of tables with the rows of a whole hospital, made by the code that makes them for a store.

They are those of series that have come to rest and are too small for their metadata to be joined. Left out is
what a stored change needs on its way, and the bytes: pending rows, change blobs, files. A test compares the
rows with those of real stores.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bench.archive import version_at
from bench.population import Hospital, MadeSeries, MadeStudy, every_study, instance_values
from bench.tableserver import TableFile
from shared.storage import keys, rows, terms
from shared.storage.anchors import Summary, render_summary
from shared.storage.keys import StudyKey
from shared.storage.planning import with_modalities
from shared.storage.rows import LevelRow, Location, NewInstance
from shared.storage.tables import Value
from shared.storage.terms import IndexKey

STUDIES_AT_ONCE: Final = 500
SYNTAX: Final = "1.2.840.10008.1.2.1"
AVAILABLE_SYNTAX: Final = "00083002"
BYTES: Final = 20_480
"""Of each file, said to be."""

Rows = Mapping[IndexKey, Mapping[str, Value]]


def fill(file: TableFile, hospital: Hospital) -> None:
    """Write every row of every study."""
    waiting: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for number, study in enumerate(every_study(hospital), 1):
        kept: dict[int, int] = {}
        for where, values in study_rows(study).items():
            # All search rows of a study have one content, kept once.
            if id(values) not in kept:
                kept[id(values)] = file.keep(values)
            waiting[where.table].append((where.partition, where.row, kept[id(values)]))
        if number % STUDIES_AT_ONCE == 0 or number == hospital.studies:
            with file.transaction():
                for table, found in waiting.items():
                    file.put(table, sorted(found))
            waiting.clear()


def study_rows(study: MadeStudy) -> Rows:
    """Every row of a study, in every table."""
    key = keys.study_key(keys.DEFAULT_PARTITION, study.uid)
    created = version_at(study.arrived.timestamp())
    modalities = [value for series in study.series for value in series.values["00080060"]["Value"]]
    level = LevelRow(created, created, with_modalities(study.values, modalities), "")
    found = dict(terms.study_rows(key, level)) | dict(_level_rows(key, "", level, {}))
    for series in study.series:
        of_series = LevelRow(created, created, series.values, "")
        found |= terms.series_rows(key, series.uid, of_series)
        at_rest = Summary(len(series.instances), created + len(series.instances), None)
        found |= _level_rows(key, series.uid, of_series, render_summary(created, at_rest))
        found |= _instance_rows(key, series, created)
    return found


def _level_rows(
    key: StudyKey, series: str, level: LevelRow, said: Mapping[str, Value]
) -> Iterator[tuple[IndexKey, Mapping[str, Value]]]:
    row = keys.series_row(series) if series else keys.STUDY_ROW
    content = rows.render_level(level.values, revision=level.revision, created=level.created)
    yield IndexKey(keys.ARCHIVE, key.archive, row), content
    yield IndexKey(keys.ARCHIVE, key.archive, keys.anchor_row(series, level.revision)), said


def _instance_rows(
    key: StudyKey, series: MadeSeries, created: int
) -> Iterator[tuple[IndexKey, Mapping[str, Value]]]:
    for number, uid in enumerate(series.instances, 1):
        values: Mapping[str, Any] = {
            **instance_values(uid), AVAILABLE_SYNTAX: {"vr": "UI", "Value": [SYNTAX]},
        }  # fmt: skip
        blob = keys.instance_blob(key, series.uid, uid, created + number)
        new = NewInstance(
            series.uid, uid, created + number, Location(blob, 0, BYTES), SYNTAX, {}, {}, values, b"", None
        )
        yield (
            IndexKey(keys.ARCHIVE, key.archive, keys.instance_row(series.uid, uid)),
            rows.render_instance(new),
        )
        yield from terms.instance_row(key, series.uid, uid).items()
