"""Whether an instance that arrives is, byte for byte, the one that is stored already."""

from collections.abc import AsyncIterator

from shared.storage import keys
from shared.storage.ahead import ended
from shared.storage.archive import read_instance
from shared.storage.blobs import BlobMissing
from shared.storage.keys import StudyKey
from shared.storage.rows import LOCATION, Location, NewInstance
from shared.storage.storage import Storage


async def is_same(storage: Storage, key: StudyKey, new: NewInstance) -> bool:
    """Compare the bytes of an instance, uploaded but not committed, with those stored under its UIDs."""
    row = await read_instance(storage, key, new.series, new.instance, LOCATION)
    if row is None or row.location.length != new.location.length:
        return False
    try:
        async with ended(_read(storage, row.location)) as stored, ended(_read(storage, new.location)) as sent:
            return await _are_equal(stored, sent)
    except BlobMissing:
        # Deleted, and purged, while we read.
        return False


def _read(storage: Storage, where: Location) -> AsyncIterator[bytes]:
    return storage.blobs.read(keys.DICOM, where.blob, where.start, where.length)


async def _are_equal(one: AsyncIterator[bytes], other: AsyncIterator[bytes]) -> bool:
    """Compare two streams of the same length, whose pieces may be cut differently."""
    left = memoryview(b"")
    async for piece in one:
        view = memoryview(piece)
        while view:
            left = left or memoryview(await anext(other, b""))
            size = min(len(view), len(left))
            if not size or view[:size] != left[:size]:
                return False
            view, left = view[size:], left[size:]
    return True
