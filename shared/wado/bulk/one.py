"""One bulk value, by the BulkDataURI that metadata name.

What is not compressed, and everything beside the pixel data, is one item: a single part, or one part of a
multipart. Compressed pixel data are a frame in each part, as frames are.

Source: PS3.18 sections 8.7.3 and 10.4; clients sections 2.1, 3.6 and 4.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom.bulk import BulkSpan, parse_path
from shared.errors import NotAcceptable, NotFound
from shared.storage import archive
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import BULK, FRAMES, LOCATION
from shared.storage.storage import Storage
from shared.wado.bulk.values import PIXELS, BulkValue, read_bulk_index, reader_of
from shared.wado.content import MAX_TRIES, Asked, Content, Piece, answer_with, lost
from shared.wado.converted.described import read_index
from shared.wado.converted.workers import Workers
from shared.wado.frames import retrieve_frames
from shared.web.accept import ANY_SYNTAX, Choice, Form, MediaRange, Offer, choose
from shared.web.answer import Answer
from shared.web.links import Links
from shared.web.multipart import boundary_for, closing, multipart_type, part_head, part_type
from shared.web.offers import (
    BULK_OFFERS,
    DOCUMENT_OFFERS,
    DOCUMENT_TYPES,
    FILE,
    OCTETS,
    PIXEL_LIST_OFFERS,
    PIXEL_OFFERS,
    VALUE_OFFERS,
    VIDEO_OFFERS,
    is_video,
    video_type,
)
from shared.web.ranges import Conditions

# Whatever a sender put into a file, no browser is to run a page as part of this site.
_SHUT_IN: Final = {"Content-Security-Policy": "sandbox"}


@dataclass(frozen=True, slots=True)
class BulkAsked:
    """What a client says to get a bulk value."""

    path: str
    """The end of its URL, as sent."""

    accept: Sequence[MediaRange]
    links: Links
    conditions: Conditions


async def retrieve_bulk(storage: Storage, workers: Workers, scope: Scope, asked: BulkAsked) -> Answer:
    """Answer with one value of an instance.

    Raises:
        NotFound: There is no such instance or value.
        NotAcceptable: It is nothing the client would take.
        Unavailable: The instance's bytes are not where they should be.
    """
    choose(BULK_OFFERS, asked.accept)
    for _ in range(MAX_TRIES):
        value = await _find(storage, scope, parse_path(asked.path))
        index = await read_index(storage, value.row) if value.is_frames else None
        if index is not None:
            offers = _offers(value.row.transfer_syntax, index.count)
            frames = Asked(_named_truly(choose(offers, asked.accept)), asked.links, asked.conditions)
            numbers = range(1, index.count + 1)
            return await retrieve_frames(storage, workers, scope=scope, numbers=numbers, asked=frames)
        content = _content(storage, value, asked)
        try:
            answer = await answer_with(content, asked.conditions)
        except BlobMissing:
            # Deleted or moved to another pack since its row was read: the row tells which.
            continue
        return replace(answer, headers={**answer.headers, **_protection(content.content_type)})
    raise await lost(storage, [value.row])


async def _find(storage: Storage, scope: Scope, path: str | None) -> BulkValue:
    series, instance = scope.series or "", scope.instance or ""
    select = (*LOCATION, *BULK, *(FRAMES if path in PIXELS else ()))
    row = await archive.read_instance(storage, scope.key, series, instance, select) if path else None
    index = await read_bulk_index(storage, row) if row else None
    span = index.find(path) if index and path else None
    if row is None or index is None or span is None:
        raise NotFound("The specified bulk data were not found.")
    return BulkValue(row, span, index.inflated_from)


def _offers(syntax: str, count: int) -> Sequence[Offer]:
    """What compressed pixel data may come as. Several frames are several parts; a video is one stream."""
    if is_video(syntax):
        return VIDEO_OFFERS[video_type(syntax)]
    return PIXEL_OFFERS if count == 1 else PIXEL_LIST_OFFERS


def _named_truly(choices: Sequence[Choice]) -> Sequence[Choice]:
    """The same with octets called so, by whatever name they were asked for."""
    return [replace(each, media_type=OCTETS) if each.media_type == FILE else each for each in choices]


def _content(storage: Storage, value: BulkValue, asked: BulkAsked) -> Content:
    span, syntax = value.span, value.transfer_syntax
    choice = _settle(span, syntax, asked.accept)
    media_type = choice.media_type if choice.media_type in DOCUMENT_TYPES else OCTETS
    content_type = part_type(OCTETS, syntax) if media_type == OCTETS else media_type
    identity = (str(value.row.version), span.path)
    read = reader_of(storage, value)
    if choice.form is Form.SINGLE:
        return Content(content_type, [Piece(b"", span.size, read)], identity)
    boundary = boundary_for(*identity, content_type)
    url = value.url(asked.links)
    head = part_head(boundary, content_type, first=True, location=url, length=span.size)
    pieces = [Piece(head, span.size, read), Piece(closing(boundary))]
    return Content(multipart_type(media_type, boundary), pieces, (*identity, content_type, url))


def _settle(span: BulkSpan, syntax: str, accept: Sequence[MediaRange]) -> Choice:
    for choice in choose(DOCUMENT_OFFERS.get(span.media_type, VALUE_OFFERS), accept):
        if ANY_SYNTAX in choice.transfer_syntaxes or syntax in choice.transfer_syntaxes:
            return choice
    raise NotAcceptable(f"These bulk data are given in the transfer syntax {syntax} only.")


def _protection(content_type: str) -> Mapping[str, str]:
    return _SHUT_IN if content_type == "text/xml" else {}
