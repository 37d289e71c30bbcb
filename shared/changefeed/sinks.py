"""Where events go: an Event Grid topic, or any HTTP endpoint that takes them as Event Grid posts them."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
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
TOPIC_SECONDS: Final = 30.0
"""For one try of the client of Event Grid, which may have to get a token first."""

PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
REFUSED: Final = frozenset({400, 413, 422})
"""Statuses about what was sent, and not about who sends it or where to: the same would be refused again."""

_BROKEN: Final = (aiohttp.ClientError, TimeoutError, OSError)


class SinkFailed(Exception):
    """Events were not taken, or nobody knows. The text holds a status or a type, and no address."""

    def __init__(self, text: str, *, is_refused: bool = False, pause_seconds: float = 0) -> None:
        super().__init__(text)
        self.is_refused = is_refused
        """Whether it is for what was sent: fewer events may be taken, or none of these ever."""

        self.pause_seconds = pause_seconds
        """What the sink asks for by Retry-After."""


class Sink(Protocol):
    """Takes events: an Event Grid topic or an HTTP endpoint."""

    async def send(self, events: Sequence[Event]) -> None:
        """Send some events in one request, again if it has to be.

        Raises:
            SinkFailed: They may not have been taken.
        """


OpenSink = Callable[[], AbstractAsyncContextManager[Sink]]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    """0 when there was none."""

    text: str
    """The status, or what kept us from one."""

    pause_seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_passing(self) -> bool:
        return not self.status or self.status in PASSING


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
        # Its own retries would wait for as long as a Retry-After says, and it would follow a redirect.
        client = EventGridPublisherClient(
            endpoint,
            known,
            retry_total=0,
            permit_redirects=False,
            connection_timeout=TRY_SECONDS,
            read_timeout=TRY_SECONDS,
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

        async def attempt() -> _Answer:
            # What is behind a redirect is not who was named, and need not be whom to tell.
            request = self._session.post(self._url, data=body, headers=self._headers, allow_redirects=False)
            try:
                async with request as answer:
                    return _Answer(answer.status, str(answer.status), _pause(answer.headers))
            except _BROKEN as error:
                return _Answer(0, type(error).__name__)

        await _persist(attempt)


class _Topic:
    def __init__(self, client: "EventGridPublisherClient") -> None:
        self._client = client

    async def send(self, events: Sequence[Event]) -> None:
        from azure.core.exceptions import AzureError, HttpResponseError

        async def attempt() -> _Answer:
            try:
                async with asyncio.timeout(TOPIC_SECONDS):
                    await self._client.send([dict(event) for event in events])
            except HttpResponseError as error:
                # Where there is no identity it has no status. The text of some of these holds the address.
                status = error.status_code or 0
                headers: Mapping[str, str] = getattr(error.response, "headers", {})
                return _Answer(status, str(status or type(error).__name__), _pause(headers))
            except (AzureError, TimeoutError) as error:
                return _Answer(0, type(error).__name__)
            return _Answer(200, "200")

        await _persist(attempt)


async def _persist(attempt: Callable[[], Awaitable[_Answer]]) -> None:
    for number in range(1, TRIES + 1):
        answer = await attempt()
        if answer.is_good:
            return
        if number == TRIES or not answer.is_passing:
            raise SinkFailed(
                answer.text, is_refused=answer.status in REFUSED, pause_seconds=answer.pause_seconds
            )
        delay: float = FIRST_DELAY_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1)
        await asyncio.sleep(min(max(answer.pause_seconds, delay), LONGEST_DELAY_SECONDS))


def _pause(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else 0.0
