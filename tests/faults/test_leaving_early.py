"""A client leaves before its answer has begun: what was being made for it ends."""

import asyncio
import http.client
import sys
from collections.abc import Callable, Mapping

import pytest
from aiohttp import web

from tests.factories import make_image
from tests.faults.accounts import Account
from tests.faults.proxy import Call, Fault, Proxy, passed
from tests.faults.test_leaving import BUSY_SECONDS, FREED_SECONDS, Stuck, soon
from tests.faults.test_retrieval import keep, through
from tests.local.hosting import Host

IMAGE = make_image(2)
FRAME = f"/v2/{IMAGE.path}/frames/1"
INVOKERS = [
    "library",
    pytest.param("runtime", marks=pytest.mark.skipif(sys.version_info < (3, 13), reason="It needs 3.13.")),
]


def ask(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    """Ask for the frame on a connection that stays."""
    connection.request("GET", FRAME)
    answer = connection.getresponse()
    return answer.status, answer.read()


HOW = {
    "stored": (FRAME, "*/*"),
    "converted": (FRAME, "image/jp2"),
    "rendered": (f"{FRAME}/rendered", "image/png"),
}
"""What is asked for, and in which form."""


@pytest.mark.parametrize("how", HOW)
def test_who_leaves_before_the_answer_begins_has_nothing_made(how: str, left: Mapping[str, float]) -> None:
    assert left[how] < FREED_SECONDS + BUSY_SECONDS


@pytest.fixture(scope="module", params=INVOKERS)
def left(request: pytest.FixtureRequest, new_account: Callable[[], Account]) -> Mapping[str, float]:
    """The seconds until everything was freed."""

    async def act(host: Host, proxy: Proxy) -> dict[str, float]:
        await keep(host, IMAGE)
        return {how: await leave_early(host, proxy, *asked) for how, asked in HOW.items()}

    return through(new_account(), act, request.param)


async def leave_early(host: Host, proxy: Proxy, path: str, accept: str) -> float:
    """Ask, go while storage is silent, and wait until everything is freed."""
    stuck, before = Stuck(), left_of(host)
    proxy.follow(stuck.script)
    with host.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n".encode())
        await soon(lambda: bool(stuck.calls))
    seconds = await soon(lambda: stuck.is_left() and left_of(host) > before)
    stuck.over.set()
    await proxy.quiet()
    return seconds


def left_of(host: Host) -> int:
    """Requests whose clients had gone, by the service's log."""
    return sum("status=499" in line for line in host.log)


class Slow:
    """Storage that takes its time, longer than a client is left unwatched."""

    def script(self, call: Call) -> Fault:
        """Delay what is read of files."""
        return self.late if call.kind == "GET blob dicom" else passed

    async def late(self, call: Call) -> web.StreamResponse:
        """Answer after a while."""
        await asyncio.sleep(0.4)
        return await passed(call)


@pytest.mark.parametrize("invoker", INVOKERS)
def test_who_waits_goes_on_with_the_same_connection(account: Account, invoker: str) -> None:
    """Also with requests that were sent before their turn."""
    request = f"GET {FRAME} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    def pipelined(host: Host) -> bytes:
        with host.connect() as connection:
            connection.sendall(request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            received = b""
            while piece := connection.recv(65536):
                received += piece
        return received

    def kept(host: Host) -> list[tuple[int, bytes]]:
        connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
        try:
            return [ask(connection) for _ in range(3)]
        finally:
            connection.close()

    async def act(host: Host, proxy: Proxy) -> tuple[bytes, list[tuple[int, bytes]]]:
        await keep(host, IMAGE)
        proxy.follow(Slow().script)
        return await asyncio.to_thread(pipelined, host), await asyncio.to_thread(kept, host)

    together, apart = through(account, act, invoker)

    assert together.count(b"HTTP/1.1 200") == 3
    assert [status for status, _ in apart] == [200] * 3
    assert all(body for _, body in apart)
