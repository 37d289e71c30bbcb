"""Finishing an upload: what was uploaded is settled, and will be stored."""

import json
from datetime import UTC, datetime

from shared.errors import Conflict, Gone, NotFound, TooLarge
from shared.storage import keys, upload_content, upload_rows, works
from shared.storage.storage import Storage
from shared.storage.upload_content import Content
from shared.storage.upload_rows import State, Upload
from shared.storage.works import Status
from shared.uploads.begin import TYPE

_TOO_LATE = "The time of this upload is over; begin another."
_UNKNOWN = "No such upload exists."


async def finish(storage: Storage, upload: str, partition: str, *, max_bytes: int) -> None:
    """Have what was uploaded stored. A second call for the same upload changes nothing.

    Args:
        storage: The storage account.
        upload: Its id.
        partition: Name of the data partition it must belong to.
        max_bytes: The longest that is stored.

    Raises:
        NotFound: There is no such upload.
        Gone: It was not finished in time.
        Conflict: Nothing was uploaded yet.
        TooLarge: Too much was uploaded.
    """
    while True:
        found = await upload_rows.read(storage, upload)
        if found is None:
            await _check_over(storage, upload, partition)
            return
        if found.terms.partition.lower() != partition.lower():
            raise NotFound(_UNKNOWN)
        if found.state is State.FINISHED or await _finish(storage, found, max_bytes):
            break
    work = await works.read(storage, upload)
    if work is None or work.status is Status.NOT_STARTED:
        # Also when it was finished before: the message of that call may have been lost with its answer.
        await send(storage, upload)


async def send(storage: Storage, upload: str) -> None:
    """Wake whoever stores uploads."""
    await storage.queues.send(keys.UPLOAD_QUEUE, json.dumps({"upload": upload}))


async def _finish(storage: Storage, found: Upload, max_bytes: int) -> bool:
    """Settle what was uploaded; False when somebody changed the upload meanwhile."""
    now, grace = datetime.now(UTC), storage.times.grace
    if found.state is State.ABANDONED or now >= found.expires + grace:
        raise Gone(_TOO_LATE)
    content = await upload_content.look(storage, found.id)
    check(content, max_bytes)
    assert content is not None
    return await upload_rows.finish(
        storage, found, length=content.length, content=content.etag, due=now + min(works.SILENCE, grace)
    )


def check(content: Content | None, max_bytes: int) -> None:
    """Decide whether what was uploaded can be stored.

    Raises:
        Conflict: Nothing was uploaded.
        TooLarge: It is too long.
    """
    if content is None:
        raise Conflict(
            "Nothing was uploaded yet: write the file to the upload address, or commit its blocks, "
            "before finishing."
        )
    if content.length > max_bytes:
        raise TooLarge(
            f"An upload may have {max_bytes} bytes; this one has {content.length}. Send fewer instances."
        )


async def _check_over(storage: Storage, upload: str, partition: str) -> None:
    work = await works.read(storage, upload)
    if work is None or work.type != TYPE or work.partition != partition.lower():
        raise NotFound(_UNKNOWN)
    if work.status is Status.CANCELED:
        raise Gone(_TOO_LATE)
