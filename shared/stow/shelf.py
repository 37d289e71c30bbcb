"""The files of a request wait here to be committed together.

Those of one study share a blob and a transaction: fifty small files cost hardly more than one.
While some loads are being committed the next is read; their number bounds the memory.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.errors import Unavailable
from shared.storage.gather import MAX_BYTES, MAX_ITEMS
from shared.storage.keys import StudyKey, study_key
from shared.storage.storage import Storage
from shared.stow.checks import Taken
from shared.stow.intake import Received
from shared.stow.outcome import MAX_COMMENTS, Failure, Outcome, Refused
from shared.stow.together import Item, commit_together

LOADS_AT_ONCE = 2
"""Loads being committed; with the one that is being read they bound the memory of a request."""

STUDIES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class _Numbered:
    number: int
    """Which part of the request it is, counted from 0."""

    item: Item


class Shelf:
    """Collects the parts of one request and commits them load by load."""

    def __init__(self, storage: Storage, partition: str, taken: Taken) -> None:
        self._storage = storage
        self._partition = partition
        self._taken = taken
        self._outcomes: list[Outcome | None] = []
        self._load: list[_Numbered] = []
        self._load_bytes = 0
        self._comments = 0
        self._addresses: set[tuple[str, str, str]] = set()
        self._committing: set[asyncio.Task[None]] = set()
        self._unavailable: Unavailable | None = None
        self.has_begun = False
        """Whether anything may have been committed."""

    def reserve(self) -> int:
        """Keep the next place in the answer for a part that is not complete yet."""
        self._outcomes.append(None)
        return len(self._outcomes) - 1

    async def add(
        self, part: Received | Refused, failure: Unavailable | None = None, number: int | None = None
    ) -> None:
        """Take a part; commits what has come together when that is enough.

        Args:
            part: What became of it so far.
            failure: Why storage did not take it, if that is why it is refused.
            number: Its place in the answer, from `reserve`; the next one if absent.
        """
        number = self.reserve() if number is None else number
        part = self._with_comments_allowed(part)
        self._unavailable = failure or self._unavailable
        if isinstance(part, Refused):
            self._outcomes[number] = part
            return
        item = Item(part, self._taken)
        if item.address in self._addresses:
            # The same instance twice: the first is stored, then the second finds it there.
            await self.settle()
        self._addresses.add(item.address)
        self._load.append(_Numbered(number, item))
        self._load_bytes += len(part.body or b"")
        # A large file is a blob already, which the sweep would take for a leftover if it waited too long.
        if part.location or self._load_bytes >= MAX_BYTES or len(self._load) >= MAX_ITEMS:
            await self._start()

    async def finish(self) -> list[Outcome]:
        """Commit what is left and tell what became of each part, in order.

        Raises:
            Unavailable: Nothing was stored, and storage is to blame.
        """
        await self.settle()
        outcomes = [outcome for outcome in self._outcomes if outcome]
        failed = all(isinstance(item, Refused) and item.reason is Failure.PROCESSING for item in outcomes)
        if self._unavailable and failed:
            raise self._unavailable
        return outcomes

    async def settle(self) -> None:
        """Wait until everything taken so far is committed or refused."""
        await self._start()
        await self._wait(0)
        self._addresses.clear()

    async def leave(self) -> None:
        """Let commits that have begun come to their end, also when the client has left."""
        if self._committing:
            await asyncio.wait(self._committing)

    def _with_comments_allowed(self, part: Received | Refused) -> Received | Refused:
        """The part with as many comments as the request may still have."""
        comments = part.comments if isinstance(part, Refused) else part.passed.comments
        room = MAX_COMMENTS - self._comments
        self._comments += min(len(comments), room)
        if len(comments) <= room:
            return part
        if isinstance(part, Refused):
            return replace(part, comments=comments[:room])
        return replace(part, passed=replace(part.passed, comments=comments[:room]))

    async def _wait(self, most: int) -> None:
        """Wait until at most so many loads are being committed."""
        while len(self._committing) > most:
            done, _ = await asyncio.wait(self._committing, return_when=asyncio.FIRST_COMPLETED)
            self._committing -= done
            for load in done:
                load.result()

    async def _start(self) -> None:
        if self._load:
            await self._wait(LOADS_AT_ONCE - 1)
            self.has_begun = True
            self._committing.add(asyncio.create_task(self._commit(self._load)))
            self._load, self._load_bytes = [], 0

    async def _commit(self, load: Sequence[_Numbered]) -> None:
        by_study: dict[StudyKey, list[_Numbered]] = defaultdict(list)
        for each in load:
            by_study[study_key(self._partition, each.item.address[0])].append(each)
        limit = asyncio.Semaphore(STUDIES_AT_ONCE)

        async def commit(key: StudyKey, several: Sequence[_Numbered]) -> None:
            async with limit:
                await self._commit_study(key, several)

        await asyncio.gather(*(commit(*study) for study in by_study.items()))

    async def _commit_study(self, key: StudyKey, several: Sequence[_Numbered]) -> None:
        results = await commit_together(self._storage, key, [each.item for each in several])
        for each, result in zip(several, results, strict=True):
            if isinstance(result, Unavailable):
                self._unavailable = result
                result = Refused(Failure.PROCESSING, each.item.received.file.identity)
            self._outcomes[each.number] = result
