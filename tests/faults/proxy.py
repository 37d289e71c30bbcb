"""A proxy between the service and the storage emulator that spoils chosen calls, as a network, a busy
service or a power cut does.

What happens to a call is decided by a **script**, a pure function of the call's number and of what is
asked; what a **fault** does to it is up to the fault. Signatures cover path and account but not the
host, so requests pass unchanged; where a fault changes the query of a call, the proxy signs it anew.
"""

import asyncio
import io
import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from shared.storage.connection import SERVICES, Connection, Service
from shared.storage.signing import sign

_OF_THE_CONNECTION: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
)
_LEFT_TO_US: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

_FIRST_TABLE: Final = re.compile(rb"/([A-Za-z]+)(?:\(PartitionKey=| HTTP/1\.1)")

ROUNDS_TO_ARRIVE: Final = 5
"""Rounds of the loop in which a call that was sent, by whoever is dead now, comes to its handler."""

PATIENCE_SECONDS: Final = 120
"""Far more than the emulator takes for anything, as a machine may stand still for a while."""

KEPT_SECONDS: Final = 2.0
"""A connection without a call is closed by us, before the emulator does so just as we use it."""

_PAGE_SIZES: Final[dict[Service, str]] = {"table": "$top", "blob": "maxresults"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the emulator answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self) -> web.StreamResponse:
        """The same for the client."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way to storage, read whole."""

    number: int
    """Counted from 1 since the script began."""

    service: Service
    request: web.BaseRequest
    body: bytes
    proxy: "Proxy"

    @property
    def place(self) -> str:
        """The table, container or queue that is meant; of a transaction, that of its first operation."""
        if self.request.path.endswith("$batch"):
            found = _FIRST_TABLE.search(self.body)
            return found[1].decode() if found else ""
        return self.request.path.split("/")[2].partition("(")[0]

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.request.method not in ("GET", "HEAD")

    @property
    def kind(self) -> str:
        """What is done where."""
        return f"{self.request.method} {self.service} {self.place}"

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded."""
        return parse_qsl(self.request.raw_path.partition("?")[2], keep_blank_values=True)

    def names(self, word: str) -> bool:
        """Whether a word occurs in the address or, as in a transaction on a table, in the body."""
        return word in self.request.path_qs or word.encode() in self.body

    async def forward(self) -> Answer:
        """Ask the emulator."""
        return await self.proxy.ask(self, self.request.raw_path, dict(self.request.headers))

    async def forward_as(self, query: Sequence[tuple[str, str]]) -> Answer:
        """Ask the emulator with another query."""
        path = self.request.raw_path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.request.headers.items()}
        connection = replace(self.proxy.target, account=path.split("/")[1])
        signed = {name: value for name, value in headers.items() if name != "host"}
        headers["authorization"] = sign(connection, self.service, self.request.method, (path, query), signed)
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        return await self.proxy.ask(self, f"{path}?{text}", headers)

    def hang_up(self) -> web.StreamResponse:
        """End the connection without an answer."""
        return hang_up(self.request)


def hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """End a connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


Fault = Callable[[Call], Awaitable[web.StreamResponse]]
Script = Callable[[Call], Fault]


async def passed(call: Call) -> web.StreamResponse:
    """Nothing goes wrong."""
    return (await call.forward()).response()


