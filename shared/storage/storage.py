"""Everything a request needs of storage, in one value."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

from shared.dicom.frames import FrameIndex
from shared.storage.blobs import Blobs
from shared.storage.cache import RecentlyUsed
from shared.storage.connection import Connection
from shared.storage.gather import Gathering
from shared.storage.keys import StudyKey
from shared.storage.leases import Leases
from shared.storage.news import News
from shared.storage.queues import Queues
from shared.storage.rows import LevelRow
from shared.storage.tables import Tables
from shared.storage.upload_address import UploadAddresses
from shared.storage.wire import Wire

MAX_REMEMBERED = 4096
LAST_MESSAGES_SECONDS = 2.0
"""For messages that nobody waits for, when all is closed."""

MAX_FRAMES_BYTES = 16 * 1024 * 1024
"""What the frame indexes that are remembered take: four bytes for each frame of an object, or eight."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the change feed: its last sequence and time."""

    sequence: int
    time: datetime


@dataclass(frozen=True, slots=True)
class KnownFrames:
    """Where the frames of one version of an instance lie."""

    version: int
    index: FrameIndex

    @property
    def bytes(self) -> int:
        """About what it takes."""
        return 1024 + 4 * (len(self.index.fragments) + len(self.index.groups))


@dataclass(slots=True)
class Memory:
    """What this process remembers, so as to ask storage less. Storage checks all of it."""

    levels: RecentlyUsed[tuple[str, str], LevelRow] = field(
        default_factory=lambda: RecentlyUsed(MAX_REMEMBERED)
    )
    """Study and series rows, by partition and row key of table `archive`."""

    active: RecentlyUsed[str, datetime] = field(default_factory=lambda: RecentlyUsed(MAX_REMEMBERED))
    """When a study was last announced to the sweep."""

    partitions: RecentlyUsed[str, str] = field(default_factory=lambda: RecentlyUsed(MAX_REMEMBERED))
    """Data partitions that exist, by folded name."""

    emitted: RecentlyUsed[str, bool] = field(default_factory=lambda: RecentlyUsed(MAX_REMEMBERED))
    """Change blobs that were dealt with lately."""

    commits: Gathering = field(default_factory=Gathering)
    """Stores under way, by study."""

    frames: RecentlyUsed[tuple[str, str, str], KnownFrames] = field(
        default_factory=lambda: RecentlyUsed(MAX_FRAMES_BYTES, lambda known: known.bytes)
    )
    """Frame indexes that take long to read, by partition of table `archive`, series and instance."""

    reading_frames: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = field(
        default_factory=WeakValueDictionary
    )
    """Held while such an index is read, by the same."""

    addresses: UploadAddresses = field(default_factory=UploadAddresses)
    """What it takes to make the address of an upload."""

    woken: RecentlyUsed[tuple[str, str], float] = field(default_factory=lambda: RecentlyUsed(MAX_REMEMBERED))
    """Until when a message is under way that has a series looked at: seconds of the event loop's clock, by
    partition of table `archive` and series."""

    to_wake: dict[tuple[StudyKey, str], timedelta] = field(default_factory=dict)
    """Series of which a message is to be sent, and how long it is to be hidden."""

    waking: set[asyncio.Task[None]] = field(default_factory=set)
    """What sends these messages, one task at a time; nobody waits for it."""

    refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while this process joins the metadata of a series: one at a time bounds memory and work."""

    head: Head | None = None
    """Where the change feed ended when this process wrote it last, everything up to there finished."""

    emitting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while this process writes the change feed."""

    emission: asyncio.Task[bool] | None = None
    """Entering changes on behalf of readers."""

    last: int = 0
    """A sequence near the end of the change feed, which is entered; 0 when none is known."""

    firsts: RecentlyUsed[datetime, int] = field(default_factory=lambda: RecentlyUsed(MAX_REMEMBERED))
    """The first sequence of the change feed at or after a time, where there is one: it never changes."""

    cursor_key: bytes = field(default=b"", repr=False)
    """What cursors are sealed with; nothing until it has been read."""

    news: News = field(default_factory=News)
    """Of changes: announced or entered by this process, or seen by it."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long things may take or are kept."""

    retention: timedelta
    """From a deletion to the removal of the bytes."""

    grace: timedelta
    """After this time a change or a blob that nothing has finished is a leftover."""

    quiet: timedelta = timedelta(seconds=5)
    """A series that changed less than so long ago may still be on its way in: it is joined when it rests."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The storage account, as the services use it."""

    wire: Wire
    tables: Tables
    blobs: Blobs
    queues: Queues
    leases: Leases
    times: Times
    memory: Memory = field(default_factory=Memory)

    async def aclose(self) -> None:
        """Close all connections."""
        if self.memory.waking:
            await asyncio.wait(self.memory.waking, timeout=LAST_MESSAGES_SECONDS)
        for task in self.memory.waking:
            task.cancel()
        await asyncio.gather(*self.memory.waking, return_exceptions=True)
        await self.wire.aclose()


def open_storage(connection: Connection, times: Times, wire: Wire | None = None) -> Storage:
    """Make the clients of a storage account. Nothing is asked of it before the first call."""
    wire = wire or Wire(connection)
    return Storage(wire, Tables(wire), Blobs(wire), Queues(wire), Leases(wire), times)
