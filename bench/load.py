"""Sends the requests of one round from a number of callers at once, and notes how long each took."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL


class WrongAnswer(Exception):
    """A server answered otherwise than the measurement needs; its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one piece of work brought."""

    size: int = 0
    """Bytes that came back."""

    first_byte: float | None = None
    """`time.perf_counter()` when the first of them came, where that is known."""

    request: str = ""
    """The server's own id of the request, by which its log line is found."""

    body: bytes = b""
    """What came back, kept only for a server that `keeps`."""


Work = Callable[[], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One piece of work, done."""

    seconds: float
    first_byte_seconds: float
    answer: Answer


@dataclass(frozen=True, slots=True)
class Round:
    """All work of a round, done."""

    seconds: float
    samples: tuple[Sample, ...]


async def drive(works: Sequence[Work], callers: int) -> Round:
    """Do all work, never more than `callers` pieces at once, each caller one after the other."""
    waiting = deque(works)
    samples: list[Sample] = []

    async def call() -> None:
        while waiting:
            work = waiting.popleft()
            began = time.perf_counter()
            answer = await work()
            ended = time.perf_counter()
            first = ended if answer.first_byte is None else answer.first_byte
            samples.append(Sample(ended - began, first - began, answer))

    began = time.perf_counter()
    calling = [asyncio.create_task(call()) for _ in range(min(callers, len(works)))]
    try:
        await asyncio.gather(*calling)
    finally:
        for task in calling:
            task.cancel()
    return Round(time.perf_counter() - began, tuple(samples))


@dataclass(frozen=True, slots=True)
class Server:
    """A DICOMweb server."""

    root: str
    """Address of its DICOMweb root, without a slash at its end."""

    http: aiohttp.ClientSession
    keeps: bool = False
    """Whether the bodies of answers are kept, to look at them; measuring does not."""

    def get(self, path: str, accept: str, coding: str = "") -> Work:
        """Retrieve or search; with a coding, such as `gzip`, the answer may come in that."""
        headers = {"Accept": accept, **({"Accept-Encoding": coding} if coding else {})}
        return lambda: self._ask("GET", path, headers)

    def delete(self, path: str) -> Work:
        """Delete."""
        return lambda: self._ask("DELETE", path, {})

    def store(self, files: Sequence[bytes]) -> Work:
        """Store files in one request. Its body is made now, so that making it is not measured."""
        body = b"".join(_multipart(files))
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
            "Accept": "application/dicom+json",
        }
        return lambda: self._ask("POST", "studies", headers, body)

    async def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer:
        try:
            # Encoded by us: Orthanc 1.10 does not decode what the client library would encode, such as `^`.
            url = URL(f"{self.root}/{path}", encoded=True)
            async with self.http.request(method, url, headers=headers, data=body) as response:
                return await self._read(method, response)
        except aiohttp.ClientError as error:
            raise WrongAnswer(f"{self.root} did not answer {method}: {type(error).__name__}.") from error

    async def _read(self, method: str, response: aiohttp.ClientResponse) -> Answer:
        size = 0
        first: float | None = None
        kept = bytearray()
        async for piece in response.content.iter_any():
            if first is None:
                first = time.perf_counter()
            size += len(piece)
            if self.keeps:
                kept += piece
        if response.status not in (200, 204):
            raise WrongAnswer(f"{self.root} answered {response.status} to {method}.")
        return Answer(size, first, response.headers.get("x-ms-request-id", ""), bytes(kept))


_BOUNDARY = "5f1c3b2d9a7e4c60b8d1e0f2a3c4b5d6"


def _multipart(files: Sequence[bytes]) -> Iterator[bytes]:
    for file in files:
        yield f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield file
        yield b"\r\n"
    yield f"--{_BOUNDARY}--\r\n".encode()


def open_http() -> aiohttp.ClientSession:
    """A client with as many connections as there are callers, and no limit of time."""
    return aiohttp.ClientSession(
        # Orthanc closes a connection that was idle for a second, and a POST on it would fail.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=0.5),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=300),
        # Left out, or a server that compresses would be measured at that: Orthanc does, pixels too.
        skip_auto_headers=("Accept-Encoding",),
        # Undoing a compression is no server's work; what is looked at is undone by who looks.
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=1 << 18,
    )
