"""Where HTTP meets the service: one place that reads requests, makes responses and answers refusals."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from functions.leaving import while_awaited
from functions.service import service
from shared.config import Settings
from shared.dicom.uid import parse_uid
from shared.errors import DicomWebError, NotAcceptable, NotFound
from shared.log import log_fault
from shared.storage import keys
from shared.storage.ahead import close
from shared.storage.calls import Calls, counted, counting_into
from shared.storage.keys import Scope, study_key
from shared.storage.partitions import check_name, require
from shared.storage.storage import Storage
from shared.web.accept import MediaRange, accept_parameter, parse_accept
from shared.web.answer import Answer
from shared.web.links import Links, find_origin
from shared.web.query import refuse_markup

VERSIONS = ("v1.0-prerelease", "v1", "v2")
MAX_DRAINED_BYTES = 16 * 1024 * 1024
"""A refused upload is read up to here, so that the client sees the answer and not a reset."""

MAX_DRAIN_SECONDS = 5.0
"""And for so long."""

CLIENT_LEFT = 499
READING = ("GET", "HEAD")
_BODILESS = (204, 304)
NO_HEADERS: Mapping[str, str] = {}

log = logging.getLogger("dicomweb")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read as far as all resources have it in common."""

    request: Request
    storage: Storage
    settings: Settings
    version: str
    partition: str
    links: Links
    query: str
    """The raw query string."""

    @property
    def is_v1(self) -> bool:
        """Whether the rules of version 1 apply (API rules section 20)."""
        return self.version != "v2"

    @property
    def accept(self) -> tuple[MediaRange, ...]:
        """What the client would take, best first.

        Raises:
            NotAcceptable: It does not say, and must (API rules section 4.1).
        """
        header = ", ".join(self.request.headers.getlist("accept")) or None
        if header is None and self.settings.requires_accept:
            raise NotAcceptable("The request must have an Accept header.")
        return parse_accept(header, accept_parameter(self.query))

    def uid(self, level: str) -> str:
        """A UID from the path.

        Raises:
            BadRequest: It is none.
        """
        return parse_uid(self.request.path_params[level])

    def scope(self) -> Scope:
        """The study, series or instance that the path names."""
        series = self.uid("series") if "series" in self.request.path_params else None
        instance = self.uid("instance") if "instance" in self.request.path_params else None
        return Scope(study_key(self.partition, self.uid("study")), series, instance)


Handle = Callable[[Call], Awaitable[Answer]]


def register(
    blueprint: func.Blueprint,
    handle: Handle,
    methods: Iterable[str],
    path: str,
    *,
    makes_partition: bool = False,
) -> None:
    """Serve a resource, at `{version}/path` and at `{version}/partitions/{partition}/path`.

    Args:
        blueprint: Where to register.
        handle: What answers; its name is the name of the function.
        methods: HTTP methods; HEAD comes with GET.
        path: The template after version and partition; nothing for what these name themselves.
        makes_partition: Whether a partition that does not exist is no error here.
    """
    name = handle.__name__
    verbs = [*methods, *(["HEAD"] if "GET" in methods else [])]
    for suffix, prefix in (("", ""), ("_in_partition", "partitions/{partition}/")):
        endpoint = _endpoint(name, handle, makes_partition=makes_partition)
        template = f"{{version}}/{prefix}{path}".rstrip("/")
        route = blueprint.route(template, methods=verbs, auth_level=func.AuthLevel.ANONYMOUS)
        blueprint.function_name(f"{name}{suffix}")(route(endpoint))


