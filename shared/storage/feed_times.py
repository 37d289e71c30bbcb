"""Finding the entries of a time in the change feed.

The times of entries never run backwards and sequences have no gaps, so the first entry at or after a time
is found by halving. Hints spare most of it: they name entries a few hundred apart by their times. They
may be missing, as a writer may end between an entry and its hint; then it takes some more steps.
"""

from datetime import datetime

from shared.storage import feed
from shared.storage.feed import BEGINNING, MAX_ENTRIES, ROWS_BETWEEN_HINTS
from shared.storage.storage import Storage

SPAN = ROWS_BETWEEN_HINTS + MAX_ENTRIES
"""So many entries are read at once where the search ends: as many as may lie between two hints."""


async def find_first(storage: Storage, moment: datetime) -> int:
    """Find the first sequence at or after a time; the one behind the end of the feed if there is none."""
    if moment <= BEGINNING:
        return 1
    if (known := storage.memory.firsts.get(moment)) is not None:
        return known
    later = await feed.find_hint(storage, moment)
    if later is None:
        last = await feed.read_last(storage)
        if last is None or last.time < moment:
            return last.sequence + 1 if last else 1
        later = last.sequence
    first = await _search(storage, moment, later)
    storage.memory.firsts.put(moment, first)
    return first


async def _search(storage: Storage, moment: datetime, later: int) -> int:
    """The first sequence at or after a time.

    Args:
        storage: The storage account.
        moment: The time.
        later: A sequence that is not before it.
    """
    earlier, reach = 0, SPAN
    while later - earlier > SPAN:
        at = pick_probe(earlier, later, reach)
        ((_, time),) = await feed.read_times(storage, at, at + 1)
        if time < moment:
            earlier = at
        else:
            later, reach = at, 2 * reach
    times = await feed.read_times(storage, earlier + 1, later)
    return next((sequence for sequence, time in times if time >= moment), later)


def pick_probe(earlier: int, later: int, reach: int) -> int:
    """Choose where to look next: `reach` before the later end, or in the middle when that is nearer."""
    return max(later - reach, (earlier + later) // 2)
