"""What goes through the official SDKs keeps the promises of the wire: tries, limits, counts and errors."""

import asyncio
import gc
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import Unavailable
from shared.storage.blobs import BlobExists, BlobMissing, Blobs
from shared.storage.calls import Calls, counted
from shared.storage.connection import Connection
from shared.storage.leases import Leases
from shared.storage.queues import Queues
from shared.storage.tables import Tables, insert
from shared.storage.wire import StorageRefused, Wire
from tests.unit.storage.faulty import Fault, Proxy, answered, cut, lost, passed, refused, silent
from tests.unit.storage.using import QUICK, spoiled, using

ROOT = Path(__file__).parents[3]

Act = Callable[[Wire, str], Awaitable[object]]


async def commit(wire: Wire, name: str) -> None:
    await Blobs(wire).stage(name, "x", "1", b"content")
    await Blobs(wire).commit(name, "x", ["1"], if_absent=False)


async def send(wire: Wire, name: str) -> None:
    await Queues(wire).send(name, "text")


async def lease(wire: Wire, name: str) -> None:
    leases = Leases(wire)
    held = await leases.acquire(name, "x", 15)
    assert held is not None
    assert await leases.release(name, "x", held)


async def make_table(wire: Wire, name: str) -> None:
    await Tables(wire).transact(name, "p", [insert("r", {})])


# What is done, and how many calls of it go over the wire before the first of the SDK.
ACTS = pytest.mark.parametrize(
    ("act", "before"),
    [(commit, 3), (send, 0), (lease, 0), (make_table, 1)],
    ids=["commit", "message", "lease", "table"],
)
FAULTS = pytest.mark.parametrize(
    "fault",
    [*(answered(status) for status in (408, 429, 500, 502, 503, 504)), refused, lost],
    ids=["408", "429", "500", "502", "503", "504", "refused", "lost"],
)


@ACTS
@FAULTS
def test_a_passing_failure_is_not_noticed(
    connection: Connection, fresh: str, act: Act, before: int, fault: Fault
) -> None:
    async def count(wire: Wire, proxy: Proxy) -> tuple[int, int]:
        with counted() as calls:
            await act(wire, fresh)
        return calls.calls, len(proxy.seen)

    counts, seen = spoiled(connection, [*[passed] * before, fault], count)

    assert counts == seen
    assert seen > before + 1


def test_half_an_answer_is_none(connection: Connection, fresh: str) -> None:
    using(connection, lambda wire: send(wire, fresh))

    async def act(wire: Wire, proxy: Proxy) -> int:
        await send(wire, fresh)
        return len(proxy.seen)

    assert spoiled(connection, [cut(10)], act) == 2


@ACTS
@pytest.mark.parametrize("fault", [answered(503), refused], ids=["busy", "refused"])
def test_a_lasting_failure_ends_as_unavailable(
    connection: Connection, fresh: str, act: Act, before: int, fault: Fault
) -> None:
    async def fail(wire: Wire, proxy: Proxy) -> tuple[int, BaseException | None]:
        with pytest.raises(Unavailable) as caught:
            await act(wire, fresh)
        return len(proxy.seen), caught.value.__cause__

    seen, cause = spoiled(connection, [*[passed] * before, *[fault] * 10], fail)

    assert seen == before + QUICK.tries
    assert cause is not None


def test_a_wait_beyond_the_limit_is_not_begun(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire, proxy: Proxy) -> int:
        with pytest.raises(Unavailable):
            await send(wire, fresh)
        return len(proxy.seen)

    assert spoiled(connection, [answered(503, Retry_After="100")], act) == 1


def test_silence_ends_a_try(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire, proxy: Proxy) -> int:
        with pytest.raises(Unavailable):
            await send(wire, fresh)
        return len(proxy.seen)

    assert spoiled(connection, [silent] * 2, act, limits=replace(QUICK, try_seconds=0.2, tries=2)) == 2


@ACTS
def test_a_refusal_is_not_repeated_and_names_nothing(
    connection: Connection, fresh: str, act: Act, before: int
) -> None:
    async def fail(wire: Wire, proxy: Proxy) -> tuple[int, StorageRefused]:
        with pytest.raises(StorageRefused) as caught:
            await act(wire, fresh)
        return len(proxy.seen), caught.value

    fault = answered(403, x_ms_error_code="AuthorizationFailure")
    seen, refusal = spoiled(connection, [*[passed] * before, fault], fail)

    assert (seen, refusal.status, refusal.code) == (before + 1, 403, "AuthorizationFailure")
    assert fresh not in str(refusal)


