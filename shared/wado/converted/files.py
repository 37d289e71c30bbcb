"""Instances converted to another transfer syntax, as a stream (API rules section 4.2).

The stored file is read once, from its first byte to its last. What stands before the pixel data is held and
rewritten; the pixels pass by frame by frame (`pixel_streams`), and what follows them is copied.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from shared.dicom.codecs import DamagedPixels, UnsupportedPixels
from shared.dicom.codecs.syntaxes import DEFLATED, NATIVE
from shared.dicom.errors import NotDicom
from shared.dicom.frames import FrameIndex
from shared.dicom.meta import MAX_META_BYTES, PREAMBLE, Front, read_front
from shared.storage import keys
from shared.storage.ahead import close, ended, primed
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.converted.described import read_described, read_index
from shared.wado.converted.pixels import (
    REWRITING,
    Begun,
    Source,
    begin_coded,
    begin_native,
    rewrite_elements,
    sliced,
)
from shared.wado.converted.rules import MAX_WHOLE_BYTES
from shared.wado.converted.workers import Workers
from shared.wado.reading import Reading
from shared.web.offers import EXPLICIT_LITTLE

MAX_ELEMENTS_BYTES: Final = 64 * 1024 * 1024
"""Elements that are rewritten at once: those before the pixel data, or all where there are none."""

MAX_CODED_BYTES: Final = 100 * 1024 * 1024
"""A longer file is not converted where pixels would have to be decoded (API rules section 4.2)."""

MAX_DEFLATE_RATIO: Final = 1032
"""Bytes that one deflated byte can become."""

_FRONT_BYTES: Final = len(PREAMBLE) + MAX_META_BYTES + 6
_FIRST_LOOK_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Converted:
    """A file in another transfer syntax."""

    pieces: AsyncIterator[bytes]
    length: int | None
    """Bytes of it; None where that shows only when all are made."""

    whole: bytes | None = None
    """All of them, where they were few enough to be made before."""


def check_convertible(row: InstanceRow, wanted: str) -> None:
    """Refuse what need not be opened to know that it will not be converted.

    Raises:
        UnsupportedPixels: The file is too long.
    """
    if not _stays_native(row, wanted) and row.location.length > MAX_CODED_BYTES:
        raise UnsupportedPixels(
            f"Files of more than {MAX_CODED_BYTES} bytes come only as stored; their frames come in any form."
        )


async def convert_instance(
    storage: Storage, workers: Workers, *, row: InstanceRow, wanted: str, max_native_bytes: int
) -> Converted:
    """Convert a stored file.

    Args:
        storage: The storage account.
        workers: Where frames are converted.
        row: The instance, read with its frames and metadata.
        wanted: The transfer syntax to convert to.
        max_native_bytes: What its pixels may have when they are decompressed.

    Raises:
        PixelError: Its pixels cannot be converted, or are too many.
        NotDicom: Its elements cannot be rewritten.
        BlobMissing: It is no longer there.
    """
    check_convertible(row, wanted)
    described = await read_described(storage, workers, row)
    index = await read_index(storage, row)
    place = row.location
    reading = Reading(storage.blobs.read(keys.DICOM, place.blob, place.start, place.length))
    try:
        async with workers.holding(REWRITING * _elements_bytes(row, index)):
            front = await _take_front(reading)
            source = Source(workers, reading, row, described, index, wanted, front, max_native_bytes)
            begun = await _begin(source)
        if begun.about > MAX_WHOLE_BYTES:
            # Begun, so that closing it lets go of everything.
            return Converted(await primed(_to_the_end(begun.pieces, reading)), begun.length)
        content = await _gather(begun.pieces)
    except BaseException:
        await reading.aclose()
        raise
    await reading.aclose()
    return Converted(sliced(content), len(content), content)


def _stays_native(row: InstanceRow, wanted: str) -> bool:
    return row.transfer_syntax in NATIVE and wanted == EXPLICIT_LITTLE


def _elements_bytes(row: InstanceRow, index: FrameIndex | None) -> int:
    """The most that is rewritten at once; more is refused."""
    if index is not None:
        return min(index.start, MAX_ELEMENTS_BYTES)
    ratio = MAX_DEFLATE_RATIO if row.transfer_syntax == DEFLATED else 1
    return min(ratio * row.location.length, MAX_ELEMENTS_BYTES)


async def _take_front(reading: Reading) -> Front:
    head = await reading.look(_FIRST_LOOK_BYTES)
    front = read_front(head, complete=len(head) < _FIRST_LOOK_BYTES)
    if front is None:
        front = read_front(await reading.look(_FRONT_BYTES), complete=True)
    if front is None:
        raise NotDicom("Group 0002 is cut off or too long.")
    await reading.take(front.size)
    if front.deflated:
        reading.inflate()
    return front


async def _begin(source: Source) -> Begun:
    reading, index = source.reading, source.index
    if index is None:
        return await _begin_elements(
            source, await reading.take_rest(MAX_ELEMENTS_BYTES, source.row.location.length)
        )
    before = index.start - reading.position
    if before > MAX_ELEMENTS_BYTES:
        raise UnsupportedPixels(f"More than {MAX_ELEMENTS_BYTES} bytes stand before the pixel data.")
    dataset = await reading.take(before)
    if _stays_native(source.row, source.wanted) and index.frame_bits:
        return await begin_native(source, dataset)
    return await begin_coded(source, index, dataset)


async def _begin_elements(source: Source, dataset: bytes) -> Begun:
    """An instance without frames: its elements are all there is."""
    rewritten = await rewrite_elements(source, dataset, {})
    if rewritten.pixels or (rewritten.holds_pixels and not _stays_native(source.row, source.wanted)):
        raise DamagedPixels("The pixel data are shorter than one frame.")
    length = len(source.head) + len(rewritten.elements)
    return Begun(length, sliced(source.head, rewritten.elements), length)


async def _gather(pieces: AsyncIterator[bytes]) -> bytes:
    """All of a stream that was taken to be short."""
    content = bytearray()
    async with ended(pieces):
        async for piece in pieces:
            content += piece
            if len(content) > 4 * MAX_WHOLE_BYTES:
                raise UnsupportedPixels("The converted file is far longer than its pixels.")
    return bytes(content)


async def _to_the_end(pieces: AsyncIterator[bytes], reading: Reading) -> AsyncGenerator[bytes, None]:
    """Pass a stream on, and let go of what it is read from when it ends or is closed."""
    try:
        async for piece in pieces:
            yield piece
    finally:
        await close(pieces)
        await reading.aclose()
