"""The rows of an account as texts to compare: versions, which no two runs share, are given by meaning."""

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta

from bench.tableserver import TableFile
from shared.storage import keys
from shared.storage.compact import unpack_values
from shared.storage.connection import resolve
from shared.storage.entities import parse_entity
from shared.storage.storage import Times, open_storage
from shared.storage.tables import Row, greater_or_equal
from shared.storage.terms import INDEX_TABLES

TABLES = (keys.ARCHIVE, *INDEX_TABLES)

Rows = list[tuple[str, Row]]
"""Each with its table."""


def stored_rows(connection: str) -> Rows:
    """Every row of a real account."""
    return asyncio.run(_read(connection))


async def _read(connection: str) -> Rows:
    times = Times(retention=timedelta(days=3), grace=timedelta(minutes=15))
    storage = open_storage(resolve("STORAGE", {"STORAGE": connection}), times)
    try:
        everything = greater_or_equal("PartitionKey", "")
        return [
            (table, row)
            for table in TABLES
            async for page in storage.tables.query(table, everything)
            for row in page
        ]
    finally:
        await storage.aclose()


def written_rows(file: TableFile) -> Rows:
    """Every row of a file of tables."""
    return [
        (table, parse_entity({"PartitionKey": partition, "RowKey": row, **json.loads(body)}))
        for table in TABLES
        if file.has(table)
        for partition, row, _, body in file.query(table, "", 1_000_000, None)
    ]


def as_texts(rows: Rows) -> list[str]:
    """Every row as a text, sorted."""
    texts = [f"{table} {row.partition} {row.row} {_shown(table, row)}" for table, row in rows]
    for version, name in _versions(rows).items():
        for shown in (str(version), keys.hex_version(version), keys.newest_first(version)):
            texts = [text.replace(shown, name) for text in texts]
        texts = [text.replace(f"|{keys.newest_first(version)[:5]} ", "|day ") for text in texts]
    return sorted(texts)


def _shown(table: str, row: Row) -> Iterable[tuple[str, object]]:
    is_packed = table != keys.ARCHIVE and "values" in row.values
    values = (
        {**row.values, "values": sorted(unpack_values(row.values["values"]).items())}
        if is_packed
        else row.values
    )
    return sorted(values.items())


def _versions(rows: Rows) -> dict[int, str]:
    """What each version in the archive's rows belongs to."""
    return {
        int(str(row.values[name])): f"<{name} of {row.partition}>"
        for table, row in rows
        for name in ("created", "version")
        if table == keys.ARCHIVE and name in row.values
    }
