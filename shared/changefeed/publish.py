"""Sending an event for every entry of the change feed, at least once and in order.

A row says up to where events were taken. It moves on only after the sink has answered, so a crash in between
sends some again, under the same ids, and loses none. Who runs holds a lease; as a paused one may believe
that it still does, the row is changed only by who knows its version.

A sink that fails is tried again later and later, by a message to ourselves. Nobody waits for it: entries are
made and read whether or not events are sent.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.changefeed.events import Event, Source, make_event
from shared.changefeed.sinks import OpenSink, Sink, SinkFailed
from shared.storage import feed, keys, partitions
from shared.storage.feed import BEGINNING, Entry
from shared.storage.feed_times import find_first
from shared.storage.outbox import Sent, read_sent, write_sent
from shared.storage.storage import Storage

BATCH: Final = 100
"""Events sent together; well below the megabyte that Event Grid takes."""

MAX_BATCHES: Final = 200
"""Sent by one run; another follows."""

LEASE_BLOB: Final = "events"
LEASE_SECONDS: Final = 60
FIRST_DELAY: Final = timedelta(seconds=5)
LONGEST_DELAY: Final = timedelta(minutes=10)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Publishing:
    """What is sent where."""

    open_sink: OpenSink
    source: Source
    begin: datetime = BEGINNING
    """Where the very first run begins: entries before this time have no events."""


async def wake(storage: Storage, delay: timedelta = timedelta(0)) -> None:
    """Have the publisher run."""
    seconds = int(delay.total_seconds())
    await storage.queues.send(keys.EVENT_QUEUE, "{}", visible_after_seconds=seconds)


async def is_behind(storage: Storage) -> bool:
    """Whether there are entries without events, and no failing sink is being waited for."""
    sent = await read_sent(storage)
    if sent is None:
        return True
    waiting = sent.not_before > datetime.now(UTC)
    return not waiting and bool(await feed.read_between(storage, sent.sequence + 1, sent.sequence + 2))


async def publish(storage: Storage, publishing: Publishing) -> int:
    """Send the events of all entries that have none yet. May be repeated, also by two at once.

    Returns:
        How many events the sink took.
    """
    async with _lease(storage) as is_ours:
        if not is_ours:
            # The other one may have looked for entries before those were made that woke us.
            await wake(storage, FIRST_DELAY)
            return 0
        sent = await read_sent(storage) or Sent(await find_first(storage, publishing.begin) - 1)
        if sent.not_before > datetime.now(UTC):
            return 0
        async with publishing.open_sink() as sink:
            return await _send_all(storage, publishing.source, sink, sent)


async def _send_all(storage: Storage, source: Source, sink: Sink, sent: Sent) -> int:
    count = 0
    for _ in range(MAX_BATCHES):
        first = sent.sequence + 1
        entries = await feed.read_between(storage, first, first + BATCH)
        if not entries:
            return count
        try:
            await _send(sink, [await _event(storage, entry, source) for entry in entries])
        except SinkFailed as failure:
            await _put_off(storage, sent, failure)
            return count
        moved = await write_sent(storage, sent, Sent(entries[-1].sequence))
        count += len(entries)
        if moved is None:
            return count
        sent = moved
    await wake(storage)
    return count


async def _event(storage: Storage, entry: Entry, source: Source) -> Event:
    return make_event(entry, await partitions.name_of(storage, entry.partition), source)


async def _send(sink: Sink, events: Sequence[Event]) -> None:
    """Send events together, or in halves when that is too much."""
    try:
        await sink.send(events)
    except SinkFailed as failure:
        if not failure.is_too_large or len(events) == 1:
            raise
        half = len(events) // 2
        await _send(sink, events[:half])
        await _send(sink, events[half:])


async def _put_off(storage: Storage, sent: Sent, failure: SinkFailed) -> None:
    delay = pick_delay(sent.failures)
    log.warning("events were not taken (%s); the next try is in %d s", failure, delay.total_seconds())
    later = replace(sent, failures=sent.failures + 1, not_before=datetime.now(UTC) + delay)
    await write_sent(storage, sent, later)
    # A second more, so that the message does not come too early.
    await wake(storage, delay + timedelta(seconds=1))


def pick_delay(failures: int) -> timedelta:
    """How long to wait after so many failures in a row before this one."""
    return min(FIRST_DELAY * (1 << min(failures, 10)), LONGEST_DELAY)


@asynccontextmanager
async def _lease(storage: Storage) -> AsyncIterator[bool]:
    lease = await storage.leases.acquire(keys.LOCKS, LEASE_BLOB, LEASE_SECONDS)
    try:
        yield lease is not None
    finally:
        if lease is not None:
            await storage.leases.release(keys.LOCKS, LEASE_BLOB, lease)
