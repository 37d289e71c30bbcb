"""Sends the hot requests to the storage services: signs, retries, counts and turns failure into our errors.

Bare aiohttp, because the SDKs' pipelines cost two to thirty times the processor time of the call itself
(docs/decisions/0001-storage-client.md). What they keep well is kept here: a fresh date and signature for
each try, exponential back-off with jitter, Retry-After, a limit on the whole, and a time limit on every wait.
The SDKs, for all other calls, run over the same connections (`sdk.py`).
"""

import asyncio
import random
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from shared.errors import Unavailable
from shared.storage.calls import current
from shared.storage.connection import Connection, Service
from shared.storage.signing import Tokens, open_tokens, sign

if TYPE_CHECKING:
    from shared.storage.sdk import Sdk

API_VERSION: Final = "2020-12-06"
"""The oldest version with all that is used here (tables with identities); Azurite 3.35 knows it too."""

RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that say nothing about the request, only about the moment."""

BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""What is raised when a connection cannot be made, ends early or falls silent."""

PIECE_BYTES: Final = 256 * 1024
"""How much of a body is handed to the connection, or taken from it, at once."""

UNAVAILABLE: Final = "Storage does not answer for now; try again later."

_CODE = re.compile(rb'"code"\s*:\s*"(\w+)"|<Code>(\w+)</Code>')

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, how often and how widely storage is asked."""

    tries: int = 6
    """Requests sent for one call, the first included."""

    total_seconds: float = 40.0
    """After this long, no further try begins."""

    try_seconds: float = 20.0
    """Longest wait for the answer of one try; of a streamed body, for its next bytes."""

    connect_seconds: float = 5.0
    """Longest wait for a connection."""

    first_delay_seconds: float = 0.1
    """About the pause before the second try; it doubles from there."""

    longest_delay_seconds: float = 5.0
    """Where doubling ends."""

    slowest_bytes_a_second: int = 128 * 1024
    """A body adds its time at this rate to `try_seconds`."""

    connections: int = 256
    """Open connections of one process; further calls wait for one."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call, before it is dated and signed."""

    service: Service
    method: str
    path: str = field(repr=False)
    """Below the service's address, encoded, with a leading slash. It may hold keys from a dataset."""

    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Not encoded."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""

    body: tuple[bytes | memoryview, ...] | None = field(default=None, repr=False)
    """The pieces of the body, sent one after the other without being joined."""

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return sum(len(piece) for piece in self.body or ())


@dataclass(frozen=True, slots=True)
class Reply:
    """What storage answered, its body read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    after_retry: bool
    """An earlier try of this call got no clear answer; it may have been carried out all the same."""

    @property
    def code(self) -> str:
        """The service's own word for what went wrong, as `BlobNotFound`; empty when there is none."""
        return self.headers.get("x-ms-error-code") or find_code(self.body)


class StorageRefused(Exception):
    """Storage understood the request and refuses it: a wrong setting, a missing role or a bug of ours.

    The message holds neither names nor keys, as those may come from a dataset.
    """

    def __init__(self, request: Request, status: int, code: str, *, after_retry: bool = False) -> None:
        super().__init__(f"{request.service} storage answered {status} {code} to {request.method}.")
        self.status = status
        self.code = code
        self.after_retry = after_retry


class Busy(Exception):
    """A try got no clear answer: storage says that it cannot for now, or nothing at all."""

    def __init__(self, asked_to_wait: float = 0.0) -> None:
        super().__init__("Storage is busy.")
        self.asked_to_wait = asked_to_wait


class NoAnswer(Exception):
    """Why a try failed, for the log: without the address in aiohttp's own text, which may hold a name."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)


def find_code(body: bytes) -> str:
    """Find the service's error code in the JSON or XML of an answer."""
    found = _CODE.search(body)
    return (found[1] or found[2]).decode() if found else ""


