"""The front door: routing, limits and headers between the HTTP server and the functions, as ASGI.

Bodies only pass through, in both directions, one message at a time.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from azure.core.exceptions import AzureError

from local.bindings import Bindings
from local.errors import FunctionFailed, SettingsError
from local.invoker import HttpCall, Invoker, Message, Receive, Send, send_plain
from local.routes import Match, Route, decode_path, find
from local.settings import HttpSettings

LOG = logging.getLogger("local.http")

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
OWN_CORS = (b"access-control-allow-origin", b"access-control-allow-credentials")
INVOCATION = b"x-ms-invocation-id"
MAX_LINE_BYTES = 8192
"""The real host's server, Kestrel, refuses a longer request line with 414."""

HOMEPAGE = b"""<!DOCTYPE html>
<html lang="en"><title>Function app</title>
<h1>Your function app is up and running</h1>
<p>This is the landing page of the local host. The setting AzureWebJobsDisableHomepage=true takes it away.</p>
"""


class OwnPages(Protocol):
    """Paths below /admin and /runtime, which the host answers itself."""

    async def __call__(self, path: str, scope: Mapping[str, Any], receive: Receive, send: Send) -> None: ...


class Front:
    """Takes every request and finds who answers it."""

    def __init__(
        self,
        http: HttpSettings,
        routes: Sequence[Route],
        invoker: Invoker,
        bindings: Bindings,
        own_pages: OwnPages,
    ) -> None:
        self.http = http
        self.routes = routes
        self.invoker = invoker
        self.bindings = bindings
        self.own_pages = own_pages

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        send = with_cors(scope, send, self.http)
        path = decode_path(scope.get("raw_path") or scope["path"].encode())
        if request_line_bytes(scope) > MAX_LINE_BYTES:
            await send_plain(send, 414)
        elif is_preflight(scope) and self.http.cors_origins:
            await send_plain(send, 204, b"", *preflight_headers(scope))
        elif path.lower().startswith(("/admin/", "/runtime/")):
            await self.own_pages(path, scope, receive, send)
        elif found := find(self.routes, scope["method"], path):
            await self.serve(found, scope, receive, send)
        elif path == "/" and self.http.homepage:
            await send_plain(send, 200, HOMEPAGE, (b"content-type", b"text/html; charset=utf-8"))
        else:
            await send_plain(send, 204 if path == "/" else 404)

    async def serve(self, found: Match, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Give a request to its function, within the body limit."""
        body = LimitedBody(receive, self.http.max_body_bytes)
        if declared_length(scope) > self.http.max_body_bytes:
            await send_plain(send, 413)
            return
        answer = Answer(send, body, self.http.headers)
        try:
            await self.invoke(found, scope, body, answer)
        except (AzureError, FunctionFailed, SettingsError) as error:
            LOG.error("%s failed: its bindings could not be served: %s", found.function.name, error)
            if not answer.started:
                await send_plain(send, 500)
        if body.exceeded:
            LOG.info("%s: the body is longer than %d bytes", found.function.name, self.http.max_body_bytes)
            if not answer.started:
                await send_plain(send, 413)

    async def invoke(
        self, found: Match, scope: Mapping[str, Any], body: "LimitedBody", answer: "Answer"
    ) -> None:
        """Call a function between the reading and the writing of its bindings."""
        invocation = str(uuid.uuid4())
        headers = [*passed_on(scope["headers"]), (INVOCATION, invocation.encode())]
        call = HttpCall(
            scope={**scope, "headers": headers},
            receive=body,
            send=answer,
            params=found.params,
            invocation=invocation,
            url=full_url(scope),
            inputs=await self.bindings.read(found.function, found.params),
        )
        outputs = await self.invoker.serve(found.function, call)
        await self.bindings.write(found.function, outputs, found.params)


class LimitedBody:
    """A request body that ends like a lost connection once it is longer than allowed."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self.receive = receive
        self.left = max_bytes
        self.exceeded = False

    async def __call__(self) -> Message:
        message = {"type": "http.disconnect"} if self.exceeded else await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            self.exceeded = True
            return {"type": "http.disconnect"}
        return message


class Answer:
    """What a function sends, on its way to the client."""

    def __init__(self, send: Send, body: LimitedBody, extra: Mapping[str, str]) -> None:
        self.send = send
        self.body = body
        self.extra = [(name.lower().encode(), value.encode()) for name, value in extra.items()]
        self.started = False

    async def __call__(self, message: Message) -> None:
        if self.body.exceeded and not self.started:
            return  # The refusal of the body takes the place of whatever the function says.
        if message["type"] == "http.response.start":
            self.started = True
            headers = passed_on(message.get("headers", []))
            names = {name for name, _ in headers}
            message = {**message, "headers": headers + [each for each in self.extra if each[0] not in names]}
        await self.send(message)


def passed_on(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Drop what concerns one hop only, and an invocation id that a client made up."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    dropped = HOP_BY_HOP | named | {INVOCATION}
    return [(name.lower(), value) for name, value in headers if name.lower() not in dropped]


def header(scope: Mapping[str, Any], name: bytes) -> bytes:
    return next((value for each, value in scope["headers"] if each == name), b"")


def declared_length(scope: Mapping[str, Any]) -> int:
    length = header(scope, b"content-length")
    return int(length) if length.isdigit() else 0


def request_line_bytes(scope: Mapping[str, Any]) -> int:
    target = len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"])
    return target + len(f"{scope['method']} ? HTTP/1.1\r\n")


def full_url(scope: Mapping[str, Any]) -> str:
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    host = header(scope, b"host").decode("latin-1")
    return f"{scope['scheme']}://{host}{path}" + (f"?{query}" if query else "")


def is_preflight(scope: Mapping[str, Any]) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and bool(header(scope, b"origin"))
        and bool(header(scope, b"access-control-request-method"))
    )


def preflight_headers(scope: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    headers = [(b"access-control-allow-methods", header(scope, b"access-control-request-method"))]
    wanted = header(scope, b"access-control-request-headers")
    return [*headers, (b"access-control-allow-headers", wanted)] if wanted else headers


def with_cors(scope: Mapping[str, Any], send: Send, http: HttpSettings) -> Send:
    """Add the CORS headers to whatever is answered, when `Host.CORS` allows the origin of the request."""
    origin = header(scope, b"origin").decode("latin-1")
    if not origin or not ({"*", origin.rstrip("/")} & set(http.cors_origins)):
        return send
    any_origin = "*" in http.cors_origins and not http.cors_credentials
    headers = [(b"access-control-allow-origin", b"*" if any_origin else origin.encode("latin-1"))]
    headers += [] if any_origin else [(b"vary", b"Origin")]
    headers += [(b"access-control-allow-credentials", b"true")] if http.cors_credentials else []

    async def send_allowed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [
                each
                for each in message.get("headers", [])
                if not each[0].startswith(b"access-control-allow-o")
            ]
            message = {**message, "headers": own + headers}
        await send(message)

    return send_allowed
