"""A window that was said to be over never gains an entry: API rules section 10.4."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import aiohttp
import pytest

from shared.changefeed import fresh, read, writer
from shared.changefeed.asked import parse_asked
from shared.changefeed.emit import LEASE_BLOB, emit, emit_pending
from shared.changefeed.page import Page
from shared.changefeed.read import MARGIN, Patience, find_page
from shared.storage import feed, keys
from shared.storage.blobs import blob_path
from shared.storage.commit import announce_change
from shared.storage.connection import Connection
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.versions import next_version
from shared.storage.wire import Request, Wire
from tests.unit.changefeed.conftest import Using, entry
from tests.unit.changefeed.test_emit import commit, study, waiting

TIMES = Times(timedelta(0), timedelta(minutes=15))
WAIT_SECONDS = 60


class PausedWire(Wire):
    """Connections of a process that is paused as it enters something."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.reached, self.until = asyncio.Event(), asyncio.Event()

    async def _send_once(self, request: Request) -> aiohttp.ClientResponse:
        written = (request.path.encode(), *map(bytes, request.body or ()))
        if request.method == "POST" and any(b"/feed" in each for each in written):
            self.reached.set()
            await self.until.wait()
        return await super()._send_once(request)


async def nobody() -> None:
    """There is no publisher to wake."""


async def stays() -> bool:
    """The client does not leave."""
    return False


async def window(storage: Storage, end: datetime, seconds: float = 0) -> Page:
    """All before a time, as a client of v2 gets it."""
    asked = parse_asked(f"endTime={quote(end.isoformat())}", is_v1=False)
    return await asyncio.wait_for(find_page(storage, asked, nobody, Patience(seconds, stays)), WAIT_SECONDS)


async def end_lease(storage: Storage) -> None:
    """Let the time of the writer's lease end."""
    headers = {"x-ms-lease-action": "break", "x-ms-lease-break-period": "0"}
    path = blob_path(keys.LOCKS, LEASE_BLOB)
    await storage.wire.send(Request("blob", "PUT", path, (("comp", "lease"),), headers))


async def emit_announced(storage: Storage) -> None:
    """As the function does that change blobs wake."""
    await emit(storage)


async def emit_found(storage: Storage) -> None:
    """As the sweep does with what no blob announces."""
    await emit_pending(storage, await waiting(storage, study(1)))


@pytest.mark.parametrize(
    ("enter", "is_announced"), [(emit_announced, True), (emit_found, False)], ids=["announced", "found"]
)
def test_a_writer_that_is_paused_adds_nothing_to_a_window_that_is_over(
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    enter: Callable[[Storage], Awaitable[None]],
    is_announced: bool,
) -> None:
    """However long: while it may still enter something no window is over, and then its place is taken."""
    # One clock needs no margin, and who is paused does not see how long.
    monkeypatch.setattr(read, "MARGIN", timedelta(0))
    monkeypatch.setattr(writer, "APPEND_SECONDS", 3600)

    async def act() -> None:
        wire = PausedWire(connection)
        paused, other = open_storage(connection, TIMES, wire), open_storage(connection, TIMES)
        try:
            await commit(other, study(1), announced=is_announced)
            entering = asyncio.create_task(_whole(enter, paused))
            await asyncio.wait_for(wire.reached.wait(), WAIT_SECONDS)
            monkeypatch.setattr(fresh, "PATIENCE_SECONDS", 0.5)
            end = datetime.now(UTC)
            before = await window(other, end)
            await end_lease(other)
            monkeypatch.setattr(fresh, "PATIENCE_SECONDS", WAIT_SECONDS)
            over = await window(other, end)
            wire.until.set()
            await asyncio.wait_for(entering, WAIT_SECONDS)
            later = await window(other, end)
            found = await feed.read_entries(other, 0)
        finally:
            await paused.aclose()
            await other.aclose()
        assert (before.entries, before.is_closed) == ((), False)
        assert (over.entries, over.is_closed) == (later.entries, later.is_closed) == ((), True)
        assert [each.sequence for each in found] == [1]
        assert found[0].time >= end

    asyncio.run(act())


async def _whole(enter: Callable[[Storage], Awaitable[None]], storage: Storage) -> None:
    await enter(storage)


def test_a_window_is_over_ten_seconds_after_its_end(using: Using) -> None:
    """So much the clocks of those who enter may be behind. Before, its link leads on."""

    async def act(storage: Storage) -> list[bool]:
        await feed.append(storage, [replace(entry(1), time=datetime.now(UTC) - timedelta(hours=1))])
        now = datetime.now(UTC)
        ends = (
            now - MARGIN - timedelta(milliseconds=1),
            now - timedelta(seconds=1),
            now + timedelta(hours=1),
        )
        # On a slow machine the second one may be over by now.
        return [(await window(storage, end)).is_closed for end in (ends[0], ends[2])]

    assert timedelta(seconds=10) == MARGIN
    assert using(act) == [True, False]


def test_a_window_that_ended_a_moment_ago_is_not_over(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is behind by less than the margin may still bring something; a later entry ends that."""
    monkeypatch.setattr(read, "MARGIN", timedelta(hours=1))

    async def act(storage: Storage) -> None:
        now = datetime.now(UTC)
        behind = now - timedelta(minutes=30)
        assert not (await window(storage, now)).is_closed
        await feed.append(storage, [replace(entry(1), time=behind)])
        page = await window(storage, now)
        assert ([each.sequence for each in page.entries], page.is_closed) == ([1], False)
        await feed.append(storage, [replace(entry(2), time=now)])
        page = await window(storage, now)
        assert ([each.sequence for each in page.entries], page.is_closed) == ([1], True)

    using(act)


def test_with_too_much_announced_no_window_is_over(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader waits for the oldest only, and does not know of the others."""
    monkeypatch.setattr(read, "MARGIN", timedelta(0))
    monkeypatch.setattr(fresh, "MAX_ANNOUNCED", 2)

    async def act(storage: Storage) -> list[bool]:
        end = datetime.now(UTC)
        for _ in range(3):
            await announce_change(storage, study(1), next_version())
        return [(await window(storage, end)).is_closed for _ in range(2)]

    assert using(act) == [False, True]


def test_nobody_waits_for_longer_than_the_bound(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Prefer: wait=N` beyond 25 seconds is as 25."""
    assert read.MAX_WAIT_SECONDS == 25
    monkeypatch.setattr(read, "MAX_WAIT_SECONDS", 0.3)

    async def act(storage: Storage) -> Page:
        return await window(storage, datetime.now(UTC) + timedelta(hours=1), seconds=10**9)

    assert using(act).entries == ()
