"""The change feed as clients read it (API rules section 10)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.changefeed.asked import Asked
from shared.changefeed.fresh import GATHER_SECONDS, Wake, catch_up, wait_for_news, watching
from shared.changefeed.page import Page, find_place, read_page
from shared.changefeed.rows import Rows, read_rows
from shared.changefeed.states import address_of, render_entry, state_of
from shared.dicom.bulk_links import drop_bulk, link_bulk
from shared.dicom.metadata import inflate
from shared.errors import Unavailable
from shared.storage import archive, feed, keys, partitions
from shared.storage.blobs import BlobMissing
from shared.storage.feed import Entry
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.web.links import Links

MARGIN = timedelta(seconds=10)
"""A window is over when it ended so long ago and nothing is announced.

Whatever is announced from now on gets its time from now on, by the clock of who enters it, which may be
behind ours by less than this. And what somebody is entering, however long he is paused at it, is announced
until it is finished: when nothing is, whoever still has it on its way comes to a place that is taken.
"""

MAX_WAIT_SECONDS = 25
"""Gateways and clients give up on silent connections after half a minute or so."""

DISCONNECT_SECONDS = 1.0
"""So soon it is noticed that a client has left."""

MAX_READS = 3
"""Of an instance whose metadata go while they are read."""

ENTRIES_AT_ONCE = 100
"""Entries whose rows, with metadata, are held at one time: some kilobytes each as a rule, 400 at the most."""

HasLeft = Callable[[], Awaitable[bool]]
"""Tells whether the client is gone."""


@dataclass(frozen=True, slots=True)
class Form:
    """How entries are written."""

    root: str
    """What URLs of this version begin with, before a partition."""

    with_metadata: bool
    omits_bulk: bool
    """Whether metadata have bulk data not even by reference."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits for entries when there are none."""

    seconds: float
    has_left: HasLeft


async def find_page(storage: Storage, asked: Asked, wake: Wake, patience: Patience) -> Page:
    """Find the entries of an answer; when there are none, wait for some as long as the client does.

    Raises:
        BadRequest: There is no such partition.
    """
    if asked.partition is not None:
        await partitions.require(storage, partitions.check_name(asked.partition))
    ticket = storage.memory.news.ticket()
    settled = await _settle(storage, wake)
    page = await read_page(storage, asked, await find_place(storage, asked), settled)
    if not patience.seconds or not _may_come(page):
        return page
    deadline = asyncio.get_running_loop().time() + min(patience.seconds, MAX_WAIT_SECONDS)
    async with watching(storage) as watcher:
        while _may_come(page) and (left := deadline - asyncio.get_running_loop().time()) > 0:
            if await wait_for_news(ticket, watcher, min(left, DISCONNECT_SECONDS)):
                ticket = storage.memory.news.ticket()
                settled = await _settle(storage, wake, gather_seconds=GATHER_SECONDS)
                page = await read_page(storage, asked, page.place, settled)
            elif await patience.has_left():
                break
    return page


async def _settle(storage: Storage, wake: Wake, *, gather_seconds: float = 0) -> datetime | None:
    """Have everything entered that is announced; give the time before which the feed is complete then."""
    settled = datetime.now(UTC) - MARGIN
    return settled if await catch_up(storage, wake, gather_seconds=gather_seconds) else None


def _may_come(page: Page) -> bool:
    """Whether there is nothing yet, and there may be later."""
    return page.is_at_end and not page.entries and not page.is_closed


async def find_latest(storage: Storage, wake: Wake) -> Entry | None:
    """Find the last entry; None while there is none."""
    await catch_up(storage, wake)
    return await feed.read_last(storage)


async def render_array(storage: Storage, entries: Sequence[Entry], form: Form) -> AsyncIterator[bytes]:
    """Write entries as one JSON array, in pieces."""
    before = b"["
    for at in range(0, len(entries), ENTRIES_AT_ONCE):
        some = entries[at : at + ENTRIES_AT_ONCE]
        rows = await read_rows(storage, some, with_metadata=form.with_metadata)
        for entry in some:
            yield before
            before = b","
            async for piece in _render(storage, entry, rows, form):
                yield piece
    yield b"]" if entries else b"[]"


async def render_one(storage: Storage, entry: Entry, form: Form) -> AsyncIterator[bytes]:
    """Write one entry as a JSON object, in pieces."""
    rows = await read_rows(storage, [entry], with_metadata=form.with_metadata)
    async for piece in _render(storage, entry, rows, form):
        yield piece


async def _render(storage: Storage, entry: Entry, rows: Rows, form: Form) -> AsyncIterator[bytes]:
    row, compressed = await _instance(storage, entry, rows, form)
    partition = await partitions.name_of(storage, entry.partition)
    text = render_entry(entry, partition, state_of(entry, row.version if row else None))
    if row is None or not form.with_metadata:
        yield text
        return
    yield text.removesuffix(b"}") + b',"metadata":'
    for piece in _metadata(row, compressed, _links(form.root, partition), form):
        yield piece
    yield b"}"


async def _instance(
    storage: Storage, entry: Entry, rows: Rows, form: Form
) -> tuple[InstanceRow | None, bytes]:
    """The row of the instance of an entry, None when it is gone, and its compressed metadata if wanted."""
    address = address_of(entry)
    row = rows.get(address)
    for _ in range(MAX_READS):
        if row is None or not form.with_metadata:
            return row, b""
        try:
            return row, await archive.read_metadata(storage, row)
        except BlobMissing:
            # A client may read slowly: the instance was replaced or removed since its row was read.
            row = (await read_rows(storage, [entry], with_metadata=True)).get(address)
    raise Unavailable("The metadata of an instance cannot be read for now.")


def _links(root: str, partition: str) -> Links:
    return Links(root if partition == keys.DEFAULT_PARTITION else f"{root}/partitions/{partition}")


def _metadata(row: InstanceRow, compressed: bytes, links: Links, form: Form) -> Iterator[bytes]:
    """As the metadata route gives them."""
    if form.omits_bulk:
        return drop_bulk(inflate(compressed))
    return link_bulk(inflate(compressed), f"{links.instance(row.study, row.series, row.instance)}/bulkdata")
