"""How many studies, series or instances a search would find: the count transaction.

It is not of the standard, which has no way to ask (clients section 3.7). What is not looked at, because
nothing is asked of it, is counted by its keys alone.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.dicom.tags import SearchLevel
from shared.qido.budget import Budget
from shared.qido.hits import Finder, Hit
from shared.qido.match import Match, make_matches
from shared.qido.plan import make_plan
from shared.qido.position import Start
from shared.qido.ranges import Scan
from shared.qido.scans import MAX_PAGE, READS_AT_ONCE, Bounds
from shared.qido.search import Resource, nested
from shared.storage.counting import read_counts
from shared.storage.keys import StudyKey
from shared.storage.storage import Storage
from shared.web.query import SearchRequest

MAX_ROWS = 1_000_000
"""Table rows that are read for one count; most of them are keys alone."""

MAX_SECONDS = 20.0
"""More than for a search: what is left out here cannot be asked for by a link."""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many were counted."""

    number: int
    is_complete: bool
    """Whether all were: counting ends when it takes too much."""


async def count(storage: Storage, resource: Resource, request: SearchRequest) -> Counted:
    """Count all that a search matches, whatever page of it is asked for.

    Raises:
        BadRequest: An attribute cannot be searched here, or a value is impossible.
    """
    matches = make_matches(request.filters, resource.levels, fuzzy=request.fuzzy, several=request.several)
    budget = Budget(MAX_ROWS, MAX_SECONDS)
    number = await _count(storage, resource, matches, budget)
    return Counted(number, not budget.is_ended)


async def _count(storage: Storage, resource: Resource, matches: tuple[Match, ...], budget: Budget) -> int:
    if resource.level is SearchLevel.INSTANCE and _are_above(matches, SearchLevel.INSTANCE):
        return await _count_within(storage, resource, matches, budget)
    if not matches and resource.study is None:
        plan = make_plan(resource.partition, resource.level, matches)
        return sum([await _count_keys(storage, scan, budget) for scan in plan.scans])
    return sum([1 async for _ in _hits(storage, resource, matches, budget)])


async def _count_within(
    storage: Storage, resource: Resource, matches: tuple[Match, ...], budget: Budget
) -> int:
    """Count the instances of the studies that match, or of the series."""
    if resource.study is not None and _are_above(matches, SearchLevel.SERIES):
        counts = await read_counts(storage, StudyKey(resource.partition, resource.study))
        return sum(counts.values()) if resource.series is None else counts.get(resource.series, 0)
    whole = resource.study is None and _are_above(matches, SearchLevel.SERIES)
    level = SearchLevel.STUDY if whole else SearchLevel.SERIES
    number = 0
    async for hits in _chunks(_hits(storage, replace(resource, level=level), matches, budget)):
        if not budget.allows():
            break
        studies = list(dict.fromkeys(hit.study for hit in hits))
        keys = (StudyKey(resource.partition, study) for study in studies)
        found = await asyncio.gather(*(read_counts(storage, key) for key in keys))
        by_study = dict(zip(studies, found, strict=True))
        number += sum(_of_hit(hit, by_study[hit.study]) for hit in hits)
    return number


def _of_hit(hit: Hit, counts: Mapping[str, int]) -> int:
    return counts.get(hit.series, 0) if hit.series else sum(counts.values())


def _are_above(matches: Sequence[Match], level: SearchLevel) -> bool:
    """Whether nothing is asked of a level or of those below."""
    levels = list(SearchLevel)
    return all(levels.index(match.level) < levels.index(level) for match in matches)


def _hits(
    storage: Storage, resource: Resource, matches: tuple[Match, ...], budget: Budget
) -> AsyncIterator[Hit]:
    if resource.study is not None:
        return nested(storage, resource, matches, Start())
    plan = make_plan(resource.partition, resource.level, matches)
    finder = Finder(storage, resource.partition, plan, Bounds(Start(), budget, MAX_PAGE))
    return finder.find(resource.level)


async def _count_keys(storage: Storage, scan: Scan, budget: Budget) -> int:
    number = 0
    async for page in storage.tables.query(scan.table, scan.filter, select=("RowKey",)):
        number += len(page)
        if not budget.allows():
            break
    return number


async def _chunks(hits: AsyncIterator[Hit]) -> AsyncIterator[list[Hit]]:
    """Hits whose studies, up to so many, are counted side by side."""
    chunk: list[Hit] = []
    async for hit in hits:
        chunk.append(hit)
        if len(chunk) == READS_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
