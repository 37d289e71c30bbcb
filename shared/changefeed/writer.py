"""Writing the change feed: every change gets its numbers exactly once, whoever crashes or is paused.

- Entries are only inserted, without gaps. Two writers with the same view of the end collide at their first
  entry, and one fails (`storage/feed.py`). So whoever appends to an end has seen everything before it.
- What the feed has is told by the feed itself. Up to the **mark** every change that is entered is finished:
  its pending row is gone. What was entered behind the mark is read, or was written by us.
- First we learn the mark and the end, then we read pending rows, then we append to that end. A row that is
  pending then and was not entered behind the mark is entered nowhere: not before the mark, or it would be
  gone; not behind the end, or we would collide. Who collides forgets what was read and begins again.

All this is a pipeline: studies are read ahead, transactions follow one another, and what is entered is
finished behind them, many studies at once. The mark follows where everything before it is finished.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Awaitable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from shared.changefeed.ahead import Reading, Round, read_ahead
from shared.changefeed.order import batches, number
from shared.changefeed.turn import Turn
from shared.errors import Unavailable
from shared.storage import aside, feed, keys, pending
from shared.storage.aside import is_hopeless
from shared.storage.feed import Entry
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.pending import Pending
from shared.storage.storage import Head, Storage
from shared.storage.summaries import wake_aside
from shared.storage.tables import RowExists

APPEND_SECONDS: Final = 5.0
"""From taking the time of an entry to its being entered; what takes longer is looked at and written anew."""

MAX_TAILS: Final = 20
"""Transactions entered and not finished."""

FINISHES_AT_ONCE: Final = 64
ENTRIES_BETWEEN_MARKS: Final = 2000
MAX_OVERTAKEN: Final = 20
"""How often in a row we begin again; each time another writer has got on."""

log = logging.getLogger(__name__)


class Overtaken(Exception):
    """Another writer has entered something, or it is not known whether we have: begin again."""


@dataclass(frozen=True, slots=True)
class _Tail:
    """What follows a transaction."""

    head: Head
    """The end of the feed after it."""

    task: asyncio.Task[None]


class Writer:
    """The writer of the feed, for one turn."""

    def __init__(self, storage: Storage, turn: Turn) -> None:
        self.made = 0
        """Entries so far."""

        self._storage = storage
        self._turn = turn
        self._head: Head | None = None
        self._mark = Head(0, feed.BEGINNING)
        self._entered: set[ChangeKey] = set()
        """Changes that the feed has and that may have been pending when they were read."""

        self._kept: set[ChangeKey] = set()
        """Those of them that cannot be finished, and are set aside."""

        self._tails: deque[_Tail] = deque()
        self._finishing = asyncio.Semaphore(FINISHES_AT_ONCE)
        self._unsure: Sequence[Entry] = ()
        """Of the last transaction, when it is not known whether it was entered."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        head, memory = self._head, self._storage.memory
        try:
            if error is None and head is not None:
                if head != self._mark:
                    await feed.write_mark(self._storage, head)
                memory.head = None if self._kept else head
        finally:
            await self._leave()

    async def enter(self, wanted: Round) -> None:
        """Enter some changes and finish them.

        Raises:
            Unavailable: Storage did not answer, or other writers come first again and again.
        """
        for _ in range(MAX_OVERTAKEN):
            try:
                await self._look()
                await self._enter(wanted)
                while self._tails:
                    await self._end_oldest()
            except Overtaken:
                await self._leave()
            else:
                self._entered = set(self._kept)
                return
        raise Unavailable("Other writers of the change feed come first.")

    async def _look(self) -> None:
        """Learn where the feed ends, and what it has that may not be finished. The order matters."""
        if self._head is not None:
            return
        known, self._storage.memory.head = self._storage.memory.head, None
        if known is not None:
            # Where we left it, and everything was finished. If others have been here since, we shall collide.
            self._head = self._mark = known
            return
        self._mark = await feed.read_mark(self._storage)
        self._kept = {
            each.change for each in (await aside.read_all(self._storage)).values() if each.is_entered
        }
        entries = await feed.read_entries(self._storage, self._mark.sequence)
        last = entries[-1] if entries else self._mark
        if last.sequence - self._mark.sequence != len(entries):
            # It grew while it was read, and one part was read before and another after.
            raise Overtaken
        self._head = Head(last.sequence, last.time)
        behind = {entry.of for entry in entries}
        self._entered = behind | self._kept
        if self._unsure and self._unsure[0].of in behind:
            self.made += len(self._unsure)
        self._unsure = ()
        self._tails.append(_Tail(self._head, asyncio.create_task(self._finish_left(behind - self._kept))))

    async def _enter(self, wanted: Round) -> None:
        group: list[Pending] = []
        idle: list[str] = []
        async with aclosing(read_ahead(self._storage, wanted.wanted)) as readings:
            async for reading in readings:
                idle += await self._put_aside(reading, wanted)
                *full, group = batches([*group, *reading.changes]) or [[]]
                for each in full:
                    await self._enter_group(each, wanted)
        await self._enter_group(group, wanted, idle)

    async def _put_aside(self, reading: Reading, wanted: Round) -> list[str]:
        """Note what could not be made ready; give the blobs of which there is nothing to enter."""
        for change, reason in reading.failed.items():
            await aside.note(self._storage, change, reason, is_entered=change in self._entered)
        without = (*reading.done, *reading.failed)
        return [wanted.blobs[change] for change in without if change in wanted.blobs]

    async def _enter_group(self, group: Sequence[Pending], wanted: Round, idle: Sequence[str] = ()) -> None:
        await self._make_room()
        await self._append([each for each in group if each.change not in self._entered])
        entered = [each for each in group if each.change in self._entered]
        blobs = [wanted.blobs[each.change] for each in group if each.change in wanted.blobs]
        assert self._head is not None
        self._tails.append(_Tail(self._head, asyncio.create_task(self._finish(entered, [*blobs, *idle]))))

    async def _make_room(self) -> None:
        """Keep our turn, and run no further ahead of what is to be finished than is allowed."""
        await self._turn.keep()
        while self._tails and (self._tails[0].task.done() or len(self._tails) >= MAX_TAILS):
            await self._end_oldest()

    async def _end_oldest(self) -> None:
        tail = self._tails.popleft()
        await tail.task
        if tail.head.sequence - self._mark.sequence >= ENTRIES_BETWEEN_MARKS:
            await feed.write_mark(self._storage, tail.head)
            self._mark = tail.head

    async def _append(self, changes: Sequence[Pending]) -> None:
        assert self._head is not None
        entries = number(changes, self._head, datetime.now(UTC))
        try:
            if entries:
                async with asyncio.timeout(APPEND_SECONDS):
                    await feed.append(self._storage, entries)
        except (RowExists, TimeoutError):
            self._unsure = entries
            raise Overtaken from None
        except Exception as error:
            if not is_hopeless(error):
                raise
            await self._append_apart(changes, error)
            return
        if entries:
            self._head = Head(entries[-1].sequence, entries[-1].time)
            self.made += len(entries)
            self._storage.memory.news.tell()
        self._entered.update(each.change for each in changes)

    async def _append_apart(self, changes: Sequence[Pending], error: Exception) -> None:
        """Find the change that storage does not take, and enter the others."""
        if len(changes) == 1:
            await aside.note(self._storage, changes[0].change, type(error).__name__, is_entered=False)
            return
        half = len(changes) // 2
        await self._append(changes[:half])
        await self._append(changes[half:])

    async def _finish(self, changes: Iterable[Pending], blobs: Sequence[str]) -> None:
        """Remove the rows and then the blobs of changes that the feed has."""
        by_study: dict[StudyKey, list[Pending]] = defaultdict(list)
        for change in changes:
            by_study[change.key].append(change)
        await _all(self._finish_study(*study) for study in by_study.items())
        if blobs:
            await self._storage.blobs.delete_all(keys.CHANGES, blobs)
        for name in blobs:
            self._storage.memory.emitted.put(name, True)

    async def _finish_study(self, key: StudyKey, changes: Sequence[Pending]) -> None:
        try:
            async with self._finishing:
                await pending.finish(self._storage, key, changes)
        except Exception as error:
            if not is_hopeless(error):
                raise
            if len(changes) == 1:
                await self._keep(changes[0].change, type(error).__name__)
                return
            for change in changes:
                await self._finish_study(key, [change])
        else:
            # What was joined of the series that have changed is joined anew when they have come to rest.
            # This is done beside: a queue that fails or is slow neither holds up the feed nor has a
            # change set aside that is entered and finished.
            changed = {item.series for change in changes for item in change.changes}
            wake_aside(self._storage, key, changed, self._storage.times.quiet)

    async def _keep(self, change: ChangeKey, reason: str) -> None:
        """Note a change that is entered and cannot be finished: the mark goes on without it."""
        await aside.note(self._storage, change, reason, is_entered=True)
        self._kept.add(change)

    async def _finish_left(self, changes: set[ChangeKey]) -> None:
        """Finish what another writer has entered, which may be at it still or have crashed."""
        by_study: dict[StudyKey, set[int]] = defaultdict(set)
        for change in changes:
            by_study[change.study].add(change.version)
        await _all(self._finish_left_of(*study) for study in by_study.items())

    async def _finish_left_of(self, key: StudyKey, versions: set[int]) -> None:
        async with self._finishing:
            waiting = await pending.read_waiting(self._storage, key)
        for change in waiting.unreadable:
            if change.version in versions:
                await self._keep(change, "Unreadable")
        left = [each for each in waiting.changes if each.version in versions]
        if left:
            await self._finish_study(key, left)

    async def _leave(self) -> None:
        """Forget what is known of the feed, when nothing is under way any more."""
        tails = [tail.task for tail in self._tails]
        self._tails.clear()
        self._head = None
        await asyncio.gather(*tails, return_exceptions=True)


async def _all(steps: Iterable[Awaitable[None]]) -> None:
    """Do several things at once, each to its end; fail as the first that failed."""
    ended = await asyncio.gather(*steps, return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException):
            raise error
