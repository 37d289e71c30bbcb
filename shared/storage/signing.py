"""The two proofs storage accepts: a signature with the account's key, and a token of an identity.

Source: "Authorize with Shared Key" and "Authorize with Microsoft Entra ID" of the storage services.
"""

import asyncio
import hmac
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shared.errors import Unavailable
from shared.storage.connection import Connection, Service

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

SCOPE: Final = "https://storage.azure.com/.default"

RENEW_SECONDS_BEFORE_END: Final = 300
"""How long before its end a token is replaced."""

RETRY_SECONDS: Final = 30
"""How long a token that could not be replaced is used before asking again."""

_SIGNED_HEADERS: Final = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def sign(
    connection: Connection,
    service: Service,
    method: str,
    target: tuple[str, Sequence[tuple[str, str]]],
    headers: Mapping[str, str],
) -> str:
    """Make the Authorization header for a request that is otherwise complete.

    Args:
        connection: Names the account and its key.
        service: Tables are signed by the short scheme, which covers date and path only.
        method: HTTP method.
        target: Path as it stands in the request (encoded), and the query (not encoded).
        headers: All headers, with lower-case names.
    """
    assert connection.key is not None, "Signing needs a key; an identity sends a token."
    path, query = target
    resource = f"/{connection.account}{path}"
    if service == "table":
        text, scheme = f"{headers['x-ms-date']}\n{resource}", "SharedKeyLite"
    else:
        text, scheme = _text_to_sign(method, headers, resource, query), "SharedKey"
    signature = b64encode(hmac.digest(connection.key, text.encode(), "sha256")).decode()
    return f"{scheme} {connection.account}:{signature}"


def _text_to_sign(
    method: str, headers: Mapping[str, str], resource: str, query: Sequence[tuple[str, str]]
) -> str:
    plain = [headers.get(name, "") for name in _SIGNED_HEADERS]
    if plain[2] == "0":
        plain[2] = ""
    own = [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
    asked = [f"{name}:{value}" for name, value in sorted(query)]
    return "\n".join([method, *plain, *own, resource, *asked])


class Tokens:
    """Keeps one token of an identity and replaces it in time."""

    def __init__(self, credential: "AsyncTokenCredential") -> None:
        self._credential = credential
        self._lock = asyncio.Lock()
        self._token = ""
        self._end = 0.0
        self._renew_at = 0.0

    async def header(self) -> str:
        """The Authorization header to send now; raises as `current` does."""
        token, _ = await self.current()
        return f"Bearer {token}"

    async def current(self) -> tuple[str, float]:
        """The token to send now, and the time at which it ends, in seconds since 1970.

        Raises:
            Unavailable: No token was given, and the one we had has ended.
        """
        if time.time() >= self._renew_at:
            async with self._lock:
                if time.time() >= self._renew_at:
                    await self._renew()
        return self._token, self._end

    def forget(self) -> None:
        """Ask for a new token at the next call, as storage refused this one."""
        self._end = self._renew_at = 0.0

    async def aclose(self) -> None:
        """Close the credential's own connections."""
        await self._credential.close()

    async def _renew(self) -> None:
        from azure.core.exceptions import AzureError

        try:
            token = await self._credential.get_token(SCOPE)
        except AzureError as error:
            if time.time() < self._end:
                self._renew_at = time.time() + RETRY_SECONDS
                return
            raise Unavailable("Storage cannot be reached for now; try again later.") from error
        self._token, self._end = token.token, float(token.expires_on)
        self._renew_at = self._end - RENEW_SECONDS_BEFORE_END


def open_tokens(connection: Connection) -> Tokens:
    """Use the identity this process has: managed in Azure, the developer's own elsewhere."""
    # Imported here: it takes longer to load than all the rest of storage, and local work never needs it.
    from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

    if connection.managed:
        return Tokens(ManagedIdentityCredential(client_id=connection.client_id))
    return Tokens(DefaultAzureCredential(managed_identity_client_id=connection.client_id))
