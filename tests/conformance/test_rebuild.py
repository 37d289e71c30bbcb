"""An operator has the search index rebuilt, as `make rebuild` does: docs/search-index.md."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from local.dev.rebuild import ask, new_operation, wait
from local.dev.service import Service, start_service
from local.dev.steps import Failure
from shared.storage.connection import resolve
from shared.storage.storage import Times, open_storage
from shared.storage.tables import delete, greater_or_equal
from tests.archive import Archive, uids
from tests.conftest import NewAccount
from tests.factories import make

PATIENT = "REBUILT"


@pytest.fixture(scope="module")
def storage(new_account: NewAccount) -> str:
    """The connection string of an account."""
    return new_account()


@pytest.fixture(scope="module")
def rebuilding(storage: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own: a rebuild is of all that an account holds."""
    with start_service(0, storage, log=tmp_path_factory.mktemp("service") / "log") as service:
        yield service


async def wipe(connection: str, table: str) -> int:
    """Remove all rows of a table; tell how many."""
    account = open_storage(resolve("S", {"S": connection}), Times(timedelta(0), timedelta(minutes=15)))
    try:
        pages = account.tables.query(table, greater_or_equal("PartitionKey", " "))
        rows = [row async for page in pages for row in page]
        for row in rows:
            await account.tables.transact(table, row.partition, [delete(row.row)])
        return len(rows)
    finally:
        await account.aclose()


def test_what_searches_have_lost_is_found_again(
    rebuilding: Service, storage: str, http: httpx.Client
) -> None:
    """The operation tells what was done; it is asked for like every other."""
    archive = Archive.fresh(http, rebuilding.url)
    kept = [make(PatientID=PATIENT) for _ in range(3)]
    archive.keep(*kept)
    lost = asyncio.run(wipe(storage, "studiesByPatientId"))
    operation = new_operation()
    assert archive.search(f"studies?PatientID={PATIENT}") == []

    ask(storage, operation)
    told = wait(f"{rebuilding.url}/v2/operations/{operation}")

    assert told["operationId"] == operation
    assert told["type"] == "rebuild-index"
    assert told["status"] == "succeeded"
    assert told["percentComplete"] == 100
    assert told["results"] == {"studies": 3, "rowsWritten": lost, "rowsRemoved": 0}
    found = uids(archive.search(f"studies?PatientID={PATIENT}"), "0020000D")
    assert sorted(found) == sorted(each.study for each in kept)


def test_where_no_service_has_run_nothing_can_be_asked(new_account: NewAccount) -> None:
    """There is no queue, and the message would wait for nobody."""
    with pytest.raises(Failure, match="make run"):
        ask(new_account(), new_operation())
