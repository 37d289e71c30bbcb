"""Reading the rows that a plan names, in its order and within its budget."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from shared.errors import BadRequest
from shared.qido.budget import Budget
from shared.qido.plan import Lead, Plan, TextLead
from shared.qido.position import Start, Way
from shared.qido.ranges import Scan, TextRange
from shared.storage import index_keys
from shared.storage.storage import Storage
from shared.storage.tables import Row

MAX_PAGE = 1000

GROWTH = 4
"""A scan that goes on asks for so many times the rows: what matches is rare in it."""

GATHERED = 50
"""Rows that a piece of a text may have in one table to be sorted newest first.

They have to be read whatever the page, so they must be few beside a page of 25, which takes 75 rows with its
counts: then a search costs about the same whether its text is rare or common. And they are what people look
through: who gets more than two such pages asks for something closer.
"""

MOST_GATHERED = 5_000
"""The same when such a search goes on. What came since is left out, but texts may have been corrected."""

READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a search is asked to give, and what it may cost."""

    start: Start
    budget: Budget
    page: int
    """Rows of search tables to read at first."""

    gathered: int = GATHERED


@dataclass(frozen=True, slots=True)
class Placed:
    """A row, and where it stands among all that may be found."""

    place: str
    row: Row


class Rows:
    """The rows of one search."""

    def __init__(self, storage: Storage, plan: Plan, bounds: Bounds) -> None:
        """Prepare to read within bounds."""
        self._tables = storage.tables
        self._plan = plan
        self._start = bounds.start
        self._budget = bounds.budget
        self._most = (bounds.gathered if bounds.start.way is None else MOST_GATHERED) + 1
        self._page = min(bounds.page, MAX_PAGE)
        self._begun: list[list[Row]] = []
        """The first rows of each range of the text, where they have been read."""

        self.way: Way | None = None
        """How rows are found, once that is chosen."""

    async def choose(self) -> Lead:
        """Choose how rows are found, and tell what they stand for; once, before they are read.

        Raises:
            BadRequest: A search was continued in a way that is no longer possible.
        """
        text = self._plan.text
        if text is None:
            return self._plan.lead
        if self._start.way is not Way.SCANNED and await self._gather(text):
            self.way = Way.GATHERED
            return text.lead
        if self._start.way is Way.GATHERED:
            raise BadRequest("The search cannot be continued: too much has changed since. Begin anew.")
        self.way = Way.SCANNED
        return self._plan.lead

    async def _gather(self, text: TextLead) -> bool:
        """Read all rows of a text, if they are few; of many the first ones."""
        filters = [(each.table, each.filter_newest(self._start.first)) for each in text.ranges]
        self._begun = await asyncio.gather(*(self._read(*each, self._most) for each in filters))
        return all(len(rows) < self._most for rows in self._begun)

    async def read(self) -> AsyncIterator[Placed]:
        """The rows, each once, in the order of their places."""
        if self.way is Way.GATHERED:
            found = {row.row: row for rows in self._begun for row in rows}
            for place in sorted(found):
                yield Placed(place, found[place])
            return
        async for placed in self._merged() if self._plan.scans else self._by_text():
            yield placed

    async def _by_text(self) -> AsyncIterator[Placed]:
        """The rows of a text as they lie, one range behind the other."""
        ranges = self._plan.text.ranges if self._plan.text else ()
        for each in ranges:
            async for placed in self._scan(each, self._begun[each.number] if self._begun else None):
                yield placed
            if self._budget.is_ended:
                return

    async def _merged(self) -> AsyncIterator[Placed]:
        """The rows of all scans, each once: a study may be found under several terms of one attribute."""
        limit = asyncio.Semaphore(READS_AT_ONCE)

        async def head(stream: AsyncGenerator[Placed, None]) -> Placed | None:
            async with limit:
                return await anext(stream, None)

        streams = [self._scan(scan) for scan in self._plan.scans]
        found = await asyncio.gather(*map(head, streams))
        heads = [(placed.place, number, placed) for number, placed in enumerate(found) if placed]
        heapq.heapify(heads)
        last = ""
        while heads:
            place, number, placed = heapq.heappop(heads)
            if place != last:
                yield placed
            last = place
            following = await anext(streams[number], None)
            if following is not None:
                heapq.heappush(heads, (following.place, number, following))
            elif self._budget.is_ended:
                # This one may have more that come before what is left of the others.
                return

    async def _scan(
        self, scan: Scan | TextRange, begun: Sequence[Row] | None = None
    ) -> AsyncGenerator[Placed, None]:
        """The rows of one range, of which the first may have been read."""
        page, asked, rows = self._page, self._most, begun
        # However little is left, a search looks at something, so that the next one begins further on.
        if rows is None:
            rows, asked, page = await self._rows_from(scan, self._start.first, page), page, _grown(page)
        while True:
            for row in rows:
                yield Placed(scan.place_of(row), row)
            if len(rows) < asked or not self._budget.allows():
                return
            first = scan.place_of(rows[-1]) + index_keys.BEHIND
            rows, asked, page = await self._rows_from(scan, first, page), page, _grown(page)

    async def _rows_from(self, scan: Scan | TextRange, first: str, most: int) -> list[Row]:
        """Up to so many rows from a place on."""
        rows: list[Row] = []
        for condition in scan.filters_from(first):
            if len(rows) < most:
                rows += await self._read(scan.table, condition, most - len(rows))
        return rows

    async def _read(self, table: str, condition: str, most: int) -> list[Row]:
        query = self._tables.query(table, condition, page=most, limit=most)
        return [row async for page in query for row in page]


def _grown(page: int) -> int:
    return min(page * GROWTH, MAX_PAGE)
