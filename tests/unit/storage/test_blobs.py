"""Against the emulator, and against Microsoft's own client: what one writes the other reads."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from azure.storage.blob import BlobServiceClient

from shared.errors import Unavailable
from shared.storage.blobs import BlobEntry, BlobExists, BlobMissing, Blobs
from shared.storage.connection import Connection
from shared.storage.wire import Wire
from tests.unit.storage.faulty import Fault, Proxy, answered, cut, lost, passed, refused
from tests.unit.storage.using import spoiled, using

T = TypeVar("T")

ODD_NAMES = [
    "ab/1.2.3/1.2.3/x.dcm",
    "a|b'c",
    "100%",
    "a+b=c&d?e#f",
    "é漢字",
    "with blank",
    "a~b(c)*!",
    "%2F",
    "a//b",
]
BIG = os.urandom(3_000_000)


def blobs(connection: Connection, act: Callable[[Blobs], Awaitable[T]]) -> T:
    return using(connection, lambda wire: act(Blobs(wire)))


async def read(blobs: Blobs, container: str, name: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(container, name, start, length)])


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_may_hold_odd_characters(
    connection: Connection, connection_string: str, fresh: str, name: str
) -> None:
    async def act(blobs: Blobs) -> tuple[bytes, bool, list[BlobEntry]]:
        await blobs.put(fresh, name, b"content")
        found = await read(blobs, fresh, name), await blobs.exists(fresh, name)
        return *found, [entry async for entry in blobs.list(fresh, name)]

    content, exists, entries = blobs(connection, act)
    with BlobServiceClient.from_connection_string(connection_string, api_version="2021-12-02") as service:
        theirs = service.get_blob_client(fresh, name).download_blob().readall()

    assert (content, exists, [entry.name for entry in entries]) == (b"content", True, [name])
    assert theirs == b"content"


def test_we_read_what_the_sdk_writes(connection: Connection, connection_string: str, fresh: str) -> None:
    with BlobServiceClient.from_connection_string(connection_string, api_version="2021-12-02") as service:
        service.create_container(fresh).upload_blob("a/b c", BIG)

    assert blobs(connection, lambda blobs: read(blobs, fresh, "a/b c")) == BIG


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        memoryview(b"view"),
        [],
        [b"a", b"", memoryview(b"bc"), b"d"],
        BIG,
        [memoryview(BIG)[:10], memoryview(BIG)[10:]],
    ],
    ids=["empty", "one byte", "view", "no pieces", "pieces", "big", "big views"],
)
def test_a_body_of_one_or_many_pieces_is_kept_whole(
    connection: Connection, fresh: str, body: bytes | memoryview | list[bytes | memoryview]
) -> None:
    async def act(blobs: Blobs) -> tuple[bytes, bytes]:
        await blobs.put(fresh, "put", body)
        await blobs.stage(fresh, "staged", "1", body or b"x")
        await blobs.commit(fresh, "staged", ["1"])
        return await read(blobs, fresh, "put"), await read(blobs, fresh, "staged")

    put, staged = blobs(connection, act)

    expected = bytes(body) if isinstance(body, bytes | memoryview) else b"".join(body)
    assert put == expected
    assert staged == (expected or b"x") or body == [b""]


def test_staged_blocks_are_seen_only_when_committed_and_in_that_order(
    connection: Connection, connection_string: str, fresh: str
) -> None:
    async def act(blobs: Blobs) -> tuple[bool, bytes]:
        await asyncio.gather(*(blobs.stage(fresh, "x", f"{n:04}", f"<{n}>".encode()) for n in range(5)))
        before = await blobs.exists(fresh, "x")
        await blobs.commit(fresh, "x", ["0003", "0001", "0002"], content_type="application/dicom")
        return before, await read(blobs, fresh, "x")

    before, content = blobs(connection, act)

    with BlobServiceClient.from_connection_string(connection_string, api_version="2021-12-02") as service:
        properties = service.get_blob_client(fresh, "x").get_blob_properties()
    assert (before, content) == (False, b"<3><1><2>")
    assert properties.content_settings.content_type == "application/dicom"


def test_a_block_never_staged_cannot_be_committed(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> None:
        await blobs.stage(fresh, "x", "1", b"x")
        await blobs.commit(fresh, "x", ["1", "2"])

    with pytest.raises(BlobMissing):
        blobs(connection, act)


def test_a_blob_is_replaced_only_where_that_is_said(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> tuple[list[bool], bytes]:
        await blobs.put(fresh, "x", b"first")
        await blobs.stage(fresh, "x", "1", b"block")
        after_retry = []
        for write in (blobs.put(fresh, "x", b"second"), blobs.commit(fresh, "x", ["1"])):
            with pytest.raises(BlobExists) as caught:
                await write
            after_retry.append(caught.value.after_retry)
        await blobs.put(fresh, "x", b"third", if_absent=False)
        return after_retry, await read(blobs, fresh, "x")

    assert blobs(connection, act) == ([False, False], b"third")


@pytest.mark.parametrize(("start", "length"), [(0, 1), (0, None), (5, 3), (9, 1), (9, None), (0, 10), (4, 0)])
def test_a_range_is_read_as_asked(connection: Connection, fresh: str, start: int, length: int | None) -> None:
    async def act(blobs: Blobs) -> tuple[bytes, bytes]:
        await blobs.put(fresh, "x", b"0123456789")
        return await read(blobs, fresh, "x", start, length), await blobs.read_all(fresh, "x", start, length)

    expected = b"0123456789"[start : None if length is None else start + length]
    assert blobs(connection, act) == (expected, expected)


@pytest.mark.parametrize(("start", "length"), [(0, 11), (9, 2), (10, 1), (10, None), (50, 1)])
def test_a_range_beyond_the_end_is_missing(
    connection: Connection, fresh: str, start: int, length: int | None
) -> None:
    async def act(blobs: Blobs) -> None:
        await blobs.put(fresh, "x", b"0123456789")
        with pytest.raises(BlobMissing):
            await blobs.read_all(fresh, "x", start, length)
        await read(blobs, fresh, "x", start, length)

    with pytest.raises(BlobMissing):
        blobs(connection, act)


def test_an_empty_blob_reads_as_nothing(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> tuple[bytes, bytes]:
        await blobs.put(fresh, "x", b"")
        return await read(blobs, fresh, "x"), await blobs.read_all(fresh, "x")

    assert blobs(connection, act) == (b"", b"")


@pytest.mark.parametrize("made", [False, True])
def test_a_blob_that_is_not_there_is_missing(connection: Connection, fresh: str, made: bool) -> None:
    async def act(blobs: Blobs) -> tuple[bool, bool]:
        if made:
            await blobs.put(fresh, "other", b"")
        with pytest.raises(BlobMissing):
            await blobs.read_all(fresh, "x")
        with pytest.raises(BlobMissing):
            await read(blobs, fresh, "x")
        return await blobs.exists(fresh, "x"), await blobs.delete(fresh, "x")

    assert blobs(connection, act) == (False, False)


def test_a_deleted_blob_is_gone(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> tuple[bool, bool, bool]:
        await blobs.put(fresh, "x", b"")
        return await blobs.delete(fresh, "x"), await blobs.exists(fresh, "x"), await blobs.delete(fresh, "x")

    assert blobs(connection, act) == (True, False, False)


def test_a_listing_shows_names_sizes_and_times(
    connection: Connection, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.storage.blobs.LISTED_AT_ONCE", 2)

    async def act(blobs: Blobs) -> list[BlobEntry]:
        for number in range(5):
            await blobs.put(fresh, f"a&<{number}>", b"x" * number)
        await blobs.put(fresh, "b", b"")
        return [entry async for entry in blobs.list(fresh, "a&")]

    entries = blobs(connection, act)

    now = datetime.now(UTC)
    assert [(entry.name, entry.length) for entry in entries] == [(f"a&<{n}>", n) for n in range(5)]
    assert all(now - timedelta(minutes=1) < entry.created <= entry.modified <= now for entry in entries)


def test_a_container_not_made_yet_lists_as_empty(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> list[BlobEntry]:
        return [entry async for entry in blobs.list(fresh)]

    assert blobs(connection, act) == []


def test_many_first_writers_make_a_container_together(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> list[BlobEntry]:
        await asyncio.gather(*(blobs.put(fresh, f"{n}", b"") for n in range(8)))
        return [entry async for entry in blobs.list(fresh)]

    assert len(blobs(connection, act)) == 8


@pytest.mark.parametrize(
    "faults",
    [[cut(100_000)], [cut(0), cut(0), cut(0)], [cut(1), refused, cut(500_000), answered(503), cut(7)]],
    ids=["once", "before the first byte", "again and again"],
)
def test_a_broken_read_goes_on_where_it_ended(
    connection: Connection, fresh: str, faults: list[Fault]
) -> None:
    blobs(connection, lambda blobs: blobs.put(fresh, "x", BIG))

    async def act(wire: Wire, proxy: Proxy) -> tuple[bytes, int]:
        found = await read(Blobs(wire), fresh, "x", 1000, 2_000_000)
        return found, len(proxy.seen)

    found, calls = spoiled(connection, faults, act)

    assert found == BIG[1000:2_001_000]
    assert calls == len(faults) + 1


def test_a_read_that_gets_nowhere_ends(connection: Connection, fresh: str) -> None:
    blobs(connection, lambda blobs: blobs.put(fresh, "x", b"content"))

    async def act(wire: Wire, _proxy: Proxy) -> None:
        await read(Blobs(wire), fresh, "x")

    with pytest.raises(Unavailable):
        spoiled(connection, [cut(0)] * 4, act)


def test_a_broken_read_does_not_go_on_in_another_blob(connection: Connection, fresh: str) -> None:
    """Somebody replaces the blob between the two halves."""
    blobs(connection, lambda blobs: blobs.put(fresh, "x", BIG))

    async def act(wire: Wire, _proxy: Proxy) -> None:
        blobs = Blobs(wire)
        pieces = blobs.read(fresh, "x")
        await anext(pieces)
        await blobs.put(fresh, "x", BIG, if_absent=False)
        async for _ in pieces:
            pass

    with pytest.raises(BlobMissing):
        spoiled(connection, [cut(1_000_000)], act)


def test_a_reader_who_stops_early_leaves_nothing_open(connection: Connection, fresh: str) -> None:
    async def act(blobs: Blobs) -> bytes:
        await blobs.put(fresh, "x", BIG)
        pieces = blobs.read(fresh, "x")
        await anext(pieces)
        await pieces.aclose()
        return await blobs.read_all(fresh, "x", 5, 5)

    assert blobs(connection, act) == BIG[5:10]


def test_the_echo_of_a_lost_answer_is_marked(connection: Connection, fresh: str) -> None:
    blobs(connection, lambda blobs: blobs.put(fresh, "before", b""))

    async def act(wire: Wire, _proxy: Proxy) -> tuple[bool, bool]:
        with pytest.raises(BlobExists) as caught:
            await Blobs(wire).put(fresh, "x", b"content")
        return caught.value.after_retry, await Blobs(wire).delete(fresh, "x")

    assert spoiled(connection, [lost, passed, lost], act) == (True, True)


@pytest.mark.parametrize("if_absent", [True, False])
def test_a_commit_whose_answer_was_lost_has_happened(
    connection: Connection, fresh: str, if_absent: bool
) -> None:
    blobs(connection, lambda blobs: blobs.stage(fresh, "x", "1", b"content"))

    async def act(wire: Wire, _proxy: Proxy) -> tuple[bool, bytes]:
        echo = False
        try:
            await Blobs(wire).commit(fresh, "x", ["1"], if_absent=if_absent)
        except BlobExists as error:
            echo = error.after_retry
        return echo, await Blobs(wire).read_all(fresh, "x")

    assert spoiled(connection, [lost], act) == (if_absent, b"content")
