"""Reading the instances that entries of the change feed tell of, as they are now."""

import asyncio
from collections.abc import Sequence

from shared.changefeed.states import Address, Group, group, left_over
from shared.storage import archive, keys
from shared.storage.feed import Entry
from shared.storage.rows import METADATA, InstanceRow, parse_instance
from shared.storage.storage import Storage
from shared.storage.tables import between

MAX_READS_AT_ONCE = 16
ROWS_FOR_EACH = 2
SPARE_ROWS = 20
"""A series is read in one call; when others lie between the wanted ones, up to so many rows for each wanted
and so many more. What is not reached is read one by one."""

Rows = dict[Address, InstanceRow]


async def read_rows(storage: Storage, entries: Sequence[Entry], *, with_metadata: bool) -> Rows:
    """Read the row of each instance that entries tell of; those that are gone are not in the result."""
    select = ("version", *METADATA) if with_metadata else ("version",)
    limit = asyncio.Semaphore(MAX_READS_AT_ONCE)

    async def read(each: Group) -> list[InstanceRow]:
        async with limit:
            return await _read_group(storage, each, select)

    async def read_one(each: Group, instance: str) -> list[InstanceRow]:
        return await read(Group(each.key, each.series, (instance,)))

    groups = group(entries)
    read_groups = await asyncio.gather(*map(read, groups))
    missed = [
        (each, instance)
        for each, rows in zip(groups, read_groups, strict=True)
        for instance in left_over(each, [row.instance for row in rows], _limit(each))
    ]
    read_missed = await asyncio.gather(*(read_one(*each) for each in missed))
    owners = [*groups, *(each for each, _ in missed)]
    return {
        Address(each.key, each.series, row.instance): row
        for each, rows in zip(owners, (*read_groups, *read_missed), strict=True)
        for row in rows
        if row.instance in each.instances
    }


def _limit(group: Group) -> int:
    return ROWS_FOR_EACH * len(group.instances) + SPARE_ROWS


async def _read_group(storage: Storage, group: Group, select: Sequence[str]) -> list[InstanceRow]:
    """The rows of a series from the first wanted instance to the last, as far as the limit goes."""
    key, series, instances = group.key, group.series, group.instances
    if len(instances) == 1:
        row = await archive.read_instance(storage, key, series, instances[0], select)
        return [row] if row else []
    # A blank sorts before all that may follow in a longer UID.
    first, end = keys.instance_row(series, instances[0]), keys.instance_row(series, instances[-1]) + " "
    pages = storage.tables.query(
        keys.ARCHIVE, between(key.archive, first, end), select=select, limit=_limit(group)
    )
    return [parse_instance(row, key.study) async for page in pages for row in page]
