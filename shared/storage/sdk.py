"""The official SDKs, for what is not hot: making containers, tables and queues, leases, messages, commits.

They run over the wire's connections, with its limits, its count of calls and its proof of identity, and their
errors end here. Their own retries are off: they differ between the three, and none covers what the wire does
(tables never repeat a POST whose connection broke, blobs and queues never a 429).

Loading this takes longer than all the rest of storage, so only `Wire.sdk` imports it, at the first such call.
"""

import logging
from base64 import b64encode
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, TypedDict
from weakref import WeakSet

from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.exceptions import (
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from shared.errors import Unavailable
from shared.storage.calls import current
from shared.storage.connection import Service
from shared.storage.wire import (
    API_VERSION,
    RETRIED,
    UNAVAILABLE,
    Busy,
    Request,
    StorageRefused,
    Wire,
    persist,
    retry_after,
)

_BROKEN: Final = (ServiceRequestError, ServiceResponseError, IncompleteReadError)

# It would log the address of every call, and blob names hold UIDs.
logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)


class Sdk:
    """The SDKs' clients of one storage account. They own nothing that would have to be closed."""

    def __init__(self, wire: Wire) -> None:
        self._transport = _Transport(wire)
        connection = wire.connection
        options = _Options(
            credential=_credential(wire), transport=self._transport, api_version=API_VERSION, retry_total=0
        )
        self.blobs = BlobServiceClient(connection.blob, **options)
        self.queues = QueueServiceClient(connection.queue, **options)
        self.tables = TableServiceClient(connection.table, **options)

    async def make(self, service: Service, making: Awaitable[object]) -> None:
        """Make a container, table or queue, unless another request has made it meanwhile."""
        try:
            with self.refusals(service):
                await making
        except StorageRefused as refusal:
            if refusal.code.endswith("BeingDeleted"):
                raise Unavailable(UNAVAILABLE) from refusal
            if not refusal.code.endswith("AlreadyExists"):
                raise

    @contextmanager
    def refusals(self, service: Service) -> Iterator[None]:
        """Turn what an SDK raises within this block into `StorageRefused`.

        A call that gets no clear answer fails as `Unavailable` without this.
        """
        try:
            yield
        except HttpResponseError as error:
            # Its type is left open, as there are two kinds of answers without a common one.
            response: Any = error.response
            method = response.request.method if response is not None else "?"
            # Set by the SDKs, from the header or the body of the answer; an enumeration of text.
            code = getattr(error, "error_code", None) or ""
            raise StorageRefused(
                Request(service, method, ""),
                error.status_code or 0,
                str(getattr(code, "value", code)),
                after_retry=response in self._transport.after_retry,
            ) from error


def _credential(wire: Wire) -> "AzureNamedKeyCredential | _Identity":
    key = wire.connection.key
    if wire.tokens is not None or key is None:
        return _Identity(wire)
    return AzureNamedKeyCredential(wire.connection.account, b64encode(key).decode())


class _Options(TypedDict):
    credential: "AzureNamedKeyCredential | _Identity"
    transport: "_Transport"
    api_version: str
    retry_total: int


class _Transport(AioHttpTransport):  # type: ignore[misc]  # azure-core gives it out without its type
    """Sends what the SDKs have made ready, as often as the wire would, and counts every try.

    Date and signature stay the same over the tries of a call, which end long before those do.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self.after_retry: WeakSet[object] = WeakSet()
        """Answers that follow a try without a clear one."""

    async def open(self) -> None:
        self.session = await self._wire.session()

    async def close(self) -> None:
        """Nothing: the connections are the wire's."""

    # The SDKs send two kinds of requests, of the same face but without a common type.
    async def send(self, request: Any, **config: Any) -> Any:
        async def attempt(unclear: bool) -> Any:
            response = await self._send_once(request, config)
            if response.status_code in RETRIED:
                raise Busy(retry_after(response.headers))
            if unclear:
                self.after_retry.add(response)
            return response

        return await persist(self._wire.limits, attempt)

    async def _send_once(self, request: Any, config: dict[str, Any]) -> Any:
        limits = self._wire.limits
        times = {"connection_timeout": limits.connect_seconds, "read_timeout": limits.try_seconds}
        calls = current()
        calls.calls += 1
        calls.bytes_written += int(request.headers.get("Content-Length", 0))
        try:
            response = await super().send(request, **{**config, **times})
        except _BROKEN as error:
            raise Busy from error
        calls.bytes_read += len(response.body())
        if response.status_code == 401 and self._wire.tokens is not None:
            # The SDK asks for a token again and sends the request once more.
            self._wire.tokens.forget()
        return response


class _Identity:
    """The wire's token, for SDKs that ask for one."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        assert self._wire.tokens is not None, "Made for a wire with an identity."
        token, end = await self._wire.tokens.current()
        return AccessToken(token, int(end))

    async def close(self) -> None:
        """Nothing: the wire closes its own."""

    async def __aenter__(self) -> "_Identity":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Nothing."""
