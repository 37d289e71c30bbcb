"""Failures between us and storage, made by a proxy in front of the real emulator."""

import asyncio
import time
import traceback
from dataclasses import replace

import pytest

from shared.errors import Unavailable
from shared.storage.blobs import BlobExists, Blobs
from shared.storage.connection import Connection
from shared.storage.queues import Queues
from shared.storage.tables import RowExists, Tables, insert
from shared.storage.wire import Limits, Request, StorageRefused, Wire, pick_delay
from tests.unit.storage.faulty import Fault, Proxy, answered, lost, passed, refused, silent
from tests.unit.storage.using import QUICK, spoiled, using


@pytest.mark.parametrize(
    "fault",
    [*(answered(status) for status in (408, 429, 500, 502, 503, 504)), refused, lost],
    ids=["408", "429", "500", "502", "503", "504", "refused", "lost"],
)
def test_a_passing_failure_is_not_noticed(connection: Connection, fresh: str, fault: Fault) -> None:
    using(connection, lambda wire: Blobs(wire).put(fresh, "x", b""))

    async def act(wire: Wire, proxy: Proxy) -> tuple[bytes, int]:
        await Blobs(wire).put(fresh, "x", b"content", if_absent=False)
        proxy.faults.append(fault)
        return await Blobs(wire).read_all(fresh, "x"), len(proxy.seen)

    assert spoiled(connection, [fault], act) == (b"content", 4)


@pytest.mark.parametrize("fault", [answered(503), refused], ids=["busy", "refused"])
def test_a_lasting_failure_ends_as_unavailable(connection: Connection, fresh: str, fault: Fault) -> None:
    async def act(wire: Wire, proxy: Proxy) -> int:
        for call in (
            Tables(wire).transact(fresh, "p", [insert("r", {})]),
            Blobs(wire).put(fresh, "x", b""),
            Queues(wire).send(fresh, "x"),
        ):
            with pytest.raises(Unavailable):
                await call
        return len(proxy.seen)

    assert spoiled(connection, [fault] * 30, act) == 3 * QUICK.tries


def test_the_cause_stays_in_the_trace(connection: Connection) -> None:
    async def act(wire: Wire, _proxy: Proxy) -> BaseException | None:
        with pytest.raises(Unavailable) as caught:
            await Blobs(wire).exists("none", "x")
        return caught.value.__cause__

    assert spoiled(connection, [refused] * 10, act) is not None


def test_a_failure_of_ours_is_not_repeated(connection: Connection) -> None:
    wrong = replace(connection, key=b"another key")

    async def act(wire: Wire, proxy: Proxy) -> tuple[int, StorageRefused]:
        with pytest.raises(StorageRefused) as caught:
            await Blobs(wire).put("container", "Doe^Jane", b"")
        return len(proxy.seen), caught.value

    calls, refusal = spoiled(wrong, [], act)

    assert (calls, refusal.status, refusal.code) == (1, 403, "AuthorizationFailure")
    assert "Doe" not in str(refusal)


def test_storage_says_how_long_to_wait(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire, _proxy: Proxy) -> float:
        start = time.monotonic()
        await Blobs(wire).exists(fresh, "x")
        return time.monotonic() - start

    assert spoiled(connection, [answered(503, Retry_After="1")], act) >= 1


def test_a_wait_beyond_the_limit_is_not_begun(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire, proxy: Proxy) -> int:
        with pytest.raises(Unavailable):
            await Blobs(wire).exists(fresh, "x")
        return len(proxy.seen)

    assert spoiled(connection, [answered(503, Retry_After="100")], act) == 1


def test_silence_ends_a_try(connection: Connection, fresh: str) -> None:
    limits = replace(QUICK, try_seconds=0.2, tries=2)

    async def act(wire: Wire, proxy: Proxy) -> int:
        assert await Blobs(wire).exists(fresh, "x") is False
        proxy.faults += [silent, silent]
        with pytest.raises(Unavailable):
            await Blobs(wire).put(fresh, "x", b"x" * 300_000)
        return len(proxy.seen)

    assert spoiled(connection, [silent], act, limits=limits) == 4


