"""How many instances a study has, series by series."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

from shared.storage import keys
from shared.storage.keys import Scope, StudyKey
from shared.storage.storage import Storage
from shared.storage.summaries import read_anchors
from shared.storage.tables import between

MAX_SINGLE: Final = 4
"""Series counted one by one; if more of a study have to be, one query counts them all."""


async def read_counts(storage: Storage, key: StudyKey) -> Mapping[str, int]:
    """Count the instances of each series of a study; nothing for a study that does not exist.

    One call finds the numbers that were noted when the series came to rest. Of those that have changed
    since, keys alone are read, a thousand at a time.
    """
    anchors = await read_anchors(storage, Scope(key))
    counts = {anchor.series: anchor.summary.count for anchor in anchors if anchor.summary}
    changed = [anchor.series for anchor in anchors if anchor.series not in counts]
    if len(changed) > MAX_SINGLE:
        return await _count(storage, key, None)
    found = await asyncio.gather(*(_count(storage, key, series) for series in changed))
    for each in found:
        counts |= each
    return counts


async def _count(storage: Storage, key: StudyKey, series: str | None) -> Mapping[str, int]:
    filter_text = between(key.archive, *keys.instance_rows(series))
    counts: Counter[str] = Counter()
    async for page in storage.tables.query(keys.ARCHIVE, filter_text, select=("RowKey",)):
        counts.update(row.row.split("|")[1] for row in page)
    return counts
