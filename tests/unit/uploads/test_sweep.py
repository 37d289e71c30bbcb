"""The sweep removes what nobody will finish, and wakes what nobody works at."""

import asyncio
import json
from base64 import b64decode
from datetime import timedelta

import pytest

from shared.errors import Conflict, Gone, NotFound, TooLarge
from shared.storage import keys, upload_content, upload_rows, works
from shared.storage.storage import Storage
from shared.storage.upload_rows import Terms
from shared.storage.versions import made_at
from shared.storage.works import Ending, Status
from shared.uploads.begin import begin
from shared.uploads.finish import finish
from shared.uploads.run import FAILED_TOO_OFTEN, MAX_ATTEMPTS, run
from shared.uploads.sweep import NOT_FINISHED, Tidied, sweep_uploads
from tests.factories import make_image
from tests.unit.uploads.conftest import Using
from tests.unit.uploads.test_run import PARTITION, TERMS, failing, finished, is_gone, operation, real

AT_ONCE = timedelta(0)
HOUR = timedelta(hours=1)


async def begun(storage: Storage, lifetime: timedelta = HOUR, content: bytes = b"x") -> str:
    """An upload that is not finished."""
    upload = (await begin(storage, TERMS, lifetime)).id
    await storage.blobs.put(keys.UPLOADS, upload, content)
    return upload


async def messages(storage: Storage) -> list[str]:
    """The uploads named by the messages that can be seen, which are taken out."""
    sdk = await storage.wire.sdk()
    queue = sdk.queues.get_queue_client(keys.UPLOAD_QUEUE)
    return [
        json.loads(b64decode(message.content))["upload"]
        async for message in queue.receive_messages(messages_per_page=32)
    ]


def test_what_is_under_way_is_left_alone(using: Using) -> None:
    """Open, finished and waiting, being stored."""

    async def act(storage: Storage) -> tuple[Tidied, list[bool]]:
        uploads = [await begun(storage), await finished(storage, b"x"), await finished(storage, b"x")]
        assert await works.claim(storage, await operation(storage, uploads[2]))
        return await sweep_uploads(storage), [await is_gone(storage, upload) for upload in uploads]

    assert using(act) == (Tidied(), [False, False, False])


def test_an_upload_not_finished_in_time_is_removed(using: Using) -> None:
    """Its content, its row; the operation is canceled, and finishing comes too late."""

    async def act(storage: Storage) -> Tidied:
        upload = await begun(storage, AT_ONCE)
        with pytest.raises(Gone):
            await finish(storage, upload, PARTITION, max_bytes=10)
        tidied = await sweep_uploads(storage)
        work = await operation(storage, upload)
        assert (work.status, work.results) == (Status.CANCELED, {"errors": [NOT_FINISHED]})
        assert await is_gone(storage, upload)
        with pytest.raises(Gone):
            await finish(storage, upload, PARTITION, max_bytes=10)
        return tidied

    assert using(act, grace=AT_ONCE) == Tidied(abandoned=1)


def test_an_upload_may_be_finished_for_a_while_after_its_address_ended(using: Using) -> None:
    """The last byte may have come at the last moment."""

    async def act(storage: Storage) -> Status | None:
        upload = await begun(storage, AT_ONCE, make_image().content)
        await sweep_uploads(storage)
        await finish(storage, upload, PARTITION, max_bytes=10**6)
        return await run(storage, upload, real(storage))

    assert using(act) is Status.SUCCEEDED


def test_a_blob_that_no_upload_names_is_removed(using: Using) -> None:
    """Written while its address was still good, after the upload was dealt with."""

    async def act(storage: Storage) -> Tidied:
        upload = await finished(storage, make_image().content)
        await run(storage, upload, real(storage))
        await storage.blobs.put(keys.UPLOADS, upload, b"late")
        tidied = await sweep_uploads(storage)
        assert await is_gone(storage, upload)
        return tidied

    assert using(act, grace=AT_ONCE) == Tidied(blobs=1)


def test_a_young_blob_is_left_to_the_next_sweep(using: Using) -> None:
    """Its upload may just be on its way."""

    async def act(storage: Storage) -> Tidied:
        await storage.blobs.put(keys.UPLOADS, works.new_id(), b"x")
        return await sweep_uploads(storage)

    assert using(act) == Tidied()


def test_a_lost_message_is_sent_again(using: Using) -> None:
    """And what was uploaded is then stored."""

    async def act(storage: Storage) -> tuple[list[str], list[str], str]:
        upload = await finished(storage, b"x")
        lost = await messages(storage)
        assert await sweep_uploads(storage) == Tidied(woken=1)
        return lost, await messages(storage), upload

    lost, again, upload = using(act, grace=AT_ONCE)

    assert lost == again == [upload]


