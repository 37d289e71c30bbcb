"""What a search finds, as it comes: rows of search tables and of the archive, newest first."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from shared.dicom.tags import SearchLevel
from shared.qido.match import Match
from shared.qido.plan import Lead, Plan
from shared.qido.position import ALL_OF_IT, Position, Way, later
from shared.qido.ranges import first_place
from shared.qido.scans import Bounds, Placed, Rows
from shared.storage import archive, index_keys, keys
from shared.storage.compact import unpack_values
from shared.storage.keys import Scope, StudyKey
from shared.storage.rows import SEARCHED, InstanceRow, LevelRow, Values
from shared.storage.storage import Storage
from shared.storage.tables import Row
from shared.storage.terms import Kind, keys_of, terms

READS_AT_ONCE = 16
"""Studies or series read side by side; the first few alone, as a page may need no more."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hit:
    """A study, series or instance that matches, with what its levels say of themselves."""

    study: str
    study_values: Values
    series: str = ""
    series_values: Values | None = None
    instance: str = ""
    instance_values: Values | None = None
    position: Position = ()
    """Where it stands among the results."""

    version: int = 0
    """When it came: of an instance the version that is there, of others that of their first instance."""


class Finder:
    """Follows the plan of one search. Study rows read on the way are kept for the length of it."""

    def __init__(self, storage: Storage, partition: str, plan: Plan, bounds: Bounds) -> None:
        """Prepare to follow a plan within bounds."""
        self._storage = storage
        self._partition = partition
        self._plan = plan
        self._start = bounds.start
        self._budget = bounds.budget
        self._rows = Rows(storage, plan, bounds)
        self._studies: dict[str, Values | None] = {}
        self._created: dict[str, int] = {}
        self._lead = plan.lead
        self._done: dict[SearchLevel, Position] = {}
        self._looked: Position = bounds.start.after
        self._given: set[tuple[str, ...]] = set()
        """UIDs of studies and series that rows have led to."""

    def done(self, level: SearchLevel) -> Position:
        """Up to where everything was looked at, and what matches at the level was given."""
        return self._done.get(level, self._start.after)

    @property
    def way(self) -> Way | None:
        """How rows were found."""
        return self._rows.way

    async def find(self, level: SearchLevel) -> AsyncIterator[Hit]:
        """What matches at a level and those above, in the order of positions."""
        self._lead = await self._rows.choose()
        by_level = {
            SearchLevel.STUDY: self._find_studies,
            SearchLevel.SERIES: self._find_series,
            SearchLevel.INSTANCE: self._find_instances,
        }
        async for hit in by_level[level]():
            if not self._start.is_behind(hit.position):
                yield hit

    async def _find_studies(self) -> AsyncIterator[Hit]:
        if self._plan.studies:
            async for hit in self._named_studies():
                yield hit
            return
        async for placed in self._rows.read():
            row = placed.row.row
            study, values = index_keys.study_of_row(row), unpack_values(placed.row.values["values"])
            if self._fits(SearchLevel.STUDY, values) and self._is_first(placed, (study,), values):
                self._studies[study] = values
                yield Hit(study, values, position=(placed.place,), version=index_keys.version_of_row(row, 1))
            self._note(SearchLevel.STUDY, (placed.place,))

    async def _named_studies(self) -> AsyncIterator[Hit]:
        """Those of the studies named in the search that match, in the order they are named in."""
        named = [(f"{number:06}", uid) for number, uid in enumerate(self._plan.studies)]
        left = [(place, uid) for place, uid in named if place >= self._start.first]
        for chunk in _growing(left):
            if self._stops(SearchLevel.STUDY):
                return
            found = await asyncio.gather(*(self._study(uid) for _, uid in chunk))
            for (place, uid), values in zip(chunk, found, strict=True):
                if values is not None and self._fits(SearchLevel.STUDY, values):
                    yield Hit(uid, values, position=(place,), version=self._created[uid])
                self._note(SearchLevel.STUDY, (place,))

    def _find_series(self) -> AsyncIterator[Hit]:
        return self._series_of_studies() if self._lead is Lead.STUDIES else self._series_of_rows()

    async def _series_of_studies(self) -> AsyncIterator[Hit]:
        async for hits in _chunks(self._find_studies()):
            if self._stops(SearchLevel.SERIES):
                return
            found = await asyncio.gather(*map(self._series_of, hits))
            for hit, series in zip(hits, found, strict=True):
                for each in series:
                    yield each
                self._note(SearchLevel.SERIES, (*hit.position, ALL_OF_IT))
        self._note(SearchLevel.SERIES, self.done(SearchLevel.STUDY))

    async def _series_of_rows(self) -> AsyncIterator[Hit]:
        async for pairs in _chunks(self._fitting_series()):
            if self._stops(SearchLevel.SERIES):
                return
            await asyncio.gather(
                *(self._study(index_keys.series_of_row(each.row.row)[0]) for each, _ in pairs)
            )
            for placed, values in pairs:
                if hit := self._series_hit(placed, values):
                    yield hit
                self._note(SearchLevel.SERIES, (placed.place,))
        self._note(SearchLevel.SERIES, self._looked)

    async def _fitting_series(self) -> AsyncIterator[tuple[Placed, Values]]:
        """The rows of series that match by what they say themselves."""
        async for placed in self._rows.read():
            uids, values = (
                index_keys.series_of_row(placed.row.row),
                unpack_values(placed.row.values["values"]),
            )
            if self._fits(SearchLevel.SERIES, values) and self._is_first(placed, uids, values):
                yield placed, values
            self._looked = (placed.place,)

    def _find_instances(self) -> AsyncIterator[Hit]:
        return self._instances_of_rows() if self._lead is Lead.INSTANCES else self._instances_of_series()

    async def _instances_of_rows(self) -> AsyncIterator[Hit]:
        async for chunk in _chunks(self._rows.read()):
            if self._stops(SearchLevel.INSTANCE):
                return
            found = await asyncio.gather(*(self._instance(placed.row) for placed in chunk))
            for placed, hit in zip(chunk, found, strict=True):
                if hit:
                    yield hit
                self._note(SearchLevel.INSTANCE, (placed.place,))

    async def _instances_of_series(self) -> AsyncIterator[Hit]:
        async for hits in _chunks(self._find_series()):
            if self._stops(SearchLevel.INSTANCE):
                return
            instances = await asyncio.gather(*map(self._instances_of, hits))
            for hit, within in zip(hits, instances, strict=True):
                for each in within:
                    yield each
                self._note(SearchLevel.INSTANCE, (*hit.position, ALL_OF_IT))
        self._note(SearchLevel.INSTANCE, self.done(SearchLevel.SERIES))

    async def _series_of(self, hit: Hit) -> list[Hit]:
        found = await archive.read_series(self._storage, self._key(hit.study))
        hits = [
            replace(
                hit,
                series=uid,
                series_values=row.values,
                position=(*hit.position, place),
                version=row.created,
            )
            for place, uid, row in in_order(found)
            if self._fits(SearchLevel.SERIES, row.values)
        ]
        return [each for each in hits if not self._start.is_behind(each.position)]

    def _series_hit(self, placed: Placed, values: Values) -> Hit | None:
        """What a row of a search table of series leads to, if its study, which has been read, matches."""
        study, series = index_keys.series_of_row(placed.row.row)
        study_values = self._studies[study]
        if study_values is None or not self._fits(SearchLevel.STUDY, study_values):
            return None
        version = index_keys.version_of_row(placed.row.row, 2)
        return Hit(study, study_values, series, values, position=(placed.place,), version=version)

    async def _instances_of(self, hit: Hit) -> list[Hit]:
        rows = await newest_instances(self._storage, self._key(hit.study), hit.series)
        return [
            replace(
                hit,
                instance=row.instance,
                instance_values=row.values,
                position=(*hit.position, place),
                version=row.version,
            )
            for place, row in rows
            if self._fits(SearchLevel.INSTANCE, row.values)
        ]

    async def _instance(self, row: Row) -> Hit | None:
        study, series, instance = (str(row.values[name]) for name in ("study", "series", "instance"))
        key = self._key(study)
        found, series_row, study_values = await asyncio.gather(
            archive.read_instance(self._storage, key, series, instance, SEARCHED),
            archive.read_level(self._storage, key, keys.series_row(series)),
            self._study(study),
        )
        if found is None or series_row is None or study_values is None:
            return None
        of_series = series_row.values
        hit = Hit(study, study_values, series, of_series, instance, found.values, (row.row,), found.version)
        return hit if self._fits_whole(hit) else None

    async def _study(self, uid: str) -> Values | None:
        if uid not in self._studies:
            row = await archive.read_level(self._storage, self._key(uid), keys.STUDY_ROW)
            self._studies[uid] = row.values if row else None
            self._created[uid] = row.created if row else 0
        return self._studies[uid]

    def _is_first(self, placed: Placed, uids: tuple[str, ...], values: Values) -> bool:
        """Whether a row is the first one of its study or series, which may have several that are found.

        One that is just being removed and made again may even have an old row beside the new one.
        """
        if uids in self._given or not self._is_at_first_place(placed, uids[0], values):
            return False
        self._given.add(uids)
        return True

    def _is_at_first_place(self, placed: Placed, study: str, values: Values) -> bool:
        """Whether its own values do not tell of another row before it."""
        if self.way is Way.GATHERED:
            return True
        if self._plan.date is not None:
            match = self._plan.date
            first, last = match.dates or ("", "")
            dates = terms(Kind.DATE, values.get(match.attribute.tag, {}))
            within = [date for date in dates if first <= date <= last]
            return bool(within) and placed.place.startswith(index_keys.invert_digits(max(within)))
        text = self._plan.text
        if text is None or self._plan.scans:
            return True
        rows = keys_of(text.table, self._key(study), values, placed.row.row)
        return placed.place == first_place(text.ranges, rows)

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

    def _note(self, level: SearchLevel, position: Position) -> None:
        """Note that at a level everything was given up to there."""
        self._done[level] = later(self.done(level), position)

    def _stops(self, level: SearchLevel) -> bool:
        """Whether the budget ends here; not before something was looked at, or no search would get on."""
        return level in self._done and not self._budget.allows()


