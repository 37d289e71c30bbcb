"""Table `searches`: the trails of searches whose pages are asked for by offset.

A row lives as long as somebody may ask for the next page. Its key is a digest of the search and of who made
it; it holds when the search was begun, and where pages ended, as row keys of search tables tell it.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import Row, RowChanged, RowMissing, Value, delete, less, merge, upsert_replace

KEPT = timedelta(minutes=30)
"""How long the next page may be waited for."""

MAX_REMOVED = 10_000
"""Rows that one sweep removes."""

MAX_REMOVED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Trail:
    """What the pages of a search that were asked for have left to the others."""

    until: int
    """The search is of what came up to this version."""

    ends: Mapping[int, str]
    """Where pages ended: the cursor behind so many matches."""

    etag: str = field(default="", repr=False)


async def read(storage: Storage, search: str) -> Trail | None:
    """Find the trail of a search; None when there is none, or none any more.

    Args:
        storage: The storage account.
        search: What is searched and who does, in any form that is the same for all pages.
    """
    row = await storage.tables.get(keys.SEARCHES, *keys.search_key(search))
    return _trail(row) if row and not _is_over(row, datetime.now(UTC)) else None


async def begin(storage: Storage, search: str, trail: Trail) -> None:
    """Keep a new trail, in place of another."""
    partition, row = keys.search_key(search)
    values = {"until": trail.until, **_values(trail.ends)}
    await storage.tables.transact(keys.SEARCHES, partition, [upsert_replace(row, values)])


async def go_on(storage: Storage, search: str, trail: Trail, ends: Mapping[int, str]) -> None:
    """Keep where further pages ended, unless somebody has changed the trail since it was read."""
    partition, row = keys.search_key(search)
    try:
        await storage.tables.transact(keys.SEARCHES, partition, [merge(row, _values(ends), etag=trail.etag)])
    except (RowChanged, RowMissing):
        return


async def remove_old(storage: Storage, now: datetime) -> int:
    """Remove trails that nobody follows any more, up to a number; tell how many."""
    old: dict[str, list[Row]] = defaultdict(list)
    condition = less("expires", now)
    async for page in storage.tables.query(keys.SEARCHES, condition, select=("expires",), limit=MAX_REMOVED):
        for row in page:
            old[row.partition].append(row)
    removed = 0
    for partition, rows in old.items():
        for at in range(0, len(rows), MAX_REMOVED_AT_ONCE):
            removed += await _remove(storage, partition, rows[at : at + MAX_REMOVED_AT_ONCE])
    return removed


async def _remove(storage: Storage, partition: str, rows: list[Row]) -> int:
    try:
        steps = [delete(row.row, etag=row.etag) for row in rows]
        await storage.tables.transact(keys.SEARCHES, partition, steps)
    except (RowChanged, RowMissing):
        # One was taken up again, or another sweep is at it: the next sweep sees to the others.
        return 0
    return len(rows)


def _values(ends: Mapping[int, str]) -> dict[str, Value]:
    return {"ends": json.dumps(ends, separators=(",", ":")), "expires": datetime.now(UTC) + KEPT}


def _trail(row: Row) -> Trail:
    until, ends = row.values["until"], json.loads(str(row.values["ends"]))
    assert isinstance(until, int)
    return Trail(until, {int(at): cursor for at, cursor in ends.items()}, row.etag)


def _is_over(row: Row, now: datetime) -> bool:
    expires = row.values["expires"]
    assert isinstance(expires, datetime)
    return expires <= now
