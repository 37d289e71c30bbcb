"""Frames drawn as pictures: what is read for one, and how much it may take.

For a picture the row of its instance is read whole, with metadata and indexes: what a frame is and how it is
meant to be seen stand there. Lookup tables, where there are any, are one more read, and the frame another.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from shared.dicom.bulk import BulkCutter, BulkSpan
from shared.dicom.codecs import (
    PixelDescription,
    RenderOptions,
    UnsupportedPixels,
    appearance_of,
    can_decode,
    decode_frame,
    describe,
    render_frame,
    with_values,
)
from shared.dicom.codecs.attributes import Attributes
from shared.dicom.codecs.model import check_description
from shared.dicom.codecs.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE
from shared.dicom.codecs.views import Profile, fit
from shared.dicom.frames import FrameSpan
from shared.errors import BadRequest
from shared.storage import keys
from shared.storage.ahead import ended
from shared.storage.archive import read_metadata
from shared.storage.rows import BULK, FRAMES, LOCATION, METADATA, InstanceRow
from shared.storage.storage import Storage
from shared.wado.bulk.values import BulkValue, read_bulk_index, reader_of
from shared.wado.converted.frames import as_read, is_in_words, read_stored
from shared.wado.converted.rules import bytes_needed, depth_for
from shared.wado.converted.workers import Job, Workers, given, in_order
from shared.wado.frame_bytes import Chosen, frame_bytes
from shared.wado.noted import BYTES_TO_NOTE, Noted, note_showing

NEEDED: Final = (*LOCATION, *FRAMES, *METADATA, *BULK)
"""What must be read of an instance's row."""

MAX_TABLES_BYTES: Final = 16 * 1024 * 1024
"""Lookup tables and profile of a picture."""

MAX_REACH_BYTES: Final = 1024 * 1024
"""Tables that lie closer together in the file are read at once, with what stands between them."""

MAX_DEFLATED_BYTES: Final = 100 * 1024 * 1024
"""A longer file is not inflated for a frame in it, which takes all that stands before."""

# What shading and writing take for each pixel, and beside that (`shading.BLOCK_PIXELS`).
_FOR_EACH_PIXEL: Final = 12
_FOR_ANY: Final = 48 * 1024 * 1024


NOTED_AHEAD: Final = 32
"""Frames of which is noted at once how they are seen, as the next may be asked for soon."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What frames are, and how each is meant to be seen."""

    description: PixelDescription
    noted: Noted
    tables: Mapping[str, bytes]
    """Lookup tables and profiles by their paths."""

    profile: bool
    """Whether profiles are of interest."""

    def presentation(self, number: int) -> Attributes:
        """The part of the dataset that says how a frame is seen; in it, that frame is number 1."""
        return with_values(self.noted.presentation(number, profile=self.profile), self.tables)


