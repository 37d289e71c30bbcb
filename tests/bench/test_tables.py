"""The table server answers the service as the emulator does, in all that the service relies upon."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from bench.tables import serve
from shared.storage.connection import resolve
from shared.storage.storage import Times, open_storage
from shared.storage.tables import (
    Row,
    RowChanged,
    RowExists,
    RowMissing,
    Tables,
    Value,
    both,
    delete,
    greater_or_equal,
    insert,
    less,
    merge,
    replace,
    upsert_replace,
    within,
)
from tests.conftest import NewAccount

T = TypeVar("T")
TABLE = "things"


@pytest.fixture(params=["emulator", "table server"])
def connection(request: pytest.FixtureRequest, new_account: NewAccount, tmp_path: Path) -> Iterator[str]:
    """An empty account, of either kind."""
    if request.param == "emulator":
        yield new_account()
        return
    with serve(tmp_path / "tables", new_account()) as served:
        yield served


def run(connection: str, work: Callable[[Tables], Awaitable[T]]) -> T:
    """Do something with the tables of an account."""

    async def do() -> T:
        times = Times(retention=timedelta(days=3), grace=timedelta(minutes=15))
        storage = open_storage(resolve("STORAGE", {"STORAGE": connection}), times)
        try:
            return await work(storage.tables)
        finally:
            await storage.aclose()

    return asyncio.run(do())


async def every(
    tables: Tables, condition: str, *, page: int = 1000, select: tuple[str, ...] = ()
) -> list[Row]:
    return [row async for rows in tables.query(TABLE, condition, page=page, select=select) for row in rows]


def test_rows_are_written_and_read(connection: str) -> None:
    """Of every kind of property, with what a key may hold."""
    values: dict[str, Value] = {"text": "é'\"\\", "bytes": b"\0\xff", "number": 1 << 60, "flag": True}

    async def work(tables: Tables) -> tuple[Row | None, Row | None, list[Row]]:
        assert await tables.get(TABLE, "p", "r") is None
        assert await every(tables, within("p")) == []
        await tables.transact(TABLE, "p'1", [insert("r =%é", values), insert("s", {})])
        return (
            await tables.get(TABLE, "p'1", "r =%é"),
            await tables.get(TABLE, "p'1", "r =%é", ("flag",)),
            await every(tables, within("p'1"), select=("number",)),
        )

    whole, part, found = run(connection, work)

    assert whole is not None
    assert part is not None
    assert (whole.partition, whole.row, dict(whole.values)) == ("p'1", "r =%é", values)
    assert dict(part.values) == {"flag": True}
    assert [(row.row, dict(row.values)) for row in found] == [("r =%é", {"number": 1 << 60}), ("s", {})]


def test_a_transaction_is_done_as_a_whole_or_not_at_all(connection: str) -> None:
    """And says which of its operations could not be done."""

    async def work(tables: Tables) -> list[tuple[str, object]]:
        old, _ = await tables.transact(TABLE, "p", [insert("a", {"n": 1}), insert("b", {"n": 1})])
        new, _ = await tables.transact(TABLE, "p", [merge("a", {"m": 2}), upsert_replace("c", {"n": 3})])
        assert old != new
        for index, wrong, error in (
            (1, [insert("d", {}), insert("a", {})], RowExists),
            (1, [insert("d", {}), replace("e", {})], RowMissing),
            (1, [insert("d", {}), delete("e")], RowMissing),
            (0, [replace("a", {}, etag=old), insert("d", {})], RowChanged),
        ):
            with pytest.raises(error) as told:
                await tables.transact(TABLE, "p", wrong)
            assert told.value.index == index
        await tables.transact(TABLE, "p", [replace("a", {"k": 5}, etag=new), delete("b")])
        return [(row.row, dict(row.values)) for row in await every(tables, within("p"))]

    assert run(connection, work) == [("a", {"k": 5}), ("c", {"n": 3})]


@pytest.mark.parametrize("page", [2, 1000])
def test_ranges_come_in_the_order_of_keys_page_by_page(connection: str, page: int) -> None:
    """Over one partition and over several."""

    async def work(tables: Tables) -> tuple[list[str], list[str]]:
        for partition in ("p|2", "p|1", "q|1"):
            await tables.transact(TABLE, partition, [insert(row, {}) for row in ("b", "a", "c", "B")])
        spread = both(greater_or_equal("PartitionKey", "p|"), less("PartitionKey", "p|~"))
        rows = both(greater_or_equal("RowKey", "a"), less("RowKey", "c"))
        one = await every(tables, both(within("p|1"), rows), page=page)
        return [row.row for row in one], [
            f"{row.partition} {row.row}" for row in await every(tables, both(spread, rows), page=page)
        ]

    assert run(connection, work) == (["a", "b"], ["p|1 a", "p|1 b", "p|2 a", "p|2 b"])
