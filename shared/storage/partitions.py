"""Table `partitions`: the data partitions that exist (API rules section 15).

A partition is made by the first store into it. Names are kept as given and compared without case.
"""

import re
from datetime import UTC, datetime

from shared.errors import BadRequest
from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import RowExists, Value, insert

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ALL = "partitions"


def check_name(name: str) -> str:
    """Give a partition's name as it is, if it is one.

    Raises:
        BadRequest: It is too long or has other characters than a name may.
    """
    if not _NAME.fullmatch(name):
        raise BadRequest("A PartitionName has 1 to 64 letters, digits, dots, hyphens and underscores.")
    return name


async def make(storage: Storage, name: str) -> None:
    """Make a partition exist."""
    if await _is_known(storage, name):
        return
    values: dict[str, Value] = {"name": name, "created": datetime.now(UTC)}
    try:
        await storage.tables.transact(keys.PARTITIONS, _ALL, [insert(name.lower(), values)])
    except RowExists:
        # It keeps the name it was first given, which may differ in case.
        await _is_known(storage, name)
    else:
        storage.memory.partitions.put(name.lower(), name)


async def require(storage: Storage, name: str) -> None:
    """Check that a partition exists.

    Raises:
        BadRequest: It does not.
    """
    if not await _is_known(storage, name):
        raise BadRequest("Specified PartitionName does not exist.")


async def name_of(storage: Storage, folded: str) -> str:
    """Give the name of a partition as it was given when it was made."""
    if folded == keys.DEFAULT_PARTITION.lower():
        return keys.DEFAULT_PARTITION
    await _is_known(storage, folded)
    return storage.memory.partitions.get(folded) or folded


async def _is_known(storage: Storage, name: str) -> bool:
    folded = name.lower()
    if folded == keys.DEFAULT_PARTITION.lower() or storage.memory.partitions.get(folded):
        return True
    row = await storage.tables.get(keys.PARTITIONS, _ALL, folded)
    if row is None:
        return False
    storage.memory.partitions.put(folded, str(row.values["name"]))
    return True