class Wire:
    """The connections of this process to one storage account. It belongs to the loop of its first call."""

    def __init__(
        self, connection: Connection, *, limits: Limits | None = None, tokens: Tokens | None = None
    ) -> None:
        """Prepare without connecting.

        Args:
            connection: Where storage is.
            limits: Times and counts.
            tokens: Another proof of identity than the one `connection` leads to.
        """
        self.connection = connection
        self.limits = limits or Limits()
        self._tokens = tokens
        self._session: aiohttp.ClientSession | None = None
        self._until_closed: AsyncGenerator[None, None] | None = None
        self._sdk: Sdk | None = None
        self._read_timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.limits.connect_seconds, sock_read=self.limits.try_seconds
        )

    async def send(self, request: Request, *, is_busy: Callable[[Reply], bool] | None = None) -> Reply:
        """Send a request until there is an answer, and read it whole.

        Args:
            request: What to ask. It is sent as often as needed.
            is_busy: Finds a passing failure that the status does not tell.

        Raises:
            Unavailable: There was none within the limits.
        """

        async def read(response: aiohttp.ClientResponse, after_retry: bool) -> Reply:
            body = await response.read()
            current().bytes_read += len(body)
            reply = Reply(response.status, response.headers, body, after_retry)
            if is_busy is not None and is_busy(reply):
                raise Busy
            return reply

        return await self._until_answered(request, read)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request until there is an answer, and leave its body to be read.

        Reading may raise one of `BROKEN`; going on from there is the caller's part.
        """

        async def keep(response: aiohttp.ClientResponse, _after_retry: bool) -> aiohttp.ClientResponse:
            return response

        async with await self._until_answered(request, keep) as response:
            yield response

    async def sdk(self) -> "Sdk":
        """The official clients, over these connections."""
        if self._sdk is None:
            # In a thread, as loading takes long and other requests need not wait for it.
            made = await asyncio.to_thread(_make_sdk, self)
            self._sdk = self._sdk or made
        return self._sdk

    @property
    def tokens(self) -> Tokens | None:
        """The proof of an identity; None with a key."""
        if self._tokens is None and self.connection.key is None:
            self._tokens = open_tokens(self.connection)
        return self._tokens

    async def session(self) -> aiohttp.ClientSession:
        """The connections, to be opened if they are not."""
        if self._session is None:
            self._session = _open_session(self.connection, self.limits)
            self._until_closed = self._stay_open()
            await anext(self._until_closed)
        return self._session

    async def aclose(self) -> None:
        """Close all connections. A later call opens new ones."""
        if self._until_closed is not None:
            await self._until_closed.aclose()
        await self._close()

    async def _stay_open(self) -> AsyncGenerator[None, None]:
        # A host tells its functions nothing when it ends. But asyncio closes generators left over before it
        # closes their loop, and that is the last moment at which connections can be closed properly.
        try:
            yield
        finally:
            await self._close()

    async def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            await tokens.aclose()

    async def _until_answered(
        self, request: Request, finish: Callable[[aiohttp.ClientResponse, bool], Awaitable[T]]
    ) -> T:
        async def attempt(unclear: bool) -> T:
            response = await self._try(request)
            if response.status in RETRIED:
                await response.read()
                raise Busy(retry_after(response.headers))
            return await finish(response, unclear)

        return await persist(self.limits, attempt)

    async def _try(self, request: Request) -> aiohttp.ClientResponse:
        response = await self._send_once(request)
        if response.status == 401 and self.tokens is not None:
            # Roles and keys of the token service change; a new token settles whether it was only the token.
            response.release()
            self.tokens.forget()
            response = await self._send_once(request)
        return response

    async def _send_once(self, request: Request) -> aiohttp.ClientResponse:
        address, headers = await self._complete(request)
        calls = current()
        calls.calls += 1
        calls.bytes_written += request.length
        session = await self.session()
        return await session.request(
            request.method,
            address,
            headers=headers,
            data=_payload(request),
            timeout=self._timeout(request),
            allow_redirects=False,
        )

    async def _complete(self, request: Request) -> tuple[URL, dict[str, str]]:
        base = self.connection.base(request.service)
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API_VERSION, **request.headers}
        if request.body is not None:
            headers["content-length"] = str(request.length)
        headers["authorization"] = await self.authorize(request, headers)
        return URL(base + request.path + _query_text(request.query), encoded=True), headers

    async def authorize(self, request: Request, headers: Mapping[str, str]) -> str:
        """Make the Authorization header of a request, or of one within another, that has these headers."""
        if self.tokens is not None:
            return await self.tokens.header()
        target = (urlsplit(self.connection.base(request.service)).path + request.path, request.query)
        return sign(self.connection, request.service, request.method, target, headers)

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        if request.length < self.limits.slowest_bytes_a_second:
            return self._read_timeout
        sending = request.length / self.limits.slowest_bytes_a_second
        return aiohttp.ClientTimeout(
            total=self.limits.try_seconds + sending,
            sock_connect=self.limits.connect_seconds,
            sock_read=self.limits.try_seconds,
        )


async def persist(limits: Limits, attempt: Callable[[bool], Awaitable[T]]) -> T:
    """Try until there is a clear answer.

    Args:
        limits: How often and how long.
        attempt: One try, told whether an earlier one may have been carried out. It fails with `Busy` or one
            of `BROKEN` when there shall be another.

    Raises:
        Unavailable: There was none within the limits.
    """
    limit = time.monotonic() + limits.total_seconds
    number = 1
    while True:
        try:
            return await attempt(number > 1)
        except (*BROKEN, Busy) as error:
            asked_to_wait = error.asked_to_wait if isinstance(error, Busy) else 0.0
            delay = pick_delay(limits, number, asked_to_wait)
            if number >= limits.tries or time.monotonic() + delay > limit:
                raise Unavailable(UNAVAILABLE, asked_to_wait) from NoAnswer(error)
        await asyncio.sleep(delay)
        number += 1


def pick_delay(limits: Limits, number: int, asked_to_wait: float) -> float:
    """Choose the pause after try `number` failed: doubling, spread at random, never below what was asked."""
    doubled: float = limits.first_delay_seconds * 2 ** (number - 1)
    return max(asked_to_wait, min(doubled, limits.longest_delay_seconds) * random.uniform(0.5, 1.0))


def retry_after(headers: Mapping[str, str]) -> float:
    """How many seconds storage asks to wait; 0 when it does not say."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _make_sdk(wire: Wire) -> "Sdk":
    from shared.storage.sdk import Sdk

    return Sdk(wire)


