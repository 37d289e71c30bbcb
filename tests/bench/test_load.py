"""Work is done by so many callers at once, and a failure ends it."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.load import Answer, Server, Work, WrongAnswer, drive, open_http
from bench.measure import check
from bench.stage import Case


def test_all_work_is_done_and_never_more_at_once_than_there_are_callers() -> None:
    running, most = 0, 0

    async def work() -> Answer:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Answer(size=3)

    done = asyncio.run(drive([work] * 20, 4))

    assert len(done.samples) == 20
    assert most == 4
    assert sum(sample.answer.size for sample in done.samples) == 60


def test_a_failure_is_told_and_no_further_work_begins() -> None:
    begun = 0

    async def work() -> Answer:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0)
        raise WrongAnswer("no")

    with pytest.raises(WrongAnswer):
        asyncio.run(drive([work] * 20, 4))

    assert begun == 4


def test_a_server_that_is_not_there_is_a_wrong_answer() -> None:
    async def ask() -> Answer:
        async with open_http() as http:
            return await Server("http://127.0.0.1:9/v2", http).get("studies", "*/*")()

    with pytest.raises(WrongAnswer, match="did not answer GET"):
        asyncio.run(ask())


def test_no_server_is_asked_to_compress_and_queries_go_as_written() -> None:
    """A server that compresses pixels on request would be measured at that."""
    seen: list[tuple[str | None, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Accept-Encoding"), request.raw_path))
        return web.Response(body=b"found")

    async def ask() -> Answer:
        app = web.Application()
        app.router.add_get("/studies", answer)
        async with TestServer(app) as server, open_http() as http:
            asked = Server(str(server.make_url("")).rstrip("/"), http, keeps=True)
            return await asked.get("studies?PatientName=A^B", "*/*")()

    found = asyncio.run(ask())

    assert found.body == b"found"
    assert seen == [(None, "/studies?PatientName=A^B")]


@pytest.mark.parametrize("right", [True, False])
def test_a_server_that_answers_something_else_is_not_measured(right: bool) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response([1])

    async def ask() -> None:
        app = web.Application()
        app.router.add_get("/studies", answer)
        async with TestServer(app) as server, open_http() as http:
            await check(
                Case("search", 1, gets, nothing, is_right=lambda _number, _body: right),
                Server(str(server.make_url("")).rstrip("/"), http),
            )

    if right:
        asyncio.run(ask())
    else:
        with pytest.raises(WrongAnswer, match="something else"):
            asyncio.run(ask())


async def gets(server: Server, count: int) -> list[Work]:
    return [server.get("studies", "*/*")] * count


async def nothing(_count: int) -> list[Work]:
    return []
