"""Rendered instances and frames (API rules section 6, PS3.18 section 10.4).

An instance is answered as its first frame, as Azure does, and what is no still picture as it is stored.
Several frames are a part each.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom.codecs import MAX_FRAME_BYTES, Picture, RenderOptions
from shared.dicom.codecs.views import Profile
from shared.errors import BadRequest, NotAcceptable, NotFound
from shared.storage import archive
from shared.storage.ahead import Primed, close
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.content import (
    MAX_TRIES,
    VARY,
    Content,
    Piece,
    answer_unchanged,
    answer_with,
    gathered,
    literal,
    lost,
)
from shared.wado.converted.described import read_index
from shared.wado.converted.rules import INCONVERTIBLE, MAX_WHOLE_BYTES
from shared.wado.converted.workers import Workers
from shared.wado.frame_bytes import Chosen
from shared.wado.rendered.documents import find_document
from shared.wado.rendered.drawing import NEEDED, draw
from shared.web.accept import Choice, Form, MediaRange
from shared.web.answer import Answer
from shared.web.links import Links
from shared.web.multipart import boundary_for, closing, multipart_type, part_head
from shared.web.pictures import DOCUMENTS, PICTURES, XML, choose_picture, choose_pictures
from shared.web.ranges import Conditions

RENDERED_BY: Final = "1"
"""Part of the tag of a picture: another number when the same request would give other bytes."""

MAX_THUMBNAIL_FRAME_BYTES: Final = 64 * 1024 * 1024
"""A frame beyond it is too much work for a thumbnail."""

# Pages of other sites show pictures and documents in themselves. Whatever a sender put into a file, no
# browser is to run a page as part of this site.
_EMBEDDED: Final = {"Cross-Origin-Resource-Policy": "cross-origin"}
_SHUT_IN: Final = {"Content-Security-Policy": "sandbox"}


@dataclass(frozen=True, slots=True)
class RenderAsked:
    """What a client says to get a picture."""

    options: RenderOptions
    """What the query says; the format is the Accept header's to say."""

    accept: Sequence[MediaRange]
    links: Links
    conditions: Conditions
    is_thumbnail: bool = False

    def options_for(self, choice: Choice) -> RenderOptions:
        """All that there is to know for a picture.

        Raises:
            BadRequest: A profile is asked for in a format that has no room for one.
        """
        picture = Picture(choice.media_type)
        if picture is Picture.GIF and self.options.profile is not Profile.NO:
            raise BadRequest("A GIF picture has no ICC profile; ask for JPEG or PNG, or for iccprofile=no.")
        return replace(self.options, picture=picture)

    @property
    def max_frame_bytes(self) -> int:
        """What a frame may have without compression."""
        return MAX_THUMBNAIL_FRAME_BYTES if self.is_thumbnail else MAX_FRAME_BYTES


