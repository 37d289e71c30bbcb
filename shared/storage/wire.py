"""Sends requests to the storage services: signs, retries, counts and turns failure into our errors.

Bare aiohttp, because the SDKs' pipelines cost two to thirty times the processor time of the call itself
(docs/decisions/0001-storage-client.md). What they keep well is kept here: a fresh date and signature for
each try, exponential back-off with jitter, Retry-After, a limit on the whole, and a time limit on every wait.
"""

import asyncio
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from shared.errors import Unavailable
from shared.storage.calls import current
from shared.storage.connection import Connection, Service
from shared.storage.signing import Tokens, open_tokens, sign

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

    def __init__(self, request: Request, status: int, code: str) -> None:
        super().__init__(f"{request.service} storage answered {status} {code} to {request.method}.")
        self.status = status
        self.code = code


class _Busy(Exception):
    """A passing failure lay within the body of an answer."""


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
                raise _Busy
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

    async def aclose(self) -> None:
        """Close all connections. A later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            await tokens.aclose()

    async def _until_answered(
        self, request: Request, finish: Callable[[aiohttp.ClientResponse, bool], Awaitable[T]]
    ) -> T:
        limit = time.monotonic() + self.limits.total_seconds
        unclear = False
        for number in range(1, self.limits.tries + 1):
            cause: Exception | None = None
            asked_to_wait = 0.0
            try:
                response = await self._try(request)
                if response.status not in RETRIED:
                    return await finish(response, unclear)
                asked_to_wait = _retry_after(response.headers)
                await response.read()
            except (*BROKEN, _Busy) as error:
                cause = error
            unclear = True
            delay = pick_delay(self.limits, number, asked_to_wait)
            if number == self.limits.tries or time.monotonic() + delay > limit:
                raise Unavailable(UNAVAILABLE) from cause
            await asyncio.sleep(delay)
        raise Unavailable(UNAVAILABLE)

    async def _try(self, request: Request) -> aiohttp.ClientResponse:
        response = await self._send_once(request)
        if response.status == 401 and self._tokens is not None:
            # Roles and keys of the token service change; a new token settles whether it was only the token.
            response.release()
            self._tokens.forget()
            response = await self._send_once(request)
        return response

    async def _send_once(self, request: Request) -> aiohttp.ClientResponse:
        address, headers = await self._complete(request)
        calls = current()
        calls.calls += 1
        calls.bytes_written += request.length
        return await self._opened().request(
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
        if self.connection.key is not None and self._tokens is None:
            target = (urlsplit(base).path + request.path, request.query)
            headers["authorization"] = sign(self.connection, request.service, request.method, target, headers)
        else:
            self._tokens = self._tokens or open_tokens(self.connection)
            headers["authorization"] = await self._tokens.header()
        return URL(base + request.path + _query_text(request.query), encoded=True), headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self.limits.connections, ssl=ssl.create_default_context())
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding", "Content-Type", "User-Agent"),
                read_bufsize=PIECE_BYTES,
            )
            # aiohttp repeats a PUT or GET by itself when a kept connection turns out closed. We must know of
            # every repetition, so it is left to us; test_wire.py fails should this name ever change.
            self._session._retry_connection = False
        return self._session

    def _timeout(self, request: Request) -> aiohttp.ClientTimeout:
        if request.length < self.limits.slowest_bytes_a_second:
            return self._read_timeout
        sending = request.length / self.limits.slowest_bytes_a_second
        return aiohttp.ClientTimeout(
            total=self.limits.try_seconds + sending,
            sock_connect=self.limits.connect_seconds,
            sock_read=self.limits.try_seconds,
        )


def pick_delay(limits: Limits, number: int, asked_to_wait: float) -> float:
    """Choose the pause after try `number` failed: doubling, spread at random, never below what was asked."""
    doubled: float = limits.first_delay_seconds * 2 ** (number - 1)
    return max(asked_to_wait, min(doubled, limits.longest_delay_seconds) * random.uniform(0.5, 1.0))


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


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
