"""Reading table `archive`."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from shared.storage import keys
from shared.storage.keys import Scope, StudyKey
from shared.storage.planning import Known
from shared.storage.rows import InstanceRow, LevelRow, parse_instance, parse_level
from shared.storage.storage import Storage
from shared.storage.tables import between

MAX_READS_AT_ONCE = 16


async def read_level(storage: Storage, key: StudyKey, row_key: str) -> LevelRow | None:
    """Read a study or series row; None when there is none."""
    row = await storage.tables.get(keys.ARCHIVE, key.archive, row_key)
    return parse_level(row) if row else None


async def read_known(storage: Storage, key: StudyKey, series: Iterable[str]) -> Known:
    """Read the rows of a study and of some of its series; forget what is remembered and no longer so."""
    uids = list(series)
    row_keys = [keys.STUDY_ROW, *map(keys.series_row, uids)]
    limit = asyncio.Semaphore(MAX_READS_AT_ONCE)

    async def read(row_key: str) -> LevelRow | None:
        async with limit:
            return await read_level(storage, key, row_key)

    study, *found = await asyncio.gather(*map(read, row_keys))
    for row_key, row in zip(row_keys, (study, *found), strict=True):
        _compare(storage, (key.archive, row_key), row)
    return Known(study, dict(zip(uids, found, strict=True)))


def _compare(storage: Storage, where: tuple[str, str], row: LevelRow | None) -> None:
    levels = storage.memory.levels
    known = levels.get(where)
    if known and row and known.revision == row.revision:
        # The same, perhaps with another ETag.
        levels.put(where, row)
    else:
        levels.forget(where)


def remembered(storage: Storage, key: StudyKey, series: Iterable[str]) -> Known | None:
    """The same rows as this process remembers them; None unless it remembers all of them."""
    levels = storage.memory.levels
    study = levels.get((key.archive, keys.STUDY_ROW))
    found = {uid: levels.get((key.archive, keys.series_row(uid))) for uid in series}
    return Known(study, found) if study and all(found.values()) else None


def remember(storage: Storage, key: StudyKey, known: Known) -> None:
    """Keep rows in mind, of which all search rows are written, for the next change of the study."""
    rows = {keys.STUDY_ROW: known.study}
    rows |= {keys.series_row(uid): row for uid, row in known.series.items()}
    for row_key, row in rows.items():
        if row is None:
            storage.memory.levels.forget((key.archive, row_key))
        else:
            storage.memory.levels.put((key.archive, row_key), row)


async def read_all(storage: Storage, key: StudyKey, series: Iterable[str]) -> Known:
    """As `read_known`, with every series of the study, so that a commit can depend on all of them."""
    # Whoever changes what matters of a series after this touches the study's row.
    study = await read_level(storage, key, keys.STUDY_ROW)
    found = await read_series(storage, key)
    return Known(study, {uid: found.get(uid) for uid in series}, found)


async def read_series(storage: Storage, key: StudyKey) -> dict[str, LevelRow]:
    """Read every series row of a study, by Series Instance UID."""
    found: dict[str, LevelRow] = {}
    filter_text = between(key.archive, *keys.rows_of("series"))
    async for page in storage.tables.query(keys.ARCHIVE, filter_text):
        found |= {row.row.removeprefix("series|"): parse_level(row) for row in page}
    return found


async def read_instance(
    storage: Storage, key: StudyKey, series: str, instance: str, select: Sequence[str]
) -> InstanceRow | None:
    """Read one instance's row; None when there is none."""
    row_key = keys.instance_row(series, instance)
    row = await storage.tables.get(keys.ARCHIVE, key.archive, row_key, select)
    return parse_instance(row, key.study) if row else None


async def read_metadata(storage: Storage, row: InstanceRow) -> bytes:
    """The compressed metadata of an instance, from its row, which must have been read with them, or its blob.

    Raises:
        BlobMissing: The instance was replaced or removed meanwhile.
    """
    if row.metadata_blob:
        return await storage.blobs.read_all(keys.METADATA, row.metadata_blob)
    return row.metadata


async def read_instances(
    storage: Storage,
    scope: Scope,
    select: Sequence[str],
    *,
    page: int = 1000,
    limit: int | None = None,
) -> AsyncIterator[list[InstanceRow]]:
    """Read the instances of a series, or of the whole study, in the order of their UIDs.

    Args:
        storage: The storage account.
        scope: A study or a series.
        select: The properties wanted, such as `rows.LOCATION`.
        page: The most rows asked for at once.
        limit: The most rows wanted in all.
    """
    filter_text = between(scope.key.archive, *keys.instance_rows(scope.series))
    async for found in storage.tables.query(keys.ARCHIVE, filter_text, select=select, page=page, limit=limit):
        if found:
            yield [parse_instance(row, scope.key.study) for row in found]


async def read_between(
    storage: Storage, key: StudyKey, ends: tuple[str, str], select: Sequence[str], *, page: int
) -> AsyncIterator[list[InstanceRow]]:
    """As `read_instances`, from one row key up to, and without, another."""
    pages = storage.tables.query(keys.ARCHIVE, between(key.archive, *ends), select=select, page=page)
    async for found in pages:
        yield [parse_instance(row, key.study) for row in found]
