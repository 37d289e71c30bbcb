"""Operations as clients see them: work that goes on after its request was answered.

Source: API rules section 12, section 20 for the words of version 1.
"""

from uuid import UUID

from shared.errors import NotFound
from shared.storage import works
from shared.storage.storage import Storage
from shared.storage.works import Status, Work
from shared.web.api_json import render_time

_UNKNOWN = "No such operation exists."


def parse_operation(text: str) -> str:
    """Read the id of an operation, in any spelling of a GUID.

    Raises:
        NotFound: It is no GUID.
    """
    try:
        return UUID(text).hex
    except ValueError:
        raise NotFound(_UNKNOWN) from None


async def read_operation(storage: Storage, operation: str) -> Work:
    """Find an operation.

    Raises:
        NotFound: There is none, or none any more.
    """
    work = await works.read(storage, operation)
    if work is None:
        raise NotFound(_UNKNOWN)
    return work


async def read_answer(storage: Storage, operation: str) -> bytes:
    """Find what an operation has to say beyond its row.

    Raises:
        NotFound: There is no such operation, or it has nothing more to say, or not yet.
    """
    work = await read_operation(storage, operation)
    if not work.has_answer:
        raise NotFound("This operation has no results to be read, or not yet.")
    return await works.read_answer(storage, work)


def operation_url(root: str, operation: str) -> str:
    """Where an operation can be asked for.

    Args:
        root: What all URLs of this version begin with.
        operation: Its id.
    """
    return f"{root}/operations/{operation}"


def describe(work: Work, root: str, *, is_v1: bool) -> dict[str, object]:
    """Say how an operation stands, in API JSON; None where there is nothing to say.

    Args:
        work: The operation.
        root: What all URLs of this version begin with.
        is_v1: Whether the words of version 1 are wanted.
    """
    results = dict(work.results)
    if work.has_answer:
        results["href"] = f"{operation_url(root, work.id)}/results"
    return {
        "operationId": work.id,
        "type": work.type,
        "createdTime": render_time(work.created),
        "lastUpdatedTime": render_time(work.updated),
        "status": "completed" if is_v1 and work.status is Status.SUCCEEDED else work.status.value,
        "percentComplete": work.percent,
        "resources": [f"{root}/{path}" for path in work.resources] or None,
        "results": results or None,
    }
