"""Reading the rows that a plan names, in its order and within its budget."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.errors import BadRequest
from shared.qido.budget import Budget
from shared.qido.plan import Lead, Plan
from shared.qido.position import Start, Way
from shared.qido.ranges import Scan, TextRange
from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import Row, Tables

MIN_PAGE = 25
MAX_PAGE = 1000

GROWTH = 4
"""A scan that goes on asks for so many times the rows: what matches is rare in it."""

Steps = Sequence[tuple[int, int]]

STEPS: Steps = ((250, 1_000), (2_000, 10_000), (20_000, 0))
"""Where a text leads: how many of its rows are gathered, and if there are more, among how many of the others
its studies are looked for before more is gathered. The last number gathered is what memory holds at once.

Be N the studies, M those with the text, p a page. Gathering reads M rows, looking among all p * N / M: the
lesser of the two is never more than the square root of p * N, 32,000 rows for 100 among 10 million, and
taking turns costs little more than the lesser alone.

Where the others come in another order, both cannot take turns: the second number is gathered at once.
"""

READS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a search is asked to give, and what it may cost."""

    start: Start
    budget: Budget
    page: int
    """Results wanted, and so rows of search tables to read at first."""

    steps: Steps = STEPS


class Rows:
    """The rows of one search."""

    def __init__(self, storage: Storage, plan: Plan, bounds: Bounds) -> None:
        """Prepare to read within bounds."""
        self._tables = storage.tables
        self._plan = plan
        self._start = bounds.start
        self._budget = bounds.budget
        self._steps = bounds.steps
        self._page = min(max(bounds.page, MIN_PAGE), MAX_PAGE)
        self._text = _Gathering(self._tables, plan.text.ranges if plan.text else ())
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
        if self._start.way is not Way.SCANNED:
            if await self._text.read(self._most()):
                self.way = Way.GATHERED
                return text.lead
            if self._start.way and not self._plan.is_one_order:
                raise BadRequest("The search cannot be continued: too much was stored since. Begin anew.")
        self.way = Way.SCANNED
        return self._plan.lead

    def _most(self) -> int:
        if self._plan.is_one_order:
            return self._steps[0][0]
        return self._steps[-1][0] if self._start.way else self._steps[1][0]

    async def read(self) -> AsyncIterator[Row]:
        """The rows, each once, in the order of their keys."""
        if self.way is Way.GATHERED:
            for row in self._text.rows_from(self._start.first):
                yield row
            return
        most_after = {scanned: most for (_, scanned), (most, _) in pairwise(self._steps)}
        number = 0
        async for row in self._scanned():
            yield row
            number += 1
            if not self._plan.is_one_order or number not in most_after or not self._budget.allows():
                continue
            if await self._text.read(most_after[number]):
                for other in self._text.rows_from(row.row + keys.BEHIND):
                    yield other
                return

    async def _scanned(self) -> AsyncIterator[Row]:
        """The rows of all scans, each once, merged in the order of their keys."""
        streams = [self._scan(scan) for scan in self._plan.scans]
        last = ""
        # Several terms of one attribute: a study may be found under each of them.
        async for row in streams[0] if len(streams) == 1 else _merged(streams):
            if row.row != last:
                yield row
            last = row.row

    async def _scan(self, scan: Scan) -> AsyncGenerator[Row, None]:
        page, after, is_first = self._page, self._start.first, True
        # However little is left, a search looks at something, so that the next one begins further on.
        while is_first or self._budget.allows():
            is_first = False
            query = self._tables.query(scan.table, scan.filter_from(after), page=page, limit=page)
            rows = await _whole(query)
            for row in rows:
                yield row
            if len(rows) < page:
                return
            after, page = rows[-1].row + keys.BEHIND, min(page * GROWTH, MAX_PAGE)


class _Gathering:
    """All rows of some ranges, kept until they can be sorted."""

    def __init__(self, tables: Tables, ranges: Sequence[TextRange]) -> None:
        self._tables = tables
        self._ranges = ranges
        self._rows: dict[str, Row] = {}
        self._number = 0
        self._waiting: list[AsyncGenerator[list[Row], None]] | None = None

    async def read(self, most: int) -> bool:
        """Go on until all are there; False if there are more rows than that, which bounds it well enough."""
        if most < MAX_PAGE:
            return await self._read_few(most)
        if self._waiting is None:
            self._waiting = [self._tables.query(each.table, each.filter) for each in self._ranges]
        while self._waiting:
            if self._number >= most:
                return False
            pages = await asyncio.gather(*(anext(query, None) for query in self._waiting))
            self._waiting = [query for query, rows in zip(self._waiting, pages, strict=True) if rows]
            self._keep(rows for rows in pages if rows)
        return True

    async def _read_few(self, most: int) -> bool:
        """Read them if they are few; what is read of many is read again when they are wanted."""
        queries = [
            self._tables.query(each.table, each.filter, page=most, limit=most) for each in self._ranges
        ]
        found = await asyncio.gather(*map(_whole, queries))
        if any(len(rows) == most for rows in found):
            return False
        self._keep(found)
        return True

    def _keep(self, pages: Iterable[list[Row]]) -> None:
        for row in (row for rows in pages for row in rows):
            self._rows.setdefault(row.row, row)
            self._number += 1

    def rows_from(self, first: str) -> list[Row]:
        """The rows from a key on, in the order of their keys; a study or series once."""
        return [self._rows[key] for key in sorted(self._rows) if key >= first]


async def _whole(query: AsyncGenerator[list[Row], None]) -> list[Row]:
    return [row async for page in query for row in page]


async def _merged(streams: Sequence[AsyncGenerator[Row, None]]) -> AsyncIterator[Row]:
    limit = asyncio.Semaphore(READS_AT_ONCE)

    async def head(stream: AsyncGenerator[Row, None]) -> Row | None:
        async with limit:
            return await anext(stream, None)

    heads = [
        (row.row, number, row)
        for number, row in enumerate(await asyncio.gather(*map(head, streams)))
        if row is not None
    ]
    heapq.heapify(heads)
    while heads:
        _, number, row = heapq.heappop(heads)
        yield row
        following = await anext(streams[number], None)
        if following is not None:
            heapq.heappush(heads, (following.row, number, following))
