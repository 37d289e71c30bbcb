"""Work is done by so many callers at once, and a failure ends it."""

import asyncio

import pytest

from bench.load import Answer, Server, WrongAnswer, drive, open_http


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
