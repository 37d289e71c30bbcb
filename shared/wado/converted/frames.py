"""Frames converted to the transfer syntax that a client names, or to the default of its media type.

Several are converted at once and leave in the order asked. Where all are few enough they are converted before
the answer begins, so that it has a length and a tag, and a damaged frame is refused and not a broken answer.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from shared.dicom.codecs import DamagedPixels, Frame, PixelDescription, UnsupportedPixels, check_frame
from shared.dicom.codecs.syntaxes import EXPLICIT_BIG
from shared.dicom.frames import FrameSpan, cut_frame
from shared.dicom.rewrite import turned
from shared.storage import archive, keys
from shared.storage.ahead import ended, primed
from shared.storage.blobs import BlobMissing
from shared.storage.rows import METADATA
from shared.storage.storage import Storage
from shared.wado.content import (
    READ_AHEAD,
    VARY,
    Asked,
    Content,
    Piece,
    answer_unchanged,
    answer_with,
    literal,
)
from shared.wado.converted.described import read_described
from shared.wado.converted.rules import (
    MADE_BY,
    MAX_WHOLE_BYTES,
    bytes_needed,
    convert,
    depth_for,
    turns_words,
)
from shared.wado.converted.workers import Job, Workers, given, in_order
from shared.wado.frame_bytes import Chosen, frame_bytes, read_frame
from shared.web.accept import Form
from shared.web.answer import Answer
from shared.web.multipart import closing, multipart_type, part_type, total_length
from shared.web.offers import EXPLICIT_LITTLE, Way

VR_BEFORE_BYTES: Final = 8
"""How far before the value of pixel data their VR stands, in explicit VR."""


@dataclass(frozen=True, slots=True)
class _Making:
    """Chosen frames that are being converted."""

    storage: Storage
    workers: Workers
    chosen: Chosen
    description: PixelDescription
    wanted: str

    def frames(self, held: Sequence[bytes] | None = None) -> AsyncGenerator[Frame, None]:
        """All of them, in the order asked; read as they are needed if `hold` did not read them."""
        return in_order(self._jobs(held), depth_for(self.workers, self.description.decoded_bytes))

    async def hold(self) -> Sequence[bytes] | None:
        """Read compressed frames and compare them with the dataset, if they are few enough to be held.

        Raises:
            PixelError: A frame is not what the dataset says.
        """
        stored_bytes = sum(map(frame_bytes, self.chosen.spans))
        if not self.chosen.index.fragments or stored_bytes > MAX_WHOLE_BYTES:
            return None
        async with aclosing(in_order(self._reads(), READ_AHEAD)) as frames:
            return [frame async for frame in frames]

    @property
    def native_bytes(self) -> int:
        """Bytes of all of them without compression."""
        return len(self.chosen.spans) * self.description.decoded_bytes

    async def _reads(self) -> AsyncGenerator[Job[bytes], None]:
        for span in self.chosen.spans:
            yield partial(self._read_checked, span)

    async def _read_checked(self, span: FrameSpan) -> bytes:
        stored = await read_stored(self.storage, self.chosen, self.description, span)
        check_frame(stored, self.description)
        return stored

    async def _jobs(self, held: Sequence[bytes] | None) -> AsyncGenerator[Job[Frame], None]:
        work = partial(convert, as_read(self.description), self.wanted)
        for at, span in enumerate(self.chosen.spans):
            needed = bytes_needed(frame_bytes(span), self.description, self.wanted)
            read = partial(read_stored, self.storage, self.chosen, self.description, span)
            if held is not None:
                read = partial(given, held[at])
            yield partial(self.workers.run, read, work, needed)


def as_read(description: PixelDescription) -> PixelDescription:
    """What the bytes are that `read_stored` gives."""
    return replace(description, words=description.words and not turns_words(description))


async def read_stored(
    storage: Storage, chosen: Chosen, description: PixelDescription, span: FrameSpan
) -> bytes:
    """The bytes of a frame as its codec takes them.

    Raises:
        BlobMissing: The file is not there.
    """
    if turns_words(description):
        return await _read_words(storage, chosen, span)
    async with ended(read_frame(storage, chosen, span, 0, frame_bytes(span))) as pieces:
        return b"".join([piece async for piece in pieces])


async def _read_words(storage: Storage, chosen: Chosen, span: FrameSpan) -> bytes:
    """A frame of big-endian words, whose first and last it may share with its neighbours."""
    place, first = chosen.row.location, chosen.index.start
    start, end = span.start, span.start + span.length
    start, end = start - (start - first) % 2, min(end + (end - first) % 2, place.length)
    raw = await storage.blobs.read_all(keys.DICOM, place.blob, place.start + start, end - start)
    at = span.start - start
    return cut_frame(span, turned(raw, 2)[at : at + span.length])


async def answer_made(storage: Storage, workers: Workers, chosen: Chosen, way: Way, asked: Asked) -> Answer:
    """Answer with converted frames.

    Raises:
        PixelError: They cannot be converted.
        BlobMissing: The instance has changed, or is gone.
    """
    wanted = way.makes or EXPLICIT_LITTLE
    content_type, identity = _named(chosen, way, asked)
    if unchanged := answer_unchanged(content_type, identity, asked.conditions):
        return unchanged
    making = _Making(storage, workers, chosen, await _describe(storage, workers, chosen), wanted)
    if len(chosen.spans) > 1 and making.native_bytes > MAX_WHOLE_BYTES:
        return await _stream(making, way, asked)
    async with aclosing(making.frames()) as frames:
        contents = [frame.content async for frame in frames]
    return await answer_with(_content(making, contents, way, asked), asked.conditions)


async def _describe(storage: Storage, workers: Workers, chosen: Chosen) -> PixelDescription:
    """What the frames are, by the metadata of the same version of the instance."""
    key, version = chosen.scope.key, chosen.row.version
    known = workers.descriptions.get((key.archive, version))
    if known:
        return known
    select = ("version", "transferSyntax", *METADATA)
    row = await archive.read_instance(storage, key, chosen.row.series, chosen.row.instance, select)
    if row is None or row.version != version:
        raise BlobMissing
    found = (await read_described(storage, workers, row)).pixels
    if found is None:
        raise UnsupportedPixels("Rows, Columns or Bits Allocated are missing.")
    if row.transfer_syntax == EXPLICIT_BIG:
        found = replace(found, words=await is_in_words(storage, chosen))
    workers.descriptions.put((key.archive, version), found)
    return found


async def is_in_words(storage: Storage, chosen: Chosen) -> bool:
    """Whether the VR of big-endian pixel data is OW, which metadata do not tell."""
    place = chosen.row.location
    start = place.start + chosen.index.start - VR_BEFORE_BYTES
    return await storage.blobs.read_all(keys.DICOM, place.blob, start, 2) == b"OW"


def _content(making: _Making, contents: Sequence[bytes], way: Way, asked: Asked) -> Content:
    chosen = making.chosen
    content_type, identity = _named(chosen, way, asked)
    if way.choice.form is Form.SINGLE:
        pieces = [Piece(b"", len(contents[0]), literal(contents[0]))]
        return Content(content_type, pieces, identity, chosen.counts)
    named = part_type(way.choice.media_type, making.wanted)
    boundary, heads = chosen.heads(named, asked.links, [len(content) for content in contents])
    pieces = [
        *(Piece(head, len(each), literal(each)) for head, each in zip(heads, contents, strict=True)),
        Piece(closing(boundary)),
    ]
    return Content(content_type, pieces, identity, chosen.counts)


def _named(chosen: Chosen, way: Way, asked: Asked) -> tuple[str, tuple[str, ...]]:
    """The Content-Type of an answer with converted frames, and what tells it from all others."""
    content_type = part_type(way.choice.media_type, way.makes or EXPLICIT_LITTLE)
    identity = (*chosen.identity(content_type, asked.links), MADE_BY)
    if way.choice.form is Form.MULTIPART:
        boundary = chosen.boundary(content_type, asked.links)
        content_type = multipart_type(way.choice.media_type, boundary)
    return content_type, identity


async def _stream(making: _Making, way: Way, asked: Asked) -> Answer:
    """Answer while frames are still being converted; the first is before the answer begins."""
    chosen, held = making.chosen, await making.hold()
    # What is compressed has any length.
    size = making.description.decoded_bytes if making.wanted == EXPLICIT_LITTLE else None
    content_type = part_type(way.choice.media_type, making.wanted)
    boundary, heads = chosen.heads(content_type, asked.links, [size] * len(chosen.spans))
    headers = {**VARY, "Content-Type": multipart_type(way.choice.media_type, boundary)}
    if size is not None:
        headers["Content-Length"] = str(total_length(boundary, ((head, size) for head in heads)))
    body = await primed(_parts(making.frames(held), heads, closing(boundary), size))
    return Answer(200, headers, body, chosen.counts)


async def _parts(
    frames: AsyncGenerator[Frame, None], heads: Sequence[bytes], end: bytes, size: int | None
) -> AsyncGenerator[bytes, None]:
    left = iter(heads)
    async with aclosing(frames):
        async for frame in frames:
            if size is not None and len(frame.content) != size:
                raise DamagedPixels("A frame decodes to another size than declared.")
            yield next(left)
            async for piece in literal(frame.content)(0, len(frame.content)):
                yield piece
    yield end
