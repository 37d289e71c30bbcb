"""The search transaction: a request in, a page of datasets out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from shared.dicom.bulk_links import drop_bulk
from shared.dicom.metadata import inflate
from shared.dicom.tags import SearchLevel
from shared.qido import result
from shared.qido.hits import Finder, Hit, fits, newest_instances
from shared.qido.match import Match, make_matches
from shared.qido.plan import make_plan
from shared.qido.result import Wanted, make_dataset, make_wanted
from shared.storage import archive, keys
from shared.storage.keys import Scope, StudyKey
from shared.storage.rows import METADATA, InstanceRow, Values
from shared.storage.storage import Storage
from shared.storage.tables import between
from shared.web.links import Links
from shared.web.query import SearchRequest

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


Dataset = dict[str, Mapping[str, object]]

DATASETS_AT_ONCE = 16
"""Datasets of a page completed side by side, where more than the search rows is needed."""


async def search(
    storage: Storage, resource: Resource, request: SearchRequest, links: Links, *, is_v1: bool
) -> list[Dataset]:
    """Find one page of what matches, newest first.

    Raises:
        BadRequest: An attribute cannot be searched here, or a value is impossible.
    """
    matches = make_matches(request.filters, resource.levels)
    wanted = make_wanted(
        resource.levels,
        is_v1=is_v1,
        include_all=request.include_all,
        included=request.include_fields,
        matched=(match.attribute.tag for match in matches),
    )
    hits = await _page(_hits(storage, resource, matches, request.offset + request.limit), request)
    limit = asyncio.Semaphore(DATASETS_AT_ONCE)

    async def make(hit: Hit) -> Dataset:
        async with limit:
            return await _dataset(storage, resource, hit, wanted, links)

    return await asyncio.gather(*map(make, hits))


async def _page(hits: AsyncIterator[Hit], request: SearchRequest) -> list[Hit]:
    """The hits from the offset on, as many as the limit allows; no more are looked for."""
    page: list[Hit] = []
    if request.limit == 0:
        return page
    number = 0
    async for hit in hits:
        number += 1
        if number > request.offset:
            page.append(hit)
        if len(page) == request.limit:
            break
    return page


def _hits(storage: Storage, resource: Resource, matches: tuple[Match, ...], page: int) -> AsyncIterator[Hit]:
    if resource.study is not None:
        return _nested(storage, resource, matches)
    finder = Finder(
        storage, resource.partition, make_plan(resource.partition, resource.level, matches), page=page
    )
    by_level = {
        SearchLevel.STUDY: finder.studies,
        SearchLevel.SERIES: finder.series,
        SearchLevel.INSTANCE: finder.instances,
    }
    return by_level[resource.level]()


async def _nested(storage: Storage, resource: Resource, matches: tuple[Match, ...]) -> AsyncIterator[Hit]:
    """The series or instances of one study that match."""
    study = resource.study or ""
    key = StudyKey(resource.partition, study)
    if resource.level is SearchLevel.SERIES:
        for uid, row in sorted(
            (await archive.read_series(storage, key)).items(), key=lambda it: -it[1].created
        ):
            if fits(matches, SearchLevel.SERIES, row.values):
                yield Hit(study, {}, uid, row.values)
        return
    series = await archive.read_series(storage, key) if resource.series is None else {}
    for instance in await newest_instances(storage, key, resource.series):
        of_series: Values = series[instance.series].values if instance.series in series else {}
        fitting = resource.series is not None or fits(matches, SearchLevel.SERIES, of_series)
        if fitting and fits(matches, SearchLevel.INSTANCE, instance.values):
            yield Hit(study, {}, instance.series, of_series, instance.instance, instance.values)


async def _dataset(storage: Storage, resource: Resource, hit: Hit, wanted: Wanted, links: Links) -> Dataset:
    key = StudyKey(resource.partition, hit.study)
    extra = await _from_metadata(storage, key, hit) if wanted.extra else {}
    only_extra = {tag: element for tag, element in extra.items() if tag in wanted.extra}
    values = (hit.study_values, hit.series_values or {}, hit.instance_values or {})
    computed = {**_uids(hit), **await _computed(storage, key, hit, wanted, links)}
    return make_dataset(wanted, only_extra, *values, computed)


def _uids(hit: Hit) -> Values:
    uids = {
        result.STUDY_UID: hit.study,
        result.SERIES_UID: hit.series,
        result.INSTANCE_UID: hit.instance,
    }
    return {tag: result.uid_element(uid) for tag, uid in uids.items() if uid}


async def _computed(storage: Storage, key: StudyKey, hit: Hit, wanted: Wanted, links: Links) -> Values:
    found: dict[str, Mapping[str, object]] = {}
    if wanted.asks(result.RETRIEVE_URL):
        found[result.RETRIEVE_URL] = result.url_element(_url(hit, links))
    if wanted.asks(result.STUDY_SERIES_COUNT) and hit.study_values:
        count = await _count(storage, key, *keys.rows_of("series"))
        found[result.STUDY_SERIES_COUNT] = result.count_element(count)
    if wanted.asks(result.STUDY_INSTANCE_COUNT) and hit.study_values:
        count = await _count(storage, key, *keys.instance_rows(None))
        found[result.STUDY_INSTANCE_COUNT] = result.count_element(count)
    if wanted.asks(result.SERIES_INSTANCE_COUNT) and hit.series:
        count = await _count(storage, key, *keys.instance_rows(hit.series))
        found[result.SERIES_INSTANCE_COUNT] = result.count_element(count)
    return found


def _url(hit: Hit, links: Links) -> str:
    if hit.instance:
        return links.instance(hit.study, hit.series, hit.instance)
    return links.series(hit.study, hit.series) if hit.series else links.study(hit.study)


async def _count(storage: Storage, key: StudyKey, first: str, end: str) -> int:
    filter_text = between(key.archive, first, end)
    pages = storage.tables.query(keys.ARCHIVE, filter_text, select=("RowKey",))
    return sum([len(page) async for page in pages])


async def _from_metadata(storage: Storage, key: StudyKey, hit: Hit) -> Values:
    """The metadata of the instance found, or of one instance of the series or study found."""
    row = await _representative(storage, key, hit)
    if row is None:
        return {}
    compressed = row.metadata
    if row.metadata_blob:
        compressed = await storage.blobs.read_all(keys.METADATA, row.metadata_blob)
    # Their BulkDataURIs are relative, and searches have no bulk data.
    values: Values = json.loads(b"".join(drop_bulk(inflate(compressed))))
    return values


async def _representative(storage: Storage, key: StudyKey, hit: Hit) -> InstanceRow | None:
    if hit.instance:
        return await archive.read_instance(storage, key, hit.series, hit.instance, METADATA)
    async for page in archive.read_instances(storage, Scope(key, hit.series or None), METADATA, limit=1):
        return page[0]
    return None
