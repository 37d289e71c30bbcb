"""Where events go: an Event Grid topic, or any HTTP endpoint that takes them as Event Grid posts them."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from shared.changefeed.events import CONTENT_TYPES, EVENT_GRID, Event

if TYPE_CHECKING:
    from azure.core.credentials import AzureKeyCredential
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.eventgrid.aio import EventGridPublisherClient

    Credential = AsyncTokenCredential | AzureKeyCredential

TRIES: Final = 3
FIRST_DELAY_SECONDS: Final = 0.2
LONGEST_DELAY_SECONDS: Final = 5.0
"""Of what a sink may ask for by Retry-After; who wants longer pauses is tried again by a later run."""

TRY_SECONDS: Final = 10.0
TOPIC_SECONDS: Final = 60.0
"""For all tries of the client of Event Grid."""

PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
TOO_LARGE: Final = 413

_BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError)


class SinkFailed(Exception):
    """Events were not taken, or nobody knows. The text holds a status or a type, and no address."""

    def __init__(self, text: str, *, is_too_large: bool = False) -> None:
        super().__init__(text)
        self.is_too_large = is_too_large


class Sink(Protocol):
    """Takes events: an Event Grid topic or an HTTP endpoint."""

    async def send(self, events: Sequence[Event]) -> None:
        """Send some events in one request, again if it has to be.

        Raises:
            SinkFailed: They may not have been taken.
        """


OpenSink = Callable[[], AbstractAsyncContextManager[Sink]]


def to_endpoint(url: str, schema: str) -> OpenSink:
    """A sink at any address."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Sink]:
        timeout = aiohttp.ClientTimeout(total=TRY_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield _Endpoint(session, url, schema)

    return opened


def to_event_grid(endpoint: str, credential: Callable[[], "Credential"] | None = None) -> OpenSink:
    """An Event Grid topic, with the identity of this process unless told otherwise."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Sink]:
        # Imported here: they take long to load, and most processes never send an event.
        from azure.eventgrid.aio import EventGridPublisherClient

        known = (credential or _identity)()
        client = EventGridPublisherClient(
            endpoint, known, retry_total=TRIES - 1, connection_timeout=TRY_SECONDS, read_timeout=TRY_SECONDS
        )
        try:
            async with client:
                yield _Topic(client)
        finally:
            close = getattr(known, "close", None)
            if close is not None:
                await close()

    return opened


def _identity() -> "Credential":
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


class _Endpoint:
    def __init__(self, session: aiohttp.ClientSession, url: str, schema: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Content-Type": CONTENT_TYPES[schema]}
        if schema == EVENT_GRID:
            self._headers["aeg-event-type"] = "Notification"

    async def send(self, events: Sequence[Event]) -> None:
        body = json.dumps(events, separators=(",", ":")).encode()
        for number in range(1, TRIES + 1):
            status, pause = await self._try(body)
            if status.isdigit() and 200 <= int(status) < 300:
                return
            if number == TRIES or (status.isdigit() and int(status) not in PASSING):
                raise SinkFailed(status, is_too_large=status == str(TOO_LARGE))
            delay: float = FIRST_DELAY_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1)
            await asyncio.sleep(min(max(pause, delay), LONGEST_DELAY_SECONDS))

    async def _try(self, body: bytes) -> tuple[str, float]:
        """The status of an answer, or what kept us from one; and for how long we are asked to wait."""
        request = self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False)
        try:
            async with request as answer:
                asked = answer.headers.get("Retry-After", "")
                return str(answer.status), float(asked) if asked.isdecimal() else 0.0
        except _BROKEN as error:
            return type(error).__name__, 0.0


class _Topic:
    def __init__(self, client: "EventGridPublisherClient") -> None:
        self._client = client

    async def send(self, events: Sequence[Event]) -> None:
        from azure.core.exceptions import AzureError, HttpResponseError

        try:
            async with asyncio.timeout(TOPIC_SECONDS):
                await self._client.send([dict(event) for event in events])
        except HttpResponseError as error:
            status = error.status_code or 0
            raise SinkFailed(str(status), is_too_large=status == TOO_LARGE) from None
        except (AzureError, TimeoutError) as error:
            # The text of some of these holds the address.
            raise SinkFailed(type(error).__name__) from None
