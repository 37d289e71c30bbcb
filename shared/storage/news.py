"""News within this process: something has happened that somebody may wait for."""

import asyncio


class News:
    """Wakes everybody who waits. Who reads first and waits then takes a ticket before reading."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self.waiting = 0
        """How many wait."""

        self.watcher: asyncio.Task[None] | None = None
        """What looks for news outside of this process on behalf of those who wait."""

    def ticket(self) -> asyncio.Event:
        """What is set by the next news from now on."""
        return self._next

    def tell(self) -> None:
        """There is news."""
        told, self._next = self._next, asyncio.Event()
        told.set()
