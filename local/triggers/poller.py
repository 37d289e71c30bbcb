"""The loop behind the queue and blob triggers: look, start what is there, wait, longer each time in vain."""

import asyncio
import contextlib
import logging
import time
from typing import Protocol

from azure.core.exceptions import AzureError

from local.invoker import cancelled

LOG = logging.getLogger("local.triggers")

SHORTEST_SECONDS = 0.1


class Source(Protocol):
    """Where a trigger finds its work. A queue and a container are two."""

    name: str
    """The function's name."""

    longest_seconds: float
    """The longest pause between two looks at an empty source."""

    running: set[asyncio.Task[None]]
    """The invocations under way."""

    woken: asyncio.Event
    """Set when it is worth looking again at once."""

    async def prepare(self) -> None:
        """Create the queue or container when it is missing."""

    async def poll(self, *, eager: bool = False) -> int:
        """Look once, start what is found, and say how much that is.

        Args:
            eager: Also take what is only waiting for its next try.
        """

    @property
    def waiting(self) -> int:
        """How much has been found and not been started yet."""

    def give_up(self) -> None:
        """Start nothing more of what was found."""


class Poller:
    """Polls one source until it is stopped."""

    def __init__(self, source: Source, shortest_seconds: float = SHORTEST_SECONDS) -> None:
        self.source = source
        self.shortest = min(shortest_seconds, source.longest_seconds)
        self.pause = self.shortest
        self.looking = asyncio.Lock()
        self.prepared = False
        self.failing_since: float | None = None
        self.loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Prepare the source, and begin; a storage that cannot be reached yet is tried again later."""
        await self.look()
        self.loop = asyncio.create_task(self.run())

    async def run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.source.woken.wait(), timeout=self.pause)
            self.source.woken.clear()
            await self.look()

    async def look(self, *, eager: bool = False) -> int:
        """Poll once, and set the pause by what was found."""
        async with self.looking:
            try:
                if not self.prepared:
                    await self.source.prepare()
                    self.prepared = True
                found = await self.source.poll(eager=eager)
            except Exception as error:
                # Whatever it is, the trigger has to come back; it is in the log, and asked for by a drain.
                self.note_failure(error)
                return 0
        self.note_success()
        self.pause = self.shortest if found else min(self.pause * 1.5, self.source.longest_seconds)
        return found

    def note_failure(self, error: Exception) -> None:
        """Say once that the storage fails, and come back later; the queue may be gone, so prepare again."""
        if not isinstance(error, AzureError):
            LOG.error("%s: looking for work failed", self.source.name, exc_info=error)
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            reason = type(error).__name__
            LOG.warning("%s: its storage fails (%s); it is asked again and again", self.source.name, reason)
        LOG.debug("%s: storage failure", self.source.name, exc_info=error)
        self.prepared = False
        self.pause = min(2.0, max(self.source.longest_seconds, self.shortest))

    def note_success(self) -> None:
        if self.failing_since is not None:
            LOG.info("%s: its storage answers again", self.source.name)
        self.failing_since = None

    def wake(self) -> None:
        """Look again at once."""
        self.source.woken.set()

    async def end_loop(self) -> None:
        if self.loop:
            await cancelled(self.loop)

    async def stop(self, grace_seconds: float) -> None:
        """Stop looking, give running invocations some time, then cancel them."""
        # Not in the middle of a look: messages just received would be nobody's until their hold ends.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds), self.looking:
                await self.end_loop()
        await self.end_loop()
        self.source.give_up()
        if self.source.running:
            await asyncio.wait(set(self.source.running), timeout=grace_seconds)
        for task in set(self.source.running):
            LOG.warning("%s: an invocation was still running and is cancelled", self.source.name)
            await cancelled(task)
