"""HTTP without streams: the whole request in memory, as apps on `func.HttpRequest` expect it.

The names below are those of the worker protocol's http value.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from local.invoker import HttpCall, Receive, Send, send_plain


@dataclass(frozen=True, slots=True)
class ClassicRequest:
    """A request read to its end."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ClassicAnswer:
    """An answer ready to be sent."""

    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    body: bytes


async def read_request(call: HttpCall) -> ClassicRequest | None:
    """Read a request; None when the client went away or sent more than allowed."""
    body = await read_body(call.receive)
    if body is None:
        return None
    query: dict[str, str] = {}
    for name, value in parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    headers: dict[str, str] = {}
    for raw_name, raw_value in call.scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return ClassicRequest(call.scope["method"], call.url, headers, query, call.params, body)


async def read_body(receive: Receive) -> bytes | None:
    """Read a body to its end; None when the connection is lost before."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def send_answer(send: Send, answer: ClassicAnswer) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.items()
        if name.lower() != "content-length"
    ]
    headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in answer.cookies]
    await send_plain(send, answer.status, answer.body, *headers)


def text_answer(text: str) -> ClassicAnswer:
    """The answer of a function that returns plain text."""
    return ClassicAnswer(200, {"content-type": "text/plain; charset=utf-8"}, (), text.encode())


def render_cookies(cookies: Iterable[SimpleCookie] | None) -> tuple[str, ...]:
    return tuple(morsel.OutputString() for cookie in cookies or () for morsel in cookie.values())


def render_cookie(fields: Mapping[str, Any]) -> str:
    """Write a Set-Cookie header from the fields of a cookie in the worker protocol."""
    cookie: SimpleCookie = SimpleCookie()
    cookie[fields["name"]] = fields["value"]
    morsel = cookie[fields["name"]]
    for ours, theirs in (("domain", "domain"), ("path", "path"), ("max-age", "max_age")):
        value = getattr(fields.get(theirs), "value", None)
        if value is not None:
            morsel[ours] = str(int(value)) if ours == "max-age" else value
    expires = getattr(fields.get("expires"), "value", None)
    if expires is not None:
        when = datetime.datetime.fromtimestamp(expires.seconds, datetime.UTC)
        morsel["expires"] = when.strftime("%a, %d %b %Y %H:%M:%S GMT")
    for ours, theirs in (("secure", "secure"), ("httponly", "http_only")):
        morsel[ours] = bool(getattr(fields.get(theirs), "value", False))
    same_site = fields.get("same_site")
    if same_site:
        morsel["samesite"] = same_site
    return morsel.OutputString()