def _endpoint(
    name: str, handle: Handle, *, makes_partition: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(req: Request) -> Response:
        async def answer() -> Answer:
            call = read_call(req)
            if not makes_partition:
                await require(call.storage, call.partition)
            return await handle(call)

        return await respond(name, req, answer)

    return endpoint


def read_call(req: Request) -> Call:
    """Read what all resources have in common.

    Raises:
        NotFound: No such version.
        BadRequest: The query or the partition is malformed.
    """
    refuse_markup(req.url.query)
    version = req.path_params.get("version", VERSIONS[-1]).lower()
    if version not in VERSIONS:
        raise NotFound(f"Version '{version}' is not served; use one of {', '.join(VERSIONS)}.")
    partition = req.path_params.get("partition")
    if partition is not None:
        check_name(partition)
    current = service()
    origin = find_origin(
        req.headers, req.url.scheme, public_url=current.settings.public_url, trust_forwarded=True
    )
    return Call(
        request=req,
        storage=current.storage,
        settings=current.settings,
        version=version,
        partition=partition or keys.DEFAULT_PARTITION,
        links=origin.links(version, partition),
        query=req.url.query,
    )


async def respond(name: str, req: Request, answer: Callable[[], Awaitable[Answer]]) -> Response:
    """Make the response of an answer or of a refusal, and log one line at its end."""
    record = _Record(name, req.method, uuid4().hex, time.perf_counter())
    with counted() as calls:
        try:
            given = await (while_awaited(req, answer) if req.method in READING else answer())
        except DicomWebError as error:
            await _drain(req)
            given = _refusal(error.status, str(error), error.headers)
        except ClientDisconnect:
            given = _refusal(CLIENT_LEFT, "")
        except Exception:
            log_fault(log, "request failed id=%s route=%s", record.id, name)
            await _drain(req)
            given = _refusal(500, "The server could not answer; the request id names the entry in its log.")
    return await _response(req, given, record, calls)


@dataclass(frozen=True, slots=True)
class _Record:
    route: str
    method: str
    id: str
    began: float


def _refusal(status: int, text: str, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
    return Answer(status, {"Content-Type": "text/plain; charset=utf-8", **headers}, text.encode())


async def _response(req: Request, given: Answer, record: _Record, calls: Calls) -> Response:
    headers = {
        **given.headers,
        "api-supported-versions": "1.0-prerelease, 1.0, 2.0",
        "x-ms-request-id": record.id,
        # Whatever a sender put into a file, no browser is to guess that it is a page.
        "X-Content-Type-Options": "nosniff",
    }
    if service().settings.show_storage_calls:
        headers["x-storage-calls"] = f"{calls.calls}; rows={calls.rows}"
    whole = isinstance(given.body, bytes)
    if req.method == "HEAD" or isinstance(given.body, bytes):
        body = given.body if isinstance(given.body, bytes) else b""
        if not whole and not isinstance(given.body, bytes):
            with counting_into(calls):
                await close(given.body)
        _log(record, given, calls, len(body))
        return (
            _head(given.status, headers, body)
            if req.method == "HEAD"
            else Response(body, given.status, headers)
        )
    return StreamingResponse(_sent(given.body, given, record, calls), given.status, headers)


def _head(status: int, headers: dict[str, str], body: bytes) -> Response:
    """An answer without its body. Its length is told where it is known (RFC 9110 section 8.6)."""
    if body:
        headers.setdefault("Content-Length", str(len(body)))
    if "Content-Length" in headers or status in _BODILESS:
        return Response(b"", status, headers)
    return StreamingResponse(_nothing(), status, headers)


async def _nothing() -> AsyncIterator[bytes]:
    for piece in tuple[bytes, ...]():
        yield piece


async def _sent(
    body: AsyncIterator[bytes], given: Answer, record: _Record, calls: Calls
) -> AsyncIterator[bytes]:
    """Pass a body on and log the request when it ends, in whichever way."""
    sent = 0
    try:
        with counting_into(calls):
            async for piece in body:
                yield piece
                sent += len(piece)
    finally:
        await close(body)
        _log(record, given, calls, sent)


def _log(record: _Record, given: Answer, calls: Calls, sent: int) -> None:
    counts = "".join(f" {name}={count}" for name, count in given.counts.items())
    log.info(
        "route=%s method=%s status=%d%s bytes=%d ms=%.1f storage_calls=%d rows=%d id=%s",
        record.route,
        record.method,
        given.status,
        counts,
        sent,
        (time.perf_counter() - record.began) * 1000,
        calls.calls,
        calls.rows,
        record.id,
    )


async def _drain(req: Request) -> None:
    read = 0
    try:
        async with asyncio.timeout(MAX_DRAIN_SECONDS):
            async for chunk in req.stream():
                read += len(chunk)
                if read > MAX_DRAINED_BYTES:
                    return
    except (ClientDisconnect, RuntimeError, TimeoutError):
        # Gone, or the body was read to its end before, or the sender takes its time.
        return
