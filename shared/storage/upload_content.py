"""Container `uploads`: the bytes that clients upload past the service, under the id of the upload."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from shared.storage import keys
from shared.storage.ahead import ended, read_ahead
from shared.storage.blobs import BlobEntry, BlobMissing, blob_path
from shared.storage.storage import Storage
from shared.storage.upload_rows import Upload
from shared.storage.wire import Request, StorageRefused

RANGE_BYTES = 32 * 1024 * 1024
"""What one call reads; the next range is asked for while the present one comes in."""


@dataclass(frozen=True, slots=True)
class Content:
    """What lies there."""

    length: int
    etag: str


class ContentChanged(Exception):
    """What was uploaded is not what the client finished: it was overwritten or removed."""


async def look(storage: Storage, upload: str) -> Content | None:
    """See what was uploaded; None when nothing was."""
    request = Request("blob", "HEAD", blob_path(keys.UPLOADS, upload))
    reply = await storage.wire.send(request)
    if reply.status == 404:
        return None
    if reply.status != 200:
        raise StorageRefused(request, reply.status, reply.code)
    return Content(int(reply.headers["content-length"]), reply.headers["etag"])


async def read(storage: Storage, upload: Upload) -> AsyncIterator[bytes]:
    """Read what the client finished, in pieces.

    Raises:
        ContentChanged: It is not there any more.
        Unavailable: Storage did not answer, or broke off too often.
    """
    sources = (
        partial(
            storage.blobs.read,
            keys.UPLOADS,
            upload.id,
            start,
            min(RANGE_BYTES, upload.length - start),
            etag=upload.content,
        )
        for start in range(0, upload.length, RANGE_BYTES)
    )
    try:
        async with ended(read_ahead(sources)) as pieces:
            async for piece in pieces:
                yield piece
    except BlobMissing as missing:
        raise ContentChanged from missing


async def remove(storage: Storage, upload: str) -> None:
    """Remove what was uploaded, if anything was. Blocks never committed end by themselves."""
    path = blob_path(keys.UPLOADS, upload)
    request = Request("blob", "DELETE", path, headers={"x-ms-delete-snapshots": "include"})
    reply = await storage.wire.send(request)
    if reply.code == "LeaseIdMissing":
        # Who may write may also lease, and keep a blob for ever.
        breaking = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
        await storage.wire.send(Request("blob", "PUT", path, (("comp", "lease"),), breaking))
        reply = await storage.wire.send(request)
    if reply.status not in (202, 404):
        raise StorageRefused(request, reply.status, reply.code)


async def every(storage: Storage) -> list[BlobEntry]:
    """Everything that was uploaded and not removed yet."""
    return [entry async for entry in storage.blobs.list(keys.UPLOADS)]
