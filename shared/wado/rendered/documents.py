"""Instances that are no still pictures and are given as they are stored: PDF, CDA and video.

Source: PS3.18 section 8.7.4, PS3.3 annex A.45, PS3.5 annex A.4.
"""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final

from shared.dicom.bulk import DOCUMENT
from shared.dicom.frames import ITEM_HEADER_BYTES, FrameIndex
from shared.storage import keys
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.bulk.values import BulkValue, read_bulk_index, reader_of
from shared.wado.content import Content, Piece
from shared.wado.converted.described import read_index
from shared.web.offers import is_video, video_type
from shared.web.pictures import PDF, XML

_TYPES: Final = (PDF, XML)


async def find_document(storage: Storage, row: InstanceRow) -> Content | None:
    """The document or video in an instance; None where there is none that is given so.

    Args:
        storage: The storage account.
        row: The instance, read with `drawing.NEEDED`.
    """
    identity = (row.series, row.instance, str(row.version))
    if is_video(row.transfer_syntax):
        index = await read_index(storage, row)
        return (
            Content(video_type(row.transfer_syntax), list(_stream(storage, row, index)), identity)
            if index
            else None
        )
    if row.has_frames:
        return None
    index_of_values = await read_bulk_index(storage, row)
    span = index_of_values.find(DOCUMENT)
    if span is None or span.media_type not in _TYPES:
        return None
    value = BulkValue(row, span, index_of_values.inflated_from)
    return Content(span.media_type, [Piece(b"", span.size, reader_of(storage, value))], identity)


def _stream(storage: Storage, row: InstanceRow, index: FrameIndex) -> Iterator[Piece]:
    """The one stream of a video, by its fragments, so that any range of it is found at once."""
    place, span = row.location, index.span(1)
    at = place.start + span.start
    for length in span.fragments or (span.length,):
        yield Piece(b"", length, partial(_read, storage, place.blob, at))
        at += length + ITEM_HEADER_BYTES


def _read(storage: Storage, blob: str, at: int, start: int, end: int) -> AsyncIterator[bytes]:
    return storage.blobs.read(keys.DICOM, blob, at + start, end - start)
