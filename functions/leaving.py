"""Answers are made for as long as somebody waits for them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from azurefunctions.extensions.http.fastapi import Request
from starlette.requests import ClientDisconnect

from shared.web.answer import Answer

WATCHED_AFTER_SECONDS: Final = 0.1
"""Most answers are made sooner, and nothing would be gained by ending them."""


async def while_awaited(req: Request, answer: Callable[[], Awaitable[Answer]]) -> Answer:
    """Make an answer, and stop when the client goes away before it is made.

    The body of the request is read meanwhile, so it must be one that nobody else reads: that of GET or HEAD.

    Raises:
        ClientDisconnect: The client has gone.
    """
    watch = _Watch(req, _current_task())
    begin = asyncio.get_running_loop().call_later(WATCHED_AFTER_SECONDS, watch.begin)
    try:
        return await answer()
    except asyncio.CancelledError:
        # The task may have been cancelled by others as well, who wait for that.
        if watch.has_left and watch.making.uncancel() == 0:
            raise ClientDisconnect from None
        raise
    finally:
        begin.cancel()
        watch.end()


def _current_task() -> "asyncio.Task[object]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("Answers are made in tasks.")
    return task


class _Watch:
    """Listens for the end of a connection, and then cancels the task that makes the answer."""

    def __init__(self, req: Request, making: "asyncio.Task[object]") -> None:
        self.making = making
        self.has_left = False
        self._req = req
        self._listening: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._listening = asyncio.create_task(self._listen())

    def end(self) -> None:
        if self._listening is not None:
            self._listening.cancel()

    async def _listen(self) -> None:
        try:
            async for _ in self._req.stream():
                pass
            while (await self._req.receive())["type"] != "http.disconnect":
                pass
        except ClientDisconnect:
            pass
        # Whoever makes the answer waits for something now, and so is told there.
        self.has_left = True
        self.making.cancel()
