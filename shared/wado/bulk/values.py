"""Reading single values out of stored files."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from shared.dicom.bulk import BulkCutter, BulkIndex, BulkSpan
from shared.storage import keys
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.content import Read
from shared.wado.cutting import between, check_reach, cut, inflated
from shared.web.links import Links
from shared.web.offers import EXPLICIT_LITTLE

PIXELS: Final = frozenset({"7FE00010", "7FE00008", "7FE00009"})
"""Paths of the pixel data of an instance itself, not of an icon in it."""


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A bulk value of a stored instance."""

    row: InstanceRow
    span: BulkSpan
    inflated_from: int | None
    """As in `BulkIndex`."""

    @property
    def transfer_syntax(self) -> str:
        """What its bytes are in as they are sent: stored fragments, or plain little endian."""
        return EXPLICIT_LITTLE if self.span.content is None else self.row.transfer_syntax

    @property
    def is_frames(self) -> bool:
        """Whether it goes out frame by frame: compressed pixel data."""
        return self.span.content is not None and self.span.path in PIXELS

    def url(self, links: Links) -> str:
        """The BulkDataURI that metadata have of it."""
        row = self.row
        return f"{links.instance(row.study, row.series, row.instance)}/bulkdata/{self.span.path}"


async def read_bulk_index(storage: Storage, row: InstanceRow) -> BulkIndex:
    """Where the bulk values of an instance lie. The row must have been read with `BULK`."""
    encoded = await storage.blobs.read_all(keys.METADATA, row.bulk_blob) if row.bulk_blob else row.bulk
    return BulkIndex(encoded)


def reader_of(storage: Storage, value: BulkValue) -> Read:
    """What reads a value, or a part of it, as it is sent.

    It raises `BlobMissing` when the instance was deleted or moved.

    Raises:
        NotAcceptable: It lies too deep in a deflated dataset.
    """
    place, span = value.row.location, value.span
    if value.inflated_from is not None:
        check_reach(place.length, span.start + span.length)
    read = partial(storage.blobs.read, keys.DICOM, place.blob)

    def read_part(start: int, end: int) -> AsyncIterator[bytes]:
        if value.inflated_from is not None:
            deflated = read(place.start + value.inflated_from, place.length - value.inflated_from)
            whole = inflated(deflated, span.start, span.length)
        elif span.content is not None or span.unit > 1:
            whole = read(place.start + span.start, span.length)
        else:
            return read(place.start + span.start + start, end - start)
        return between(cut(whole, BulkCutter(span)), start, end)

    return read_part
