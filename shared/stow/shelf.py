"""The small files of a request wait here to be committed together.

Those of one study share a blob and a transaction: fifty small files cost hardly more than one.
While one load is being committed the next is read; memory is bounded by two loads.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.dicom.part10 import Part10File
from shared.dicom.tags import CORE_SEARCH, RETURNED_BY_ALL, RETURNED_BY_DEFAULT_V1, SearchLevel
from shared.errors import Unavailable
from shared.storage import active, keys
from shared.storage.commit import commit
from shared.storage.keys import StudyKey, study_key
from shared.storage.pending import schedule_purge
from shared.storage.planning import batches
from shared.storage.rows import MAX_INLINE_BYTES, Change, Location, NewInstance, Values
from shared.storage.storage import Storage
from shared.storage.upload import put_new
from shared.storage.versions import next_version
from shared.stow.intake import Received
from shared.stow.outcome import Failure, Outcome, Refused, Stored

LOAD_BYTES = 8 * 1024 * 1024
LOAD_FILES = 90

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Item:
    number: int
    """Which part of the request it is, counted from 0."""

    received: Received

    @property
    def address(self) -> tuple[str, str, str]:
        identity = self.received.file.identity
        return identity.study, identity.series, identity.instance


class Shelf:
    """Collects the parts of one request and commits them load by load."""

    def __init__(self, storage: Storage, partition: str) -> None:
        self._storage = storage
        self._partition = partition
        self._outcomes: list[Outcome | None] = []
        self._load: list[_Item] = []
        self._load_bytes = 0
        self._addresses: set[tuple[str, str, str]] = set()
        self._committing: asyncio.Task[None] | None = None
        self._unavailable: Unavailable | None = None
        self.has_begun = False
        """Whether anything may have been committed."""

    async def add(self, part: Received | Refused, failure: Unavailable | None = None) -> None:
        """Take the next part; commits what has come together when that is enough.

        Args:
            part: What became of it so far.
            failure: Why storage did not take it, if that is why it is refused.
        """
        number = len(self._outcomes)
        self._outcomes.append(part if isinstance(part, Refused) else None)
        self._unavailable = failure or self._unavailable
        if isinstance(part, Refused):
            return
        item = _Item(number, part)
        if item.address in self._addresses:
            # The same instance twice: the first is stored, then the second finds it there.
            await self.settle()
        self._addresses.add(item.address)
        self._load.append(item)
        self._load_bytes += len(part.body or b"")
        # A large file is a blob already, which the sweep would take for a leftover if it waited too long.
        if part.location or self._load_bytes >= LOAD_BYTES or len(self._load) >= LOAD_FILES:
            await self._start()

    async def finish(self) -> list[Outcome]:
        """Commit what is left and tell what became of each part, in order.

        Raises:
            Unavailable: Nothing was stored, and storage is to blame.
        """
        await self.settle()
        outcomes = [outcome for outcome in self._outcomes if outcome]
        failed = all(isinstance(item, Refused) and item.reason is Failure.PROCESSING for item in outcomes)
        if self._unavailable and failed:
            raise self._unavailable
        return outcomes

    async def settle(self) -> None:
        """Wait until everything taken so far is committed or refused."""
        await self._start()
        await self._wait()
        self._addresses.clear()

    async def leave(self) -> None:
        """Let a commit that has begun come to its end, also when the client has left."""
        if self._committing:
            await asyncio.wait([self._committing])

    async def _wait(self) -> None:
        committing, self._committing = self._committing, None
        if committing:
            try:
                await asyncio.shield(committing)
            except asyncio.CancelledError:
                self._committing = committing
                raise

    async def _start(self) -> None:
        await self._wait()
        if self._load:
            self.has_begun = True
            self._committing = asyncio.create_task(self._commit(self._load))
            self._load, self._load_bytes = [], 0

    async def _commit(self, load: Sequence[_Item]) -> None:
        by_study: dict[StudyKey, list[_Item]] = defaultdict(list)
        for item in load:
            by_study[study_key(self._partition, item.received.file.identity.study)].append(item)
        for key, items in by_study.items():
            try:
                await self._commit_study(key, items)
            except Unavailable as error:
                self._unavailable = error
            except Exception:
                # A fault of ours with one study must not hide what became of the others.
                log.exception("a study could not be committed")
            for item in items:
                if self._outcomes[item.number] is None:
                    self._outcomes[item.number] = Refused(Failure.PROCESSING, item.received.file.identity)

    async def _commit_study(self, key: StudyKey, items: Sequence[_Item]) -> None:
        await active.note(self._storage, key)
        located = await self._write_bytes(key, items)
        new = {item.received.version: item for item in items}
        instances = [
            await self._with_details(key, make_instance(item.received, where))
            for item, where in zip(items, located, strict=True)
        ]
        for batch in batches(instances):
            existing = await commit(self._storage, key, batch)
            await self._forget_bytes(key, [instance for instance in batch if instance.version in existing])
            for instance in batch:
                item = new[instance.version]
                self._outcomes[item.number] = _outcome(item.received, instance.version in existing)

    async def _forget_bytes(self, key: StudyKey, duplicates: Sequence[NewInstance]) -> None:
        """Have the bytes of duplicates removed from the pack they came in with others."""
        packs = {new.location.blob for new in duplicates if keys.is_pack(new.location.blob)}
        changes = [Change("", "", 0, Location(pack, 0, 0)) for pack in packs]
        if changes:
            await schedule_purge(self._storage, key, changes, self._storage.times.grace)

    async def _write_bytes(self, key: StudyKey, items: Sequence[_Item]) -> list[Location]:
        """Upload the small files of a load, together if they are several."""
        small = [item.received for item in items if item.received.body is not None]
        blob = keys.pack_blob(key, next_version())
        if len(small) == 1:
            identity = small[0].file.identity
            blob = keys.instance_blob(key, identity.series, identity.instance, small[0].version)
        if small:
            pieces = [received.body or b"" for received in small]
            await put_new(self._storage.blobs, keys.DICOM, blob, pieces)
        return _located(blob, items)

    async def _with_details(self, key: StudyKey, new: NewInstance) -> NewInstance:
        """Write to blobs what is too large for a row."""
        address = (new.series, new.instance, new.version)
        if len(new.metadata) > MAX_INLINE_BYTES:
            name = keys.detail_blob(key, *address, "metadata")
            await put_new(self._storage.blobs, keys.METADATA, name, new.metadata)
            new = replace(new, metadata_blob=name)
        if new.frames is not None and len(new.frames) > MAX_INLINE_BYTES:
            name = keys.detail_blob(key, *address, "frames")
            await put_new(self._storage.blobs, keys.METADATA, name, new.frames)
            new = replace(new, frames_blob=name)
        return new


def make_instance(received: Received, location: Location) -> NewInstance:
    """What the archive keeps of a file beside its bytes."""
    file, identity = received.file, received.file.identity
    return NewInstance(
        series=identity.series,
        instance=identity.instance,
        version=received.version,
        location=location,
        transfer_syntax=file.transfer_syntax,
        study_values=_values(file, SearchLevel.STUDY),
        series_values=_values(file, SearchLevel.SERIES),
        values=_values(file, SearchLevel.INSTANCE),
        metadata=file.metadata,
        frames=file.frames.encode() if file.frames else None,
    )


_TAGS = {
    level: (
        *RETURNED_BY_ALL[level],
        *RETURNED_BY_DEFAULT_V1[level],
        *(attribute.tag for attribute in CORE_SEARCH[level]),
    )
    for level in SearchLevel
}
_COMPUTED = frozenset({"00080061"})


def _values(file: Part10File, level: SearchLevel) -> Values:
    tags = dict.fromkeys(tag for tag in _TAGS[level] if tag not in _COMPUTED)
    return {tag: file.attributes[tag] for tag in tags if tag in file.attributes}


def _located(blob: str, items: Sequence[_Item]) -> list[Location]:
    start = 0
    found = []
    for item in items:
        if item.received.location:
            found.append(item.received.location)
            continue
        length = len(item.received.body or b"")
        found.append(Location(blob, start, length))
        start += length
    return found


def _outcome(received: Received, exists: bool) -> Outcome:
    identity = received.file.identity
    if exists:
        return Refused(Failure.EXISTS, identity)
    return Stored(identity, received.passed.warning, received.passed.comments)
