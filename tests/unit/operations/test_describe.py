"""What clients are told of an operation (API rules sections 12 and 20)."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import NotFound
from shared.operations import describe, parse_operation
from shared.storage.works import Status, Work

ID = "0123456789abcdef0123456789abcdef"
ROOT = "http://h/v2"
MADE = datetime(2024, 1, 31, 12, tzinfo=UTC)


def work(
    status: Status, *, percent: int | None = None, resources: tuple[str, ...] = (), has_answer: bool = False
) -> Work:
    """An operation."""
    return Work(
        id=ID,
        type="reindex",
        partition="",
        status=status,
        created=MADE,
        updated=MADE + timedelta(seconds=1),
        percent=percent,
        resources=resources,
        results={},
        answer="day/id/run" if has_answer else "",
        attempts=1,
        run="",
        etag="",
    )


def test_what_nobody_can_say_is_left_out() -> None:
    """Section 12: percentage, resources and results only where there are some."""
    assert {name for name, value in describe(work(Status.RUNNING), ROOT, is_v1=False).items() if value} == {
        "operationId",
        "type",
        "createdTime",
        "lastUpdatedTime",
        "status",
    }


def test_what_there_is_to_say() -> None:
    """Section 12: absolute URLs, of the version that asks; a percentage of 0 is one."""
    told = describe(
        work(Status.RUNNING, percent=0, resources=("extendedquerytags/00101002",), has_answer=True),
        ROOT,
        is_v1=False,
    )

    assert told == {
        "operationId": ID,
        "type": "reindex",
        "createdTime": "2024-01-31T12:00:00.000000Z",
        "lastUpdatedTime": "2024-01-31T12:00:01.000000Z",
        "status": "running",
        "percentComplete": 0,
        "resources": [f"{ROOT}/extendedquerytags/00101002"],
        "results": {"href": f"{ROOT}/operations/{ID}/results"},
    }


@pytest.mark.parametrize(
    ("status", "v1", "v2"),
    [
        (Status.NOT_STARTED, "notStarted", "notStarted"),
        (Status.RUNNING, "running", "running"),
        (Status.SUCCEEDED, "completed", "succeeded"),
        (Status.FAILED, "failed", "failed"),
        (Status.CANCELED, "canceled", "canceled"),
    ],
)
def test_the_words_of_each_version(status: Status, v1: str, v2: str) -> None:
    """Section 20."""
    assert describe(work(status), ROOT, is_v1=True)["status"] == v1
    assert describe(work(status), ROOT, is_v1=False)["status"] == v2


@pytest.mark.parametrize(
    "text",
    [ID, ID.upper(), "01234567-89ab-cdef-0123-456789abcdef", "{01234567-89ab-cdef-0123-456789abcdef}"],
)
def test_an_id_is_read_in_any_spelling(text: str) -> None:
    """Section 1.6."""
    assert parse_operation(text) == ID


@pytest.mark.parametrize("text", ["", "x", ID[1:], ID + "0", "g" * 32])
def test_what_is_no_id_is_not_found(text: str) -> None:
    """Section 12: 404."""
    with pytest.raises(NotFound):
        parse_operation(text)