def test_a_function_that_died_every_time_is_told_of(using: Using) -> None:
    """The message has gone to the poison queue; nobody else would say that it failed."""

    async def act(storage: Storage) -> None:
        upload = await finished(storage, b"x")
        for _ in range(MAX_ATTEMPTS):
            assert await works.claim(storage, await operation(storage, upload))
        await sweep_uploads(storage)
        work = await operation(storage, upload)
        assert (work.status, work.results) == (Status.FAILED, {"errors": [FAILED_TOO_OFTEN]})
        assert await is_gone(storage, upload)

    using(act, grace=AT_ONCE)


def test_cleaning_up_is_finished(using: Using) -> None:
    """By a second message, or by the sweep."""

    async def act(storage: Storage) -> tuple[Status | None, Tidied]:
        uploads = [await finished(storage, b"x") for _ in range(2)]
        for upload in uploads:
            claim = await works.claim(storage, await operation(storage, upload))
            assert claim is not None
            await claim.end(Ending(Status.SUCCEEDED, {}))
        status = await run(storage, uploads[0], failing)
        tidied = await sweep_uploads(storage)
        for upload in uploads:
            assert await is_gone(storage, upload)
        return status, tidied

    assert using(act, grace=AT_ONCE) == (Status.SUCCEEDED, Tidied())


def test_an_upload_whose_beginning_broke_off_is_removed(using: Using) -> None:
    """It has a row and no operation; nobody was told its address."""

    async def act(storage: Storage) -> None:
        upload = works.new_id()
        now = made_at(keys.operation_version(upload))
        await upload_rows.create(storage, upload, TERMS, expires=now, due=now)
        await sweep_uploads(storage)
        assert await is_gone(storage, upload)

    using(act, grace=AT_ONCE)


def test_finishing_and_giving_up_do_not_meet(using: Using) -> None:
    """Whichever comes first, the other is told: never is something stored that was given up."""

    async def act(storage: Storage) -> list[tuple[bool, Status]]:
        found = []
        for _ in range(6):
            upload = await begun(storage, AT_ONCE, make_image().content)
            row = await upload_rows.read(storage, upload)
            assert row is not None
            content = await upload_content.look(storage, upload)
            assert content is not None
            done, _ = await asyncio.gather(
                upload_rows.finish(
                    storage, row, length=content.length, content=content.etag, due=row.expires + HOUR
                ),
                sweep_uploads(storage),
            )
            await run(storage, upload, real(storage))
            found.append((done, (await operation(storage, upload)).status))
        return found

    wanted = {(True, Status.SUCCEEDED), (False, Status.CANCELED)}
    assert set(using(act, grace=AT_ONCE)) <= wanted


def test_finishing_says_what_is_wrong(using: Using) -> None:
    """Nothing uploaded, too much, another partition, nobody's upload, another kind of operation."""

    async def act(storage: Storage) -> None:
        empty = (await begin(storage, TERMS, HOUR)).id
        with pytest.raises(Conflict):
            await finish(storage, empty, PARTITION, max_bytes=10)
        large = await begun(storage, content=bytes(11))
        with pytest.raises(TooLarge):
            await finish(storage, large, PARTITION, max_bytes=10)
        await finish(storage, large, PARTITION.upper(), max_bytes=11)
        with pytest.raises(NotFound):
            await finish(storage, large, "other", max_bytes=11)
        with pytest.raises(NotFound):
            await finish(storage, works.new_id(), PARTITION, max_bytes=10)
        other = works.new_id()
        await works.create(storage, other, "export", PARTITION)
        with pytest.raises(NotFound):
            await finish(storage, other, PARTITION, max_bytes=10)

    using(act)


def test_nothing_kept_tells_of_a_patient(using: Using) -> None:
    """What is written of an upload: names, rows and messages hold no value of a dataset."""

    async def act(storage: Storage) -> str:
        terms = Terms(PARTITION, False, "http://h/v2", "1.2.3", "application/dicom", "")
        upload = (await begin(storage, terms, HOUR)).id
        content = make_image(PatientName="Secret^Sally", PatientID="SECRET").content
        await storage.blobs.put(keys.UPLOADS, upload, content)
        await finish(storage, upload, PARTITION, max_bytes=10**6)
        rows = [
            row async for page in storage.tables.query(keys.UPLOADS, "PartitionKey ge ' '") for row in page
        ]
        told = await messages(storage)
        await run(storage, upload, real(storage))
        work = await operation(storage, upload)
        return repr([(row.row, dict(row.values)) for row in rows]) + repr(told) + repr(work)

    assert "secret" not in using(act).lower()
