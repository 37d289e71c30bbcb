"""What a search finds, as it comes: rows of search tables and of the archive, newest first."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from shared.dicom.tags import SearchLevel
from shared.qido.match import Match
from shared.qido.plan import Lead, Plan, Scan
from shared.storage import archive, keys
from shared.storage.keys import Scope, StudyKey
from shared.storage.rows import SEARCHED, InstanceRow, Values, parse_values
from shared.storage.storage import Storage
from shared.storage.tables import Row

MIN_PAGE = 25
MAX_PAGE = 1000

STUDIES_AT_ONCE = 16
"""Studies read side by side for the series found."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A study, series or instance that matches, with what its levels say of themselves."""

    study: str
    study_values: Values
    series: str = ""
    series_values: Values | None = None
    instance: str = ""
    instance_values: Values | None = None


class Finder:
    """Follows the plan of one search. Study rows read on the way are kept for the length of it."""

    def __init__(self, storage: Storage, partition: str, plan: Plan, *, page: int) -> None:
        """Prepare to follow a plan, reading rows of search tables `page` at a time."""
        self._page = min(max(page, MIN_PAGE), MAX_PAGE)
        self._storage = storage
        self._partition = partition
        self._plan = plan
        self._studies: dict[str, Values | None] = {}

    async def studies(self) -> AsyncIterator[Hit]:
        """The studies that match at study level."""
        for uid in dict.fromkeys(self._plan.studies):
            values = await self._study(uid)
            if values is not None and self._fits(SearchLevel.STUDY, values):
                yield Hit(uid, values)
        if self._plan.lead is not Lead.STUDIES or self._plan.studies:
            return
        async for row in self._rows():
            study, values = str(row.values["study"]), parse_values(str(row.values["values"]))
            if self._fits(SearchLevel.STUDY, values):
                self._studies[study] = values
                yield Hit(study, values)

    async def series(self) -> AsyncIterator[Hit]:
        """The series that match at study and series level."""
        if self._plan.lead is Lead.STUDIES:
            async for hit in self.studies():
                async for found in self._series_of(hit):
                    yield found
            return
        async for rows in _chunks(self._rows()):
            await asyncio.gather(*map(self._study, {str(row.values["study"]) for row in rows}))
            for row in rows:
                if series_hit := self._series_hit(row):
                    yield series_hit

    async def instances(self) -> AsyncIterator[Hit]:
        """The instances that match at all levels."""
        if self._plan.lead is Lead.INSTANCES:
            async for row in self._rows():
                async for hit in self._instance(row):
                    yield hit
            return
        async for hit in self.series():
            for found in await newest_instances(self._storage, self._key(hit.study), hit.series):
                if self._fits(SearchLevel.INSTANCE, found.values):
                    yield replace(hit, instance=found.instance, instance_values=found.values)

    async def _series_of(self, hit: Hit) -> AsyncIterator[Hit]:
        found = await archive.read_series(self._storage, self._key(hit.study))
        for uid, row in sorted(found.items(), key=lambda item: -item[1].created):
            if self._fits(SearchLevel.SERIES, row.values):
                yield Hit(hit.study, hit.study_values, uid, row.values)

    def _series_hit(self, row: Row) -> Hit | None:
        """What a row of a search table of series leads to, if it matches. Its study has been read."""
        study, series = str(row.values["study"]), str(row.values["series"])
        values, study_values = parse_values(str(row.values["values"])), self._studies[study]
        if study_values is None or not self._fits(SearchLevel.SERIES, values):
            return None
        if not self._fits(SearchLevel.STUDY, study_values):
            return None
        return Hit(study, study_values, series, values)

    async def _instance(self, row: Row) -> AsyncIterator[Hit]:
        study, series, instance = (str(row.values[name]) for name in ("study", "series", "instance"))
        key = self._key(study)
        found = await archive.read_instance(self._storage, key, series, instance, SEARCHED)
        series_row = await archive.read_level(self._storage, key, keys.series_row(series))
        study_values = await self._study(study)
        if found is None or series_row is None or study_values is None:
            return
        hit = Hit(study, study_values, series, series_row.values, instance, found.values)
        if self._fits_whole(hit):
            yield hit

    async def _study(self, uid: str) -> Values | None:
        if uid not in self._studies:
            row = await archive.read_level(self._storage, self._key(uid), keys.STUDY_ROW)
            self._studies[uid] = row.values if row else None
        return self._studies[uid]

    def _fits_whole(self, hit: Hit) -> bool:
        levels = (
            (SearchLevel.STUDY, hit.study_values),
            (SearchLevel.SERIES, hit.series_values or {}),
            (SearchLevel.INSTANCE, hit.instance_values or {}),
        )
        return all(self._fits(level, values) for level, values in levels)

    def _fits(self, level: SearchLevel, values: Values) -> bool:
        return fits(self._plan.rest, level, values)

    def _key(self, study: str) -> StudyKey:
        return StudyKey(self._partition, study)

    async def _rows(self) -> AsyncIterator[Row]:
        """The rows of all scans, each once, merged in the order of their keys."""
        scans = self._plan.scans
        if len(scans) == 1:
            async for row in _scan(self._storage, scans[0], self._page):
                yield row
            return
        # Several terms of one attribute: a study may be found under each of them.
        seen: set[str] = set()
        async for row in _merged([_scan(self._storage, scan, self._page) for scan in scans]):
            tail = row.row.partition("|")[2]
            if tail not in seen:
                seen.add(tail)
                yield row


def fits(matches: Sequence[Match], level: SearchLevel, values: Values) -> bool:
    """Whether what a level says of itself fits all matches of that level."""
    return all(match.accepts(values) for match in matches if match.level is level)


async def newest_instances(storage: Storage, key: StudyKey, series: str | None) -> list[InstanceRow]:
    """The instances of a series or study, latest stored first."""
    pages = archive.read_instances(storage, Scope(key, series), SEARCHED)
    rows = [row async for page in pages for row in page]
    return sorted(rows, key=lambda row: -row.version)


async def _scan(storage: Storage, scan: Scan, page_rows: int) -> AsyncIterator[Row]:
    async for page in storage.tables.query(scan.table, scan.filter, page=page_rows):
        for row in page:
            yield row


async def _chunks(rows: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    chunk: list[Row] = []
    async for row in rows:
        chunk.append(row)
        if len(chunk) == STUDIES_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _merged(streams: Sequence[AsyncIterator[Row]]) -> AsyncIterator[Row]:
    heads: list[tuple[str, int, Row]] = []
    for number, stream in enumerate(streams):
        row = await anext(stream, None)
        if row is not None:
            heapq.heappush(heads, (row.row.partition("|")[2], number, row))
    while heads:
        _, number, row = heapq.heappop(heads)
        yield row
        following = await anext(streams[number], None)
        if following is not None:
            heapq.heappush(heads, (following.row.partition("|")[2], number, following))
