"""Committing files of one study: their bytes into a blob, their rows into one transaction.

What several requests bring for a study at the same time is committed together (`storage/gather.py`).
"""

import asyncio
import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.dicom.part10 import Part10File
from shared.dicom.tags import CARRIED, SEARCHABLE, SearchLevel
from shared.errors import Unavailable
from shared.log import log_fault
from shared.storage import active, keys
from shared.storage.commit import Batch, commit, look, upsert
from shared.storage.gather import Ask
from shared.storage.keys import StudyKey
from shared.storage.pending import schedule_purge
from shared.storage.planning import Known, batches
from shared.storage.rows import MAX_BULK_BYTES, MAX_INLINE_BYTES, Change, Location, NewInstance, Values
from shared.storage.storage import Storage
from shared.storage.upload import put_new
from shared.storage.versions import next_version
from shared.stow.checks import Taken
from shared.stow.intake import Received
from shared.stow.outcome import Failure, Outcome, Refused, Stored
from shared.stow.same import is_same

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """A file to commit, and what becomes of it if its address is taken."""

    received: Received
    taken: Taken

    @property
    def address(self) -> tuple[str, str, str]:
        """Study, series and instance."""
        identity = self.received.file.identity
        return identity.study, identity.series, identity.instance


Result = Outcome | Unavailable

_Committed = Result | NewInstance
"""What a turn gives; an instance whose address was taken is given back."""


async def commit_together(storage: Storage, key: StudyKey, items: Sequence[Item]) -> Sequence[Result]:
    """Commit files of one study, each with an address of its own.

    Returns:
        What became of each, in order; `Unavailable` where storage is to blame.
    """
    replaces = items[0].taken is Taken.REPLACE
    names: frozenset[Hashable] = frozenset(item.address for item in items)
    size = sum(len(item.received.body or b"") for item in items)

    async def work(together: Sequence[Item]) -> Sequence[_Committed]:
        return await _commit(storage, key, together, replaces=replaces)

    committed = await storage.memory.commits.do((key, replaces), Ask(items, size, names, work))
    # Compared after its turn, so that nobody else waits.
    return [
        await _outcome_of_taken(storage, key, item, result) if isinstance(result, NewInstance) else result
        for item, result in zip(items, committed, strict=True)
    ]


async def _outcome_of_taken(storage: Storage, key: StudyKey, item: Item, new: NewInstance) -> Result:
    try:
        if item.taken is Taken.ACCEPT_IDENTICAL and await is_same(storage, key, new):
            return _stored(item)
    except Unavailable as error:
        return error
    return Refused(Failure.EXISTS, item.received.file.identity)


@dataclass(frozen=True, slots=True)
class _Written:
    """Files whose bytes are uploaded and that no row names yet."""

    storage: Storage
    key: StudyKey
    items: Mapping[int, Item]
    """By the version of the instance."""

    instances: Sequence[NewInstance]
    uploaded: float
    """When the first of the bytes became a blob, in seconds of the clock."""

    seen: Known
    """The study, as it was during the upload."""

    replaces: bool


async def _commit(
    storage: Storage, key: StudyKey, items: Sequence[Item], *, replaces: bool
) -> Sequence[_Committed]:
    try:
        written = await _write(storage, key, items, replaces=replaces)
    except Unavailable as error:
        return [error] * len(items)
    except Exception:
        # A fault of ours with one file must not hit the others.
        log_fault(log, "files=%d could not be written", len(items))
        if len(items) == 1:
            return [Refused(Failure.PROCESSING, items[0].received.file.identity)]
        return [(await _commit(storage, key, [item], replaces=replaces))[0] for item in items]
    results: dict[int, _Committed] = {}
    for batch in batches(written.instances):
        results |= await _commit_batch(written, batch)
    return [results[new.version] for new in written.instances]


async def _commit_batch(written: _Written, batch: Sequence[NewInstance]) -> dict[int, _Committed]:
    """Commit what one transaction holds, and give what became of each instance by its version."""
    try:
        existing = await _write_rows(written, batch)
    except Unavailable as error:
        return {new.version: error for new in batch}
    except Exception:
        log_fault(log, "files=%d could not be committed", len(batch))
        if len(batch) == 1:
            identity = written.items[batch[0].version].received.file.identity
            return {batch[0].version: Refused(Failure.PROCESSING, identity)}
        results: dict[int, _Committed] = {}
        for new in batch:
            results |= await _commit_batch(written, [new])
        return results
    await _forget_bytes(written, [new for new in batch if new.version in existing])
    return {
        new.version: new if new.version in existing else _stored(written.items[new.version]) for new in batch
    }


