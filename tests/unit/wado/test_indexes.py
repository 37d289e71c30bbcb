"""Frame indexes are read once, however many ask, and again when the instance is another."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.dicom.frames import FrameIndex
from shared.storage import keys
from shared.storage.calls import counted
from shared.storage.connection import Connection, resolve
from shared.storage.keys import Scope, study_key
from shared.storage.rows import InstanceRow, Location
from shared.storage.storage import MAX_FRAMES_BYTES, Storage, Times, open_storage
from shared.wado.indexes import Indexed, find_index

SCOPE = Scope(study_key("p", "1.2"), "1.3", "1.4")
FRAGMENTS = array("I", (number * 31 % 9000 for number in range(50_000)))
LARGE = FrameIndex(count=len(FRAGMENTS), start=1000, fragments=FRAGMENTS)


@pytest.fixture
def connection(new_account: Callable[[], str]) -> Connection:
    """An empty account."""
    return resolve("STORAGE", {"STORAGE": new_account()})


def row_of(version: int, blob: str) -> InstanceRow:
    """A row whose index lies in a blob."""
    return InstanceRow(
        study="1.2",
        series="1.3",
        instance="1.4",
        version=version,
        location=Location("file", 0, 1),
        transfer_syntax="1.2.840.10008.1.2.4.50",
        values={},
        metadata=b"",
        metadata_blob="",
        frames=b"",
        frames_blob=blob,
        has_frames=True,
        etag="",
    )


def run(connection: Connection, act: Callable[[Storage, InstanceRow], Awaitable[None]]) -> None:
    """Do something with a storage that holds an index."""

    async def whole() -> None:
        storage = open_storage(connection, Times(timedelta(0), timedelta(minutes=15)))
        blob = f"index-{uuid4()}"
        try:
            await storage.blobs.put(keys.METADATA, blob, LARGE.encode())
            await act(storage, row_of(1, blob))
        finally:
            await storage.aclose()

    asyncio.run(whole())


def test_of_many_who_ask_at_once_one_reads(connection: Connection) -> None:
    async def act(storage: Storage, row: InstanceRow) -> None:
        with counted() as calls:
            found = await asyncio.gather(*(find_index(storage, SCOPE, Indexed(row, None)) for _ in range(20)))
        assert found == [LARGE] * 20
        assert calls.calls == 1

    run(connection, act)


def test_another_version_is_read_anew(connection: Connection) -> None:
    async def act(storage: Storage, row: InstanceRow) -> None:
        await find_index(storage, SCOPE, Indexed(row, None))
        with counted() as calls:
            await find_index(storage, SCOPE, Indexed(replace(row, version=2), None))
        assert calls.calls == 1

    run(connection, act)


def test_what_is_remembered_is_bounded(connection: Connection) -> None:
    """Two hundred kilobytes each: the first of a hundred is forgotten, the last is not."""

    async def act(storage: Storage, row: InstanceRow) -> None:
        scopes = [Scope(SCOPE.key, "1.3", f"1.4.{number}") for number in range(100)]
        for scope in scopes:
            await find_index(storage, scope, Indexed(row, None))
        with counted() as calls:
            await find_index(storage, scopes[-1], Indexed(row, None))
            assert calls.calls == 0
            await find_index(storage, scopes[0], Indexed(row, None))
            assert calls.calls == 1

    assert 4 * len(LARGE.fragments) * 100 > MAX_FRAMES_BYTES
    run(connection, act)
