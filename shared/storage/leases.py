"""Leases: at most one holder at a time of one blob's name, for a limited time.

Source: "Lease Blob".
"""

from uuid import uuid4

from shared.storage.blobs import BlobExists, Blobs, blob_path
from shared.storage.wire import Reply, Request, StorageRefused, Wire


class Leases:
    """Leases on blobs of one account. The blob, empty, is made when it is first asked for."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def acquire(self, container: str, name: str, seconds: int) -> str | None:
        """Take the lease for 15 to 60 seconds and give its id; None when somebody else holds it."""
        # The id is ours, so a repeated try finds its own lease and not a stranger's.
        lease = str(uuid4())
        headers = {"x-ms-lease-duration": str(seconds), "x-ms-proposed-lease-id": lease}
        reply = await self._ask(container, name, "acquire", headers)
        if reply.status == 404:
            await self._make(container, name)
            reply = await self._ask(container, name, "acquire", headers)
        return lease if reply.status in (200, 201) else None

    async def renew(self, container: str, name: str, lease: str) -> bool:
        """Hold the lease for its full time again; False when it is ours no longer."""
        return (await self._ask(container, name, "renew", {"x-ms-lease-id": lease})).status == 200

    async def release(self, container: str, name: str, lease: str) -> bool:
        """Give the lease back; False when it was ours no longer."""
        return (await self._ask(container, name, "release", {"x-ms-lease-id": lease})).status == 200

    async def _ask(self, container: str, name: str, action: str, headers: dict[str, str]) -> Reply:
        request = Request(
            "blob",
            "PUT",
            blob_path(container, name),
            (("comp", "lease"),),
            {"x-ms-lease-action": action, **headers},
        )
        reply = await self._wire.send(request)
        # 409 and 412 are the answers to who does not hold it, 404 to who asks for a blob not made yet.
        if reply.status not in (200, 201, 404, 409, 412):
            raise StorageRefused(request, reply.status, reply.code)
        return reply

    async def _make(self, container: str, name: str) -> None:
        try:
            await Blobs(self._wire).put(container, name, b"")
        except BlobExists:
            return
