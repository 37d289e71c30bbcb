"""Storage fails while an answer is on its way, throttles, or is slow: what a client sees on the wire."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest
from aiohttp import web

from tests.factories import Instance, make_image, multipart, new_uid
from tests.faults.accounts import Account
from tests.faults.proxy import Call, Fault, Proxy, Script, answered, held, passed
from tests.faults.test_retrieval import cut_after_bytes, refused, through
from tests.local.hosting import PATIENCE_SECONDS, Host

STUDY, SERIES = new_uid(), new_uid()
LARGE_STUDY = new_uid()

MANY = [
    make_image(StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, ImageComments="x" * 1000 + str(number))
    for number in range(200)
]
"""Too many rows for one query for metadata."""

LARGE = [
    make_image(2, rows=1024, columns=1024, StudyInstanceUID=LARGE_STUDY, SeriesInstanceUID=f"{LARGE_STUDY}.1")
    for _ in range(3)
]
"""Two frames of two megabytes each: longer than what is read before an answer begins."""

STORED = "application/dicom; transfer-syntax=*"
STORED_PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = "application/octet-stream; transfer-syntax=*"
JSON = "application/dicom+json"

LARGE_PATH = LARGE[0].path

CUT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "study": (f"studies/{LARGE_STUDY}", {"Accept": STORED_PARTS}),
    "series": (LARGE[0].series_path, {"Accept": STORED_PARTS}),
    "instance": (LARGE_PATH, {"Accept": STORED}),
    "instance in a part": (LARGE_PATH, {"Accept": STORED_PARTS}),
    "range": (LARGE_PATH, {"Accept": STORED, "Range": "bytes=100-3000000"}),
    "frame": (f"{LARGE_PATH}/frames/2", {"Accept": OCTETS}),
    "frames": (f"{LARGE_PATH}/frames/1,2", {"Accept": f'multipart/related; type="{OCTETS}"'}),
    "bulk data": (f"{LARGE_PATH}/bulkdata/7FE00010", {"Accept": OCTETS}),
    "zip": (f"studies/{LARGE_STUDY}", {"Accept": "application/zip"}),
    "metadata": (f"studies/{STUDY}/series/{SERIES}/metadata", {"Accept": JSON}),
    "metadata in gzip": (f"studies/{STUDY}/metadata", {"Accept": JSON, "Accept-Encoding": "gzip"}),
}
"""Answers of every kind that are sent while they are read."""


@dataclass(frozen=True, slots=True)
class OnWire:
    """What came over a connection until the server closed it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """As it was sent, the lengths of chunks included."""

    @property
    def is_chunked(self) -> bool:
        """Whether the answer told no length."""
        return self.headers.get("transfer-encoding") == "chunked"

    @property
    def looks_complete(self) -> bool:
        """Whether a client takes it for the whole answer (RFC 9112 section 8)."""
        if self.is_chunked:
            return self.body.endswith(b"0\r\n\r\n")
        return len(self.body) >= int(self.headers["content-length"])


