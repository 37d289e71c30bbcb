"""The search transaction: a request in, a page of datasets out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

from shared.dicom.tags import SearchLevel
from shared.errors import Unavailable
from shared.qido.budget import MAX_ROWS, Budget
from shared.qido.datasets import make_datasets
from shared.qido.hits import Finder, Hit, fits, in_order, newest_instances
from shared.qido.match import Match, make_matches
from shared.qido.paging import Window, make_window, name_search, with_end
from shared.qido.plan import make_plan
from shared.qido.position import Start, later, render_cursor
from shared.qido.result import Dataset, make_wanted
from shared.qido.scans import Bounds
from shared.qido.seal import seal, unseal
from shared.storage import archive, trails
from shared.storage.cursor_key import read_cursor_key
from shared.storage.keys import StudyKey
from shared.storage.rows import Values
from shared.storage.storage import Storage
from shared.storage.trails import Trail
from shared.storage.versions import next_version
from shared.web.links import Links
from shared.web.query import SearchRequest

MIN_READ = 25
"""Rows to read at once at least: fewer are hardly sooner there."""

_ALL_LEVELS = (SearchLevel.STUDY, SearchLevel.SERIES, SearchLevel.INSTANCE)


@dataclass(frozen=True, slots=True)
class Resource:
    """What is searched: studies, series or instances; of everything, of a study, or of a series."""

    partition: str
    """Folded name of the data partition."""

    level: SearchLevel
    study: str | None = None
    series: str | None = None

    @property
    def levels(self) -> tuple[SearchLevel, ...]:
        """The levels that are searched and answered about (API rules section 8.1)."""
        last = _ALL_LEVELS.index(self.level) + 1
        first = 0 if self.study is None else 1 if self.series is None else 2
        return _ALL_LEVELS[first:last]


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what a search found."""

    datasets: list[Dataset]

    cursor: str = ""
    """What the next page is asked for with; "" when there is none."""

    offset: int = 0
    """How many matches are still to be skipped then."""

    is_partial: bool = False
    """Whether the search was ended before the page was full, because it took too much."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who searches, and how it is answered."""

    links: Links
    is_v1: bool = False

    caller: str = ""
    """Tells the pages of one from those of another."""


@dataclass(frozen=True, slots=True)
class _Page:
    hits: list[Hit]
    skipped: int
    next: Start | None
    is_partial: bool = False

    @property
    def passed(self) -> int:
        """How many matches lie between its start and its end."""
        return self.skipped + len(self.hits)


async def search(storage: Storage, resource: Resource, request: SearchRequest, asker: Asker) -> Found:
    """Find one page of what matches, newest first.

    Raises:
        BadRequest: An attribute cannot be searched here, or a value or the cursor is impossible.
    """
    matches = make_matches(request.filters, resource.levels, fuzzy=request.fuzzy, several=request.several)
    query = _query(resource, request)
    wanted = make_wanted(
        resource.levels,
        is_v1=asker.is_v1,
        include_all=request.include_all,
        included=request.include_fields,
        matched=(match.attribute.top for match in matches),
    )
    name = "" if request.cursor else name_search(query, asker.caller)
    trail = await trails.read(storage, name) if name and request.offset else None
    if request.cursor:
        request = replace(request, cursor=unseal(await read_cursor_key(storage), request.cursor))
    window, now = make_window(request, query, trail), next_version()
    page = await _page(storage, resource, matches, window)
    cursor = render_cursor(page.next, query) if page.next else ""
    # Of two processes one may be ahead by its clock: what is on the page was there.
    until = max(now, *(hit.version for hit in page.hits)) if page.hits else now
    datasets, sealed, _ = await asyncio.gather(
        make_datasets(storage, resource.partition, page.hits, wanted, asker.links),
        _sealed(storage, cursor),
        _leave(storage, name, trail or Trail(until, {}), window.before + page.passed, cursor),
    )
    return Found(datasets, sealed, window.skip - page.skipped, page.is_partial)


