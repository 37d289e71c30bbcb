"""Storage that is nothing but a delay, in a process of its own: it answers each call after some milliseconds.

The emulator answers a few hundred calls a second, fewer than the writer of the change feed makes, so with it
one measures the emulator. This knows the calls that entering changes takes, and hardly costs anything itself.
It checks nothing and keeps nothing but which changes still wait: whether the writer is right is not asked.
"""

import asyncio
import json
import multiprocessing
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Final
from urllib.parse import unquote

from shared.storage.connection import EMULATOR_ACCOUNT, EMULATOR_KEY
from shared.storage.entities import render_entity
from shared.storage.tables import Value

_DATE: Final = "Mon, 01 Jan 2024 00:00:00 GMT"
_ETAG: Final = 'W/"1"'
_PARTITION: Final = re.compile(r"PartitionKey eq '([^']*)'")
_WITHIN: Final = re.compile(rb"\n(?:POST|PUT|PATCH|DELETE) [^ ]+ HTTP/1\.1")
_DELETED: Final = re.compile(rb"\nDELETE /[^/]+/changes/([^ ]+) HTTP/1\.1")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_LEASE: Final = re.compile(rb"x-ms-(?:proposed-)?lease-id: *([^\r]+)", re.IGNORECASE)
_MAX_LISTED: Final = 5000
_MESSAGE: Final = (
    "<QueueMessagesList><QueueMessage><MessageId>1</MessageId>"
    f"<InsertionTime>{_DATE}</InsertionTime><ExpirationTime>{_DATE}</ExpirationTime>"
    f"<PopReceipt>1</PopReceipt><TimeNextVisible>{_DATE}</TimeNextVisible>"
    "</QueueMessage></QueueMessagesList>"
).encode()
"""What a queue says of a message that it takes."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What waits in this storage."""

    blobs: Sequence[str]
    """Of container `changes`."""

    rows: Mapping[str, bytes]
    """The answer to a query for the pending rows of a partition."""


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    target: str
    head: bytes
    body: bytes


class _Storage:
    def __init__(self, filling: Filling) -> None:
        self._left = dict.fromkeys(filling.blobs)
        self._rows = filling.rows

    def answer(self, call: _Call) -> bytes:
        """What storage says to a call."""
        if "comp=lease" in call.target:
            lease = _LEASE.search(call.head)
            named = f"x-ms-lease-id: {lease[1].decode() if lease else ''}\r\n"
            status = 201 if b"acquire" in call.head else 200
            return _reply(status, headers=f"{named}etag: {_ETAG}\r\nlast-modified: {_DATE}\r\n")
        if "comp=list" in call.target:
            return _reply(200, self._listing())
        if "comp=batch" in call.target:
            return _reply(202, self._delete(call.body))
        if "$batch" in call.target:
            part = f"\r\nHTTP/1.1 204 No Content\r\nETag: {_ETAG}\r\n\r\n".encode()
            return _reply(202, part * len(_WITHIN.findall(call.body)))
        if "/messages" in call.target:
            return _reply(201, _MESSAGE, headers="content-type: application/xml\r\n")
        if call.method == "GET":
            return self._query(call.target)
        return _reply(204, headers=f"etag: {_ETAG}\r\n")

    def _query(self, target: str) -> bytes:
        if "/archive()" not in target:
            return _reply(200, b'{"value":[]}') if "()" in target else _reply(404, b"{}")
        found = _PARTITION.search(unquote(target))
        return _reply(200, self._rows.get(found[1] if found else "", b'{"value":[]}'))

    def _listing(self) -> bytes:
        about = f"<Last-Modified>{_DATE}</Last-Modified><Content-Length>9</Content-Length>"
        names = list(self._left)[:_MAX_LISTED]
        blobs = "".join(f"<Blob><Name>{name}</Name><Properties>{about}</Properties></Blob>" for name in names)
        return f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>".encode()

    def _delete(self, body: bytes) -> bytes:
        names = [unquote(name.decode()) for name in _DELETED.findall(body)]
        for name in names:
            self._left.pop(name, None)
        parts = (
            f"--b\r\nContent-ID: {each}\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n" for each in range(len(names))
        )
        return "".join(parts).encode()


class _Protocol(asyncio.Protocol):
    """HTTP/1.1, as far as our own client speaks it."""

    def __init__(self, answer: Callable[[_Call], bytes], seconds: float) -> None:
        self._answer = answer
        self._seconds = seconds
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end])
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            method, target, _ = head.partition(b"\r\n")[0].decode().split(" ")
            call = _Call(method, target, head, bytes(self._received[end + 4 : whole]))
            del self._received[:whole]
            asyncio.get_running_loop().call_later(self._seconds, self._send, call)

    def _send(self, call: _Call) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer(call))


def _reply(status: int, body: bytes = b"", *, headers: str = "") -> bytes:
    return f"HTTP/1.1 {status} -\r\ncontent-length: {len(body)}\r\n{headers}\r\n".encode() + body


def query_answer(partition: str, rows: Mapping[str, Mapping[str, Value]]) -> bytes:
    """How a table answers a query, with rows by their row keys."""
    found = [{"odata.etag": _ETAG, **render_entity(partition, row, values)} for row, values in rows.items()]
    return json.dumps({"value": found}).encode()


@contextmanager
def start(filling: Filling, seconds: float) -> Iterator[str]:
    """Start it; gives a connection string."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_run, args=(filling, seconds, theirs), daemon=True)
    process.start()
    try:
        port = ours.recv()
        places = "".join(
            f"{service}Endpoint=http://127.0.0.1:{port}/{EMULATOR_ACCOUNT};"
            for service in ("Blob", "Queue", "Table")
        )
        yield f"AccountName={EMULATOR_ACCOUNT};AccountKey={EMULATOR_KEY};{places}"
    finally:
        process.terminate()
        process.join()


def _run(filling: Filling, seconds: float, pipe: "Pipe[object, object]") -> None:
    asyncio.run(_serve(_Storage(filling), seconds, pipe))


async def _serve(storage: _Storage, seconds: float, pipe: "Pipe[object, object]") -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(storage.answer, seconds), "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
