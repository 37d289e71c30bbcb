"""The whole service, under its host, while an answer is on its way: storage fails, or the client leaves."""

import asyncio
import http.client
import json
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from aiohttp import web

from tests.conformance.test_transcoding import compressed as encoded
from tests.factories import EXPLICIT, RLE, Instance, make_image
from tests.faults.accounts import Account
from tests.faults.proxy import Call, Fault, Proxy, Script, passed
from tests.local.hosting import ROOT, Host
from tests.unit.dicom.codecs.making import grey, noise

T = TypeVar("T")

DICOM = "application/dicom"
STORED = "application/dicom; transfer-syntax=*"
MADE = f"application/dicom; transfer-syntax={EXPLICIT}"
LARGE = make_image(1, rows=2048, columns=2048)
"""Eight megabytes as they are stored."""


def compressed() -> Instance:
    """Forty-eight megabytes of pixels once they are decompressed, too many to be made before the answer."""
    description = grey(1024, 1024, 16)
    return encoded([noise(description, 1)] * 24, description, RLE)


def cut_after_bytes(count: int) -> Fault:
    """A blob's bytes break off; what is asked for again is not answered at all."""

    async def fault(call: Call) -> web.StreamResponse:
        answer = await call.forward()
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(call.request)
        await response.write(answer.body[:count])
        return call.hang_up()

    return fault


async def refused(call: Call) -> web.StreamResponse:
    """Storage does not answer."""
    return call.hang_up()


def breaking(count: int) -> Script:
    """Reads of files break off and cannot be taken up."""
    left = [cut_after_bytes(count)]

    def script(call: Call) -> Fault:
        if call.kind != "GET blob dicom":
            return passed
        return left.pop() if left else refused

    return script


def broken_once(count: int) -> Script:
    """The first read of a file breaks off."""
    left = [cut_after_bytes(count)]

    def script(call: Call) -> Fault:
        return left.pop() if left and call.kind == "GET blob dicom" else passed

    return script


def through(account: Account, act: Callable[[Host, Proxy], Awaitable[T]], invoker: str = "library") -> T:
    """Run the service with a proxy between it and storage."""

    async def whole() -> T:
        async with Proxy(account.connection) as proxy:
            connection = account.through(proxy)
            sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
            storage = {"DicomStorage": connection, "AzureWebJobsStorage": connection}
            settings = {name: str(value) for name, value in {**sample, **storage}.items()}
            host = await asyncio.to_thread(lambda: Host(ROOT, "--invoker", invoker, settings=settings))
            try:
                return await act(host, proxy)
            finally:
                await asyncio.to_thread(host.end)

    return asyncio.run(whole())


async def keep(host: Host, image: Instance) -> None:
    """Store an image."""
    answer = await asyncio.to_thread(
        host.request, "POST", "/v2/studies", image.content, {"Content-Type": DICOM}
    )
    assert answer.status == 200, answer.body


@pytest.mark.parametrize("accept", [STORED, "*/*"])
def test_storage_that_fails_midway_cuts_the_answer(account: Account, accept: str) -> None:
    """Never a body that looks complete: the length was told before."""

    async def act(host: Host, proxy: Proxy) -> http.client.IncompleteRead:
        await keep(host, LARGE)
        proxy.follow(breaking(3_000_000))
        with pytest.raises(http.client.IncompleteRead) as cut:
            await asyncio.to_thread(host.get, f"/v2/{LARGE.path}", Accept=accept)
        return cut.value

    cut = through(account, act)

    assert 0 < len(cut.partial) < len(LARGE.content)


@pytest.mark.parametrize("level", ["instance", "study"])
def test_storage_that_fails_while_frames_are_converted_cuts_the_answer(account: Account, level: str) -> None:
    """Also where no length was told: the last chunk never comes."""
    image = compressed()
    path = {"instance": image.path, "study": f"studies/{image.study}"}[level]
    accept = MADE if level == "instance" else f"multipart/related; type={DICOM}; transfer-syntax={EXPLICIT}"

    async def act(host: Host, proxy: Proxy) -> http.client.IncompleteRead:
        await keep(host, image)
        proxy.follow(breaking(len(image.content) * 9 // 10))
        with pytest.raises(http.client.IncompleteRead) as cut:
            await asyncio.to_thread(host.get, f"/v2/{path}", Accept=accept)
        return cut.value

    assert through(account, act).partial


def test_a_read_that_breaks_is_taken_up(account: Account) -> None:
    """The client notices nothing."""

    async def act(host: Host, proxy: Proxy) -> bytes:
        await keep(host, LARGE)
        proxy.follow(broken_once(3_000_000))
        return (await asyncio.to_thread(host.get, f"/v2/{LARGE.path}", Accept=STORED)).body

    assert through(account, act) == LARGE.content


def test_a_client_that_leaves_frees_everything(account: Account) -> None:
    """Its line in the log comes at once, long before all frames could have been made; nothing is read on."""
    image = compressed()

    async def act(host: Host, proxy: Proxy) -> tuple[str, float, int]:
        await keep(host, image)
        proxy.follow(lambda _: passed)
        began = await asyncio.to_thread(leave, host, image)
        line = await asyncio.to_thread(host.wait_for_log, "route=retrieve_instance")
        seconds = time.monotonic() - began
        await proxy.quiet()
        asked = sum(call.kind == "GET blob dicom" for call in proxy.seen)
        answer = await asyncio.to_thread(host.get, f"/v2/{image.path}", Accept=STORED)
        assert answer.body == image.content
        return line, seconds, asked

    log, seconds, asked = through(account, act)

    (line,) = (line for line in log.splitlines() if "route=retrieve_instance" in line)
    sent = int(line.partition("bytes=")[2].split()[0])
    assert sent < 24 * 2 * 1024 * 1024
    assert asked == 1
    # A second, and what a busy machine takes to notice: less than the service waits for silent storage.
    assert seconds < 15


def leave(host: Host, image: Instance) -> float:
    """Ask for all frames converted, take the first bytes, and go."""
    with host.connect() as connection:
        request = f"GET /v2/{image.path} HTTP/1.1\r\nHost: x\r\nAccept: {MADE}\r\n\r\n"
        connection.sendall(request.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    return time.monotonic()