def answered(status: int, *, retry_after: int | None = None) -> Fault:
    """Storage answers at once that it cannot for now, and does nothing."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}

    async def fault(_call: Call) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return fault


def answered_though_done(status: int) -> Fault:
    """Storage does what is asked and answers that it could not."""

    async def fault(call: Call) -> web.StreamResponse:
        await call.forward()
        return web.Response(status=status)

    return fault


async def cut_before(call: Call) -> web.StreamResponse:
    """The connection ends before storage sees the call."""
    return call.hang_up()


async def cut_after(call: Call) -> web.StreamResponse:
    """Storage does what is asked, and its answer is lost."""
    await call.forward()
    return call.hang_up()


def killed_before(kill: Callable[[], Awaitable[None]]) -> Fault:
    """The client dies before storage sees the call."""

    async def fault(call: Call) -> web.StreamResponse:
        await kill()
        return call.hang_up()

    return fault


def killed_after(kill: Callable[[], Awaitable[None]]) -> Fault:
    """Storage does what is asked, and the client dies before it hears of it."""

    async def fault(call: Call) -> web.StreamResponse:
        await call.forward()
        await kill()
        return call.hang_up()

    return fault


def held(reached: asyncio.Event, until: asyncio.Event) -> Fault:
    """The call is on its way for as long as the test likes."""

    async def fault(call: Call) -> web.StreamResponse:
        reached.set()
        await until.wait()
        return (await call.forward()).response()

    return fault


def held_and_lost(reached: asyncio.Event, until: asyncio.Event) -> Fault:
    """Storage does what is asked; the answer is on its way for as long as the test likes, and is lost."""

    async def fault(call: Call) -> web.StreamResponse:
        await call.forward()
        reached.set()
        await until.wait()
        return call.hang_up()

    return fault


def held_and_denied(reached: asyncio.Event, until: asyncio.Event) -> Fault:
    """Storage does nothing for as long as the test likes, and refuses for good."""

    async def fault(_call: Call) -> web.StreamResponse:
        reached.set()
        await until.wait()
        return web.Response(status=403)

    return fault


def delayed(seconds: float) -> Fault:
    """The call takes long to get there."""

    async def fault(call: Call) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return (await call.forward()).response()

    return fault


def short_pages(most: int) -> Fault:
    """Queries and listings find at most so many at once; what else there is comes with the next call."""

    async def fault(call: Call) -> web.StreamResponse:
        size = _PAGE_SIZES.get(call.service, "")
        if call.request.method != "GET" or size not in dict(call.query):
            return await passed(call)
        query = [(name, str(min(int(value), most)) if name == size else value) for name, value in call.query]
        return (await call.forward_as(query)).response()

    return fault


def at(number: int, fault: Fault) -> Script:
    """A fault at one call."""
    return lambda call: fault if call.number == number else passed


def since(number: int, fault: Fault) -> Script:
    """A fault at a call and at every call after it."""
    return lambda call: fault if call.number >= number else passed


def first_tries(number: int, choose: Callable[[int], Fault]) -> Script:
    """A fault at the first try of a call and of every call after it."""
    seen: set[tuple[str, str, bytes]] = set()

    def script(call: Call) -> Fault:
        asked = (call.request.method, call.request.raw_path, call.body)
        if call.number < number or asked in seen:
            return passed
        seen.add(asked)
        return choose(call.number)

    return script


def once(choose: Callable[[Call], bool], fault: Fault) -> Script:
    """A fault at the first call that is the one meant."""
    left = [fault]
    return lambda call: left.pop() if left and choose(call) else passed


def nth(kind: str, number: int, fault: Fault) -> Script:
    """A fault at one of the calls of a kind, counted from 1; others may come between them in any order."""
    left = [number]

    def script(call: Call) -> Fault:
        left[0] -= call.kind == kind
        if call.kind == kind and not left[0]:
            return fault
        return passed

    return script


def always(fault: Fault) -> Script:
    """A fault at every call."""
    return lambda _call: fault


def mixed(scripts: Collection[Script]) -> Script:
    """The first fault that any of some scripts has for a call."""

    def script(call: Call) -> Fault:
        return next((fault for each in scripts if (fault := each(call)) is not passed), passed)

    return script


@dataclass(slots=True)
class Proxy:
    """A running proxy for the three services. Use it as a context; `follow` sets what goes wrong."""

    target: Connection
    script: Script = field(default=always(passed))
    seen: list[Call] = field(default_factory=list)
    """What was asked since the script began."""

    keeps: bool = True
    """Whether to remember that; bodies take memory."""

    calls: int = 0
    """How much was asked since then."""

    ports: dict[Service, int] = field(default_factory=dict)
    _under_way: int = 0
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)
    _runners: list[web.ServerRunner] = field(default_factory=list)
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            skip_auto_headers=_LEFT_TO_US,
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS),
        )
        # Else a call whose connection breaks is sent once more, and the service does not learn of it.
        self._session._retry_connection = False
        self._quiet.set()
        for service in SERVICES:
            await self._serve(service)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runner in self._runners:
            await runner.cleanup()
        assert self._session is not None
        await self._session.close()

    def follow(self, script: Script) -> None:
        """Count calls from 1 again, and let this happen to them."""
        self.script = script
        self.seen.clear()
        self.calls = 0

    async def quiet(self) -> None:
        """Wait until no call is on its way any more."""
        for _ in range(ROUNDS_TO_ARRIVE):
            await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._quiet.wait()

    async def ask(self, call: Call, path: str, headers: dict[str, str]) -> Answer:
        """Pass a call on to the emulator."""
        assert self._session is not None
        base = urlsplit(self.target.base(call.service))
        async with self._session.request(
            call.request.method,
            URL(f"http://{base.netloc}{path}", encoded=True),
            headers={name: value for name, value in headers.items() if name.lower() != "host"},
            data=io.BytesIO(call.body) if call.body else None,
        ) as response:
            body = await response.read()
            kept = {
                name: value
                for name, value in response.headers.items()
                if name.lower() not in _OF_THE_CONNECTION
                # Without a body only the header tells how long the blob is.
                or (call.request.method == "HEAD" and name.lower() == "content-length")
            }
            return Answer(response.status, kept, body)

    async def _serve(self, service: str) -> None:
        name = _service(service)

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            self._under_way += 1
            self._quiet.clear()
            try:
                return await self._spoil(name, request)
            except (aiohttp.ClientError, ConnectionError):
                # One of the two has gone: the other sees a broken connection, as it would without us.
                return hang_up(request)
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._quiet.set()

        runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.ports[name] = runner.addresses[0][1]

    async def _spoil(self, service: Service, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        self.calls += 1
        call = Call(self.calls, service, request, body, self)
        if self.keeps:
            self.seen.append(call)
        return await self.script(call)(call)


def _service(name: str) -> Service:
    known: dict[str, Service] = {"blob": "blob", "queue": "queue", "table": "table"}
    return known[name]