def _open_session(connection: Connection, limits: Limits) -> aiohttp.ClientSession:
    # Loading the certificates to trust takes longer than a whole store; the emulator has none.
    addresses = (connection.blob, connection.queue, connection.table)
    tls = ssl.create_default_context() if any(each.startswith("https:") for each in addresses) else True
    connector = aiohttp.TCPConnector(limit=limits.connections, ssl=tls)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding", "Content-Type", "User-Agent"),
        read_bufsize=PIECE_BYTES,
    )
    # aiohttp repeats a PUT or GET by itself when a kept connection turns out closed. We must know of
    # every repetition, so it is left to us; test_wire.py fails should this name ever change.
    session._retry_connection = False
    return session


def _query_text(query: Sequence[tuple[str, str]]) -> str:
    if not query:
        return ""
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query)


def _payload(request: Request) -> bytes | AsyncIterator[bytes | memoryview] | None:
    body = request.body
    if body is None:
        return None
    if len(body) == 1 and isinstance(body[0], bytes) and len(body[0]) <= PIECE_BYTES:
        return body[0]
    return _pieces(body)


async def _pieces(body: Sequence[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
    # Small pieces let other requests have the processor between them, and none is copied.
    for part in body:
        if len(part) <= PIECE_BYTES:
            yield part
            continue
        view = memoryview(part)
        for start in range(0, len(view), PIECE_BYTES):
            yield view[start : start + PIECE_BYTES]
