"""The archive that the benchmark makes fast has the rows that real stores leave."""

import asyncio
import time
from pathlib import Path

import httpx

from bench.archive import open_for_filling, version_at, write_archive
from bench.files import TINY, Place, make_file
from local.dev.service import start_service
from shared.storage import keys, terms
from shared.storage.tables import Row, greater_or_equal
from shared.storage.versions import made_at
from tests.archive import Archive
from tests.conftest import NewAccount

STUDIES = 6
SECONDS = 30

TABLES = (
    keys.ARCHIVE,
    terms.STUDIES,
    terms.SERIES,
    terms.SERIES_BY_UID,
    terms.INSTANCES_BY_UID,
    *(each.table for each in (*terms.STUDY_TABLES, *terms.SERIES_TABLES)),
)


def test_the_fast_archive_has_exactly_the_rows_of_real_stores(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path
) -> None:
    files = [make_file(Place(7, study), TINY) for study in range(STUDIES)]
    real, fast = new_account(), new_account()

    with start_service(0, real, log=tmp_path / "log") as service:
        for file in files:
            assert Archive(http, service.url, None).store(file).status_code == 200
        wait_for_the_feed(real)
    asyncio.run(write_archive(fast, files))

    assert rows_of(fast) == rows_of(real)


def wait_for_the_feed(connection: str) -> None:
    """Until it has every change, a study has a pending row."""
    deadline = time.monotonic() + SECONDS
    while any("pending|" in row for row in rows_of(connection)):
        assert time.monotonic() < deadline, "the change feed did not take up the changes"
        time.sleep(0.1)


def rows_of(connection: str) -> list[str]:
    """Every row of every table as a text, sorted, its versions replaced by what they are versions of."""
    rows = asyncio.run(read_rows(connection))
    texts = [f"{table} {row.partition} {row.row} {sorted(row.values.items())}" for table, row in rows]
    for version, name in versions(rows).items():
        for shown in (str(version), keys.hex_version(version), keys.newest_first(version)):
            texts = [text.replace(shown, name) for text in texts]
        texts = [text.replace(f"|{keys.newest_first(version)[:5]} ", "|day ") for text in texts]
    return sorted(texts)


async def read_rows(connection: str) -> list[tuple[str, Row]]:
    storage = open_for_filling(connection)
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


def versions(rows: list[tuple[str, Row]]) -> dict[int, str]:
    """What each version in the archive's rows belongs to."""
    return {
        int(str(row.values[name])): f"<{name} of {row.partition}>"
        for table, row in rows
        for name in ("created", "version")
        if table == keys.ARCHIVE and name in row.values
    }


def test_a_version_of_a_moment_is_that_moments() -> None:
    moment = 1_700_000_000.25

    assert made_at(version_at(moment)).timestamp() == moment
