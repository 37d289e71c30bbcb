"""Making all search rows anew, while the service goes on.

Table `archive` is read from end to end, and what lacks in the search tables is written; then each search
table, and what nothing accounts for is removed. Some rows at a time are compared. How far that is stands in
the operation, so that it goes on from there after a crash.

A row that is to be written or removed is written down in the operation first. For whoever writes it by what
the archive said a moment ago looks again afterwards, and one that ends in between must not leave it so.
"""

import json
import logging
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.errors import DicomWebError
from shared.log import log_fault
from shared.storage import keys, works
from shared.storage.checking import Checker, Place, read_keys
from shared.storage.mend import mend_rows
from shared.storage.storage import Storage
from shared.storage.tables import RowExists
from shared.storage.terms import INDEX_TABLES, IndexKey
from shared.storage.versions import made_at
from shared.storage.works import Claim, ClaimLost, Ending, Status, Work

TYPE: Final = "rebuild-index"
"""What the operation is called."""

TABLES: Final = (keys.ARCHIVE, *INDEX_TABLES)

ROWS_AT_ONCE: Final = 250
"""Rows of a table that are compared between two notes of how far it is."""

MENDED_AT_ONCE: Final = 200
"""Search rows whose keys fit the row of the operation together."""

TURN_SECONDS: Final = 300.0
"""After so long another message goes on, well within the time a function has."""

MAX_ATTEMPTS: Final = 5
"""At one place, before it is given up."""

MAX_AGE: Final = timedelta(days=1)
"""An id may be so old before there is an operation of it."""

FAILED_TOO_OFTEN: Final = "It could not go on for a reason on the side of the service. Start another."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rebuild is."""

    table: int = 0
    """Which of `TABLES` is compared, counted from 0."""

    behind: Place | None = None
    """The last of its rows that was; None for none."""

    mending: tuple[IndexKey, ...] = ()
    """Search rows that are being brought into agreement."""

    studies: int = 0
    written: int = 0
    removed: int = 0

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.table == len(TABLES)

    @property
    def percent(self) -> int:
        """About how much is done: the archive is the first half, whatever it holds."""
        return 50 + 49 * self.table // len(TABLES) if self.table else 0

    @property
    def results(self) -> dict[str, object]:
        """What clients are told."""
        return {"studies": self.studies, "rowsWritten": self.written, "rowsRemoved": self.removed}

    def render(self) -> bytes:
        """Write it small."""
        mending = [[where.table, where.partition, where.row] for where in self.mending]
        members = {name.name: getattr(self, name.name) for name in fields(self)}
        return zlib.compress(json.dumps({**members, "mending": mending}).encode())

    @classmethod
    def parse(cls, state: bytes) -> "Progress":
        """Read what `render` wrote; nothing stands for the beginning."""
        if not state:
            return cls()
        members = json.loads(zlib.decompress(state))
        behind = tuple(members.pop("behind") or ()) or None
        mending = tuple(IndexKey(*where) for where in members.pop("mending"))
        return cls(**members, behind=behind, mending=mending)


async def send(storage: Storage, operation: str) -> None:
    """Have a rebuild begun, or gone on with."""
    await storage.queues.send(keys.REBUILD_QUEUE, json.dumps({"operation": operation}))


async def rebuild(storage: Storage, operation: str, turn_seconds: float = TURN_SECONDS) -> Status | None:
    """Take a turn at a rebuild; as long as it is not done, a message for the next one is sent.

    Args:
        storage: The storage account.
        operation: Its id, 32 hexadecimal digits from `works.new_id` or made as that does; the operation
            itself is made here if need be.
        turn_seconds: How long a turn takes.

    Returns:
        How the operation stands; None when somebody else is at it.

    Raises:
        ValueError: It is no id of an operation, or one of another kind or of another time.
    """
    work = await _find(storage, operation)
    if work.status.is_over:
        return work.status
    claim = await works.claim(storage, work)
    if claim is None:
        return None
    progress = Progress.parse(work.state)
    try:
        return await _try(storage, claim, operation, progress, time.monotonic() + turn_seconds)
    except ClaimLost:
        return None


async def _find(storage: Storage, operation: str) -> Work:
    if len(operation) != 32 or set(operation) - set("0123456789abcdef"):
        raise ValueError("A rebuild has an id of 32 hexadecimal digits.")
    work = await works.read(storage, operation)
    if work is None:
        if abs(datetime.now(UTC) - made_at(keys.operation_version(operation))) > MAX_AGE:
            raise ValueError("The id of a rebuild begins with the time at which it was asked for.")
        with suppress(RowExists):
            # The message came twice.
            await works.create(storage, operation, TYPE)
        work = await works.read(storage, operation)
    if work is None or work.type != TYPE:
        raise ValueError("The operation is no rebuild.")
    return work


async def _try(storage: Storage, claim: Claim, operation: str, progress: Progress, until: float) -> Status:
    try:
        progress = await _walk(storage, claim, progress, until)
        if progress.is_done:
            await claim.end(Ending(Status.SUCCEEDED, progress.results))
            return Status.SUCCEEDED
        await claim.release()
        await send(storage, operation)
        return Status.RUNNING
    except ClaimLost:
        raise
    except Exception:
        if claim.attempt >= MAX_ATTEMPTS:
            log_fault(log, "the search index could not be rebuilt")
            await claim.end(Ending(Status.FAILED, {"errors": [FAILED_TOO_OFTEN]}))
            return Status.FAILED
        await _release(claim)
        raise
    except BaseException:
        # The host ends.
        await _release(claim)
        raise


async def _release(claim: Claim) -> None:
    with suppress(ClaimLost, DicomWebError):
        await claim.release()


async def _walk(storage: Storage, claim: Claim, progress: Progress, until: float) -> Progress:
    """Go on until all is done, or the turn is over; a little is done in any case."""
    checker = Checker(storage)
    if progress.mending:
        progress = await _mend(storage, progress)
    while True:
        progress = await _compare(storage, claim, checker, progress)
        if progress.is_done or time.monotonic() >= until:
            return progress


async def _compare(storage: Storage, claim: Claim, checker: Checker, progress: Progress) -> Progress:
    """Compare the next rows of a table."""
    table = TABLES[progress.table]
    rows = await read_keys(storage, table, progress.behind, ROWS_AT_ONCE)
    suspects = await (checker.lacking(rows) if table == keys.ARCHIVE else checker.ghosts(rows))
    for at in range(0, len(suspects), MENDED_AT_ONCE):
        progress = replace(progress, mending=tuple(suspects[at : at + MENDED_AT_ONCE]))
        await _keep(claim, progress)
        progress = await _mend(storage, progress)
    if rows:
        studies = sum(row.row == keys.STUDY_ROW for row in rows) if table == keys.ARCHIVE else 0
        behind = (rows[-1].partition, rows[-1].row)
        progress = replace(progress, behind=behind, studies=progress.studies + studies)
    else:
        progress = replace(progress, table=progress.table + 1, behind=None)
    await _keep(claim, progress)
    return progress


async def _mend(storage: Storage, progress: Progress) -> Progress:
    there = await mend_rows(storage, progress.mending)
    gone = len(progress.mending) - there
    return replace(progress, mending=(), written=progress.written + there, removed=progress.removed + gone)


async def _keep(claim: Claim, progress: Progress) -> None:
    await claim.keep(progress.render(), progress.percent, progress.results)