@dataclass(frozen=True, slots=True)
class Drawer:
    """What pictures are made with."""

    storage: Storage
    workers: Workers

    async def choose(
        self, scope: Scope, row: InstanceRow, numbers: Sequence[int], *, middle: bool = False
    ) -> Chosen:
        """Find the frames to draw: those named, else the first or the one in the middle.

        Raises:
            NotFound: There are none.
            NotAcceptable: One lies too deep in a deflated dataset.
        """
        index = await read_index(self.storage, row)
        if index is None:
            raise NotFound("The specified instance has no pixel data, and nothing else that can be rendered.")
        chosen = numbers or [(index.count + 1) // 2 if middle else 1]
        return Chosen.of(scope, row, index, chosen)

    async def draw_one(self, chosen: Chosen, options: RenderOptions, max_bytes: int) -> bytes:
        """Draw the first frame chosen."""
        async with aclosing(draw(self.storage, self.workers, chosen, options, max_bytes)) as pictures:
            return await anext(pictures)

    async def read_row(self, scope: Scope) -> InstanceRow:
        """Read an instance's row.

        Raises:
            NotFound: There is none.
        """
        series, instance = scope.series or "", scope.instance or ""
        row = await archive.read_instance(self.storage, scope.key, series, instance, NEEDED)
        if row is None:
            raise NotFound("The specified instance was not found.")
        return row


async def retrieve_rendered(
    storage: Storage, workers: Workers, *, scope: Scope, numbers: Sequence[int], asked: RenderAsked
) -> Answer:
    """Answer with a picture of an instance or of one of its frames, or with a picture of each of several.

    Args:
        storage: The storage account.
        workers: Where pictures are made.
        scope: The instance.
        numbers: Frame numbers, counted from 1; none for the instance as such. That is its first frame, or the
            one in the middle as its thumbnail; of a document or video it is what is stored.
        asked: What the client says beside.

    Raises:
        NotFound: The instance or one of the frames does not exist, or there is nothing to render.
        NotAcceptable: It is nothing the client would take, or cannot be rendered.
        BadRequest: The viewport shows nothing of it.
        Unavailable: The instance's bytes are not where they should be.
    """
    choice = _first_choice(asked, len(numbers))
    drawer = Drawer(storage, workers)
    for _ in range(MAX_TRIES):
        row = await drawer.read_row(scope)
        try:
            if not numbers and not asked.is_thumbnail and (document := await find_document(storage, row)):
                return await _give(document, asked)
            chosen = await drawer.choose(scope, row, numbers, middle=asked.is_thumbnail)
            if choice.media_type not in PICTURES:
                choice = choose_picture(asked.accept)
            return await _answer(drawer, chosen, choice, asked)
        except INCONVERTIBLE as error:
            raise NotAcceptable(f"The frames cannot be rendered: {error}") from error
        except BlobMissing:
            # Deleted or moved to another pack since its row was read: the row tells which.
            continue
    raise await lost(storage, [row])


def _first_choice(asked: RenderAsked, count: int) -> Choice:
    """What would be answered, judged before anything is looked up."""
    if count > 1:
        return choose_pictures(asked.accept)
    own = () if count or asked.is_thumbnail else DOCUMENTS
    return choose_picture(asked.accept, (*PICTURES, *own))


async def _give(document: Content, asked: RenderAsked) -> Answer:
    """Answer with what is stored, in whole or the range asked for."""
    choose_picture(asked.accept, (document.content_type,))
    answer = await answer_with(document, asked.conditions)
    protection = _SHUT_IN if document.content_type == XML else {}
    return replace(answer, headers={**answer.headers, **_EMBEDDED, **protection})


async def _answer(drawer: Drawer, chosen: Chosen, choice: Choice, asked: RenderAsked) -> Answer:
    options = asked.options_for(choice)
    identity = (*chosen.identity(choice.media_type, asked.links), repr(options), RENDERED_BY)
    boundary = boundary_for(*identity)
    single = choice.form is Form.SINGLE
    content_type = choice.media_type if single else multipart_type(choice.media_type, boundary)
    if unchanged := answer_unchanged(content_type, identity, asked.conditions):
        return unchanged
    pictures = draw(drawer.storage, drawer.workers, chosen, options, asked.max_frame_bytes)
    if not single:
        urls = _urls(chosen, asked.links)
        pictures = _parts(pictures, urls, boundary, choice.media_type)
    return await answer_pictures(pictures, Content(content_type, (), identity, chosen.counts), asked)


def _urls(chosen: Chosen, links: Links) -> Iterator[str]:
    row = chosen.row
    base = links.instance(row.study, row.series, row.instance)
    return (f"{base}/frames/{number}/rendered" for number in chosen.numbers)


async def _parts(
    pictures: AsyncGenerator[bytes, None], urls: Iterator[str], boundary: str, media_type: str
) -> AsyncGenerator[bytes, None]:
    """A multipart body of pictures, a part at once."""
    first = True
    async with aclosing(pictures):
        async for picture in pictures:
            yield part_of(picture, boundary, media_type, location=next(urls), first=first)
            first = False
    yield closing(boundary)


def part_of(picture: bytes, boundary: str, media_type: str, *, location: str, first: bool) -> bytes:
    """A part of an answer with several pictures."""
    head = part_head(boundary, media_type, first=first, location=location, length=len(picture))
    return head + picture


async def answer_pictures(pictures: AsyncIterator[bytes], told: Content, asked: RenderAsked) -> Answer:
    """Answer with pictures while they are made; with few enough of them when all are.

    Args:
        pictures: The body.
        told: What it is; its pieces are these.
        asked: What the client says beside.
    """
    begun, rest = await gathered(pictures, MAX_WHOLE_BYTES)
    if rest is None:
        whole = replace(told, pieces=[Piece(b"", len(begun), literal(begun))])
        answer = await answer_with(whole, asked.conditions)
        return replace(answer, headers={**answer.headers, **_EMBEDDED})
    headers = {**VARY, **_EMBEDDED, "Content-Type": told.content_type}
    if not asked.conditions.body:
        await close(rest)
        return Answer(200, headers, counts=told.counts)
    return Answer(200, headers, Primed(begun, rest), told.counts)
