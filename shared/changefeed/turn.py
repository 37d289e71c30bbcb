"""Taking turns as the writer of the feed: a lease, held for as long as it takes. Nothing depends on it."""

import asyncio
from types import TracebackType
from typing import Final, Self

from shared.errors import Unavailable
from shared.storage import keys
from shared.storage.storage import Storage

LEASE_BLOB: Final = "changefeed"
LEASE_SECONDS: Final = 60
RENEW_SECONDS: Final = 20.0
MAX_WAIT_SECONDS: Final = 90.0
"""A lease left by a crash ends after a minute; waiting longer is pointless."""

PAUSE_SECONDS: Final = 0.2


class Turn:
    """Our turn, from entering this context to leaving it.

    Raises:
        Unavailable: Another writer kept the lease for too long.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lease = ""
        self._renew_at = 0.0

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._storage.leases.release(keys.LOCKS, LEASE_BLOB, self._lease)

    async def keep(self) -> None:
        """Hold the lease for longer when it is time to. Who was paused and lost it waits for another."""
        if _now() < self._renew_at:
            return
        renewing = _now()
        if await self._storage.leases.renew(keys.LOCKS, LEASE_BLOB, self._lease):
            self._renew_at = renewing + RENEW_SECONDS
        else:
            await self._take()

    async def _take(self) -> None:
        deadline = _now() + MAX_WAIT_SECONDS
        while True:
            asked = _now()
            lease = await self._storage.leases.acquire(keys.LOCKS, LEASE_BLOB, LEASE_SECONDS)
            if lease is not None:
                self._lease, self._renew_at = lease, asked + RENEW_SECONDS
                return
            if _now() > deadline:
                raise Unavailable("Another writer holds the change feed.")
            await asyncio.sleep(PAUSE_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
