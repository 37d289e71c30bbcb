"""Which blobs a function has had, kept in storage so that a restart does not call it again for them.

As in the real host a receipt is an empty blob in the container `azure-webjobs-hosts`. It is written only
for a blob that is still there when its container is listed again, so an app that deletes what it has
handled costs nothing.
"""

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from local.bindings import create

CONTAINER = "azure-webjobs-hosts"

BATCH = 100
"""Receipts written after one listing; the others wait for the next, so that polling goes on."""


class Receipts:
    """The blobs done by one function: name and etag."""

    def __init__(self, service: BlobServiceClient, function: str, container: str) -> None:
        self.store = service.get_container_client(CONTAINER)
        self.prefix = f"blobreceipts/local/{function}/"
        self.container = container
        self.done: dict[str, str] = {}
        self.written: dict[str, str] = {}

    async def load(self) -> None:
        try:
            async for path in self.store.list_blob_names(name_starts_with=self.prefix):
                etag, container, name = path.removeprefix(self.prefix).split("/", 2)
                if container == self.container:
                    self.done[name] = self.written[name] = etag
        except ResourceNotFoundError:
            return

    def has(self, name: str, etag: str) -> bool:
        return self.done.get(name) == etag

    def add(self, name: str, etag: str) -> None:
        self.done[name] = etag

    async def settle(self, present: set[str]) -> None:
        """After a whole listing: write receipts for what stays, drop those of what is gone."""
        for name in [name for name in self.done if name not in present]:
            del self.done[name]
        changed = [
            name for name in {**self.written, **self.done} if self.written.get(name) != self.done.get(name)
        ]
        for name in changed[:BATCH]:
            await self.write(name)

    async def write(self, name: str) -> None:
        old, new = self.written.pop(name, None), self.done.get(name)
        if new is not None:
            await self.put(self.path(name, new))
            self.written[name] = new
        if old is not None:
            try:
                await self.store.delete_blob(self.path(name, old))
            except ResourceNotFoundError:
                return

    async def put(self, path: str) -> None:
        try:
            await self.store.upload_blob(path, b"", overwrite=True)
        except ResourceNotFoundError:
            await create(self.store)
            await self.store.upload_blob(path, b"", overwrite=True)

    def path(self, name: str, etag: str) -> str:
        return f"{self.prefix}{etag}/{self.container}/{name}"
