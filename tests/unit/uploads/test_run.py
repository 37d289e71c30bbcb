"""Storing what was uploaded: once, again after a failure, and not for ever."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest

from functions.service import SETTINGS, Service
from functions.uploads import store_uploaded
from shared.errors import Unavailable
from shared.storage import keys, upload_content, upload_rows, works
from shared.storage.blobs import blob_path
from shared.storage.storage import Storage
from shared.storage.upload_rows import Terms, Upload
from shared.storage.wire import Request
from shared.storage.works import Status, Work
from shared.uploads import run as running
from shared.uploads.begin import begin
from shared.uploads.finish import finish
from shared.uploads.run import MAX_ATTEMPTS, Store, StoreAnswer, run
from tests.factories import make_image
from tests.unit.uploads.conftest import Using

PARTITION = "clinic"
TERMS = Terms(PARTITION, False, "http://h/v2", None, "application/dicom", "")
MANY_PIECES_BYTES = 8 * 1024 * 1024


async def finished(storage: Storage, content: bytes) -> str:
    """An upload that waits to be stored."""
    upload = (await begin(storage, TERMS, timedelta(hours=1))).id
    await storage.blobs.put(keys.UPLOADS, upload, content)
    await finish(storage, upload, PARTITION, max_bytes=10**9)
    return upload


async def operation(storage: Storage, upload: str) -> Work:
    """How the operation stands."""
    work = await works.read(storage, upload)
    assert work is not None
    return work


async def is_gone(storage: Storage, upload: str) -> bool:
    """Whether neither the content nor the row of an upload is left."""
    return (
        await upload_content.look(storage, upload) is None and await upload_rows.read(storage, upload) is None
    )


def real(storage: Storage) -> Store:
    """What stores in earnest."""
    return partial(store_uploaded, Service(SETTINGS, storage))


async def failing(_upload: Upload, _body: AsyncIterator[bytes], *, again: bool) -> StoreAnswer:
    """Storage that is down."""
    raise Unavailable(f"Down, again={again}.")


def test_what_was_stored_before_a_failure_counts_as_stored(using: Using) -> None:
    """A second attempt says what the first would have said, had it come to its end."""

    async def act(storage: Storage) -> tuple[Work, bool]:
        upload = await finished(storage, make_image().content)

        async def stored_but_not_told(
            wanted: Upload, body: AsyncIterator[bytes], *, again: bool
        ) -> StoreAnswer:
            await real(storage)(wanted, body, again=again)
            raise Unavailable("Down.")

        with pytest.raises(Unavailable):
            await run(storage, upload, stored_but_not_told)
        assert await run(storage, upload, real(storage)) is Status.SUCCEEDED
        return await operation(storage, upload), await is_gone(storage, upload)

    work, gone = using(act)

    assert work.results == {"storeStatus": 200, "stored": 1, "failed": 0}
    assert work.attempts == 2
    assert gone


def test_what_others_stored_before_is_a_duplicate(using: Using) -> None:
    """At the first attempt nothing can be ours."""

    async def act(storage: Storage) -> Work:
        content = make_image().content
        await run(storage, await finished(storage, content), real(storage))
        second = await finished(storage, content)
        await run(storage, second, real(storage))
        return await operation(storage, second)

    work = using(act)

    assert work.status is Status.FAILED
    assert work.results == {"storeStatus": 409, "stored": 0, "failed": 1}
    assert work.has_answer


def test_after_the_last_attempt_the_operation_says_so(using: Using) -> None:
    """The others are raised, so that the message comes back; the last one ends it."""

    async def act(storage: Storage) -> tuple[Status | None, Work, bool]:
        upload = await finished(storage, b"x")
        for _ in range(MAX_ATTEMPTS - 1):
            with pytest.raises(Unavailable):
                await run(storage, upload, failing)
            assert (await operation(storage, upload)).status is Status.RUNNING
        last = await run(storage, upload, failing)
        return last, await operation(storage, upload), await is_gone(storage, upload)

    last, work, gone = using(act)

    assert last is work.status is Status.FAILED
    assert work.results == {"errors": [running.FAILED_TOO_OFTEN]}
    assert gone


def test_a_message_delivered_twice_stores_once(using: Using) -> None:
    """Who comes while somebody is at it leaves; who comes after it finds nothing to do."""

    async def act(storage: Storage) -> list[Status | None]:
        upload = await finished(storage, make_image().content)
        at_once = await asyncio.gather(*(run(storage, upload, real(storage)) for _ in range(4)))
        return [*at_once, await run(storage, upload, real(storage))]

    statuses = using(act)

    assert statuses.count(Status.SUCCEEDED) == 1
    assert statuses.count(None) == 4


def test_a_function_that_is_stopped_leaves_the_work_to_the_next(using: Using) -> None:
    """At once: nobody has to wait for its silence."""

    async def act(storage: Storage) -> tuple[Status | None, int]:
        upload = await finished(storage, make_image().content)
        reached = asyncio.Event()

        async def waiting(_upload: Upload, _body: AsyncIterator[bytes], *, again: bool) -> StoreAnswer:
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError(again)

        stopped = asyncio.create_task(run(storage, upload, waiting))
        await reached.wait()
        stopped.cancel()
        await asyncio.gather(stopped, return_exceptions=True)
        return await run(storage, upload, real(storage)), (await operation(storage, upload)).attempts

    assert using(act) == (Status.SUCCEEDED, 2)


@pytest.mark.parametrize("is_removed", [False, True])
def test_only_what_was_finished_is_stored(using: Using, is_removed: bool) -> None:
    """Not what was written over it, and nothing where it was removed."""

    async def act(storage: Storage) -> tuple[Status | None, Work]:
        upload = await finished(storage, make_image().content)
        if is_removed:
            await storage.blobs.delete(keys.UPLOADS, upload)
        else:
            await storage.blobs.put(keys.UPLOADS, upload, make_image().content, if_absent=False)
        return await run(storage, upload, real(storage)), await operation(storage, upload)

    status, work = using(act)

    assert status is Status.FAILED
    assert work.results == {"errors": [running.CHANGED]}


def test_nothing_a_client_may_do_with_its_address_keeps_the_content(using: Using) -> None:
    """Who may write may also lease and take snapshots."""
    lease = {"x-ms-lease-action": "acquire", "x-ms-lease-duration": "-1"}

    async def act(storage: Storage) -> bool:
        upload = await finished(storage, make_image().content)
        path = blob_path(keys.UPLOADS, upload)
        for what, headers in (("snapshot", {}), ("lease", lease)):
            reply = await storage.wire.send(Request("blob", "PUT", path, (("comp", what),), headers))
            assert reply.status == 201
        assert await run(storage, upload, real(storage)) is Status.SUCCEEDED
        return await is_gone(storage, upload)

    assert using(act)


def test_what_is_not_finished_is_not_stored(using: Using) -> None:
    """A message alone does nothing, nor does one for what nobody knows."""

    async def act(storage: Storage) -> tuple[Status | None, Status | None]:
        begun = await begin(storage, TERMS, timedelta(hours=1))
        await storage.blobs.put(keys.UPLOADS, begun.id, make_image().content)
        return await run(storage, begun.id, real(storage)), await run(storage, works.new_id(), real(storage))

    assert using(act) == (None, None)


def test_a_long_store_gives_signs_of_life(using: Using, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing is read meanwhile; and whoever lost the work reads no further."""
    monkeypatch.setattr(running, "SIGN_SECONDS", 0.01)

    async def act(storage: Storage) -> tuple[int, Status | None, Status | None]:
        upload = await finished(storage, bytes(MANY_PIECES_BYTES))
        percents: list[int] = []
        others: list[Status | None] = []

        async def slow(wanted: Upload, body: AsyncIterator[bytes], *, again: bool) -> StoreAnswer:
            if again:
                return StoreAnswer(204, b"", 0, 0)
            await anext(body)
            while not percents:
                percent = (await operation(storage, wanted.id)).percent
                percents.extend([] if percent is None else [percent])
            # Somebody takes it for dead, as soon as no sign of life comes between looking and taking.
            while (other := await run(storage, upload, slow)) is None:
                continue
            others.append(other)
            async for _ in body:
                await asyncio.sleep(0.25)
            raise AssertionError("It reads on.")

        mine = await run(storage, upload, slow)
        return percents[0], others[0], mine

    percent, other, mine = using(act, grace=timedelta(0))

    assert 0 <= percent < 50
    assert (other, mine) == (Status.SUCCEEDED, None)
