"""The archives that the benchmark makes fast have the rows that real stores leave."""

import time
from pathlib import Path

import httpx
import pytest
from pydicom.dataset import Dataset

from bench.archive import version_at, write_archive
from bench.files import TINY, Place, make_file
from bench.fill import fill
from bench.population import Hospital, MadeStudy, instance_values
from bench.tableserver import TableFile
from local.dev.service import start_service
from shared.storage.anchors import parse_anchor
from shared.storage.tables import Row
from shared.storage.versions import made_at
from tests.archive import Archive
from tests.bench.rows import Rows, as_texts, stored_rows, written_rows
from tests.conftest import NewAccount
from tests.factories import Instance, as_instance

STUDIES = 6
SECONDS = 60


@pytest.fixture
def tables(tmp_path: Path) -> TableFile:
    """A file of tables."""
    return TableFile(tmp_path / "tables")


def store(account: str, http: httpx.Client, log: Path, requests: list[list[Instance | bytes]]) -> Rows:
    """The rows that real stores leave when all is done that follows them."""
    with start_service(0, account, log=log) as service:
        for request in requests:
            assert Archive(http, service.url, None).store(*request).status_code == 200
        deadline = time.monotonic() + SECONDS
        while not all(map(is_done, rows := stored_rows(account))):
            assert time.monotonic() < deadline, "not all was done that follows a store"
            time.sleep(0.1)
    return rows


def is_done(where: tuple[str, Row]) -> bool:
    """Whether a row is no pending change, and no anchor of a series that is still to be summed up."""
    row = where[1].row
    if row.startswith("anchor|") and not row.startswith("anchor||"):
        return parse_anchor(where[1]).summary is not None
    return not row.startswith("pending|")


def test_an_archive_of_files_has_exactly_the_rows_of_real_stores(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path, tables: TableFile
) -> None:
    files = [make_file(Place(7, study), TINY) for study in range(STUDIES)]

    real = store(new_account(), http, tmp_path / "log", [[file] for file in files])
    with tables:
        write_archive(tables, files, len(files))

        assert as_texts(written_rows(tables)) == as_texts(real)


def test_a_hospital_has_the_rows_of_real_stores(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path, tables: TableFile
) -> None:
    """But for what the rows of instances say of bytes and metadata, which it has none of."""
    hospital = Hospital(STUDIES)

    studies = [files_of(hospital.study(number)) for number in range(STUDIES)]
    real = store(new_account(), http, tmp_path / "log", [list(files) for files in studies])
    with tables:
        fill(tables, hospital)

        assert searched(written_rows(tables)) == searched(real)


def files_of(study: MadeStudy) -> list[Instance]:
    """The files that say what a study of the hospital is said to say."""
    return [
        as_instance(Dataset.from_json({**study.values, **series.values, **instance_values(uid)}))
        for series in study.series
        for uid in series.instances
    ]


def searched(rows: Rows) -> list[str]:
    """The rows that searches look at as texts, without those of instances."""
    return [text for text in as_texts(rows) if " instance|" not in text]


def test_a_version_of_a_moment_is_that_moments() -> None:
    moment = 1_700_000_000.25

    assert made_at(version_at(moment)).timestamp() == moment


def test_a_hospital_is_the_same_each_time_and_its_studies_come_in_order() -> None:
    """So that any study can be asked for without reading the archive."""
    one, other = Hospital(50), Hospital(50)

    assert [one.study(number) for number in range(50)] == [other.study(number) for number in range(50)]
    arrivals = [one.arrival(number) for number in range(50)]
    assert arrivals == sorted(set(arrivals))
    numbers = {one.study(number).text("00080050") for number in range(50)}
    assert len(numbers) == 50
    assert len({one.study(number).text("00100020") for number in range(50)}) < 40