def fits(matches: Sequence[Match], level: SearchLevel, values: Values) -> bool:
    """Whether what a level says of itself fits all matches of that level."""
    return all(match.accepts(values) for match in matches if match.level is level)


def in_order(series: dict[str, LevelRow]) -> list[tuple[str, str, LevelRow]]:
    """The series of a study, newest first: place, UID and row of each."""
    return sorted((index_keys.tail(row.created, uid), uid, row) for uid, row in series.items())


async def newest_instances(
    storage: Storage, key: StudyKey, series: str | None
) -> list[tuple[str, InstanceRow]]:
    """The instances of a series or study, latest stored first, each with its place."""
    pages = archive.read_instances(storage, Scope(key, series), SEARCHED)
    rows = [
        (index_keys.tail(row.version, row.series, row.instance), row) async for page in pages for row in page
    ]
    return sorted(rows, key=lambda each: each[0])


def _growing(items: Sequence[T]) -> Iterable[Sequence[T]]:
    start, size = 0, 1
    while start < len(items):
        yield items[start : start + size]
        start, size = start + size, min(size * 2, READS_AT_ONCE)


async def _chunks(items: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    chunk: list[T] = []
    size = 1
    async for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk, size = [], min(size * 2, READS_AT_ONCE)
    if chunk:
        yield chunk
