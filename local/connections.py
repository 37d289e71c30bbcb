"""Storage clients for the connections that bindings name."""

from typing import Any

from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from local.errors import SettingsError
from local.settings import Settings

HOST_STORAGE = "AzureWebJobsStorage"

# A dead emulator should be noticed in seconds; the triggers come again anyway.
PATIENCE: dict[str, Any] = {
    "retry_total": 2,
    "initial_backoff": 0.1,
    "increment_base": 0.5,
    "random_jitter_range": 0,
    "connection_timeout": 5,
}


class Connections:
    """Opens each connection once and closes all of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.opened: dict[tuple[str, str], Any] = {}
        self.credential: Any = None

    def blobs(self, name: str) -> BlobServiceClient:
        """The blob service of a connection.

        Raises:
            SettingsError: The settings do not say where it is.
        """
        client: BlobServiceClient = self.open(name, "blob", BlobServiceClient)
        return client

    def queues(self, name: str) -> QueueServiceClient:
        """The queue service of a connection.

        Raises:
            SettingsError: The settings do not say where it is.
        """
        client: QueueServiceClient = self.open(name, "queue", QueueServiceClient)
        return client

    def has(self, name: str) -> bool:
        """Whether a connection of this name is set at all, for blobs."""
        return bool(self.find_string(name) or self.find_uri(name, "blob"))

    async def close(self) -> None:
        for client in self.opened.values():
            await client.close()
        if self.credential is not None:
            await self.credential.close()

    def open(self, name: str, service: str, kind: Any) -> Any:
        name = name or HOST_STORAGE
        if (name, service) not in self.opened:
            self.opened[name, service] = self.connect(name, service, kind)
        return self.opened[name, service]

    def connect(self, name: str, service: str, kind: Any) -> Any:
        if text := self.find_string(name):
            try:
                return kind.from_connection_string(text, **PATIENCE)
            except ValueError as error:
                raise SettingsError(f"The connection {name} is not a storage connection string.") from error
        if uri := self.find_uri(name, service):
            return kind(uri, credential=self.find_credential(name), **PATIENCE)
        raise SettingsError(
            f"The connection {name} is not set: "
            f"set {name} to a connection string, or {name}__{service}ServiceUri to an address."
        )

    def find_string(self, name: str) -> str | None:
        """Look for a connection string; like the real host, under the name with the old prefix first."""
        return self.settings.get(f"AzureWebJobs{name}") or self.settings.get(name)

    def find_uri(self, name: str, service: str) -> str | None:
        account = self.settings.get(f"{name}__accountName")
        default = f"https://{account}.{service}.core.windows.net" if account else None
        return self.settings.get(f"{name}__{service}ServiceUri") or default

    def find_credential(self, name: str) -> Any:
        if self.credential is None:
            from azure.identity.aio import DefaultAzureCredential

            client = self.settings.get(f"{name}__clientId")
            self.credential = DefaultAzureCredential(
                **({"managed_identity_client_id": client} if client else {})
            )
        return self.credential
