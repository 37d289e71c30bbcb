"""Metadata as DICOM JSON (API rules section 7): what was rendered when the instances were stored."""

from collections.abc import AsyncIterator, Sequence

from shared.dicom.metadata import inflate
from shared.errors import NotFound
from shared.storage import archive, keys
from shared.storage.ahead import ended, primed
from shared.storage.keys import Scope
from shared.storage.rows import METADATA, InstanceRow
from shared.storage.storage import Storage
from shared.web.answer import Answer
from shared.web.etag import is_match

ROWS_AT_ONCE = 150
"""Rows with metadata held at one time: a few kilobytes each as a rule, some 400 at the most."""

PIECE_BYTES = 64 * 1024
"""About how much is sent at once."""

Pages = AsyncIterator[list[InstanceRow]]


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
    versions, pages = await _find(storage, scope)
    if not versions:
        raise NotFound(f"The specified {scope.level} was not found.")
    etag = make_etag(scope, versions)
    if is_match(if_none_match, etag):
        return Answer(304, {"Content-Length": "0"})
    body = await primed(_array(storage, pages))
    headers = {"Content-Type": media_type, "ETag": etag}
    return Answer(200, headers, body, {"instances": len(versions)})


def make_etag(scope: Scope, versions: Sequence[int]) -> str:
    """The ETag of what a scope holds (API rules section 7.3)."""
    return str(versions[0]) if scope.instance else f"{max(versions)}-{len(versions)}"


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


async def _array(storage: Storage, pages: Pages) -> AsyncIterator[bytes]:
    """One JSON array of the datasets, in pieces of about `PIECE_BYTES`."""
    gathered = bytearray()
    async with ended(_pieces(storage, pages)) as pieces:
        async for piece in pieces:
            gathered += piece
            if len(gathered) >= PIECE_BYTES:
                yield bytes(gathered)
                gathered.clear()
    yield bytes(gathered)


async def _pieces(storage: Storage, pages: Pages) -> AsyncIterator[bytes]:
    before = b"["
    async for page in pages:
        for row in page:
            yield before
            before = b","
            for piece in inflate(await read_compressed(storage, row)):
                yield piece
    yield b"[]" if before == b"[" else b"]"


async def read_compressed(storage: Storage, row: InstanceRow) -> bytes:
    """The compressed metadata of an instance, from its row or from its blob."""
    if row.metadata_blob:
        return await storage.blobs.read_all(keys.METADATA, row.metadata_blob)
    return row.metadata
