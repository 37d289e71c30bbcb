"""The key that cursors are sealed with: made once for an archive, and the same in all its processes.

It is a row of table `searches` that is inserted and never changed. Should it be deleted, links that were
given before are refused, and processes do not read each other's until they are restarted.
"""

import os
from base64 import urlsafe_b64encode

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import RowExists, insert

KEY_BYTES = 32


async def read_cursor_key(storage: Storage) -> bytes:
    """The key, in the form that Fernet has; made by whoever needs it first, and remembered."""
    if not storage.memory.cursor_key:
        storage.memory.cursor_key = await _read(storage) or await _make(storage)
    return storage.memory.cursor_key


async def _make(storage: Storage) -> bytes:
    partition, row = keys.CURSOR_KEY
    made = urlsafe_b64encode(os.urandom(KEY_BYTES))
    try:
        await storage.tables.transact(keys.SEARCHES, partition, [insert(row, {"key": made})])
    except RowExists:
        # Another process was first, or this one before its answer was lost.
        return await _read(storage)
    return made


async def _read(storage: Storage) -> bytes:
    found = await storage.tables.get(keys.SEARCHES, *keys.CURSOR_KEY)
    key = found.values["key"] if found else b""
    assert isinstance(key, bytes)
    return key
