"""A client leaves in the middle of an answer: whatever worked for it ends at once."""

import asyncio
import time
from collections.abc import Callable, Mapping

import pytest
from aiohttp import web

from tests.factories import RLE, make_image
from tests.faults.accounts import Account
from tests.faults.proxy import Call, Fault, Proxy, passed
from tests.faults.test_cut_answers import CUT, LARGE, LARGE_STUDY, MANY, keep_all
from tests.faults.test_retrieval import through
from tests.local.hosting import PATIENCE_SECONDS, Host

CONVERTED = f'multipart/related; type="application/dicom"; transfer-syntax={RLE}'
LEFT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    **CUT,
    "converted study": (f"studies/{LARGE_STUDY}", {"Accept": CONVERTED}),
}

FREED_SECONDS = 1.0
BUSY_SECONDS = 14.0
"""What a machine with much else to do may take beyond it: less than the service waits for silent storage."""


class Stuck:
    """Storage that falls silent in the middle of an answer."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.over = asyncio.Event()

    def script(self, call: Call) -> Fault:
        """Blobs come to their half; queries that go on from an earlier one not at all."""
        if call.service == "table":
            return self.silent if call.names("NextRowKey") else passed
        is_read = call.request.method == "GET" and call.place in ("dicom", "metadata")
        return self.silent if is_read else passed

    async def silent(self, call: Call) -> web.StreamResponse:
        """Answer no further, for as long as the test goes."""
        answer = await call.forward()
        if call.service == "blob":
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            response.content_length = len(answer.body)
            await response.prepare(call.request)
            await response.write(answer.body[: len(answer.body) // 2])
        self.calls.append(call)
        await self.over.wait()
        return call.hang_up()

    def is_left(self) -> bool:
        """Whether the service has given up every connection on which it waited."""
        transports = [call.request.transport for call in self.calls]
        return bool(transports) and all(each is None or each.is_closing() for each in transports)


async def soon(is_so: Callable[[], bool]) -> float:
    """Wait for a condition; how many seconds that took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < PATIENCE_SECONDS
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def begin_and_leave(host: Host, path: str, headers: Mapping[str, str]) -> None:
    """Ask, take the first bytes of the body, and go."""
    lines = [f"GET /v2/{path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    received = b""
    with host.connect() as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        while not received.partition(b"\r\n\r\n")[2]:
            piece = connection.recv(4096)
            assert piece, received
            received += piece
    assert received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 206"))


def lines_of(host: Host) -> int:
    """Answers to GET that have ended, by the service's log."""
    return sum(" method=GET " in line for line in host.log)


@pytest.mark.parametrize("kind", [kind for kind in LEFT if kind != "converted study"])
def test_who_leaves_while_storage_is_silent_frees_its_connections(
    kind: str, silent: Mapping[str, float]
) -> None:
    """Within a second, though nothing comes in that could show that the client has gone."""
    assert silent[kind] < FREED_SECONDS + BUSY_SECONDS


@pytest.fixture(scope="module")
def silent(new_account: Callable[[], Account]) -> Mapping[str, float]:
    """The seconds until everything was freed, for every kind of answer."""

    async def act(host: Host, proxy: Proxy) -> dict[str, float]:
        await keep_all(host, MANY)
        await asyncio.gather(*(keep_all(host, [image]) for image in LARGE))
        took = {}
        for kind, asked in CUT.items():
            stuck, before = Stuck(), lines_of(host)
            proxy.follow(stuck.script)
            await asyncio.to_thread(begin_and_leave, host, *asked)
            took[kind] = await soon(lambda: stuck.is_left() and lines_of(host) > before)  # noqa: B023 (awaited)
            stuck.over.set()
            await proxy.quiet()
        return took

    return through(new_account(), act)


@pytest.mark.parametrize(("kind", "most"), [("study", 9), ("zip", 9), ("converted study", 12)])
def test_who_leaves_without_reading_has_nothing_read_on(
    kind: str, most: int, unread: Mapping[str, tuple[float, int]]
) -> None:
    """Few of the twelve files are read: those under way, and what the network held."""
    seconds, calls = unread[kind]

    assert seconds < FREED_SECONDS + BUSY_SECONDS
    assert calls <= most


@pytest.fixture(scope="module")
def unread(new_account: Callable[[], Account]) -> Mapping[str, tuple[float, int]]:
    """The seconds until an answer had ended, and its calls to storage, for every kind."""
    more = [
        make_image(
            rows=2048, columns=2048, StudyInstanceUID=LARGE_STUDY, SeriesInstanceUID=f"{LARGE_STUDY}.1"
        )
        for _ in range(9)
    ]

    async def act(host: Host, proxy: Proxy) -> dict[str, tuple[float, int]]:
        for image in (*LARGE, *more):
            await keep_all(host, [image])
        return {kind: await leave_unread(host, proxy, kind) for kind in ("study", "zip", "converted study")}

    return through(new_account(), act)


async def leave_unread(host: Host, proxy: Proxy, kind: str) -> tuple[float, int]:
    """Ask for much, and go; the service then reads what somebody else asks for, and nothing else."""
    before = lines_of(host)
    await asyncio.to_thread(begin_and_leave, host, *LEFT[kind])
    seconds = await soon(lambda: lines_of(host) > before)
    line = [line for line in host.log if " method=GET " in line][before]
    await proxy.quiet()
    proxy.follow(lambda _: passed)
    answer = await asyncio.to_thread(host.get, f"/v2/{LARGE[0].path}", **CUT["instance"][1])
    assert answer.body == LARGE[0].content
    assert sum(call.kind == "GET blob dicom" for call in proxy.seen) == 1
    await soon(lambda: lines_of(host) > before + 1)
    return seconds, int(line.partition("storage_calls=")[2].split()[0])
