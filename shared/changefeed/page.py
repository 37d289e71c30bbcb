"""Finding the entries of one answer.

Entries never change and have no gaps, so a place is a sequence and a page is a range of keys. Who wants only
some entries gets what is found among the next few thousand, and the place to go on.

Source: API rules sections 10.1 and 10.4.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.changefeed.asked import MAX_INT64, Asked, Place
from shared.storage import feed
from shared.storage.feed import Entry
from shared.storage.feed_times import find_first
from shared.storage.storage import Storage
from shared.storage.tables import equal

MAX_SCANNED = 5_000
"""Entries looked through for one answer when not all are wanted."""


@dataclass(frozen=True, slots=True)
class Page:
    """The entries of an answer."""

    entries: tuple[Entry, ...]
    place: Place
    """Where to go on."""

    is_closed: bool
    """Whether nothing can follow within the window."""

    is_at_end: bool
    """Whether the feed was read to its end."""


async def find_place(storage: Storage, asked: Asked) -> Place:
    """Find where the window begins that a client asks for."""
    if asked.place is not None:
        return asked.place
    before = 0 if asked.start is None else await find_first(storage, asked.start) - 1
    if asked.is_filtered and not asked.is_v1:
        return Place(before, asked.offset)
    return Place(before + asked.offset)


async def read_page(storage: Storage, asked: Asked, place: Place, settled: datetime | None) -> Page:
    """Read what a client asks for, from a place on.

    Args:
        storage: The storage account.
        asked: What the client asks for.
        place: Where to begin.
        settled: A time before which nothing can be entered any more, if one is known.
    """
    page = await (_filtered if asked.is_filtered or place.skip else _plain)(storage, asked, place)
    is_over = asked.end is not None and settled is not None and asked.end <= settled
    return replace(page, is_closed=page.is_closed or (page.is_at_end and is_over))


async def _plain(storage: Storage, asked: Asked, place: Place) -> Page:
    first = min(place.after, MAX_INT64) + 1
    found = await feed.read_between(storage, first, first + asked.limit)
    wanted = within(found, asked.end)
    last = wanted[-1].sequence if wanted else place.after
    return Page(
        entries=tuple(wanted),
        place=Place(last),
        is_closed=len(wanted) < len(found),
        is_at_end=len(found) < asked.limit,
    )


async def _filtered(storage: Storage, asked: Asked, place: Place) -> Page:
    # The end is found before the rest is read: what is entered meanwhile comes with the next page.
    last = await feed.read_last(storage)
    end = (last.sequence if last else 0) + 1
    window_end = end if asked.end is None else min(end, await find_first(storage, asked.end))
    first = place.after + 1
    scanned_end = min(window_end, first + MAX_SCANNED)
    most = place.skip + asked.limit
    found = await _matching(storage, asked, first, scanned_end, most)
    is_full = len(found) == most
    after = found[-1].sequence if is_full else max(scanned_end - 1, place.after)
    reached = not is_full and scanned_end == window_end
    return Page(
        entries=tuple(found[place.skip :]),
        place=Place(after, max(0, place.skip - len(found))),
        is_closed=reached and window_end < end,
        is_at_end=reached and window_end == end,
    )


async def _matching(storage: Storage, asked: Asked, first: int, end: int, most: int) -> list[Entry]:
    if end <= first:
        return []
    partition = None if asked.partition is None else asked.partition.lower()
    wanted = (("study", asked.study), ("action", asked.action), ("partition", partition))
    matching = [equal(name, value) for name, value in wanted if value is not None]
    return await feed.read_between(storage, first, end, matching, limit=most)


def within(entries: list[Entry], end: datetime | None) -> list[Entry]:
    """Those of some entries that lie before a time."""
    return entries if end is None else [entry for entry in entries if entry.time < end]
