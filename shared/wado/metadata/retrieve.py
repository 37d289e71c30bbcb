"""Metadata as DICOM JSON (API rules section 7): what was rendered when the instances were stored."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from shared.errors import NotFound
from shared.storage import archive
from shared.storage.ahead import primed
from shared.storage.anchors import MIN_JOINED, Anchor
from shared.storage.keys import Scope
from shared.storage.rows import METADATA, InstanceRow
from shared.storage.storage import Storage
from shared.storage.summaries import SOON, read_anchors, wake_aside
from shared.wado.converted.workers import Workers
from shared.wado.metadata import joined
from shared.wado.metadata.texts import ROWS_AT_ONCE, Pages, Texts, Wish, in_line, texts_of
from shared.wado.metadata.xml import documents
from shared.web.answer import Answer
from shared.web.etag import is_match
from shared.web.multipart import boundary_for, multipart_type
from shared.web.offers import DICOM_XML

MAX_WOKEN = 16
"""Series that one request has joined anew. Those left over are found by the next."""


async def retrieve_metadata(storage: Storage, workers: Workers, scope: Scope, wish: Wish) -> Answer:
    """Answer with the metadata of every instance in a scope.

    Args:
        storage: The storage account.
        workers: Where XML is rendered.
        scope: Study, series or instance.
        wish: What the client says beside.

    Raises:
        NotFound: There is nothing in the scope.
        NotAcceptable: The first instance is too large for XML.
    """
    if scope.instance is not None or wish.media_type == DICOM_XML:
        return await _retrieve_rows(storage, workers, scope, wish)
    anchors = await read_anchors(storage, scope)
    if joined.are_known(anchors, wish):
        answer = await joined.retrieve_joined(storage, scope, wish, anchors)
        _wake(storage, scope, wish, anchors)
        return answer
    return await _retrieve_rows(storage, workers, scope, wish, anchors)


def make_etag(scope: Scope, versions: Sequence[int]) -> str:
    """The ETag of what a scope holds (API rules section 7.3)."""
    return str(versions[0]) if scope.instance else f"{max(versions)}-{len(versions)}"


async def _retrieve_rows(
    storage: Storage, workers: Workers, scope: Scope, wish: Wish, anchors: Sequence[Anchor] = ()
) -> Answer:
    versions, pages = await _find(storage, scope)
    if not versions:
        raise NotFound(f"The specified {scope.level} was not found.")
    etag = make_etag(scope, versions) + ("-xml" if wish.media_type == DICOM_XML else "")
    if is_match(wish.if_none_match, etag):
        return Answer(304, {"Content-Length": "0"})
    texts, counts = texts_of(storage, pages, wish), {"instances": len(versions)}
    if wish.media_type == DICOM_XML:
        boundary = boundary_for(scope.key.archive, scope.series or "", scope.instance or "", etag)
        body = await primed(documents(texts, workers, boundary))
        return Answer(200, {"Content-Type": multipart_type(DICOM_XML, boundary), "ETag": etag}, body, counts)
    body = await primed(_array(texts))
    if len(versions) >= MIN_JOINED:
        _wake(storage, scope, wish, anchors)
    return Answer(200, {"Content-Type": wish.media_type, "ETag": etag}, body, counts)


def _wake(storage: Storage, scope: Scope, wish: Wish, anchors: Sequence[Anchor]) -> None:
    """Have those series joined anew that are not as they would be joined now."""
    found = [anchor.series for anchor in anchors if not joined.is_as_written_now(anchor, wish)]
    if found:
        wake_aside(storage, scope.key, found[:MAX_WOKEN], SOON)


async def _find(storage: Storage, scope: Scope) -> tuple[list[int], Pages]:
    """The versions of all instances in a scope, and their metadata, still to be read."""
    if scope.series is not None and scope.instance is not None:
        select = ("version", *METADATA)
        row = await archive.read_instance(storage, scope.key, scope.series, scope.instance, select)
        rows = [row] if row else []
        return [row.version for row in rows], _one_page(rows)
    # Versions are read before metadata: a tag that is older than its body only makes a client ask again.
    pages = archive.read_instances(storage, scope, ("version",))
    versions = [row.version async for page in pages for row in page]
    return versions, archive.read_instances(storage, scope, METADATA, page=ROWS_AT_ONCE)


async def _one_page(rows: list[InstanceRow]) -> Pages:
    yield rows


async def _array(texts: Texts) -> AsyncIterator[bytes]:
    """One JSON array of the datasets, in pieces."""
    before = b"["
    async with aclosing(in_line(texts)) as pieces:
        async for piece in pieces:
            yield before + piece
            before = b""
    yield before + b"]"
