"""The datasets of a page of what a search found: completed with what no search row holds."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.dicom.bulk_links import drop_bulk
from shared.dicom.metadata import inflate
from shared.qido import result
from shared.qido.hits import Hit
from shared.qido.result import Dataset, Wanted, make_dataset
from shared.storage import archive, keys
from shared.storage.counting import read_counts
from shared.storage.keys import Scope, StudyKey
from shared.storage.rows import METADATA, InstanceRow, Values
from shared.storage.storage import Storage
from shared.web.links import Links

READS_AT_ONCE = 16
"""Studies counted, or metadata read, side by side."""

MADE_AT_ONCE = 100
"""Datasets made before other requests have their turn: a page of 5,000 takes the processor a while."""

Counts = Mapping[str, int]
"""How many instances each series of a study has."""


@dataclass(frozen=True, slots=True)
class _Maker:
    storage: Storage
    partition: str
    wanted: Wanted
    links: Links
    limit: asyncio.Semaphore

    async def counts(self, study: str) -> Counts:
        """The counts of a study."""
        async with self.limit:
            return await read_counts(self.storage, StudyKey(self.partition, study))

    async def make(self, hit: Hit, counts: Counts) -> Dataset:
        """One dataset."""
        values = (hit.study_values, hit.series_values or {}, hit.instance_values or {})
        extra = await self._extra(hit) if self.wanted.extra else {}
        known = {result.AVAILABILITY: result.ONLINE}
        return make_dataset(self.wanted, extra, known, *values, self._computed(hit, counts))

    async def _extra(self, hit: Hit) -> Values:
        async with self.limit:
            metadata = await _from_metadata(self.storage, StudyKey(self.partition, hit.study), hit)
        return {tag: element for tag, element in metadata.items() if tag in self.wanted.extra}

    def _computed(self, hit: Hit, counts: Counts) -> Values:
        uids = {
            result.STUDY_UID: hit.study,
            result.SERIES_UID: hit.series,
            result.INSTANCE_UID: hit.instance,
        }
        found = {tag: result.uid_element(uid) for tag, uid in uids.items() if uid}
        found[result.RETRIEVE_URL] = result.url_element(_url(hit, self.links))
        if hit.study_values:
            found[result.STUDY_SERIES_COUNT] = result.count_element(len(counts))
            found[result.STUDY_INSTANCE_COUNT] = result.count_element(sum(counts.values()))
        if hit.series:
            found[result.SERIES_INSTANCE_COUNT] = result.count_element(counts.get(hit.series, 0))
        return found


async def make_datasets(
    storage: Storage, partition: str, hits: Sequence[Hit], wanted: Wanted, links: Links
) -> list[Dataset]:
    """Make the dataset of each hit, in order.

    Args:
        storage: The storage account.
        partition: Folded name of the data partition.
        hits: One page of what was found.
        wanted: Which attributes the datasets have.
        links: Makes the URLs in them.
    """
    maker = _Maker(storage, partition, wanted, links, asyncio.Semaphore(READS_AT_ONCE))
    counts: dict[str, Counts] = {}
    if wanted.asks(result.STUDY_SERIES_COUNT, result.STUDY_INSTANCE_COUNT, result.SERIES_INSTANCE_COUNT):
        studies = list(dict.fromkeys(hit.study for hit in hits))
        counted = await asyncio.gather(*map(maker.counts, studies))
        counts = dict(zip(studies, counted, strict=True))
    made: list[Dataset] = []
    for at in range(0, len(hits), MADE_AT_ONCE):
        some = hits[at : at + MADE_AT_ONCE]
        made += await asyncio.gather(*(maker.make(hit, counts.get(hit.study, {})) for hit in some))
    return made


def _url(hit: Hit, links: Links) -> str:
    if hit.instance:
        return links.instance(hit.study, hit.series, hit.instance)
    return links.series(hit.study, hit.series) if hit.series else links.study(hit.study)


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