async def _sealed(storage: Storage, cursor: str) -> str:
    return seal(await read_cursor_key(storage), cursor) if cursor else ""


async def _leave(storage: Storage, name: str, trail: Trail, end: int, cursor: str) -> None:
    """Note where a page ended, for the one that may be asked for by its offset."""
    if not name or not cursor or trail.ends.get(end) == cursor:
        return
    # Who has found something is told, though the next page may not join on to this one.
    with suppress(Unavailable):
        if trail.etag:
            await trails.go_on(storage, name, trail, with_end(trail.ends, end, cursor))
        else:
            await trails.begin(storage, name, replace(trail, ends={end: cursor}))


def _query(resource: Resource, request: SearchRequest) -> str:
    """What is searched for, apart from how it is paged and what is told of it."""
    # Decoded, as a link may be encoded otherwise than the request that it was given to.
    filters = sorted((each.tag, each.texts, each.is_empty) for each in request.filters)
    where = (resource.partition, resource.level.value, resource.study, resource.series)
    return json.dumps([where, filters, request.fuzzy, request.several])


async def _page(storage: Storage, resource: Resource, matches: tuple[Match, ...], window: Window) -> _Page:
    if window.limit == 0:
        return _Page([], 0, None)
    start, budget = window.start, Budget(MAX_ROWS + window.skip)
    if resource.study is not None:
        return await _take(nested(storage, resource, matches, start), budget, window)
    # One more than the page tells whether there is another.
    rows = max(window.skip + window.limit + 1, MIN_READ)
    plan = make_plan(resource.partition, resource.level, matches)
    finder = Finder(storage, resource.partition, plan, Bounds(start, budget, rows))
    page = await _take(finder.find(resource.level), budget, window)
    if page.next is None:
        return page
    after = later(page.next.after, finder.done(resource.level)) if page.is_partial else page.next.after
    return replace(page, next=Start(after, finder.way))


async def _take(hits: AsyncIterator[Hit], budget: Budget, window: Window) -> _Page:
    """The hits of a window; no more are looked for."""
    page: list[Hit] = []
    skipped, after = 0, window.start.after
    async for hit in hits:
        if hit.version > window.until:
            continue
        if len(page) == window.limit:
            return _Page(page, skipped, Start(after))
        if skipped < window.skip:
            skipped += 1
        else:
            page.append(hit)
        after = hit.position
        if len(page) == window.limit:
            # Whether another one follows is told as far as it is known already.
            budget.close()
    if not budget.is_ended:
        return _Page(page, skipped, None)
    return _Page(page, skipped, Start(after), is_partial=len(page) < window.limit)


async def nested(
    storage: Storage, resource: Resource, matches: tuple[Match, ...], start: Start
) -> AsyncIterator[Hit]:
    """The series or instances of one study that match."""
    found = _series(storage, resource, matches)
    if resource.level is SearchLevel.INSTANCE:
        found = _instances(storage, resource, matches)
    async for hit in found:
        if not start.is_behind(hit.position):
            yield hit


async def _series(storage: Storage, resource: Resource, matches: tuple[Match, ...]) -> AsyncIterator[Hit]:
    key = StudyKey(resource.partition, resource.study or "")
    for place, uid, row in in_order(await archive.read_series(storage, key)):
        if fits(matches, SearchLevel.SERIES, row.values):
            yield Hit(key.study, {}, uid, row.values, position=(place,), version=row.created)


async def _instances(storage: Storage, resource: Resource, matches: tuple[Match, ...]) -> AsyncIterator[Hit]:
    key = StudyKey(resource.partition, resource.study or "")
    series = await archive.read_series(storage, key) if resource.series is None else {}
    for place, row in await newest_instances(storage, key, resource.series):
        of_series: Values = series[row.series].values if row.series in series else {}
        fitting = resource.series is not None or fits(matches, SearchLevel.SERIES, of_series)
        if fitting and fits(matches, SearchLevel.INSTANCE, row.values):
            yield Hit(key.study, {}, row.series, of_series, row.instance, row.values, (place,), row.version)
