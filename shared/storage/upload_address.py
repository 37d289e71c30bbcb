"""Addresses at which clients may write one blob, for a short time, and do nothing else.

With an identity they are signed by a key that the identity is given for a while (user delegation), so no
key of the account exists anywhere. With an account key, as Azurite has one, by that key.

Source: "Create a user delegation SAS", "Create a service SAS".
"""

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from shared.storage import keys
from shared.storage.blobs import blob_path
from shared.storage.wire import Wire

if TYPE_CHECKING:
    from azure.storage.blob import UserDelegationKey

    from shared.storage.sdk import Sdk

KEY_SERVES = timedelta(hours=12)
"""How long a delegated key outlives the address it was asked for; keys last seven days at most."""

CLOCKS_DIFFER = timedelta(minutes=5)


class _Proof(TypedDict, total=False):
    account_key: str
    user_delegation_key: "UserDelegationKey"


class UploadAddresses:
    """Makes addresses, and remembers what it takes."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._has_container = False
        self._key: UserDelegationKey | None = None
        self._key_ends = datetime.min.replace(tzinfo=UTC)

    async def make(self, wire: Wire, upload: str, expires: datetime) -> str:
        """Make the address at which the content of an upload may be written until it expires.

        Raises:
            StorageRefused: The identity may not delegate.
            Unavailable: Storage does not answer.
        """
        sdk = await wire.sdk()
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        async with self._lock:
            await self._make_container(sdk)
            proof = await self._prove(wire, sdk, expires)
        address = wire.connection.blob
        # The emulator is reached without TLS; nothing else is.
        protocol = "https" if address.startswith("https:") else "https,http"
        token = generate_blob_sas(
            str(wire.connection.account or sdk.blobs.account_name),
            keys.UPLOADS,
            upload,
            permission=BlobSasPermissions(create=True, write=True),
            expiry=expires,
            protocol=protocol,
            **proof,
        )
        return f"{address}{blob_path(keys.UPLOADS, upload)}?{token}"

    async def _make_container(self, sdk: "Sdk") -> None:
        if not self._has_container:
            await sdk.make("blob", sdk.blobs.create_container(keys.UPLOADS))
            self._has_container = True

    async def _prove(self, wire: Wire, sdk: "Sdk", expires: datetime) -> _Proof:
        if wire.tokens is None:
            assert wire.connection.key is not None, "Without an identity there is a key."
            return {"account_key": b64encode(wire.connection.key).decode()}
        if self._key is None or expires > self._key_ends:
            now = datetime.now(UTC)
            ends = min(expires + KEY_SERVES, now + timedelta(days=7) - CLOCKS_DIFFER)
            with sdk.refusals("blob"):
                self._key = await sdk.blobs.get_user_delegation_key(now - CLOCKS_DIFFER, ends)
            self._key_ends = ends
        return {"user_delegation_key": self._key}
