"""Against the emulator, and against Microsoft's own client: what one writes the other reads."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from azure.data.tables import EdmType, EntityProperty, TableClient, TableServiceClient, UpdateMode

from shared.storage.connection import Connection
from shared.storage.tables import (
    Operation,
    Row,
    RowChanged,
    RowConflict,
    RowExists,
    RowMissing,
    Tables,
    Value,
    between,
    both,
    delete,
    equal,
    insert,
    less,
    merge,
    replace,
    starting,
    upsert_merge,
    upsert_replace,
    within,
)
from shared.storage.wire import Wire
from tests.unit.storage.faulty import Proxy, busy_within, empty_page, from_the_start, lost, passed, short_page
from tests.unit.storage.using import spoiled, using

T = TypeVar("T")

ODD_KEYS = [
    "",
    "a|b'c",
    "100%",
    "a+b=c&d",
    "é漢字😀",
    " blank ",
    "''",
    "(x)",
    "%27",
    "a.b,c;d:e@f$g!h*i~",
    "^",
]

VALUES: dict[str, Value] = {
    "empty": "",
    "text": "Ünïcödé 漢字 😀 \"q\" 'a' \\ \r\n\t",
    "small": 5,
    "largest": 2**63 - 1,
    "least": -(2**63),
    "yes": True,
    "no": False,
    "whole": 3.0,
    "real": -1.25e-7,
    "infinite": float("inf"),
    "nothing": b"",
    "octets": bytes(range(256)),
    "time": datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC),
    "day": datetime(1601, 1, 1, tzinfo=UTC),
}


def tables(connection: Connection, act: Callable[[Tables], Awaitable[T]]) -> T:
    return using(connection, lambda wire: act(Tables(wire)))


async def read(tables: Tables, table: str, condition: str, limit: int | None = None) -> list[Row]:
    return [row async for page in tables.query(table, condition, limit=limit) for row in page]


def keys(rows: list[Row]) -> list[str]:
    return [row.row for row in rows]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_may_hold_odd_characters(connection: Connection, fresh: str, key: str) -> None:
    async def act(tables: Tables) -> tuple[Row | None, list[Row], Row | None]:
        await tables.transact(fresh, key, [insert(key, {"a": 1})])
        await tables.transact(fresh, key, [merge(key, {"b": 2}), insert(key + "2", {})])
        found = await tables.get(fresh, key, key)
        rows = await read(tables, fresh, both(within(key), equal("RowKey", key)))
        await tables.transact(fresh, key, [delete(key)])
        return found, rows, await tables.get(fresh, key, key)

    found, rows, gone = tables(connection, act)

    assert found is not None
    assert (found.partition, found.row, found.values) == (key, key, {"a": 1, "b": 2})
    assert rows == [found]
    assert gone is None


@pytest.mark.parametrize("together", [False, True])
def test_the_sdk_reads_what_we_write(
    connection: Connection, connection_string: str, fresh: str, together: bool
) -> None:
    partition = "p|1'é"
    others = [insert("other", {})] if together else []
    tables(connection, lambda tables: tables.transact(fresh, partition, [insert("r'1", VALUES), *others]))

    with TableClient.from_connection_string(connection_string, fresh) as client:
        found = client.get_entity(partition, "r'1")

    assert {name: _plain(value) for name, value in found.items()} == {
        **VALUES,
        "PartitionKey": partition,
        "RowKey": "r'1",
    }


def test_we_read_what_the_sdk_writes(connection: Connection, connection_string: str, fresh: str) -> None:
    odd = {
        "int32": 7,
        "int64": EntityProperty(2**40, EdmType.INT64),
        "guid": EntityProperty("00000000-0000-0000-0000-000000000001", EdmType.GUID),
        "float": 1.5,
        "whole": 2.0,
        "nan": float("-inf"),
        "octets": b"\x00\xff",
        "flag": False,
        "text": "é'",
        "time": datetime(2020, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    }
    with TableServiceClient.from_connection_string(connection_string) as service:
        client = service.create_table(fresh)
        client.upsert_entity({"PartitionKey": "p'", "RowKey": "r|", **odd}, mode=UpdateMode.REPLACE)

    found = tables(connection, lambda tables: tables.get(fresh, "p'", "r|"))

    assert found is not None
    assert found.values == {
        **odd,
        "int64": 2**40,
        "guid": "00000000-0000-0000-0000-000000000001",
    }
    assert found.values["int32"] == 7


@pytest.mark.parametrize("together", [False, True])
def test_each_kind_of_change_does_what_it_says(connection: Connection, fresh: str, together: bool) -> None:
    rows = ["merged", "replaced", "upserted", "overwritten", "deleted"]
    changes = [
        merge("merged", {"b": 2}),
        replace("replaced", {"b": 2}),
        upsert_merge("upserted", {"b": 2}),
        upsert_replace("overwritten", {"b": 2}),
        delete("deleted"),
        insert("inserted", {"b": 2}),
        upsert_merge("new1", {"b": 2}),
        upsert_replace("new2", {"b": 2}),
    ]

    async def act(tables: Tables) -> tuple[list[str], list[Row]]:
        await tables.transact(fresh, "p", [insert(row, {"a": 1}) for row in rows])
        if together:
            etags = [*await tables.transact(fresh, "p", changes)]
        else:
            etags = [etag for change in changes for etag in await tables.transact(fresh, "p", [change])]
        return etags, await read(tables, fresh, within("p"))

    etags, found = tables(connection, act)

    assert {row.row: row.values for row in found} == {
        "merged": {"a": 1, "b": 2},
        "replaced": {"b": 2},
        "upserted": {"a": 1, "b": 2},
        "overwritten": {"b": 2},
        "inserted": {"b": 2},
        "new1": {"b": 2},
        "new2": {"b": 2},
    }
    assert {change.row: etag for change, etag in zip(changes, etags, strict=True)} == {
        **{row.row: row.etag for row in found},
        "deleted": "",
    }


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (insert("there", {}), RowExists),
        (merge("missing", {}), RowMissing),
        (replace("missing", {}), RowMissing),
        (delete("missing"), RowMissing),
        (merge("there", {}, etag="W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""), RowChanged),
        (delete("there", etag="W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""), RowChanged),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 57])
def test_a_transaction_is_all_or_nothing_and_names_what_failed(
    connection: Connection, fresh: str, failing: Operation, error: type[RowConflict], before: int
) -> None:
    operations = [*(insert(f"new{number:02}", {}) for number in range(before)), failing]
    operations += [insert("last", {})] if before else []

    async def act(tables: Tables) -> tuple[RowConflict, list[Row]]:
        await tables.transact(fresh, "p", [insert("there", {})])
        with pytest.raises(error) as caught:
            await tables.transact(fresh, "p", operations)
        return caught.value, await read(tables, fresh, within("p"))

    conflict, left = tables(connection, act)

    assert (conflict.index, conflict.after_retry) == (before, False)
    assert keys(left) == ["there"]


def test_a_version_lets_only_the_first_of_two_writers_through(connection: Connection, fresh: str) -> None:
    async def act(tables: Tables) -> Row | None:
        (first,) = await tables.transact(fresh, "p", [insert("r", {"n": 0})])
        (second,) = await tables.transact(fresh, "p", [merge("r", {"n": 1}, etag=first)])
        with pytest.raises(RowChanged):
            await tables.transact(fresh, "p", [merge("r", {"n": 2}, etag=first)])
        await tables.transact(fresh, "p", [merge("r", {"m": 3}, etag=second), insert("s", {})])
        return await tables.get(fresh, "p", "r")

    found = tables(connection, act)

    assert found is not None
    assert found.values == {"n": 1, "m": 3}


def test_a_hundred_rows_go_at_once_and_come_in_the_order_of_their_keys(
    connection: Connection, fresh: str
) -> None:
    async def act(tables: Tables) -> list[Row]:
        await tables.transact(
            fresh, "p", [insert(f"{99 - number:03}", {"n": number}) for number in range(100)]
        )
        return await read(tables, fresh, within("p"))

    assert keys(tables(connection, act)) == [f"{number:03}" for number in range(100)]


def test_pages_follow_each_other_until_the_limit(connection: Connection, fresh: str) -> None:
    async def act(tables: Tables) -> tuple[list[int], list[int], list[int], list[int]]:
        await tables.transact(fresh, "p", [insert(f"{number:03}", {}) for number in range(50)])
        return (
            [len(page) async for page in tables.query(fresh, within("p"), page=20)],
            [len(page) async for page in tables.query(fresh, within("p"), page=20, limit=30)],
            [len(page) async for page in tables.query(fresh, within("p"), limit=0)],
            [len(page) async for page in tables.query(fresh, within("none"))],
        )

    assert tables(connection, act) == ([20, 20, 10], [20, 10], [], [])


def test_more_rows_than_a_page_can_hold_all_come(connection: Connection, fresh: str) -> None:
    async def act(tables: Tables) -> list[Row]:
        for start in range(0, 1100, 100):
            numbers = range(start, start + 100)
            await tables.transact(fresh, "p", [insert(f"{number:04}", {}) for number in numbers])
        return await read(tables, fresh, within("p"))

    assert keys(tables(connection, act)) == [f"{number:04}" for number in range(1100)]


def test_short_and_empty_pages_do_not_end_a_query(connection: Connection, fresh: str) -> None:
    """The real service may give fewer rows than asked for, or none, and still have more."""

    async def act(wire: Wire, _proxy: Proxy) -> list[int]:
        found = Tables(wire)
        return [len(page) async for page in found.query(fresh, within("p"), page=3)]

    tables(connection, lambda tables: tables.transact(fresh, "p", [insert(f"{n}", {}) for n in range(5)]))

    assert spoiled(connection, [empty_page, from_the_start, passed], act) == [3, 2]
    assert spoiled(connection, [short_page, passed], act) == [1, 3, 1]


def test_only_what_is_selected_comes(connection: Connection, fresh: str) -> None:
    async def act(tables: Tables) -> tuple[Row | None, list[list[Row]], str]:
        (etag,) = await tables.transact(fresh, "p", [insert("r", {"a": 1, "b": b"2", "c": "3"})])
        one = await tables.get(fresh, "p", "r", ("b", "none"))
        return one, [page async for page in tables.query(fresh, within("p"), select=("a", "RowKey"))], etag

    one, pages, etag = tables(connection, act)

    assert one == Row("p", "r", {"b": b"2"}, etag)
    assert pages == [[Row("p", "r", {"a": 1}, etag)]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (between("p", "b", "d"), ["b", "b'1", "c"]),
        (starting("p", "b"), ["b", "b'1"]),
        (starting("p", "b'"), ["b'1"]),
        (both(within("p"), less("n", 2**40 + 2)), ["a", "b"]),
        (both(within("p"), equal("t", "it's")), ["c"]),
        (both(within("p"), equal("d", datetime(2024, 1, 1, tzinfo=UTC))), ["a"]),
        (both(within("p"), equal("f", True)), ["d"]),
        (both(within("p"), equal("x", b"\x00\xff")), ["b"]),
    ],
)
def test_filters_find_what_they_say(
    connection: Connection, fresh: str, condition: str, expected: list[str]
) -> None:
    async def act(tables: Tables) -> list[Row]:
        operations = [
            insert("a", {"n": 2**40, "d": datetime(2024, 1, 1, tzinfo=UTC)}),
            insert("b", {"n": 2**40 + 1, "x": b"\x00\xff"}),
            insert("b'1", {"n": 2**40 + 2}),
            insert("c", {"t": "it's"}),
            insert("d", {"f": True}),
        ]
        await tables.transact(fresh, "p", operations)
        await tables.transact(fresh, "q", [insert("b", {})])
        return await read(tables, fresh, condition)

    assert keys(tables(connection, act)) == expected


def test_a_table_not_made_yet_reads_as_empty(connection: Connection, fresh: str) -> None:
    async def act(tables: Tables) -> tuple[Row | None, list[Row]]:
        return await tables.get(fresh, "p", "r"), await read(tables, fresh, within("p"))

    assert tables(connection, act) == (None, [])


def test_many_first_writers_make_a_table_together(connection: Connection, fresh: str) -> None:
    async def act(tables: Tables) -> list[Row]:
        await asyncio.gather(
            *(tables.transact(fresh, "p", [insert(f"{n}", {}), insert(f"{n}x", {})]) for n in range(8))
        )
        return await read(tables, fresh, within("p"))

    assert len(tables(connection, act)) == 16


@pytest.mark.parametrize("count", [1, 3])
def test_the_echo_of_a_lost_answer_is_marked(connection: Connection, fresh: str, count: int) -> None:
    """The first try succeeds and its answer is lost, so the second finds the rows it made itself."""
    rows = [f"{number}" for number in range(count)]
    tables(connection, lambda tables: tables.transact(fresh, "p", [insert("before", {})]))

    async def act(wire: Wire, _proxy: Proxy) -> RowConflict:
        with pytest.raises(RowExists) as caught:
            await Tables(wire).transact(fresh, "p", [insert(row, {}) for row in rows])
        return caught.value

    conflict = spoiled(connection, [lost], act)

    assert (conflict.after_retry, conflict.index) == (True, 0)
    assert keys(tables(connection, lambda tables: read(tables, fresh, within("p")))) == [*rows, "before"]


def test_a_batch_that_was_busy_is_sent_again(connection: Connection, fresh: str) -> None:
    operations = [insert("a", {}), insert("b", {})]

    async def act(wire: Wire, proxy: Proxy) -> tuple[int, int]:
        etags = await Tables(wire).transact(fresh, "p", operations)
        return len(etags), len(proxy.seen)

    assert spoiled(connection, [busy_within], act) == (2, 4)


def _plain(value: object) -> object:
    return value.value if isinstance(value, EntityProperty) else value
