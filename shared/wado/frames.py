"""Frames as they were stored (API rules section 5): one row read and one ranged read for each."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from shared.dicom.frames import FrameCutter, FrameIndex, FrameSpan, SpanInflater
from shared.errors import BadRequest, NotFound
from shared.storage import archive, keys
from shared.storage.ahead import ended, primed, read_ahead
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import FRAMES, LOCATION, InstanceRow, Location
from shared.storage.storage import Storage
from shared.web.accept import Choice, Form
from shared.web.answer import Answer
from shared.web.multipart import boundary_for, closing, multipart_type, part_head, part_type, total_length
from shared.web.offers import frame_syntax, settle

MAX_TRIES = 3
READ_AHEAD = 4


def parse_frames(text: str) -> list[int]:
    """Read a list of frame numbers such as `1,3,5`.

    Raises:
        BadRequest: A number is below 1, or the list is empty.
        NotFound: Something in it is not a number; no such resource exists then.
    """
    if not text.strip():
        raise BadRequest("Name at least one frame number.")
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError as error:
        raise NotFound("Frames are named by numbers, separated by commas.") from error
    if min(numbers) < 1:
        raise BadRequest("Frame numbers count from 1.")
    return numbers


async def retrieve_frames(
    storage: Storage, scope: Scope, numbers: Sequence[int], choices: Sequence[Choice]
) -> Answer:
    """Answer with frames of an instance, in the order asked.

    Args:
        storage: The storage account.
        scope: The instance.
        numbers: Frame numbers, counted from 1; may repeat.
        choices: How the client would take them, best first.

    Raises:
        NotFound: The instance or one of the frames does not exist.
        NotAcceptable: What is stored is not what the client would take.
    """
    for _ in range(MAX_TRIES):
        row = await _row(storage, scope)
        choice = settle(choices, {frame_syntax(row.transfer_syntax)} if row else ())
        if row is None:
            break
        index = await _index(storage, row)
        spans = [index.span(number) for number in numbers]
        try:
            return await _answer(storage, row, index, spans, choice)
        except BlobMissing:
            continue
    raise NotFound("The specified instance was not found.")


async def _row(storage: Storage, scope: Scope) -> InstanceRow | None:
    series, instance = scope.series or "", scope.instance or ""
    return await archive.read_instance(storage, scope.key, series, instance, (*LOCATION, *FRAMES))


async def _index(storage: Storage, row: InstanceRow) -> FrameIndex:
    if not row.has_frames:
        raise NotFound("The specified frame was not found: the instance has no pixel data.")
    if row.frames_blob:
        return FrameIndex.decode(await storage.blobs.read_all(keys.METADATA, row.frames_blob))
    return FrameIndex.decode(row.frames)


async def _answer(
    storage: Storage, row: InstanceRow, index: FrameIndex, spans: Sequence[FrameSpan], choice: Choice
) -> Answer:
    content_type = part_type(choice.media_type, frame_syntax(row.transfer_syntax))
    counts = {"frames": len(spans)}
    sources = [partial(_frame, storage, row.location, index, span) for span in spans]
    if choice.form is Form.SINGLE:
        body = await primed(sources[0]())
        headers = {"Content-Type": content_type, "Content-Length": str(frame_bytes(spans[0]))}
        return Answer(200, headers, body, counts)
    identity = [f"{span.start}+{span.length}" for span in spans]
    boundary = boundary_for(row.location.blob, content_type, *identity)
    heads = [
        part_head(boundary, content_type, first=number == 0, length=frame_bytes(span))
        for number, span in enumerate(spans)
    ]
    length = total_length(boundary, zip(heads, map(frame_bytes, spans), strict=True))
    parts = [partial(_part, head, source) for head, source in zip(heads, sources, strict=True)]
    body = await primed(_multipart(parts, boundary))
    headers = {"Content-Type": multipart_type(choice.media_type, boundary), "Content-Length": str(length)}
    return Answer(200, headers, body, counts)


def frame_bytes(span: FrameSpan) -> int:
    """Bytes of a frame as it is sent."""
    if span.fragments:
        return sum(span.fragments)
    return (span.bits + 7) // 8 if span.bits else span.length


async def _multipart(parts: Sequence[partial[AsyncIterator[bytes]]], boundary: str) -> AsyncIterator[bytes]:
    async with ended(read_ahead(parts, depth=READ_AHEAD)) as pieces:
        async for piece in pieces:
            yield piece
    yield closing(boundary)


async def _part(head: bytes, source: partial[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
    yield head
    async with ended(source()) as pieces:
        async for piece in pieces:
            yield piece


async def _frame(
    storage: Storage, place: Location, index: FrameIndex, span: FrameSpan
) -> AsyncIterator[bytes]:
    cutter = FrameCutter(span)
    async with ended(_span(storage, place, index, span)) as pieces:
        async for raw in pieces:
            if piece := cutter.feed(raw):
                yield piece
    if last := cutter.finish():
        yield last


async def _span(
    storage: Storage, place: Location, index: FrameIndex, span: FrameSpan
) -> AsyncIterator[bytes]:
    read = partial(storage.blobs.read, keys.DICOM, place.blob)
    if index.inflated_from is None:
        async with ended(read(place.start + span.start, span.length)) as pieces:
            async for raw in pieces:
                yield raw
        return
    # A deflated dataset can only be read from its beginning.
    inflater = SpanInflater(span.start, span.length)
    deflated = read(place.start + index.inflated_from, place.length - index.inflated_from)
    async with ended(deflated) as pieces:
        async for raw in pieces:
            for piece in inflater.feed(raw):
                yield piece
            if inflater.done:
                return