def ask_on_wire(host: Host, path: str, headers: Mapping[str, str]) -> OnWire:
    """Ask, and read until the server closes the connection, which it keeps open after a whole answer."""
    lines = [f"GET /v2/{path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    received = bytearray()
    with host.connect() as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        connection.settimeout(PATIENCE_SECONDS)
        while piece := _receive(connection):
            received += piece
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return OnWire(int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 20)
    except ConnectionResetError:
        return b""


async def keep_all(host: Host, images: Sequence[Instance]) -> None:
    """Store images in one request, which puts them into one pack where they are small."""
    body, content_type = multipart(images)
    answer = await asyncio.to_thread(
        host.request, "POST", "/v2/studies", body, {"Content-Type": content_type, "Accept": JSON}
    )
    assert answer.status == 200, answer.body


async def cut_in_half(call: Call) -> web.StreamResponse:
    """The first half of what a blob holds comes, and then the connection ends."""
    answer = await call.forward()
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(answer.body)
    await response.prepare(call.request)
    await response.write(answer.body[: len(answer.body) // 2])
    return call.hang_up()


def breaking_for_good(call: Call) -> Fault:
    """Reads of blobs break off and cannot be taken up, nor are there queries beyond the first page."""
    if call.service == "table":
        return refused if call.names("NextRowKey") else passed
    if call.request.method != "GET" or call.place not in ("dicom", "metadata"):
        return passed
    return refused if "If-Match" in call.request.headers else cut_in_half


@pytest.fixture(scope="module")
def cut_answers(new_account: Callable[[], Account]) -> Mapping[str, OnWire]:
    """Every kind of answer, cut."""

    async def act(host: Host, proxy: Proxy) -> dict[str, OnWire]:
        await keep_all(host, MANY)
        await asyncio.gather(*(keep_all(host, [image]) for image in LARGE))
        proxy.follow(breaking_for_good)
        asking = [asyncio.to_thread(ask_on_wire, host, *asked) for asked in CUT.values()]
        return dict(zip(CUT, await asyncio.gather(*asking), strict=True))

    return through(new_account(), act)


@pytest.mark.parametrize("kind", CUT)
def test_no_answer_looks_complete_when_storage_fails_midway(
    kind: str, cut_answers: Mapping[str, OnWire]
) -> None:
    """A body of known length is short, one in chunks has no last chunk, and the connection is closed."""
    answer = cut_answers[kind]

    assert answer.status in (200, 206)
    assert answer.body
    assert not answer.looks_complete
    assert answer.is_chunked == (kind in ("zip", "metadata", "metadata in gzip"))


def cut_short(most: int, times: int) -> Script:
    """So many reads of files break off after some bytes."""
    left = [cut_after_bytes(most)] * times

    def script(call: Call) -> Fault:
        return left.pop() if left and call.kind == "GET blob dicom" else passed

    return script


SMALL = make_image(rows=512, columns=512)
TAKEN_UP: Mapping[str, tuple[str, Mapping[str, str], list[bytes]]] = {
    "study": (*CUT["study"], [image.content for image in LARGE]),
    "instance": (*CUT["instance"], [LARGE[0].content]),
    "frame": (*CUT["frame"], [LARGE[0].frames[1]]),
    "small instance": (SMALL.path, {"Accept": STORED}, [SMALL.content]),
}
"""What is read, and what must come."""


@pytest.fixture(scope="module")
def taken_up(new_account: Callable[[], Account]) -> Mapping[str, tuple[bytes, list[Call]]]:
    """Answers of whose reads four broke off, with the reads of each."""

    async def ask(host: Host, proxy: Proxy, kind: str) -> tuple[bytes, list[Call]]:
        path, headers, _ = TAKEN_UP[kind]
        proxy.follow(cut_short(100_000, times=4))
        answer = await asyncio.to_thread(host.get, f"/v2/{path}", **headers)
        await proxy.quiet()
        return answer.body, [call for call in proxy.seen if call.kind == "GET blob dicom"]

    async def act(host: Host, proxy: Proxy) -> dict[str, tuple[bytes, list[Call]]]:
        for image in (*LARGE, SMALL):
            await keep_all(host, [image])
        return {kind: await ask(host, proxy, kind) for kind in TAKEN_UP}

    return through(new_account(), act)


@pytest.mark.parametrize("kind", TAKEN_UP)
def test_a_read_is_taken_up_as_often_as_it_breaks(
    kind: str, taken_up: Mapping[str, tuple[bytes, list[Call]]]
) -> None:
    """Where it broke, and of the same version of the blob."""
    bodies = TAKEN_UP[kind][2]
    body, seen = taken_up[kind]

    assert all(each in body for each in bodies)
    again = [call for call in seen if "If-Match" in call.request.headers]
    assert len(seen) == len(bodies) + 4
    assert len(again) == 4
    for call in again:
        before = [
            each for each in seen if each.request.path == call.request.path and each.number < call.number
        ]
        assert start_of(call) > max(start_of(each) for each in before)


def start_of(call: Call) -> int:
    """The first byte that is read."""
    return int(call.request.headers.get("x-ms-range", "bytes=0-").removeprefix("bytes=").partition("-")[0])


@pytest.mark.parametrize(("status", "asked_seconds"), [(429, 120), (503, None)])
def test_throttling_before_the_first_byte_is_told(
    account: Account, status: int, asked_seconds: int | None
) -> None:
    """With when to come again: what storage says, or a few seconds."""
    paths = [path for path, _ in CUT.values()]

    async def act(host: Host, proxy: Proxy) -> list[tuple[int, str | None]]:
        await keep_all(host, [LARGE[0]])
        proxy.follow(
            lambda call: (
                answered(status, retry_after=asked_seconds)
                if call.request.method == "GET" and call.place in ("dicom", "archive")
                else passed
            )
        )
        answers = await asyncio.gather(
            *(
                asyncio.to_thread(host.get, f"/v2/{path}", **CUT[kind][1])
                for path, kind in zip(paths, CUT, strict=True)
            )
        )
        return [(answer.status, answer.headers.get("retry-after")) for answer in answers]

    assert through(account, act) == [(503, str(asked_seconds or 5))] * len(paths)


def test_slow_storage_holds_up_only_who_waits_for_it(account: Account) -> None:
    """More than a few readers of what is slow, and one of something else."""
    other = make_image()

    async def act(host: Host, proxy: Proxy) -> tuple[int, bytes]:
        await keep_all(host, [LARGE[0]])
        await keep_all(host, [other])
        arrived, go = asyncio.Event(), asyncio.Event()
        name = LARGE[0].instance
        proxy.follow(
            lambda call: held(arrived, go) if call.kind == "GET blob dicom" and call.names(name) else passed
        )
        slow = [
            asyncio.create_task(asyncio.to_thread(host.get, f"/v2/{LARGE_PATH}", Accept=STORED))
            for _ in range(3)
        ]
        await arrived.wait()
        answer = await asyncio.to_thread(host.get, f"/v2/{other.path}", Accept=STORED)
        waiting = sum(not task.done() for task in slow)
        go.set()
        assert [each.body for each in await asyncio.gather(*slow)] == [LARGE[0].content] * 3
        return waiting, answer.body

    assert through(account, act) == (3, other.content)


def test_what_is_read_before_it_is_sent_is_refused_when_storage_fails(account: Account) -> None:
    """A small answer has not begun when its bytes break off."""
    small = make_image(2, rows=500, columns=500)

    async def act(host: Host, proxy: Proxy) -> list[int]:
        await keep_all(host, [small])
        proxy.follow(breaking_for_good)
        asked = ((small.path, STORED), (f"{small.path}/frames/1,2", f'multipart/related; type="{OCTETS}"'))
        asking = [asyncio.to_thread(host.get, f"/v2/{path}", Accept=accept) for path, accept in asked]
        return [answer.status for answer in await asyncio.gather(*asking)]

    assert through(account, act) == [503, 503]