def test_a_closed_port_ends_as_unavailable(connection: Connection) -> None:
    nobody = replace(connection, blob="http://127.0.0.1:9/account")

    async def act() -> None:
        wire = Wire(nobody, limits=QUICK)
        try:
            await Blobs(wire).exists("x", "x")
        finally:
            await wire.aclose()

    with pytest.raises(Unavailable):
        asyncio.run(act())


@pytest.mark.parametrize("fault", [lost, refused], ids=["lost", "refused"])
def test_no_repetition_is_hidden_from_us(connection: Connection, fresh: str, fault: Fault) -> None:
    """A kept connection that ends is where HTTP clients like to repeat a PUT by themselves."""

    async def act(wire: Wire, proxy: Proxy) -> tuple[bool, int]:
        blobs = Blobs(wire)
        await blobs.put(fresh, "first", b"")
        proxy.faults.append(fault)
        proxy.seen.clear()
        after_retry = False
        try:
            await blobs.put(fresh, "x", b"")
        except BlobExists as error:
            after_retry = error.after_retry
        return after_retry, len(proxy.seen)

    assert spoiled(connection, [], act) == (fault is lost, 2)


def test_a_clear_refusal_is_not_marked_as_an_echo(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire) -> bool:
        tables = Tables(wire)
        await tables.transact(fresh, "p", [insert("r", {})])
        with pytest.raises(RowExists) as caught:
            await tables.transact(fresh, "p", [insert("r", {})])
        return caught.value.after_retry

    assert using(connection, act) is False


def test_bodies_carry_their_length(connection: Connection, fresh: str) -> None:
    """The services refuse chunked bodies."""

    async def act(wire: Wire, proxy: Proxy) -> list[tuple[str | None, bool]]:
        blobs = Blobs(wire)
        await blobs.put(fresh, "a", [b"x" * 300_000, memoryview(b"yz")])
        await blobs.put(fresh, "b", [])
        await blobs.put(fresh, "c", b"")
        return [
            (request.headers.get("Content-Length"), "Transfer-Encoding" in request.headers)
            for request in proxy.seen
            if "restype" not in request.raw_path
        ][1:]

    assert spoiled(connection, [], act) == [("300002", False), ("0", False), ("0", False)]


def test_a_body_is_sent_whole_again(connection: Connection, fresh: str) -> None:
    body = [bytes([number]) * 100_000 for number in range(20)]

    async def act(wire: Wire, _proxy: Proxy) -> bytes:
        await Blobs(wire).put(fresh, "x", body)
        return await Blobs(wire).read_all(fresh, "x")

    assert spoiled(connection, [passed, passed, answered(500), refused], act) == b"".join(body)


def test_a_closed_wire_opens_again(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire) -> bool:
        await Blobs(wire).put(fresh, "x", b"")
        await wire.aclose()
        return await Blobs(wire).exists(fresh, "x")

    assert using(connection, act)


@pytest.mark.parametrize(
    ("number", "asked", "least", "most"),
    [(1, 0, 0.05, 0.1), (2, 0, 0.1, 0.2), (3, 0, 0.2, 0.4), (20, 0, 2.5, 5), (1, 7, 7, 7), (20, 3, 3, 5)],
)
def test_pauses_double_up_to_a_limit(number: int, asked: float, least: float, most: float) -> None:
    delays = [pick_delay(Limits(), number, asked) for _ in range(100)]

    assert least <= min(delays)
    assert max(delays) <= most


def test_keys_do_not_show_in_logs() -> None:
    assert "Doe" not in repr(
        Request("table", "GET", "/t(PartitionKey='Doe')", (("$filter", "Doe"),), {}, (b"Doe",))
    )


def test_the_log_of_a_failure_names_no_row() -> None:
    """A row key may hold a patient's name; promise 6 keeps it out of what is logged."""
    nowhere = "http://127.0.0.1:9/account"
    wire = Wire(Connection(nowhere, nowhere, nowhere, account="account", key=b"key"), limits=Limits(tries=1))

    row = "smith^jane|1"

    async def ask() -> str:
        try:
            await Tables(wire).get("studiesByPatientName", "partition", row)
        except Unavailable as error:
            return "".join(traceback.format_exception(error))
        finally:
            await wire.aclose()
        return ""

    logged = asyncio.run(ask())

    assert "ClientConnectorError" in logged
    assert "smith" not in logged