async def draw(
    storage: Storage, workers: Workers, chosen: Chosen, options: RenderOptions, max_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Draw frames of an instance, in the order chosen.

    Args:
        storage: The storage account.
        workers: Where they are drawn.
        chosen: The frames; the row must have been read with `NEEDED`.
        options: What the client asks for.
        max_bytes: What a frame may have without compression.

    Raises:
        PixelError: They cannot be drawn, or are too large.
        BadRequest: The viewport shows nothing of them, or too much.
        BlobMissing: The file is not there.
    """
    if not can_decode(chosen.row.transfer_syntax):
        raise UnsupportedPixels(f"Frames of transfer syntax {chosen.row.transfer_syntax} cannot be decoded.")
    if chosen.index.inflated_from is not None and chosen.row.location.length > MAX_DEFLATED_BYTES:
        raise UnsupportedPixels(f"Deflated files of more than {MAX_DEFLATED_BYTES} bytes are not rendered.")
    sight = await _look(storage, workers, chosen, options)
    description = sight.description
    check_description(description, max_bytes)
    shown = _shown_pixels(description, options)

    async def jobs() -> AsyncGenerator[Job[bytes], None]:
        for number, span in zip(chosen.numbers, chosen.spans, strict=True):
            taken = _bytes_taken(span, description, shown)
            work = partial(_drawn, as_read(description), partial(sight.presentation, number), options)
            read = partial(read_stored, storage, chosen, description, span)
            yield partial(workers.run, read, work, taken)

    async with aclosing(in_order(jobs(), depth_for(workers, description.frame_bytes))) as pictures:
        async for picture in pictures:
            yield picture


def _shown_pixels(description: PixelDescription, options: RenderOptions) -> int:
    """Pixels of the picture."""
    if options.viewport is None:
        return description.pixels
    try:
        columns, rows = fit(options.viewport, description.columns, description.rows).size
    except UnsupportedPixels as error:
        raise BadRequest(str(error)) from error
    return columns * rows


def _bytes_taken(span: FrameSpan, description: PixelDescription, shown: int) -> int:
    decoding = bytes_needed(frame_bytes(span), description, EXPLICIT_LITTLE)
    return decoding + _FOR_EACH_PIXEL * (description.pixels + shown) + _FOR_ANY


def _drawn(
    description: PixelDescription, present: Callable[[], Attributes], options: RenderOptions, stored: bytes
) -> bytes:
    """Decode a frame and draw it; slow, so done in a thread."""
    frame = decode_frame(stored, description)
    return render_frame(frame, appearance_of(present(), 1, signed=description.signed), options)


async def _look(storage: Storage, workers: Workers, chosen: Chosen, options: RenderOptions) -> Sight:
    noted, profile = await _note(storage, workers, chosen), options.profile is not Profile.NO
    description = describe(noted.attributes, chosen.row.transfer_syntax)
    paths = noted.paths(chosen.numbers, profile=profile)
    tables = await _read_tables(storage, chosen.row, paths) if paths else {}
    if chosen.row.transfer_syntax == EXPLICIT_BIG:
        description = replace(description, words=await is_in_words(storage, chosen))
    return Sight(description, noted, tables, profile)


async def _note(storage: Storage, workers: Workers, chosen: Chosen) -> Noted:
    """What the metadata of this version of the instance say; viewers ask for frame by frame of it."""
    key, numbers = (chosen.scope.key.archive, chosen.row.version), chosen.numbers
    known = workers.noted.get(key)
    if known and known.knows(numbers):
        return known
    compressed = await read_metadata(storage, chosen.row)
    if len(numbers) == 1:
        numbers = range(numbers[0], numbers[0] + NOTED_AHEAD)
    work = partial(note_showing, numbers)
    noted = await workers.run(partial(given, compressed), work, BYTES_TO_NOTE + len(compressed))
    workers.noted.put(key, noted)
    return noted


async def _read_tables(storage: Storage, row: InstanceRow, paths: Collection[str]) -> Mapping[str, bytes]:
    """The values with these paths, in one read where they lie together."""
    index = await read_bulk_index(storage, row)
    spans = {span.path: span for span in index if span.path in paths}
    if not spans:
        return {}
    if sum(span.size for span in spans.values()) > MAX_TABLES_BYTES:
        raise UnsupportedPixels(f"Lookup tables and profile have more than {MAX_TABLES_BYTES} bytes.")
    start = min(span.start for span in spans.values())
    end = max(span.start + span.length for span in spans.values())
    if index.inflated_from is None and end - start <= MAX_REACH_BYTES:
        place = row.location
        raw = await storage.blobs.read_all(keys.DICOM, place.blob, place.start + start, end - start)
        return {path: _cut(span, raw[span.start - start :]) for path, span in spans.items()}
    return {path: await _read(storage, row, span, index.inflated_from) for path, span in spans.items()}


def _cut(span: BulkSpan, raw: bytes) -> bytes:
    cutter = BulkCutter(span)
    return cutter.feed(raw[: span.length]) + cutter.finish()


async def _read(storage: Storage, row: InstanceRow, span: BulkSpan, inflated_from: int | None) -> bytes:
    read = reader_of(storage, BulkValue(row, span, inflated_from))
    async with ended(read(0, span.size)) as pieces:
        return b"".join([piece async for piece in pieces])
