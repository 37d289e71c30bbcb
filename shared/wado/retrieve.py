"""Studies, series and instances as they were stored (API rules section 4)."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from shared.errors import NotFound
from shared.storage import archive, keys
from shared.storage.ahead import ended, primed, read_ahead
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import LOCATION, InstanceRow
from shared.storage.storage import Storage
from shared.web.accept import Choice, Form
from shared.web.answer import Answer
from shared.web.multipart import boundary_for, closing, multipart_type, part_head, part_type, total_length
from shared.web.offers import settle

DICOM_TYPE = "application/dicom"
MAX_RUN_BYTES = 32 * 1024 * 1024
"""Instances that lie side by side in a pack are read by one call up to this size."""

MAX_TRIES = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Instances whose bytes follow each other in one blob."""

    blob: str
    start: int
    rows: tuple[InstanceRow, ...]

    @property
    def length(self) -> int:
        """Bytes of all of them."""
        return sum(row.location.length for row in self.rows)


async def retrieve(storage: Storage, scope: Scope, choices: Sequence[Choice]) -> Answer:
    """Answer with everything in a scope, as it is stored.

    Args:
        storage: The storage account.
        scope: Study, series or instance.
        choices: How the client would take it, best first.

    Raises:
        NotFound: There is nothing in the scope.
        NotAcceptable: What is stored is not what the client would take.
    """
    for _ in range(MAX_TRIES):
        rows = await _rows(storage, scope)
        choice = settle(choices, {row.transfer_syntax for row in rows})
        if not rows:
            break
        try:
            return await _answer(storage, scope, rows, choice)
        except BlobMissing:
            # Deleted or moved to another pack since its row was read: the row tells which.
            continue
    raise NotFound(f"The specified {scope.level} was not found.")


def runs(rows: Sequence[InstanceRow]) -> list[Run]:
    """Group instances, in the order given, by what one read can fetch."""
    found: list[Run] = []
    for row in rows:
        last = found[-1] if found else None
        place = row.location
        if (
            last is not None
            and last.blob == place.blob
            and last.start + last.length == place.start
            and last.length + place.length <= MAX_RUN_BYTES
        ):
            found[-1] = Run(last.blob, last.start, (*last.rows, row))
        else:
            found.append(Run(place.blob, place.start, (row,)))
    return found


async def _rows(storage: Storage, scope: Scope) -> list[InstanceRow]:
    if scope.series is not None and scope.instance is not None:
        row = await archive.read_instance(storage, scope.key, scope.series, scope.instance, LOCATION)
        return [row] if row else []
    pages = archive.read_instances(storage, scope, LOCATION)
    rows = [row async for page in pages for row in page]
    # In the order of their bytes the instances of a pack are neighbours, whoever stored what in between.
    return sorted(rows, key=lambda row: (row.location.blob, row.location.start))


async def _answer(storage: Storage, scope: Scope, rows: Sequence[InstanceRow], choice: Choice) -> Answer:
    counts = {"instances": len(rows)}
    if choice.form is Form.SINGLE:
        row = rows[0]
        body = await primed(_read(storage, row))
        headers = {
            "Content-Type": part_type(DICOM_TYPE, row.transfer_syntax),
            "Content-Length": str(row.location.length),
        }
        return Answer(200, headers, body, counts)
    boundary = boundary_for(scope.key.archive, scope.level, *(str(row.version) for row in rows))
    heads = [_head(boundary, row, first=row is rows[0]) for row in rows]
    length = total_length(
        boundary, ((head, row.location.length) for head, row in zip(heads, rows, strict=True))
    )
    body = await primed(_multipart(storage, rows, heads, boundary))
    headers = {"Content-Type": multipart_type(DICOM_TYPE, boundary), "Content-Length": str(length)}
    return Answer(200, headers, body, counts)


def _head(boundary: str, row: InstanceRow, *, first: bool) -> bytes:
    content_type = part_type(DICOM_TYPE, row.transfer_syntax)
    return part_head(boundary, content_type, first=first, length=row.location.length)


def _read(storage: Storage, row: InstanceRow) -> AsyncIterator[bytes]:
    place = row.location
    return storage.blobs.read(keys.DICOM, place.blob, place.start, place.length)


async def _multipart(
    storage: Storage, rows: Sequence[InstanceRow], heads: Sequence[bytes], boundary: str
) -> AsyncIterator[bytes]:
    by_version = {row.version: head for row, head in zip(rows, heads, strict=True)}
    sources = (partial(_run, storage, run, by_version) for run in runs(rows))
    async with ended(read_ahead(sources)) as pieces:
        async for piece in pieces:
            yield piece
    yield closing(boundary)


async def _run(storage: Storage, run: Run, heads: Mapping[int, bytes]) -> AsyncIterator[bytes]:
    """The parts of one run: its bytes with a head before each instance."""
    parts = PartHeads(run.rows, heads)
    async with ended(storage.blobs.read(keys.DICOM, run.blob, run.start, run.length)) as pieces:
        async for piece in pieces:
            for cut in parts.cut(piece):
                yield cut


class PartHeads:
    """Puts a head before the bytes of each instance of a run, as the bytes come."""

    def __init__(self, rows: Sequence[InstanceRow], heads: Mapping[int, bytes]) -> None:
        self._rows = iter(rows)
        self._heads = heads
        self._left = 0

    def cut(self, piece: bytes) -> Iterator[bytes]:
        """The next bytes of the run with the heads that belong between them."""
        at = 0
        while at < len(piece):
            if self._left == 0:
                row = next(self._rows)
                self._left = row.location.length
                yield self._heads[row.version]
            taken = piece[at : at + self._left]
            at, self._left = at + len(taken), self._left - len(taken)
            yield taken
