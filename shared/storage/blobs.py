"""Blobs: written once, read in ranges, listed by prefix."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import aiohttp

from shared.errors import Unavailable
from shared.storage import deletions
from shared.storage.calls import current
from shared.storage.listing import BlobEntry, parse_listing
from shared.storage.wire import BROKEN, UNAVAILABLE, NoAnswer, Reply, Request, StorageRefused, Wire

__all__ = ["BlobConflict", "BlobEntry", "BlobExists", "BlobMissing", "Blobs", "Body"]

Body = bytes | memoryview | Sequence[bytes | memoryview]
"""One piece, or several that are sent one after the other without being joined."""

OCTET_TYPE: Final = "application/octet-stream"

LISTED_AT_ONCE: Final = 5000
MAX_BLOCKS: Final = 50_000

READS_WITHOUT_PROGRESS: Final = 3
"""How often in a row a broken read is taken up again without one new byte."""

_EXISTS: Final = frozenset({"BlobAlreadyExists", "ConditionNotMet"})
_NOT_STAGED: Final = frozenset({"InvalidBlockList", "ContainerNotFound"})
_MISSING: Final = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})


class BlobMissing(Exception):
    """No blob has this name, or it has not the bytes asked for."""

    def __init__(self) -> None:
        super().__init__("A blob, or a part of one, is not there.")


class BlobConflict(Exception):
    """A blob is not as the call required.

    `after_retry` tells that an earlier try of the same call got no clear answer. That try may have succeeded
    and this answer may be its echo; with a name nobody else uses, it has.
    """

    def __init__(self, *, after_retry: bool) -> None:
        super().__init__("A blob is not as required.")
        self.after_retry = after_retry


class BlobExists(BlobConflict):
    """A blob of this name exists."""


class Blobs:
    """The blobs of one account. A container is made at its first write; one not made reads as empty."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def put(
        self,
        container: str,
        name: str,
        body: Body,
        *,
        if_absent: bool = True,
        content_type: str = OCTET_TYPE,
    ) -> str:
        """Write a blob in one call and give its etag.

        Raises:
            BlobExists: There is one and `if_absent` is set.
            Unavailable: No clear answer came; whether it was written is unknown.
        """
        headers = {"x-ms-blob-type": "BlockBlob", "content-type": content_type, **_absence(if_absent)}
        request = Request("blob", "PUT", blob_path(container, name), headers=headers, body=_pieces(body))
        return await self._write(container, request)

    async def stage(self, container: str, name: str, block_id: str, body: Body) -> None:
        """Upload one block of a blob, which nobody sees before `commit`.

        All block ids of a blob have the same length. The service drops blocks not committed within a week.
        """
        query = (("comp", "block"), ("blockid", b64encode(block_id.encode()).decode("ascii")))
        headers = {"content-type": OCTET_TYPE}
        request = Request("blob", "PUT", blob_path(container, name), query, headers, _pieces(body))
        await self._write(container, request)

    async def commit(
        self,
        container: str,
        name: str,
        block_ids: Sequence[str],
        *,
        if_absent: bool = True,
        content_type: str = OCTET_TYPE,
    ) -> str:
        """Make a blob of staged blocks, in this order, and give its etag.

        Raises:
            BlobExists: There is one and `if_absent` is set.
            BlobMissing: A block was not staged.
            ValueError: There are more blocks than a blob can have.
            Unavailable: No clear answer came; whether it was made is unknown.
        """
        if len(block_ids) > MAX_BLOCKS:
            raise ValueError(f"A blob has {len(block_ids)} blocks; {MAX_BLOCKS} are allowed.")
        sdk = await self._wire.sdk()
        from azure.core import MatchConditions
        from azure.storage.blob import BlobBlock, ContentSettings

        client = sdk.blobs.get_blob_client(container, name)
        try:
            with sdk.refusals("blob"):
                made = await client.commit_block_list(
                    [BlobBlock(block_id=block_id) for block_id in block_ids],
                    content_settings=ContentSettings(content_type=content_type),
                    match_condition=MatchConditions.IfMissing if if_absent else None,
                )
        except StorageRefused as refusal:
            if refusal.code in _EXISTS:
                raise BlobExists(after_retry=refusal.after_retry) from refusal
            if refusal.code in _NOT_STAGED:
                raise BlobMissing from refusal
            raise
        return str(made["etag"])

    async def read(
        self, container: str, name: str, start: int = 0, length: int | None = None, *, etag: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Read a blob, or a range of it, in pieces as they come.

        A broken connection is taken up where it ended, as long as the blob is still the same. Storage is
        asked when the first piece is: who must refuse before the first byte of an answer takes that first.

        Args:
            container: Container name.
            name: Blob name.
            start: First byte, counted from 0.
            length: Bytes wanted; None means up to the end.
            etag: The version it must have; empty means any.

        Raises:
            BlobMissing: There is no such blob or version, or it ends before `start + length`.
            Unavailable: Storage did not answer, or broke off too often.
        """
        at, end = start, None if length is None else start + length
        broken = 0
        while end is None or at < end:
            request = Request("blob", "GET", blob_path(container, name), headers=_range(at, end, etag))
            async with self._wire.open(request) as response:
                end, etag = await _see_range(request, response, at, end)
                try:
                    async for piece in response.content.iter_any():
                        current().bytes_read += len(piece)
                        at, broken = at + len(piece), 0
                        yield piece
                except BROKEN as error:
                    broken += 1
                    if broken > READS_WITHOUT_PROGRESS:
                        raise Unavailable(UNAVAILABLE) from NoAnswer(error)

    async def read_all(self, container: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Read a range that fits in memory; raises as `read` does."""
        if length == 0:
            return b""
        end = None if length is None else start + length
        request = Request("blob", "GET", blob_path(container, name), headers=_range(start, end, ""))
        reply = await self._wire.send(request)
        if _is_missing(reply) or reply.status == 416:
            raise BlobMissing
        if reply.status not in (200, 206):
            raise StorageRefused(request, reply.status, reply.code)
        _check_end(start, start + len(reply.body), end)
        return reply.body

    async def exists(self, container: str, name: str) -> bool:
        """Tell whether there is a blob of this name."""
        request = Request("blob", "HEAD", blob_path(container, name))
        reply = await self._wire.send(request)
        if reply.status == 404:
            return False
        if reply.status != 200:
            raise StorageRefused(request, reply.status, reply.code)
        return True

    async def delete(self, container: str, name: str) -> bool:
        """Remove a blob; False when there was none. A repeated try that finds none has removed it."""
        request = Request("blob", "DELETE", blob_path(container, name))
        reply = await self._wire.send(request)
        if _is_missing(reply):
            return reply.after_retry
        if reply.status != 202:
            raise StorageRefused(request, reply.status, reply.code)
        return True

    async def delete_all(self, container: str, names: Sequence[str]) -> None:
        """Remove blobs of one container, by one call for some hundred. One that is not there does no harm."""
        for at in range(0, len(names), deletions.MAX_DELETIONS):
            some = names[at : at + deletions.MAX_DELETIONS]
            if len(some) == 1:
                await self.delete(container, some[0])
                continue
            request = await deletions.render(self._wire, container, [blob_path(container, n) for n in some])
            reply = await self._wire.send(request)
            if reply.status not in (202, 404):
                raise StorageRefused(request, reply.status, reply.code)
            # What was not done, as storage was busy with it, is asked for again, one by one.
            for index in deletions.left_over(reply, len(some)):
                await self.delete(container, some[index])

    async def list(self, container: str, prefix: str = "") -> AsyncGenerator[BlobEntry, None]:
        """List the blobs whose names begin with `prefix`, in the order of their names."""
        common = (("restype", "container"), ("comp", "list"), ("maxresults", str(LISTED_AT_ONCE)))
        marker: str | None = None
        while marker != "":
            query = (
                (*common, ("prefix", prefix))
                if marker is None
                else (*common, ("prefix", prefix), ("marker", marker))
            )
            request = Request("blob", "GET", f"/{container}", query)
            reply = await self._wire.send(request)
            if reply.status == 404:
                return
            if reply.status != 200:
                raise StorageRefused(request, reply.status, reply.code)
            entries, marker = parse_listing(reply.body)
            for entry in entries:
                yield entry

    async def _write(self, container: str, request: Request) -> str:
        reply = await self._wire.send(request)
        if reply.code == "ContainerNotFound":
            sdk = await self._wire.sdk()
            await sdk.make("blob", sdk.blobs.create_container(container))
            reply = await self._wire.send(request)
        if reply.status == 201:
            return reply.headers.get("etag", "")
        if reply.code in _EXISTS:
            raise BlobExists(after_retry=reply.after_retry)
        raise StorageRefused(request, reply.status, reply.code)


def blob_path(container: str, name: str) -> str:
    """Address of a blob, below the service's own."""
    return f"/{container}/{quote(name, safe='/~')}"


def _pieces(body: Body) -> tuple[bytes | memoryview, ...]:
    return (body,) if isinstance(body, bytes | memoryview) else tuple(body)


def _absence(if_absent: bool) -> dict[str, str]:
    return {"if-none-match": "*"} if if_absent else {}


def _range(start: int, end: int | None, etag: str) -> Mapping[str, str]:
    headers = {"if-match": etag} if etag else {}
    if start or end is not None:
        headers["x-ms-range"] = f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"
    return headers


async def _see_range(
    request: Request, response: aiohttp.ClientResponse, at: int, end: int | None
) -> tuple[int, str]:
    """Check that the answer is what was asked for, and find where it ends and which version it is of."""
    if response.status not in (200, 206):
        reply = Reply(response.status, response.headers, await response.read(), after_retry=False)
        if _is_missing(reply) or reply.status in (412, 416):
            raise BlobMissing
        raise StorageRefused(request, reply.status, reply.code)
    answered = at + int(response.headers["Content-Length"])
    _check_end(at, answered, end)
    return answered, response.headers.get("ETag", "")


def _check_end(start: int, answered: int, wanted: int | None) -> None:
    # The emulator answers a range that begins where the blob ends with nothing, the real service with 416.
    short = start == answered > 0 if wanted is None else answered != wanted
    if short:
        raise BlobMissing


def _is_missing(reply: Reply) -> bool:
    return reply.status == 404 and (reply.code in _MISSING or not reply.code)
