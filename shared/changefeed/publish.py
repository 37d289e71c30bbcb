"""Sending an event for every entry of the change feed, at least once and in order.

A row says up to where events were taken. It moves on only after the sink has answered, so a crash in between
sends some again, under the same ids, and loses none. Who runs holds a lease; as a paused one may believe
that it still does, the row is changed only by who knows its version.

Two may send at once all the same, when one was paused or the lease was lost. Who sends a batch has seen
that all before it was taken, so what comes for the first time comes in order and without a gap; what comes
again is a repetition. The slower one learns from the row that it was overtaken, and ends.

A sink that fails is tried again later and later, by a message to ourselves. Nobody waits for it: entries are
made and read whether or not events are sent.

An event that a sink refuses by itself, while it takes others, is set aside and reported, and those behind it
go on; each sweep tries it again a few times. A sink that refuses all of several events is held to be wrong.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.changefeed.events import Event, Source, make_event
from shared.changefeed.sinks import OpenSink, Sink, SinkFailed
from shared.errors import Unavailable
from shared.storage import feed, keys, partitions
from shared.storage.feed import BEGINNING, Entry
from shared.storage.feed_times import find_first
from shared.storage.outbox import (
    Sent,
    forget_refused,
    note_refused,
    read_refused,
    read_sent,
    write_sent,
)
from shared.storage.storage import Storage

BATCH: Final = 100
"""Events sent together; well below the megabyte that Event Grid takes."""

MAX_BATCHES: Final = 200
"""Sent by one run; another follows."""

LEASE_BLOB: Final = "events"
LEASE_SECONDS: Final = 60
RENEW_SECONDS: Final = 20.0
FIRST_DELAY: Final = timedelta(seconds=5)
LONGEST_DELAY: Final = timedelta(minutes=10)
LONGEST_DELAY_REFUSED: Final = timedelta(minutes=1)
"""After a refusal: the next event tells whether it is for the event or the sink that is wrong."""

MAX_REFUSALS: Final = 3
"""Tries in a row of the only event there is, before it is set aside."""

MAX_TRIES: Final = 5
"""Of an event that is set aside; then it waits for somebody to look at it."""

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


async def retry_refused(storage: Storage, publishing: Publishing) -> int:
    """Try events again that were set aside, unless that was done often enough; tell how many are left."""
    known = await read_refused(storage)
    due = [each.sequence for each in known if each.tries < MAX_TRIES]
    if not due:
        return len(known)
    left = len(known)
    async with publishing.open_sink() as sink:
        for sequence in due:
            entries = await feed.read_between(storage, sequence, sequence + 1)
            try:
                refusals = await _send(sink, await _numbered(storage, entries, publishing.source))
            except SinkFailed:
                return left
            if refusals:
                await _set_aside(storage, refusals)
            else:
                await forget_refused(storage, sequence)
                left -= 1
    return left


async def _send_all(storage: Storage, source: Source, sink: Sink, sent: Sent) -> int:
    count = 0
    for _ in range(MAX_BATCHES):
        first = sent.sequence + 1
        entries = await feed.read_between(storage, first, first + BATCH)
        if not entries:
            return count
        try:
            refusals = await _send(sink, await _numbered(storage, entries, source))
        except SinkFailed as failure:
            await _put_off(storage, sent, failure)
            return count
        if refusals and not _are_at_fault(refusals, entries, sent):
            await _put_off(storage, sent, refusals[0].failure)
            return count
        await _set_aside(storage, refusals)
        moved = await write_sent(storage, sent, Sent(entries[-1].sequence))
        count += len(entries) - len(refusals)
        if moved is None:
            return count
        sent = moved
    await wake(storage)
    return count


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An event that the sink refused when it came by itself."""

    sequence: int
    failure: SinkFailed


def _are_at_fault(refusals: Sequence[_Refusal], entries: Sequence[Entry], sent: Sent) -> bool:
    """Whether something is wrong with the events that were refused, and not with the sink."""
    return len(refusals) < len(entries) or (len(entries) == 1 and sent.failures >= MAX_REFUSALS)


async def _set_aside(storage: Storage, refusals: Sequence[_Refusal]) -> None:
    for each in refusals:
        log.error("sequence=%d its event was refused (%s); it is set aside", each.sequence, each.failure)
        await note_refused(storage, each.sequence, str(each.failure))


async def _numbered(storage: Storage, entries: Sequence[Entry], source: Source) -> list[tuple[int, Event]]:
    return [(entry.sequence, await _event(storage, entry, source)) for entry in entries]


async def _event(storage: Storage, entry: Entry, source: Source) -> Event:
    return make_event(entry, await partitions.name_of(storage, entry.partition), source)


async def _send(sink: Sink, numbered: Sequence[tuple[int, Event]]) -> list[_Refusal]:
    """Send events together, in halves where they are refused; give those that are refused by themselves."""
    if not numbered:
        return []
    try:
        await sink.send([event for _, event in numbered])
    except SinkFailed as failure:
        if not failure.is_refused:
            raise
        if len(numbered) == 1:
            return [_Refusal(numbered[0][0], failure)]
        half = len(numbered) // 2
        return [*await _send(sink, numbered[:half]), *await _send(sink, numbered[half:])]
    return []


async def _put_off(storage: Storage, sent: Sent, failure: SinkFailed) -> None:
    delay = pick_delay(sent.failures, failure)
    log.warning("events were not taken (%s); the next try is in %d s", failure, delay.total_seconds())
    later = replace(sent, failures=sent.failures + 1, not_before=datetime.now(UTC) + delay)
    await write_sent(storage, sent, later)
    # A second more, so that the message does not come too early.
    await wake(storage, delay + timedelta(seconds=1))


def pick_delay(failures: int, failure: SinkFailed) -> timedelta:
    """How long to wait after so many failures in a row before this one: doubling, and at least as asked."""
    longest = LONGEST_DELAY_REFUSED if failure.is_refused else LONGEST_DELAY
    asked = timedelta(seconds=min(failure.pause_seconds, longest.total_seconds()))
    return max(asked, min(FIRST_DELAY * (1 << min(failures, 10)), longest))


@asynccontextmanager
async def _lease(storage: Storage) -> AsyncIterator[bool]:
    lease = await storage.leases.acquire(keys.LOCKS, LEASE_BLOB, LEASE_SECONDS)
    if lease is None:
        yield False
        return
    keeping = asyncio.create_task(_keep(storage, lease))
    try:
        yield True
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await storage.leases.release(keys.LOCKS, LEASE_BLOB, lease)


async def _keep(storage: Storage, lease: str) -> None:
    """Renew our lease for as long as we work. Where that fails, two may work, which does no harm."""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            if not await storage.leases.renew(keys.LOCKS, LEASE_BLOB, lease):
                return
        except Unavailable:
            log.warning("the lease of the publisher of events could not be renewed")
