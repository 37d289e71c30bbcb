"""Storing what was uploaded, in a function that may be killed at any moment and run again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, Self

from shared.errors import DicomWebError, Unavailable
from shared.log import log_fault
from shared.storage import upload_content, upload_rows, works
from shared.storage.ahead import ended
from shared.storage.storage import Storage
from shared.storage.upload_content import ContentChanged
from shared.storage.upload_rows import State, Upload
from shared.storage.works import Claim, ClaimLost, Ending, Status

MAX_ATTEMPTS: Final = 5

SIGN_SECONDS: Final = 20.0
"""About the time between two signs of life."""

ANSWER_TYPE: Final = "application/dicom+json"

CHANGED: Final = "What was uploaded was changed or removed after it was finished. Upload it again."
FAILED_TOO_OFTEN: Final = "It could not be stored for a reason on the side of the service. Upload it again."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What a store request with the same body would have been answered."""

    status: int
    body: bytes
    """DICOM JSON; empty with 204."""

    stored: int
    failed: int
    warning: str = ""
    """What a Warning header would say."""


class Store(Protocol):
    """Stores a body as a store request does."""

    async def __call__(self, upload: Upload, body: AsyncIterator[bytes], /, *, again: bool) -> StoreAnswer:
        """Store it.

        Args:
            upload: Says what the body is and where it belongs.
            body: What was uploaded.
            again: An earlier attempt may have stored some of it, which counts as stored now.

        Raises:
            DicomWebError: A store request would be refused so.
            Unavailable: Storage is to blame; nothing was stored now.
        """


async def run(storage: Storage, operation: str, store: Store) -> Status | None:
    """Store what was uploaded and say so in the operation. May be called again and again.

    Args:
        storage: The storage account.
        operation: Id of the upload and of its operation.
        store: What stores.

    Returns:
        What became of it; None when it is not for us: unknown, or somebody else is at it.
    """
    upload, work = await upload_rows.read(storage, operation), await works.read(storage, operation)
    if upload is None or upload.state is not State.FINISHED or work is None:
        return None
    if work.status.is_over:
        # An earlier attempt came this far.
        await clean_up(storage, operation)
        return work.status
    claim = await works.claim(storage, work)
    if claim is None:
        return None
    try:
        ending = await _try(storage, upload, claim, store)
        await claim.end(ending)
    except ClaimLost:
        return None
    await clean_up(storage, operation)
    return ending.status


async def clean_up(storage: Storage, operation: str) -> None:
    """Remove what is left of an upload whose operation is over."""
    await upload_content.remove(storage, operation)
    await upload_rows.remove(storage, operation)


async def _try(storage: Storage, upload: Upload, claim: Claim, store: Store) -> Ending:
    """Store, or find out that it cannot be done; what may be done later is raised."""
    try:
        return await _store(storage, upload, claim, store)
    except ClaimLost:
        raise
    except Exception:
        if claim.attempt >= MAX_ATTEMPTS:
            log_fault(log, "an upload could not be stored")
            return Ending(Status.FAILED, {"errors": [FAILED_TOO_OFTEN]})
        await _release(claim)
        raise
    except BaseException:
        # The host ends.
        await _release(claim)
        raise


async def _release(claim: Claim) -> None:
    with suppress(ClaimLost, DicomWebError):
        await claim.release()


async def _store(storage: Storage, upload: Upload, claim: Claim, store: Store) -> Ending:
    try:
        async with _Pulse(claim, upload.length) as pulse, ended(_counted(storage, upload, pulse)) as body:
            answer = await store(upload, body, again=claim.attempt > 1)
    except Unavailable:
        raise
    except ContentChanged:
        return Ending(Status.FAILED, {"errors": [CHANGED]})
    except DicomWebError as refusal:
        return Ending(Status.FAILED, {"storeStatus": refusal.status, "errors": [str(refusal)]})
    kept = await claim.put_answer(answer.body, ANSWER_TYPE) if answer.body else ""
    return _ending(answer, kept)


def _ending(answer: StoreAnswer, kept: str) -> Ending:
    nothing = answer.failed > 0 and answer.stored == 0
    results: dict[str, object] = {
        "storeStatus": answer.status,
        "stored": answer.stored,
        "failed": answer.failed,
    }
    if answer.warning:
        results["warnings"] = [answer.warning]
    return Ending(Status.FAILED if nothing else Status.SUCCEEDED, results, kept)


class _Pulse:
    """Gives signs of life while an upload is stored, also when nothing is read for long."""

    def __init__(self, claim: Claim, length: int) -> None:
        self._claim = claim
        self._length = length
        self._read = 0
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._beating:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    def count(self, length: int) -> None:
        """Note that so many bytes more were read.

        Raises:
            ClaimLost: There is no point in reading on.
        """
        self._read += length
        if self._beating and self._beating.done():
            self._beating.result()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(SIGN_SECONDS)
            with suppress(Unavailable):
                await self._claim.progress(min(99, self._read * 100 // max(1, self._length)))


async def _counted(storage: Storage, upload: Upload, pulse: _Pulse) -> AsyncIterator[bytes]:
    async with ended(upload_content.read(storage, upload)) as pieces:
        async for piece in pieces:
            pulse.count(len(piece))
            yield piece
