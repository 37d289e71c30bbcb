"""Everything an account holds, read raw, without the services that wrote it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.storage import keys, terms
from shared.storage.keys import StudyKey
from shared.storage.rows import InstanceRow, LevelRow, parse_instance, parse_level
from shared.storage.storage import Storage
from shared.storage.tables import Row, greater_or_equal

TABLES = (keys.ARCHIVE, keys.ACTIVE, keys.FEED, keys.UPLOADS, keys.OPERATIONS, *terms.INDEX_TABLES)
CONTAINERS = (keys.DICOM, keys.METADATA, keys.CHANGES, keys.UPLOADS, keys.ANSWERS)

_EVERYTHING = greater_or_equal("PartitionKey", " ")


@dataclass(frozen=True, slots=True)
class Study:
    """The rows of one study, by kind."""

    key: StudyKey
    level: LevelRow | None
    series: Mapping[str, LevelRow]
    instances: tuple[InstanceRow, ...]
    others: tuple[Row, ...]
    """Anchors, pending rows, purge rows, and what else may lie there."""

    def rows_of(self, kind: str) -> list[Row]:
        """The other rows of one kind."""
        return [row for row in self.others if row.row.startswith(f"{kind}|")]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows and blobs of an account."""

    tables: Mapping[str, Sequence[Row]]
    blobs: Mapping[str, Mapping[str, bytes]]

    @property
    def studies(self) -> list[Study]:
        """The rows of table `archive` by study."""
        found: dict[str, list[Row]] = {}
        for row in self.tables[keys.ARCHIVE]:
            found.setdefault(row.partition, []).append(row)
        return [_study(partition, rows) for partition, rows in found.items()]


async def read_snapshot(
    storage: Storage, names: Sequence[str] = TABLES, containers: Sequence[str] = CONTAINERS
) -> Snapshot:
    """Read all of an account, or what some tables and containers hold."""
    tables = await asyncio.gather(*(_rows(storage, name) for name in names))
    blobs = await asyncio.gather(*(_blobs(storage, name) for name in containers))
    return Snapshot(dict(zip(names, tables, strict=True)), dict(zip(containers, blobs, strict=True)))


async def _rows(storage: Storage, table: str) -> list[Row]:
    return [row async for page in storage.tables.query(table, _EVERYTHING) for row in page]


async def _blobs(storage: Storage, container: str) -> dict[str, bytes]:
    return {
        entry.name: await storage.blobs.read_all(container, entry.name)
        async for entry in storage.blobs.list(container)
    }


def _study(partition: str, rows: Sequence[Row]) -> Study:
    key = keys.study_of(partition)
    level: LevelRow | None = None
    series: dict[str, LevelRow] = {}
    instances: list[InstanceRow] = []
    others: list[Row] = []
    for row in rows:
        kind, _, rest = row.row.partition("|")
        if kind == "study":
            level = parse_level(row)
        elif kind == "series":
            series[rest] = parse_level(row)
        elif kind == "instance":
            instances.append(parse_instance(row, key.study))
        else:
            others.append(row)
    return Study(key, level, series, tuple(instances), tuple(others))
