"""Answers of known length, of which a client may want a part, or none if it has them already.

What they consist of is known before anything is read, so a range is cut out of it and only that is read.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from shared.errors import Unavailable
from shared.storage import keys
from shared.storage.ahead import close, ended, primed, read_ahead
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.web.accept import Choice
from shared.web.answer import Answer
from shared.web.etag import strong_etag
from shared.web.links import Links
from shared.web.ranges import Conditions, Unsatisfiable, parse_range, unsatisfied

READ_AHEAD: Final = 4
SLICE_BYTES: Final = 256 * 1024
"""What is in memory already is sent in slices of this size."""

MAX_READ_WHOLE_BYTES: Final = 1024 * 1024
"""An answer up to this size is read before it is sent; a stream holds no less."""

VARY: Final = {"Vary": "Accept"}

MAX_TRIES: Final = 3
"""How often rows are read again because the bytes they name were moved or deleted meanwhile."""

MAX_LOOKED_FOR: Final = 64
"""Blobs that are looked for to tell which is missing."""

log = logging.getLogger(__name__)

Read = Callable[[int, int], AsyncIterator[bytes]]
"""Gives bytes from one position up to another."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client says beside the address."""

    choices: Sequence[Choice]
    """How it would take the answer, best first."""

    links: Links
    conditions: Conditions = field(default_factory=Conditions)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes that are known, such as the head of a part, and others that are read."""

    head: bytes
    length: int = 0
    """Bytes that are read."""

    read: Read | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.head) + self.length


@dataclass(frozen=True, slots=True)
class Content:
    """What an answer consists of."""

    content_type: str
    pieces: Sequence[Piece]
    identity: Sequence[str]
    """What tells its bytes from all others."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """For the log."""

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(piece.size for piece in self.pieces)


async def answer_with(content: Content, conditions: Conditions) -> Answer:
    """Answer with content, or with the range of it that is asked for.

    Raises:
        BlobMissing: What is to be read is not there.

    Source: RFC 9110 sections 13.2.2 and 14.2.
    """
    etag = strong_etag(content.content_type, *content.identity)
    headers = {**VARY, "ETag": etag, "Accept-Ranges": "bytes"}
    if conditions.is_known(etag):
        return Answer(304, headers, counts=content.counts)
    total = content.size
    try:
        part = parse_range(conditions.range_of(etag), total)
    except Unsatisfiable:
        return Answer(416, {**headers, "Content-Range": unsatisfied(total)}, counts=content.counts)
    start, end = (part.start, part.end) if part else (0, total)
    headers |= {"Content-Type": content.content_type, "Content-Length": str(end - start)}
    if part:
        headers["Content-Range"] = part.header(total)
    body = await _body(content.pieces, start, end) if conditions.body else b""
    return Answer(206 if part else 200, headers, body, content.counts)


def answer_unchanged(content_type: str, identity: Sequence[str], conditions: Conditions) -> Answer | None:
    """The answer to who has this content already, before it is made; None if it has to be."""
    etag = strong_etag(content_type, *identity)
    return Answer(304, {**VARY, "ETag": etag}) if conditions.is_known(etag) else None


async def lost(storage: Storage, rows: Sequence[InstanceRow]) -> Unavailable:
    """The answer where rows stay and bytes are not there: nothing of ours brings that about."""
    blobs = list(dict.fromkeys(row.location.blob for row in rows))
    for blob in blobs[:MAX_LOOKED_FOR]:
        if not await storage.blobs.exists(keys.DICOM, blob):
            log.error("bytes missing: study=%s blob=%s", rows[0].study, blob)
            break
    else:
        log.error("bytes missing: study=%s, in one of %d blobs", rows[0].study, len(blobs))
    return Unavailable(
        "What is asked for is known, but its bytes cannot be found; the server's log says more."
    )


def literal(content: bytes) -> Read:
    """Read what is in memory."""

    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, SLICE_BYTES):
            yield content[at : min(at + SLICE_BYTES, end)]

    return read


async def gathered(stream: AsyncIterator[bytes], most: int) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Read a stream as far as it is short.

    Returns:
        What was read, and what is left; None where that was all.
    """
    found = bytearray()
    try:
        while len(found) < most and (piece := await anext(stream, b"")):
            found += piece
    except BaseException:
        await close(stream)
        raise
    return bytes(found), stream if len(found) >= most else None


async def _body(pieces: Sequence[Piece], start: int, end: int) -> bytes | AsyncIterator[bytes]:
    """Whole where it is small: half the work of a stream, and what fails while it is read is refused."""
    if end - start > MAX_READ_WHOLE_BYTES:
        return await primed(_send(pieces, start, end))
    async with ended(_send(pieces, start, end)) as stream:
        return b"".join([piece async for piece in stream])


async def _send(pieces: Sequence[Piece], start: int, end: int) -> AsyncIterator[bytes]:
    sources, at = [], 0
    for piece in pieces:
        first, last = max(start - at, 0), min(end - at, piece.size)
        if first < last:
            sources.append(partial(_cut, piece, first, last))
        at += piece.size
    if not sources:
        return
    depth = min(READ_AHEAD, len(sources))
    async with ended(read_ahead(sources, depth=depth) if depth > 1 else sources[0]()) as stream:
        async for sent in stream:
            yield sent


async def _cut(piece: Piece, start: int, end: int) -> AsyncIterator[bytes]:
    """Bytes of a piece; its head waits for the first byte read, as what is missing must show at once."""
    head = piece.head[start:end]
    before = len(piece.head)
    if piece.read is None or end <= before:
        yield head
        return
    async with ended(piece.read(max(start - before, 0), end - before)) as stream:
        async for read in stream:
            yield head + read if head else read
            head = b""
    if head:
        yield head
