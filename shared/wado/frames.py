"""Frames (API rules section 5): one row read and one ranged read for each."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from shared.dicom.frames import FrameSpan
from shared.errors import BadRequest, NotAcceptable, NotFound
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.storage import Storage
from shared.wado.content import MAX_TRIES, Asked, Content, Piece, answer_with, lost
from shared.wado.converted.frames import answer_made
from shared.wado.converted.rules import INCONVERTIBLE, can_make_frame
from shared.wado.converted.workers import Workers
from shared.wado.frame_bytes import Chosen, frame_bytes, read_frame
from shared.wado.indexes import Indexed, find_index, read_indexed
from shared.web.accept import Form
from shared.web.answer import Answer
from shared.web.multipart import closing, multipart_type, part_type
from shared.web.offers import Way, frame_syntax, settle

# No count of frames has more digits.
_NUMBER: Final = re.compile("-?[0-9]{1,20}")


def parse_frames(text: str) -> list[int]:
    """Read a list of frame numbers such as `1,3,5`.

    Raises:
        BadRequest: A number is below 1, or the list is empty.
        NotFound: Something in it is not a number; no such resource exists then.
    """
    if not text.strip(" ,"):
        raise BadRequest("Name at least one frame number.")
    entries = [entry.strip(" ") for entry in text.split(",")]
    if not all(_NUMBER.fullmatch(entry) for entry in entries):
        raise NotFound("Frames are named by numbers, separated by commas.")
    numbers = [int(entry) for entry in entries]
    if min(numbers) < 1:
        raise BadRequest("Frame numbers count from 1.")
    return numbers


async def retrieve_frames(
    storage: Storage, workers: Workers, *, scope: Scope, numbers: Sequence[int], asked: Asked
) -> Answer:
    """Answer with frames of an instance, in the order asked.

    Args:
        storage: The storage account.
        workers: Where frames are converted.
        scope: The instance.
        numbers: Frame numbers, counted from 1; may repeat.
        asked: What the client says beside.

    Raises:
        NotFound: The instance or one of the frames does not exist.
        NotAcceptable: What is stored is not what the client would take, nor can be made that.
        Unavailable: The instance's bytes are not where they should be.
    """
    for _ in range(MAX_TRIES):
        found = await read_indexed(storage, scope)
        stored = {frame_syntax(found.row.transfer_syntax)} if found else ()
        ways = settle(asked.choices, stored, can_make_frame)
        if found is None:
            raise NotFound("The specified instance was not found.")
        chosen = await _choose(storage, scope, found, numbers)
        try:
            return await _answer(storage, workers, chosen, ways, asked)
        except BlobMissing:
            # Deleted or moved to another pack since its row was read: the row tells which.
            continue
    raise await lost(storage, [chosen.row])


async def _choose(storage: Storage, scope: Scope, found: Indexed, numbers: Sequence[int]) -> Chosen:
    index = await find_index(storage, scope, found)
    if index is None:
        raise NotFound("The specified frame was not found: the instance has no pixel data.")
    return Chosen.of(scope, found.row, index, numbers)


async def _answer(
    storage: Storage, workers: Workers, chosen: Chosen, ways: Sequence[Way], asked: Asked
) -> Answer:
    """Answer in the first way that works out."""
    refusal: Exception | None = None
    for way in ways:
        if way.makes is None:
            return await answer_with(_stored(storage, chosen, way, asked), asked.conditions)
        try:
            return await answer_made(storage, workers, chosen, way, asked)
        except INCONVERTIBLE as error:
            refusal = error
    raise NotAcceptable(f"The frames cannot be given as asked: {refusal}") from refusal


def _stored(storage: Storage, chosen: Chosen, way: Way, asked: Asked) -> Content:
    """Frames as they are stored."""
    content_type = part_type(way.choice.media_type, frame_syntax(chosen.row.transfer_syntax))
    identity = chosen.identity(content_type, asked.links)
    lengths = [frame_bytes(span) for span in chosen.spans]

    def piece(head: bytes, span: FrameSpan, length: int) -> Piece:
        return Piece(head, length, partial(read_frame, storage, chosen, span))

    if way.choice.form is Form.SINGLE:
        pieces = [piece(b"", chosen.spans[0], lengths[0])]
        return Content(content_type, pieces, identity, chosen.counts)
    boundary, heads = chosen.heads(content_type, asked.links, lengths)
    pieces = [*map(piece, heads, chosen.spans, lengths), Piece(closing(boundary))]
    return Content(multipart_type(way.choice.media_type, boundary), pieces, identity, chosen.counts)
