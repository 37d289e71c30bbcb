"""What operations cost, and that every part of a request counts into the same sum."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.storage.blobs import Blobs
from shared.storage.calls import Calls, counted, current
from shared.storage.connection import Connection
from shared.storage.queues import Queues
from shared.storage.tables import Tables, delete, insert, merge, within
from shared.storage.wire import Wire
from tests.unit.storage.faulty import Proxy, answered, refused
from tests.unit.storage.using import spoiled, using

Act = Callable[[Wire, str], Awaitable[object]]


async def read_pages(wire: Wire, name: str) -> None:
    async for _ in Tables(wire).query(name, within("p"), page=2):
        pass


async def read_blob(wire: Wire, name: str) -> None:
    async for _ in Blobs(wire).read(name, "x", 2, 5):
        pass


async def list_blobs(wire: Wire, name: str) -> None:
    async for _ in Blobs(wire).list(name):
        pass


async def stage_and_commit(wire: Wire, name: str) -> None:
    await Blobs(wire).stage(name, "staged", "1", b"12345")
    await Blobs(wire).commit(name, "staged", ["1"])


@pytest.mark.parametrize(
    ("act", "calls", "rows"),
    [
        (lambda wire, name: Tables(wire).transact(name, "p", [insert("new", {})]), 1, 0),
        (lambda wire, name: Tables(wire).transact(name, "p", [insert("n1", {}), insert("n2", {})]), 1, 0),
        (lambda wire, name: Tables(wire).transact(name, "p", [merge("1", {}), delete("2")]), 1, 0),
        (lambda wire, name: Tables(wire).get(name, "p", "1"), 1, 1),
        (lambda wire, name: Tables(wire).get(name, "p", "none"), 1, 0),
        (read_pages, 3, 5),
        (lambda wire, name: Blobs(wire).put(name, "new", b"12345"), 1, 0),
        (stage_and_commit, 2, 0),
        (lambda wire, name: Blobs(wire).read_all(name, "x", 2, 5), 1, 0),
        (read_blob, 1, 0),
        (lambda wire, name: Blobs(wire).exists(name, "x"), 1, 0),
        (lambda wire, name: Blobs(wire).delete(name, "x"), 1, 0),
        (list_blobs, 1, 0),
        (lambda wire, name: Queues(wire).send(name, "text"), 1, 0),
        # The first write makes what is missing: refused, made, written.
        (lambda wire, name: Tables(wire).transact(name + "x", "p", [insert("1", {})]), 3, 0),
        (lambda wire, name: Blobs(wire).put(name + "x", "x", b""), 3, 0),
        (lambda wire, name: Queues(wire).send(name + "x", "text"), 3, 0),
    ],
)
def test_an_operation_costs_what_is_known(
    connection: Connection, fresh: str, act: Act, calls: int, rows: int
) -> None:
    async def whole(wire: Wire) -> Calls:
        await Tables(wire).transact(fresh, "p", [insert(f"{number}", {}) for number in range(5)])
        await Blobs(wire).put(fresh, "x", b"0123456789")
        await Queues(wire).send(fresh, "first")
        with counted() as count:
            await act(wire, fresh)
        return count

    count = using(connection, whole)

    assert (count.calls, count.rows) == (calls, rows)


def test_bytes_of_bodies_are_counted(connection: Connection, fresh: str) -> None:
    async def whole(wire: Wire) -> tuple[Calls, Calls]:
        blobs = Blobs(wire)
        await blobs.put(fresh, "first", b"")
        with counted() as writing:
            await blobs.put(fresh, "x", [b"0123456789", b"01234"])
        with counted() as reading:
            await read_blob(wire, fresh)
            await blobs.read_all(fresh, "x")
        return writing, reading

    writing, reading = using(connection, whole)

    assert (writing.bytes_written, writing.bytes_read) == (15, 0)
    assert (reading.bytes_written, reading.bytes_read) == (0, 20)


def test_a_repeated_try_counts(connection: Connection, fresh: str) -> None:
    using(connection, lambda wire: Blobs(wire).put(fresh, "x", b"12345"))

    async def act(wire: Wire, _proxy: Proxy) -> Calls:
        with counted() as count:
            await Blobs(wire).put(fresh, "x", b"12345", if_absent=False)
        return count

    count = spoiled(connection, [answered(503), refused], act)

    assert (count.calls, count.bytes_written) == (3, 15)


def test_tasks_of_a_request_count_into_one_sum() -> None:
    async def add() -> None:
        await asyncio.sleep(0)
        current().calls += 1

    async def request() -> int:
        with counted() as count:
            await asyncio.gather(*(add() for _ in range(10)))
            await asyncio.create_task(add())
        return count.calls

    async def whole() -> tuple[int, int]:
        first, second = await asyncio.gather(request(), request())
        return first, second

    assert asyncio.run(whole()) == (11, 11)


def test_what_happens_outside_a_request_does_not_count_into_it() -> None:
    with counted() as first:
        pass
    current().rows += 1

    with counted() as second:
        current().rows += 2

    assert (first.rows, second.rows) == (0, 2)
