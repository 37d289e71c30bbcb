"""Joining the metadata of a series into one blob, when the series has come to rest.

What is joined holds as long as nobody changes the series, which its anchor tells (`storage/anchors.py`): no
reader sees it a moment longer. So it does no harm to be late, or not to come at all.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.dicom.bulk_links import LINK, drop_bulk, link_bulk
from shared.dicom.metadata import inflate
from shared.storage import active, archive, keys
from shared.storage.anchors import MIN_JOINED, NO_BULK, Anchor, Joined, Summary
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope, StudyKey
from shared.storage.rows import METADATA, InstanceRow
from shared.storage.storage import Storage
from shared.storage.summaries import note_summary, read_anchors, wake
from shared.storage.upload import BlockUpload
from shared.storage.versions import made_at, next_version
from shared.web.links import Links
from shared.web.splice import Segment

MAX_JOINED_BYTES: Final = 64 * 1024 * 1024
"""Of a blob. A series with longer metadata is read row by row."""

ROWS_AT_ONCE: Final = 150
"""Rows with metadata held at one time."""

LEVEL: Final = 6
"""Compressed once, sent often."""


class Outcome(StrEnum):
    """What came of looking at a series."""

    JOINED = "joined"
    CURRENT = "current"
    """There was nothing to do."""

    LATER = "later"
    """It changed a moment ago; another message was sent."""

    CHANGED = "changed"
    """It changed meanwhile. Whoever did that has another message sent."""

    GONE = "gone"


async def refresh(storage: Storage, key: StudyKey, series: str, base: str) -> Outcome:
    """Make what the anchor of a series says of its instances current. May be repeated, also by two at once.

    Args:
        storage: The storage account.
        key: The study.
        series: Series Instance UID.
        base: What BulkDataURIs are to begin with, up to `/studies`, or `NO_BULK`.
    """
    async with storage.memory.refreshing:
        anchors = await read_anchors(storage, Scope(key, series))
        if not anchors:
            return Outcome.GONE
        anchor = anchors[0]
        if await _is_current(storage, anchor, base):
            return Outcome.CURRENT
        wait = _until_rest(anchor.state, storage.times.quiet)
        if not wait:
            return await _refresh(storage, key, anchor, base)
    await wake(storage, key, series, wait)
    return Outcome.LATER


async def _is_current(storage: Storage, anchor: Anchor, base: str) -> bool:
    if anchor.summary is None:
        return False
    joined = anchor.summary.joined
    if joined is None:
        return True
    return joined.base in ("", base) and await storage.blobs.exists(keys.METADATA, joined.blob)


def _until_rest(state: int, quiet: timedelta) -> timedelta:
    """How long until a series has been at rest for long enough."""
    left = quiet - (datetime.now(UTC) - made_at(state))
    # The clock of whoever changed it may be ahead of ours. If by far, there is no telling.
    return left if timedelta(0) < left <= 2 * quiet else timedelta(0)


async def _refresh(storage: Storage, key: StudyKey, anchor: Anchor, base: str) -> Outcome:
    scope = Scope(key, anchor.series)
    pages = archive.read_instances(storage, scope, ("version",))
    versions = [row.version async for page in pages for row in page]
    if not versions:
        return Outcome.GONE
    try:
        joined = await _join(storage, scope, base) if len(versions) >= MIN_JOINED else None
    except BlobMissing:
        return Outcome.CHANGED
    if await note_summary(storage, key, anchor, Summary(len(versions), max(versions), joined)):
        # A blob that this one replaces may still be read: as nobody names it now, the sweep removes it.
        return Outcome.JOINED
    if joined:
        await storage.blobs.delete(keys.METADATA, joined.blob)
    return Outcome.CHANGED


async def _join(storage: Storage, scope: Scope, base: str) -> Joined | None:
    """Write the metadata of all instances of a series into a blob; None when they are too long."""
    assert scope.series is not None
    await active.note(storage, scope.key)
    name = keys.joined_blob(scope.key, scope.series, next_version())
    joining = _Joining(base)
    async with BlockUpload(storage.blobs, keys.METADATA, name) as upload:
        async for page in archive.read_instances(storage, scope, METADATA, page=ROWS_AT_ONCE):
            for row in page:
                compressed = await archive.read_metadata(storage, row)
                await upload.write(await asyncio.to_thread(joining.add, row, compressed))
                if joining.length > MAX_JOINED_BYTES:
                    return None
        await upload.write(joining.end())
        await upload.finish()
    return Joined(name, joining.length, joining.segment.sum, joining.base)


class _Joining:
    """Makes one segment of the metadata of instances."""

    def __init__(self, base: str) -> None:
        self.segment = Segment(LEVEL)
        self.length = 0
        """Bytes of the segment so far."""

        self._base = base
        self._has_links = base == NO_BULK

    @property
    def base(self) -> str:
        """The base, if it matters to what was joined."""
        return self._base if self._has_links else ""

    def add(self, row: InstanceRow, compressed: bytes) -> bytes:
        """Compress the metadata of the next instance anew; gives what can be passed on."""
        pieces = [self.segment.add(b",")] if self.segment.sum.length else []
        if self._base == NO_BULK:
            texts = drop_bulk(inflate(compressed))
        else:
            url = Links(self._base).instance(row.study, row.series, row.instance)
            texts = link_bulk(inflate(compressed), f"{url}/bulkdata")
        for text in texts:
            self._has_links = self._has_links or LINK in text
            pieces.append(self.segment.add(text))
        return self._given(b"".join(pieces))

    def end(self) -> bytes:
        """The rest of the segment."""
        return self._given(self.segment.end())

    def _given(self, piece: bytes) -> bytes:
        self.length += len(piece)
        return piece
