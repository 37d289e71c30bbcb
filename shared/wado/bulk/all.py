"""All bulk values of a study, series or instance (PS3.18 sections 10.4.1.1.5 and 10.4.3.3.5).

Each file is read once, from its first byte to its last, and its values are cut out as they come by. They go
out as they are stored, a part for each, with the BulkDataURI that metadata have; compressed pixel data are a
frame in each part.
"""

import heapq
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from shared.dicom.bulk import DOCUMENT, BulkCutter, BulkIndex, BulkSpan
from shared.dicom.frames import FrameIndex
from shared.errors import NotAcceptable, NotFound
from shared.storage import archive, keys
from shared.storage.ahead import ended, primed, read_ahead
from shared.storage.keys import Scope
from shared.storage.rows import BULK, FRAMES, LOCATION, InstanceRow
from shared.storage.storage import Storage
from shared.storage.summaries import read_anchors
from shared.wado.bulk.values import BulkValue, read_bulk_index
from shared.wado.converted.described import read_index
from shared.wado.reading import Reading
from shared.web.accept import ANY_SYNTAX, Choice
from shared.web.answer import Answer
from shared.web.links import Links
from shared.web.multipart import boundary_for, closing, multipart_type, part_head, part_type
from shared.web.offers import OCTETS

ROWS_AT_ONCE = 150
"""Rows with their indexes held at one time."""


async def retrieve_all_bulk(
    storage: Storage, scope: Scope, choices: Sequence[Choice], links: Links
) -> Answer:
    """Answer with all bulk values in a scope.

    Args:
        storage: The storage account.
        scope: Study, series or instance.
        choices: How the client would take them, from `ALL_BULK_OFFERS`.
        links: What BulkDataURIs begin with.

    Raises:
        NotFound: There is nothing in the scope, or nothing of it is bulk data.
        NotAcceptable: It is nothing the client would take.
    """
    if not any(ANY_SYNTAX in choice.transfer_syntaxes for choice in choices):
        raise NotAcceptable('Bulk data come together as they are stored; ask for "transfer-syntax=*".')
    boundary = boundary_for("bulkdata", scope.key.archive, *await _state(storage, scope))
    body = await primed(_parts(storage, scope, links, boundary))
    return Answer(200, {"Content-Type": multipart_type(OCTETS, boundary), "Vary": "Accept"}, body)


async def _state(storage: Storage, scope: Scope) -> list[str]:
    """What changes with everything that is stored: nobody can put a boundary into a file beforehand."""
    anchors = await read_anchors(storage, scope)
    return [scope.instance or "", *(f"{anchor.series}|{anchor.row}|{anchor.state}" for anchor in anchors)]


async def _parts(storage: Storage, scope: Scope, links: Links, boundary: str) -> AsyncIterator[bytes]:
    is_empty = True
    async for rows in _pages(storage, scope):
        files = [_File(storage, row, links, boundary) for row in rows]
        async with ended(read_ahead(file.parts for file in files)) as pieces:
            async for piece in pieces:
                # No line end stands before the first part.
                yield piece.removeprefix(b"\r\n") if is_empty else piece
                is_empty = False
    if is_empty:
        raise NotFound(f"The specified {scope.level} was not found, or has no bulk data.")
    yield closing(boundary)


async def _pages(storage: Storage, scope: Scope) -> AsyncIterator[list[InstanceRow]]:
    select = (*LOCATION, *BULK, *FRAMES)
    if scope.series is not None and scope.instance is not None:
        row = await archive.read_instance(storage, scope.key, scope.series, scope.instance, select)
        yield [row] if row else []
        return
    async for page in archive.read_instances(storage, scope, select, page=ROWS_AT_ONCE):
        yield page


@dataclass(frozen=True, slots=True)
class _File:
    """A stored file whose values are sent."""

    storage: Storage
    row: InstanceRow
    links: Links
    boundary: str

    async def parts(self) -> AsyncIterator[bytes]:
        """Its values, each with its head, in the order of the file."""
        place = self.row.location
        bulk, frames = await read_bulk_index(self.storage, self.row), await read_index(self.storage, self.row)
        reading = Reading(self.storage.blobs.read(keys.DICOM, place.blob, place.start, place.length))
        try:
            if bulk.inflated_from is not None:
                await reading.skip(bulk.inflated_from)
                reading.inflate()
            for span in _in_order(bulk):
                value = BulkValue(self.row, span, bulk.inflated_from)
                if frames and value.is_frames:
                    parts = self._frames(reading, value, frames)
                else:
                    parts = self._value(reading, value)
                async for piece in parts:
                    yield piece
        finally:
            await reading.aclose()

    async def _value(self, reading: Reading, value: BulkValue) -> AsyncIterator[bytes]:
        span = value.span
        yield self._head(value, span.size)
        cutter = BulkCutter(span)
        await reading.skip(span.start - reading.position)
        async for raw in reading.pass_on(span.length):
            if piece := cutter.feed(raw):
                yield piece
        if last := cutter.finish():
            yield last

    async def _frames(self, reading: Reading, value: BulkValue, index: FrameIndex) -> AsyncIterator[bytes]:
        async for frame in reading.frames(index):
            yield self._head(value, len(frame))
            yield frame

    def _head(self, value: BulkValue, length: int) -> bytes:
        content_type = part_type(OCTETS, value.transfer_syntax)
        return part_head(
            self.boundary, content_type, first=False, location=value.url(self.links), length=length
        )


def _in_order(bulk: BulkIndex) -> Iterator[BulkSpan]:
    """The values in the order of the file; a document is noted last, wherever it stands."""
    document = bulk.find(DOCUMENT)
    others = (span for span in bulk if span.path != DOCUMENT)
    return heapq.merge(others, [document] if document else [], key=lambda span: span.start)
