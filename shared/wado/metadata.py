"""Metadata as DICOM JSON (API rules section 7): what was rendered when the instances were stored."""

import zlib
from collections.abc import AsyncIterator, Sequence

from shared.errors import NotFound
from shared.storage import archive, keys
from shared.storage.ahead import primed
from shared.storage.keys import Scope
from shared.storage.rows import METADATA, InstanceRow
from shared.storage.storage import Storage
from shared.web.answer import Answer
from shared.web.etag import is_match

ROWS_AT_ONCE = 250
"""Rows with metadata held at one time."""


async def retrieve_metadata(
    storage: Storage, scope: Scope, media_type: str, if_none_match: str | None
) -> Answer:
    """Answer with the metadata of every instance in a scope.

    Args:
        storage: The storage account.
        scope: Study, series or instance.
        media_type: The JSON type the client takes.
        if_none_match: The request's header; a match is answered 304.

    Raises:
        NotFound: There is nothing in the scope.
    """
    pages = _pages(storage, scope)
    first: list[InstanceRow] = await anext(pages, [])
    versions = [row.version for row in first]
    if len(first) == ROWS_AT_ONCE:
        versions = await _versions(storage, scope)
    if not versions:
        raise NotFound(f"The specified {scope.level} was not found.")
    etag = make_etag(scope, versions)
    if is_match(if_none_match, etag):
        return Answer(304, {"Content-Length": "0"})
    body = await primed(_array(storage, first, pages))
    headers = {"Content-Type": media_type, "ETag": etag}
    return Answer(200, headers, body, {"instances": len(versions)})


def make_etag(scope: Scope, versions: Sequence[int]) -> str:
    """The ETag of what a scope holds (API rules section 7.3)."""
    return str(versions[0]) if scope.instance else f"{max(versions)}-{len(versions)}"


async def _pages(storage: Storage, scope: Scope) -> AsyncIterator[list[InstanceRow]]:
    select = ("version", *METADATA)
    if scope.series is not None and scope.instance is not None:
        row = await archive.read_instance(storage, scope.key, scope.series, scope.instance, select)
        if row:
            yield [row]
        return
    async for page in archive.read_instances(storage, scope, select, page=ROWS_AT_ONCE):
        yield page


async def _versions(storage: Storage, scope: Scope) -> list[int]:
    pages = archive.read_instances(storage, scope, ("version",))
    return [row.version async for page in pages for row in page]


async def _array(
    storage: Storage, first: list[InstanceRow], pages: AsyncIterator[list[InstanceRow]]
) -> AsyncIterator[bytes]:
    yield b"[" + await _joined(storage, first)
    async for page in pages:
        yield b"," + await _joined(storage, page)
    yield b"]"


async def _joined(storage: Storage, rows: Sequence[InstanceRow]) -> bytes:
    return b",".join([zlib.decompress(await read_compressed(storage, row)) for row in rows])


async def read_compressed(storage: Storage, row: InstanceRow) -> bytes:
    """The compressed metadata of an instance, from its row or from its blob."""
    if row.metadata_blob:
        return await storage.blobs.read_all(keys.METADATA, row.metadata_blob)
    return row.metadata
