"""Leases: at most one holder at a time of one blob's name, for a limited time."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING
from uuid import uuid4

from shared.storage.blobs import BlobExists, Blobs
from shared.storage.wire import StorageRefused, Wire

if TYPE_CHECKING:
    from azure.storage.blob.aio import BlobLeaseClient


class Leases:
    """Leases on blobs of one account. The blob, empty, is made when it is first asked for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def acquire(self, container: str, name: str, seconds: int) -> str | None:
        """Take the lease for 15 to 60 seconds and give its id; None when somebody else holds it."""
        # The id is ours, so a repeated try finds its own lease and not a stranger's.
        lease = str(uuid4())
        client = await self._client(container, name, lease)
        status = await self._ask(client.acquire(seconds))
        if status == 404:
            await self._make(container, name)
            status = await self._ask(client.acquire(seconds))
        return lease if status == 200 else None

    async def renew(self, container: str, name: str, lease: str) -> bool:
        """Hold the lease for its full time again; False when it is ours no longer."""
        return await self._ask((await self._client(container, name, lease)).renew()) == 200

    async def release(self, container: str, name: str, lease: str) -> bool:
        """Give the lease back; False when it was ours no longer."""
        return await self._ask((await self._client(container, name, lease)).release()) == 200

    async def _client(self, container: str, name: str, lease: str) -> "BlobLeaseClient":
        sdk = await self._wire.sdk()
        from azure.storage.blob.aio import BlobLeaseClient

        return BlobLeaseClient(sdk.blobs.get_blob_client(container, name), lease_id=lease)

    async def _ask(self, asked: Awaitable[object]) -> int:
        """Give 200, or the status with which the lease was denied."""
        try:
            with (await self._wire.sdk()).refusals("blob"):
                await asked
        except StorageRefused as refusal:
            # 409 and 412 are the answers to who does not hold it, 404 to who asks for a blob not made yet.
            if refusal.status not in (404, 409, 412):
                raise
            return refusal.status
        return 200

    async def _make(self, container: str, name: str) -> None:
        try:
            await Blobs(self._wire).put(container, name, b"")
        except BlobExists:
            return
