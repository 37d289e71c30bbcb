"""Where the frames of an instance lie, remembered where that takes long to read.

The index of an object of many frames is tens of kilobytes, and a viewer of slides asks for its tiles one by
one. So it is kept decoded, by version, and each request reads the rest of the row, which tells the version.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from shared.dicom.frames import FrameIndex
from shared.storage import archive
from shared.storage.keys import Scope
from shared.storage.rows import FRAMES, LOCATION, InstanceRow
from shared.storage.storage import KnownFrames, Storage
from shared.wado.converted.described import read_index

SHORT_BYTES: Final = 1024
"""An encoded index up to here, as that of any frames without compression, comes with the row each time."""

_HAS_FRAMES: Final = (*LOCATION, "hasFrames")


@dataclass(frozen=True, slots=True)
class Indexed:
    """An instance's row, and where its frames lie as far as that is known without asking."""

    row: InstanceRow
    index: FrameIndex | None


async def read_indexed(storage: Storage, scope: Scope) -> Indexed | None:
    """Read the row of an instance with what it takes to find frames; None when there is none."""
    key = _key(scope)
    known = storage.memory.frames.get(key)
    if known is not None:
        row = await _read(storage, scope, _HAS_FRAMES)
        if row is None or row.version == known.version:
            return Indexed(row, known.index) if row else None
        storage.memory.frames.forget(key)
    row = await _read(storage, scope, (*LOCATION, *FRAMES))
    return Indexed(row, None) if row else None


async def find_index(storage: Storage, scope: Scope, found: Indexed) -> FrameIndex | None:
    """Where the frames lie; None when there are none. Of several who ask at once one alone reads it."""
    row, key = found.row, _key(scope)
    if found.index is not None:
        return found.index
    if not row.frames_blob and len(row.frames) <= SHORT_BYTES:
        return await read_index(storage, row)
    lock = storage.memory.reading_frames.setdefault(key, asyncio.Lock())
    async with lock:
        known = storage.memory.frames.get(key)
        if known is not None and known.version == row.version:
            return known.index
        index = await read_index(storage, row)
        if index is not None:
            storage.memory.frames.put(key, KnownFrames(row.version, index))
        return index


async def _read(storage: Storage, scope: Scope, select: tuple[str, ...]) -> InstanceRow | None:
    return await archive.read_instance(storage, scope.key, scope.series or "", scope.instance or "", select)


def _key(scope: Scope) -> tuple[str, str, str]:
    return scope.key.archive, scope.series or "", scope.instance or ""
