"""Tables: transactions in one partition, single rows, and queries page by page."""

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from shared.storage.calls import current
from shared.storage.entities import Row, Value, check_key, parse_entity
from shared.storage.filters import (
    after,
    between,
    both,
    either,
    equal,
    greater,
    greater_or_equal,
    less,
    less_or_equal,
    literal,
    starting,
    within,
)
from shared.storage.operations import (
    HEADERS,
    MAX_BODY_BYTES,
    MAX_OPERATIONS,
    Kind,
    Operation,
    Outcome,
    delete,
    entity_path,
    insert,
    is_busy,
    merge,
    parse,
    render,
    replace,
    upsert_merge,
    upsert_replace,
)
from shared.storage.wire import Reply, Request, StorageRefused, Wire

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_OPERATIONS",
    "Kind",
    "Operation",
    "Row",
    "RowChanged",
    "RowConflict",
    "RowExists",
    "RowMissing",
    "Tables",
    "Value",
    "after",
    "between",
    "both",
    "delete",
    "either",
    "equal",
    "greater",
    "greater_or_equal",
    "insert",
    "less",
    "less_or_equal",
    "literal",
    "merge",
    "replace",
    "starting",
    "upsert_merge",
    "upsert_replace",
    "within",
]

MAX_PAGE: Final = 1000


class RowConflict(Exception):
    """A transaction was not carried out, because one row was not as it required.

    `after_retry` tells that an earlier try of the same call got no clear answer. That try may have succeeded
    and this answer may be its echo: read the row named by `index` and compare it with what was to be written.
    """

    def __init__(self, index: int, *, after_retry: bool) -> None:
        super().__init__(f"Operation {index} found its row otherwise than required.")
        self.index = index
        self.after_retry = after_retry


class RowExists(RowConflict):
    """A row to be inserted exists."""


class RowMissing(RowConflict):
    """A row to be changed or deleted does not exist."""


class RowChanged(RowConflict):
    """A row has another version than the one required."""


_CONFLICTS: Final = {
    "EntityAlreadyExists": RowExists,
    "ResourceNotFound": RowMissing,
    "EntityNotFound": RowMissing,
    "UpdateConditionNotSatisfied": RowChanged,
    "ConditionNotMet": RowChanged,
}


class Tables:
    """The tables of one account, each made at its first write; reading one not made finds nothing."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def transact(self, table: str, partition: str, operations: Sequence[Operation]) -> tuple[str, ...]:
        """Carry out up to 100 operations on rows of one partition: all of them, or none.

        Returns:
            The new version of each row, in order; an empty text for a deleted one.

        Raises:
            RowExists, RowMissing, RowChanged: One row was not as required; nothing was changed.
            ValueError: The service's limits forbid it, which is a bug of the caller.
            Unavailable: No clear answer came; whether it was carried out is unknown.
        """
        request = render(self._wire.connection.table, table, partition, operations)
        reply = await self._wire.send(request, is_busy=is_busy)
        outcome = parse(reply, request)
        if outcome.code == "TableNotFound":
            await self._create(table)
            reply = await self._wire.send(request, is_busy=is_busy)
            outcome = parse(reply, request)
        if outcome.status:
            raise _failure(request, outcome, reply.after_retry)
        return outcome.etags

    async def get(self, table: str, partition: str, row: str, select: Sequence[str] = ()) -> Row | None:
        """Read one row, or only the properties named in `select`."""
        check_key(partition)
        check_key(row)
        request = Request(
            "table", "GET", entity_path(table, partition, row), query=_selected(select), headers=HEADERS
        )
        reply = await self._wire.send(request)
        if reply.status == 404:
            return None
        found = _parsed(request, reply)
        current().rows += 1
        return parse_entity(found)

    async def query(
        self,
        table: str,
        condition: str,
        *,
        select: Sequence[str] = (),
        page: int = MAX_PAGE,
        limit: int | None = None,
    ) -> AsyncGenerator[list[Row], None]:
        """Read the rows that meet a condition, in the order of their keys, in pages that are never empty.

        Args:
            table: Table name.
            condition: From the functions in `filters`.
            select: Properties wanted besides the keys; none means all.
            page: Rows asked for at once, up to 1,000. The service may give fewer.
            limit: Rows wanted in all; None means every one.
        """
        left = limit
        behind: tuple[tuple[str, str], ...] | None = ()
        while behind is not None and left != 0:
            asked = min(page, MAX_PAGE) if left is None else min(page, MAX_PAGE, left)
            query = (("$filter", condition), ("$top", str(asked)), *_selected(select), *behind)
            request = Request("table", "GET", f"/{table}()", query=query, headers=HEADERS)
            reply = await self._wire.send(request)
            if reply.status == 404:
                return
            rows = [parse_entity(found) for found in _parsed(request, reply)["value"]]
            current().rows += len(rows)
            # A page may be short, or even empty, and still not be the last: only the continuation tells.
            behind = _continuation(reply)
            left = None if left is None else left - len(rows)
            if rows:
                yield rows

    async def _create(self, table: str) -> None:
        sdk = await self._wire.sdk()
        await sdk.make("table", sdk.tables.create_table(table))


def _selected(select: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not select:
        return ()
    # The keys come only when asked for; the version comes always.
    wanted = dict.fromkeys(("PartitionKey", "RowKey", *select))
    return (("$select", ",".join(wanted)),)


def _continuation(reply: Reply) -> tuple[tuple[str, str], ...] | None:
    partition = reply.headers.get("x-ms-continuation-NextPartitionKey")
    if partition is None:
        return None
    row = reply.headers.get("x-ms-continuation-NextRowKey")
    behind = (("NextPartitionKey", partition),)
    return behind if row is None else (*behind, ("NextRowKey", row))


def _parsed(request: Request, reply: Reply) -> dict[str, Any]:
    if reply.status != 200:
        raise StorageRefused(request, reply.status, reply.code)
    found: dict[str, Any] = json.loads(reply.body)
    return found


def _failure(request: Request, outcome: Outcome, after_retry: bool) -> Exception:
    conflict = _CONFLICTS.get(outcome.code)
    if conflict is not None:
        return conflict(outcome.index, after_retry=after_retry)
    return StorageRefused(request, outcome.status, outcome.code)
