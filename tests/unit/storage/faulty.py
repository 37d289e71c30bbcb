"""A proxy between our client and the emulator that spoils chosen answers, as a network or busy service does.

Signatures cover path and account but not the host, so requests pass through it unchanged.
"""

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
from aiohttp import web
from yarl import URL

from shared.storage.connection import Connection

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the emulator answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def response(self) -> web.Response:
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request on its way."""

    request: web.BaseRequest
    body: bytes
    target: str
    session: aiohttp.ClientSession

    async def forward(self, path: str | None = None) -> Answer:
        """Ask the emulator."""
        async with self.session.request(
            self.request.method,
            URL(self.target + (path or self.request.raw_path), encoded=True),
            headers={name: value for name, value in self.request.headers.items() if name != "Host"},
            data=io.BytesIO(self.body) if self.body else None,
        ) as response:
            body = await response.read()
            kept = {name: value for name, value in response.headers.items() if name.lower() not in HOP_BY_HOP}
            return Answer(response.status, kept, body)

    def hang_up(self) -> web.Response:
        """End the connection without an answer."""
        assert self.request.transport is not None
        self.request.transport.abort()
        return web.Response()


Fault = Callable[[Asked], Awaitable[web.StreamResponse]]


async def passed(asked: Asked) -> web.StreamResponse:
    """Nothing goes wrong."""
    return (await asked.forward()).response()


def answered(status: int, **headers: str) -> Fault:
    """The service answers at once that it cannot."""

    async def fault(_asked: Asked) -> web.StreamResponse:
        return web.Response(
            status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    return fault


async def busy_within(asked: Asked) -> web.StreamResponse:
    """The answer to a batch holds the failure in its body, under a status that tells of none."""
    assert asked.request.raw_path.endswith("$batch")
    body = (
        "--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_2\r\n\r\n"
        "--changesetresponse_2\r\nContent-Type: application/http\r\n\r\n"
        'HTTP/1.1 503 Service Unavailable\r\n\r\n{"odata.error":{"code":"ServerBusy"}}\r\n'
        "--changesetresponse_2--\r\n--batchresponse_1--\r\n"
    )
    return web.Response(status=202, body=body.encode())


async def lost(asked: Asked) -> web.StreamResponse:
    """The service does what is asked, and its answer is lost."""
    await asked.forward()
    return asked.hang_up()


async def refused(asked: Asked) -> web.StreamResponse:
    """The connection ends before the service sees the request."""
    return asked.hang_up()


async def silent(asked: Asked) -> web.StreamResponse:
    """No answer ever comes."""
    # The handler is cancelled when the proxy closes.
    await asyncio.Event().wait()
    return asked.hang_up()


def cut(after: int) -> Fault:
    """The connection ends within the body."""

    async def fault(asked: Asked) -> web.StreamResponse:
        answer = await asked.forward()
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(asked.request)
        await response.write(answer.body[:after])
        return asked.hang_up()

    return fault


async def empty_page(_asked: Asked) -> web.StreamResponse:
    """A query gave up before it found a row, as the real service does after five seconds."""
    return web.Response(
        body=json.dumps({"value": []}).encode(), headers={"x-ms-continuation-NextPartitionKey": "again"}
    )


async def from_the_start(asked: Asked) -> web.StreamResponse:
    """What follows an empty page."""
    path, _, query = asked.request.raw_path.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name != "NextPartitionKey"]
    return (await asked.forward(f"{path}?{urlencode(kept)}")).response()


async def short_page(asked: Asked) -> web.StreamResponse:
    """A query that found fewer rows than there are."""
    path, _, query = asked.request.raw_path.partition("?")
    kept = [(name, "1" if name == "$top" else value) for name, value in parse_qsl(query)]
    return (await asked.forward(f"{path}?{urlencode(kept)}")).response()


@dataclass(slots=True)
class Proxy:
    """What went through, and where to connect to go through it."""

    connection: Connection
    faults: list[Fault]
    seen: list[web.BaseRequest] = field(default_factory=list)
    tls: ssl.SSLContext | None = None


@asynccontextmanager
async def proxied(
    target: Connection, faults: Sequence[Fault], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Proxy]:
    """Spoil the first answers, one fault each; those after them pass."""
    left = list(faults)
    proxy = Proxy(target, left, tls=tls)
    scheme = "http" if tls is None else "https"
    runners: list[web.ServerRunner] = []
    skipped = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
    async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=skipped) as session:
        ports = [
            await _serve(proxy, session, base, runners) for base in (target.blob, target.queue, target.table)
        ]
        blob, queue, table = (f"{scheme}://127.0.0.1:{port}{urlsplit(target.blob).path}" for port in ports)
        proxy.connection = replace(target, blob=blob, queue=queue, table=table)
        try:
            yield proxy
        finally:
            for runner in runners:
                await runner.cleanup()


async def _serve(
    proxy: Proxy, session: aiohttp.ClientSession, base: str, runners: list[web.ServerRunner]
) -> int:
    target = f"http://{urlsplit(base).netloc}"

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        proxy.seen.append(request)
        fault = proxy.faults.pop(0) if proxy.faults else passed
        return await fault(Asked(request, await request.content.read(), target, session))

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    runners.append(runner)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=proxy.tls)
    await site.start()
    port: int = runner.addresses[0][1]
    return port