@pytest.mark.parametrize(
    ("act", "missing", "code"),
    [
        (lambda wire, name: Blobs(wire).put(name, "x", b""), "ContainerNotFound", "ContainerBeingDeleted"),
        (send, "QueueNotFound", "QueueBeingDeleted"),
        (make_table, "TableNotFound", "TableBeingDeleted"),
    ],
    ids=["container", "queue", "table"],
)
def test_what_is_being_deleted_cannot_be_made_for_now(
    connection: Connection, fresh: str, act: Act, missing: str, code: str
) -> None:
    async def fail(wire: Wire, proxy: Proxy) -> int:
        with pytest.raises(Unavailable):
            await act(wire, fresh)
        return len(proxy.seen)

    faults = [answered(404, x_ms_error_code=missing), answered(409, x_ms_error_code=code)]

    assert spoiled(connection, faults, fail) == 2


@pytest.mark.parametrize("act", [send, make_table], ids=["queue", "table"])
def test_what_another_request_made_meanwhile_is_used(connection: Connection, fresh: str, act: Act) -> None:
    using(connection, lambda wire: act(wire, fresh))
    missing = answered(404, x_ms_error_code="QueueNotFound" if act is send else "TableNotFound")

    async def again(wire: Wire, proxy: Proxy) -> int:
        await (send(wire, fresh) if act is send else Tables(wire).transact(fresh, "p", [insert("other", {})]))
        return len(proxy.seen)

    assert spoiled(connection, [missing], again) == 3


def test_bytes_of_bodies_are_counted(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire) -> Calls:
        await Queues(wire).send(fresh, "first")
        with counted() as count:
            await Queues(wire).send(fresh, "x" * 3000)
        return count

    count = using(connection, act)

    assert 4000 < count.bytes_written < 4200
    assert 0 < count.bytes_read < 1000


def test_a_commit_where_nothing_was_ever_written_lacks_its_blocks(connection: Connection, fresh: str) -> None:
    with pytest.raises(BlobMissing):
        using(connection, lambda wire: Blobs(wire).commit(fresh, "x", ["1"]))


def test_a_blob_cannot_have_more_blocks_than_the_service_takes(connection: Connection, fresh: str) -> None:
    with pytest.raises(ValueError, match="50001 blocks"):
        using(connection, lambda wire: Blobs(wire).commit(fresh, "x", ["1"] * 50_001))


def test_only_an_echo_is_marked_as_one(connection: Connection, fresh: str) -> None:
    """The mark belongs to one answer, not to all that follow."""
    using(connection, lambda wire: commit(wire, fresh))

    async def act(wire: Wire, _proxy: Proxy) -> list[bool]:
        marks = []
        for _ in range(2):
            with pytest.raises(BlobExists) as caught:
                await Blobs(wire).commit(fresh, "x", [])
            marks.append(caught.value.after_retry)
        return marks

    assert spoiled(connection, [answered(503)], act) == [True, False]


def test_a_closed_wire_opens_again(connection: Connection, fresh: str) -> None:
    async def act(wire: Wire) -> None:
        await lease(wire, fresh)
        await wire.aclose()
        await lease(wire, fresh)

    using(connection, act)


def test_addresses_do_not_show_in_logs(
    connection: Connection, fresh: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Blob names hold UIDs."""
    caplog.set_level(logging.INFO)

    using(connection, lambda wire: commit(wire, fresh))
    using(connection, lambda wire: lease(wire, fresh))

    assert fresh not in caplog.text


@pytest.mark.parametrize(
    "act", [commit, lambda wire, name: Blobs(wire).exists(name, "x")], ids=["sdk", "wire"]
)
def test_what_nobody_closed_is_closed_with_the_loop(
    connection: Connection, fresh: str, act: Act, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that ends does not tell its functions."""
    kept = [Wire(connection)]

    async def whole() -> None:
        await act(kept[0], fresh)

    asyncio.run(whole())
    kept.clear()
    gc.collect()

    assert caplog.text == ""


def test_a_wire_outlives_its_loop(connection: Connection, fresh: str) -> None:
    wire = Wire(connection)

    async def whole() -> None:
        await commit(wire, fresh)

    asyncio.run(whole())
    asyncio.run(whole())


def test_starting_loads_no_sdk() -> None:
    """A cold start waits for every import."""
    code = (
        "import sys, function_app, shared.storage.storage;"
        "late = ('azure.storage', 'azure.data', 'azure.core', 'azure.identity');"
        "print([name for name in sys.modules if name.startswith(late)])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stdout == "[]\n"