async def _write_rows(written: _Written, batch: Sequence[NewInstance]) -> set[int]:
    """Give the versions of those whose address is taken."""
    todo = Batch(batch, written.uploaded, written.seen)
    if not written.replaces:
        return await commit(written.storage, written.key, todo)
    await upsert(written.storage, written.key, todo)
    return set()


def _stored(item: Item) -> Stored:
    passed = item.received.passed
    return Stored(item.received.file.identity, passed.warning, passed.comments, passed.first_value_only)


async def _forget_bytes(written: _Written, duplicates: Sequence[NewInstance]) -> None:
    """Have the bytes of duplicates removed, also from a pack that they came in with others."""
    blobs: dict[str, list[str]] = {new.location.blob: [] for new in duplicates}
    for new in duplicates:
        blobs[new.location.blob] += new.details
    changes = [Change("", "", 0, Location(blob, 0, 0), tuple(details)) for blob, details in blobs.items()]
    if changes:
        try:
            await schedule_purge(written.storage, written.key, changes, written.storage.times.grace)
        except Exception:
            # Whatever it is, the sender is told of its files, and the sweep finds bytes that nobody names.
            log_fault(log, "blobs=%d keep the bytes of duplicates until the sweep", len(blobs))


async def _write(storage: Storage, key: StudyKey, items: Sequence[Item], *, replaces: bool) -> _Written:
    """Upload what rows will name."""
    await active.note(storage, key)
    series = {item.address[1] for item in items}
    uploaded = min(time.time(), *(item.received.uploaded for item in items))
    located, seen = await asyncio.gather(_write_bytes(storage, key, items), look(storage, key, series))
    instances = [
        await _with_details(storage, key, make_instance(item.received, where))
        for item, where in zip(items, located, strict=True)
    ]
    by_version = {new.version: item for new, item in zip(instances, items, strict=True)}
    return _Written(storage, key, by_version, instances, uploaded, seen, replaces)


async def _write_bytes(storage: Storage, key: StudyKey, items: Sequence[Item]) -> list[Location]:
    """Upload the small files, together if they are several."""
    small = [item.received for item in items if item.received.body is not None]
    blob = keys.pack_blob(key, next_version())
    if len(small) == 1:
        identity = small[0].file.identity
        blob = keys.instance_blob(key, identity.series, identity.instance, small[0].version)
    if small:
        pieces = [received.body or b"" for received in small]
        await put_new(storage.blobs, keys.DICOM, blob, pieces)
    return _located(blob, items)


async def _with_details(storage: Storage, key: StudyKey, new: NewInstance) -> NewInstance:
    """Write to blobs what is too large for a row."""
    address = (new.series, new.instance, new.version)
    if len(new.metadata) > MAX_INLINE_BYTES:
        name = keys.detail_blob(key, *address, "metadata")
        await put_new(storage.blobs, keys.METADATA, name, new.metadata)
        new = replace(new, metadata_blob=name)
    if new.frames is not None and len(new.frames) > MAX_INLINE_BYTES:
        name = keys.detail_blob(key, *address, "frames")
        await put_new(storage.blobs, keys.METADATA, name, new.frames)
        new = replace(new, frames_blob=name)
    if len(new.bulk) > MAX_BULK_BYTES:
        name = keys.detail_blob(key, *address, "bulk")
        await put_new(storage.blobs, keys.METADATA, name, new.bulk)
        new = replace(new, bulk_blob=name)
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
        values={**_values(file, SearchLevel.INSTANCE), AVAILABLE_SYNTAX: _syntax(file)},
        metadata=file.metadata,
        frames=file.frames.encode() if file.frames else None,
        bulk=file.bulk,
    )


_SEARCHED = {
    attribute.tag: attribute.vr
    for level in SEARCHABLE.values()
    for attribute in level
    if not attribute.sequence
}
AVAILABLE_SYNTAX = "00083002"
"""Viewers ask searches for it; it comes of group 0002."""


def _values(file: Part10File, level: SearchLevel) -> Values:
    found = {tag: file.attributes[tag] for tag in CARRIED[level] if tag in file.attributes}
    # What is written with another VR than its own, a date as a number, would mislead every search.
    return {
        tag: element for tag, element in found.items() if _SEARCHED.get(tag, element["vr"]) == element["vr"]
    }


def _syntax(file: Part10File) -> Mapping[str, object]:
    return {"vr": "UI", "Value": [file.transfer_syntax]}


def _located(blob: str, items: Sequence[Item]) -> list[Location]:
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
