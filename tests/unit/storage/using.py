"""Runs one asynchronous piece of a test with its own connections."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.storage.connection import Connection
from shared.storage.wire import Limits, Wire
from tests.unit.storage.faulty import Fault, Proxy, proxied

T = TypeVar("T")

QUICK = Limits(first_delay_seconds=0.001, longest_delay_seconds=0.002)
"""Retries as in earnest, without the waiting."""


def using(connection: Connection, act: Callable[[Wire], Awaitable[T]]) -> T:
    """Run `act` against the emulator."""

    async def whole() -> T:
        wire = Wire(connection)
        try:
            return await act(wire)
        finally:
            await wire.aclose()

    return asyncio.run(whole())


def spoiled(
    connection: Connection,
    faults: Sequence[Fault],
    act: Callable[[Wire, Proxy], Awaitable[T]],
    *,
    limits: Limits = QUICK,
) -> T:
    """Run `act` against the emulator, the first answers spoiled."""

    async def whole() -> T:
        async with proxied(connection, faults) as proxy:
            wire = Wire(proxy.connection, limits=limits)
            try:
                return await act(wire, proxy)
            finally:
                await wire.aclose()

    return asyncio.run(whole())
