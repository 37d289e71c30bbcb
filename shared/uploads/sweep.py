"""Tidying up after clients and functions that disappeared."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.log import log_fault
from shared.storage import upload_content, upload_rows, works
from shared.storage.storage import Storage
from shared.storage.upload_rows import State, Upload
from shared.storage.works import Ending, Status
from shared.uploads.finish import send
from shared.uploads.run import FAILED_TOO_OFTEN, MAX_ATTEMPTS, clean_up

MESSAGE_HELD = timedelta(minutes=10)
"""How long the message of a function that was killed stays hidden. Before, no other need be sent."""

NOT_FINISHED = "It was not finished before its address ended."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tidied:
    """What a sweep did. Zeros are the norm."""

    abandoned: int = 0
    """Uploads that nobody finished in time."""

    woken: int = 0
    """Finished uploads that nobody was storing."""

    blobs: int = 0
    """Uploaded blobs without an upload under way."""

    operations: int = 0
    """Operations kept for long enough."""

    failed: int = 0
    """Uploads that could not be looked at; they are next time."""


async def sweep_uploads(storage: Storage) -> Tidied:
    """Remove what nobody will finish, and wake what nobody works at. Never touches what is being stored."""
    now = datetime.now(UTC)
    # Blobs before rows: a blob that came before its row was seen is seen as named.
    blobs = await upload_content.every(storage)
    uploads = await upload_rows.every(storage)
    named = {upload.id for upload in uploads}
    unnamed = [
        blob for blob in blobs if blob.name not in named and now - blob.modified >= storage.times.grace
    ]
    removed = [await _try_remove(storage, blob.name) for blob in unnamed]
    done = [await _try_visit(storage, upload) for upload in uploads if upload.due <= now]
    return Tidied(
        abandoned=done.count("abandoned"),
        woken=done.count("woken"),
        blobs=removed.count(True),
        operations=await works.remove_old(storage, now),
        failed=done.count("failed") + removed.count(False),
    )


async def _try_remove(storage: Storage, name: str) -> bool:
    try:
        await upload_content.remove(storage, name)
    except Exception:
        log_fault(log, "an upload could not be removed")
        return False
    return True


async def _try_visit(storage: Storage, upload: Upload) -> str:
    try:
        return await _visit(storage, upload)
    except Exception:
        log_fault(log, "an upload could not be swept")
        return "failed"


async def _visit(storage: Storage, upload: Upload) -> str:
    """Look at one upload whose time has come, and tell what was done."""
    work = await works.read(storage, upload.id)
    if work is None or work.status.is_over:
        # Nobody came to the end of cleaning up.
        await clean_up(storage, upload.id)
        return "cleaned"
    if upload.state is State.FINISHED:
        return await _wake(storage, upload, work)
    return await _abandon(storage, upload, work)


async def _wake(storage: Storage, upload: Upload, work: works.Work) -> str:
    if works.is_held(work, storage.times.grace):
        return "left"
    if work.attempts >= MAX_ATTEMPTS:
        await _end(storage, work, Ending(Status.FAILED, {"errors": [FAILED_TOO_OFTEN]}))
        await clean_up(storage, upload.id)
        return "ended"
    later = datetime.now(UTC) + min(MESSAGE_HELD, storage.times.grace)
    if not await upload_rows.look_again(storage, upload, later):
        return "left"
    await send(storage, upload.id)
    return "woken"


async def _abandon(storage: Storage, upload: Upload, work: works.Work) -> str:
    # Whoever would finish it now is told that it is too late, so what comes after cannot meet a store.
    if upload.state is State.OPEN and not await upload_rows.abandon(storage, upload):
        return "left"
    await _end(storage, work, Ending(Status.CANCELED, {"errors": [NOT_FINISHED]}))
    await clean_up(storage, upload.id)
    return "abandoned"


async def _end(storage: Storage, work: works.Work, ending: Ending) -> None:
    claim = await works.claim(storage, work)
    if claim is None:
        raise works.ClaimLost
    await claim.end(ending)
