"""Rendered studies and series: one picture that stands for all, or where parts are asked for, one of each.

One picture is of the instance in the middle of a series, in the order of their UIDs: the first and last
slices of a stack mostly show little. Of a study it is of its first series with images. How many rows are
looked through, and how many instances tried, does not grow with the study.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice, zip_longest
from typing import Final

from shared.dicom.codecs import RenderOptions, can_decode
from shared.errors import BadRequest, NotAcceptable, NotFound
from shared.storage import archive
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.content import MAX_TRIES, Content, answer_unchanged, lost
from shared.wado.converted.rules import INCONVERTIBLE
from shared.wado.converted.workers import Job, Workers, in_order
from shared.wado.rendered.one import (
    RENDERED_BY,
    Drawer,
    RenderAsked,
    answer_pictures,
    part_of,
    retrieve_rendered,
)
from shared.web.accept import Choice, Form
from shared.web.answer import Answer
from shared.web.multipart import boundary_for, closing, multipart_type
from shared.web.pictures import choose_picture, choose_picture_or_pictures

MAX_LOOKED_THROUGH: Final = 1000
"""Rows among which the instance that stands for all is chosen: one page of the table."""

MAX_TRIED: Final = 4
"""Instances that are tried when the first cannot be rendered."""


_SHAPE: Final = ("version", "transferSyntax", "hasFrames")


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture of an instance, or why there is none."""

    url: str
    content: bytes | Exception


async def retrieve_rendered_all(
    storage: Storage, workers: Workers, *, scope: Scope, asked: RenderAsked
) -> Answer:
    """Answer with pictures of a study or series.

    Args:
        storage: The storage account.
        workers: Where pictures are made.
        scope: Study or series.
        asked: What the client says beside; a thumbnail is always one picture.

    Raises:
        NotFound: There is nothing in the scope, or nothing that can be rendered.
        NotAcceptable: It is nothing the client would take, or cannot be rendered.
        BadRequest: The viewport shows nothing of it.
    """
    choose = choose_picture if asked.is_thumbnail else choose_picture_or_pictures
    choice = choose(asked.accept)
    if choice.form is Form.MULTIPART:
        return await _answer_all(Drawer(storage, workers), scope, choice, asked)
    rows = await _rows(storage, scope, limit=MAX_LOOKED_THROUGH)
    refusal: Exception | None = None
    for row in islice(representatives(_images(rows)), MAX_TRIED):
        one = replace(scope, series=row.series, instance=row.instance)
        try:
            return await retrieve_rendered(storage, workers, scope=one, numbers=(), asked=asked)
        except (NotAcceptable, NotFound) as error:
            # Too large or damaged, or deleted meanwhile.
            refusal = error
    raise refusal or NotAcceptable("Nothing here can be rendered as a still picture.")


def representatives(rows: Sequence[InstanceRow]) -> Iterator[InstanceRow]:
    """Instances that may stand for all, the best first: of each series the middle, then its first and last.

    Args:
        rows: Instances with pixels, in the order of their UIDs.
    """
    series = [list(members) for _, members in groupby(rows, key=lambda row: row.series)]
    picks = [dict.fromkeys((len(members) // 2, 0, len(members) - 1)) for members in series]
    places = ([(members, at) for at in at_each] for members, at_each in zip(series, picks, strict=True))
    for rank in zip_longest(*places):
        yield from (place[0][place[1]] for place in rank if place)


async def _rows(storage: Storage, scope: Scope, limit: int | None = None) -> list[InstanceRow]:
    pages = archive.read_instances(storage, scope, _SHAPE, limit=limit)
    rows = [row async for page in pages for row in page]
    if not rows:
        raise NotFound(f"The specified {scope.level} was not found.")
    return rows


def _images(rows: Sequence[InstanceRow]) -> list[InstanceRow]:
    """Those that can be rendered as far as their rows tell.

    Raises:
        NotFound: None has pixels.
        NotAcceptable: None can be decoded.
    """
    with_pixels = [row for row in rows if row.has_frames]
    if not with_pixels:
        raise NotFound("Nothing here has pixel data that can be rendered.")
    found = [row for row in with_pixels if can_decode(row.transfer_syntax)]
    if not found:
        raise NotAcceptable("Nothing here can be rendered as a still picture.")
    return found


async def _answer_all(drawer: Drawer, scope: Scope, choice: Choice, asked: RenderAsked) -> Answer:
    rows = _images(await _rows(drawer.storage, scope))
    options = asked.options_for(choice)
    where = (scope.key.archive, scope.series or "", asked.links.root, repr(options), RENDERED_BY)
    identity = (*where, *(str(row.version) for row in rows))
    boundary = boundary_for(*identity)
    content_type = multipart_type(choice.media_type, boundary)
    if unchanged := answer_unchanged(content_type, identity, asked.conditions):
        return unchanged
    scopes = (replace(scope, series=row.series, instance=row.instance) for row in rows)
    pictures = in_order(_jobs(drawer, scopes, options, asked), drawer.workers.threads + 1)
    told = Content(content_type, (), identity, {"instances": len(rows)})
    return await answer_pictures(_parts(pictures, boundary, choice.media_type), told, asked)


async def _parts(
    pictures: AsyncGenerator[_Picture, None], boundary: str, media_type: str
) -> AsyncGenerator[bytes, None]:
    """A multipart body of those pictures that came about.

    Raises:
        NotAcceptable: There are none.
    """
    first, refusal = True, ""
    async with aclosing(pictures):
        async for picture in pictures:
            if isinstance(picture.content, bytes):
                yield part_of(picture.content, boundary, media_type, location=picture.url, first=first)
                first = False
            else:
                refusal = str(picture.content)
    if first:
        raise NotAcceptable(f"Nothing here can be rendered: {refusal}")
    yield closing(boundary)


async def _jobs(
    drawer: Drawer, scopes: Iterable[Scope], options: RenderOptions, asked: RenderAsked
) -> AsyncGenerator[Job[_Picture], None]:
    for scope in scopes:
        yield partial(_picture, drawer, scope, options, asked)


async def _picture(drawer: Drawer, scope: Scope, options: RenderOptions, asked: RenderAsked) -> _Picture:
    """The first frame of an instance, or why there is none."""
    url = f"{asked.links.instance(scope.key.study, scope.series or '', scope.instance or '')}/rendered"
    for _ in range(MAX_TRIES):
        try:
            row = await drawer.read_row(scope)
            chosen = await drawer.choose(scope, row, ())
            return _Picture(url, await drawer.draw_one(chosen, options, asked.max_frame_bytes))
        except (*INCONVERTIBLE, BadRequest, NotFound) as error:
            # Damaged, too large, not in this viewport, or deleted meanwhile: the others still are.
            return _Picture(url, error)
        except BlobMissing:
            continue
    raise await lost(drawer.storage, [row])
