"""Joined metadata are those of the instances, or nobody is given them, whatever comes between."""

import asyncio
import dataclasses
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from azure.storage.queue.aio import QueueClient

from shared.errors import NotFound, Unavailable
from shared.storage import keys
from shared.storage.anchors import MIN_JOINED
from shared.storage.keys import Scope, study_key
from shared.storage.storage import Storage, Times
from shared.storage.summaries import read_anchors
from shared.storage.tables import Row, merge
from shared.storage.tables import replace as replace_row
from shared.upkeep.refresh import Outcome, refresh
from shared.wado.converted.workers import Workers
from shared.wado.metadata.joined import retrieve_joined
from shared.wado.metadata.retrieve import retrieve_metadata
from shared.wado.metadata.texts import Wish
from shared.web.answer import Answer
from shared.web.links import Links
from shared.web.offers import DICOM_JSON
from tests.faults import checker
from tests.faults.accounts import Account
from tests.faults.crashing import Scenario, begin_trial, opened, run_scenario
from tests.faults.driver import (
    CAREFUL,
    JOINED_BASE,
    Delete,
    Emit,
    Refresh,
    Store,
    Sweep,
    Under,
    replace,
)
from tests.faults.files import File
from tests.faults.meeting import Meeting, meet_everywhere
from tests.faults.nursery import Nursery
from tests.faults.snapshot import Snapshot, read_snapshot

STUDY = "1.2.3"
SERIES, OTHER_SERIES = "1.2.3.1", "1.2.3.2"
NUMBERS = range(1, MIN_JOINED + 1)
MANY = tuple(File(STUDY, SERIES, f"{SERIES}.{number}", variant=number) for number in NUMBERS)
MORE = File(STUDY, SERIES, f"{SERIES}.99", variant=99)
OTHER = File(STUDY, SERIES, MANY[0].instance, description="OTHER", variant=98)
ALSO_MANY = tuple(File(STUDY, OTHER_SERIES, f"{OTHER_SERIES}.{n}", variant=n) for n in NUMBERS)


def joined(at: str) -> tuple[Store, Refresh]:
    """A series that was joined."""
    return Store(at, MANY), Refresh(at, STUDY, SERIES)


CRASHES = {
    "a series joined": Scenario(
        before=lambda at: (Store(at, MANY),), act=lambda at: Refresh(at, STUDY, SERIES)
    ),
    "a series joined anew": Scenario(
        before=lambda at: (*joined(at), Store(at, (MORE,))),
        act=lambda at: Refresh(at, STUDY, SERIES),
        every=2,
    ),
    "an instance added": Scenario(before=joined, act=lambda at: Store(at, (MORE,)), every=3),
    "an instance replaced": Scenario(before=joined, act=lambda at: replace(at, OTHER), every=3),
    "an instance deleted": Scenario(
        before=joined, act=lambda at: Delete(at, STUDY, SERIES, MANY[0].instance), every=3
    ),
    "a series deleted": Scenario(before=joined, act=lambda at: Delete(at, STUDY, SERIES), every=3),
}

MEETINGS = {
    "a store while a series is joined": Meeting(
        before=lambda at: (Store(at, MANY),),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda at: (Store(at, (MORE,)),),
        at_reads=True,
    ),
    "an upsert while a series is joined": Meeting(
        before=lambda at: (Store(at, MANY),),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda at: (replace(at, OTHER),),
        at_reads=True,
    ),
    "a deletion while a series is joined": Meeting(
        before=lambda at: (Store(at, (*MANY, MORE)),),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda at: (Delete(at, STUDY, SERIES, MORE.instance),),
        at_reads=True,
    ),
    "a series deleted while it is joined": Meeting(
        before=lambda at: (Store(at, MANY),),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda at: (Delete(at, STUDY), Emit()),
        at_reads=True,
    ),
    "a series stored again while it is joined": Meeting(
        before=lambda at: (Store(at, MANY),),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda at: (Delete(at, STUDY), Store(at, MANY), Refresh(at, STUDY, SERIES)),
    ),
    "two who join a series": Meeting(
        before=lambda at: (Store(at, MANY),),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda at: (Refresh(at, STUDY, SERIES),),
        at_reads=True,
    ),
    "a series joined while one of it is deleted": Meeting(
        before=lambda at: (Store(at, (*MANY, MORE)),),
        held=lambda at: Delete(at, STUDY, SERIES, MORE.instance),
        other=lambda at: (Refresh(at, STUDY, SERIES),),
        at_reads=True,
    ),
    "a series joined while one is added": Meeting(
        before=lambda at: (Store(at, MANY),),
        held=lambda at: Store(at, (MORE,)),
        other=lambda at: (Refresh(at, STUDY, SERIES),),
        at_reads=True,
    ),
    "a sweep while a series is joined": Meeting(
        before=lambda at: (*joined(at), Store(at, (MORE,))),
        held=lambda at: Refresh(at, STUDY, SERIES),
        other=lambda _at: (Under(CAREFUL, Sweep()),),
        at_reads=True,
        is_of_all=True,
    ),
}


@pytest.mark.parametrize("scenario", CRASHES.values(), ids=CRASHES.keys())
def test_a_crash_leaves_no_wrong_metadata_and_no_blob(
    scenario: Scenario, account: Account, nursery: Nursery
) -> None:
    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await run_scenario(trial, scenario)

    asyncio.run(whole())


@pytest.mark.parametrize("meeting", MEETINGS.values(), ids=MEETINGS.keys())
def test_whoever_comes_between_nothing_joined_is_wrong(
    meeting: Meeting, account: Account, nursery: Nursery
) -> None:
    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await meet_everywhere(trial, meeting)

    asyncio.run(whole())


async def _with_wrong_count(storage: Storage, snapshot: Snapshot) -> None:
    """An anchor that tells of other instances than there are."""
    anchor = _anchor(snapshot)
    await storage.tables.transact(keys.ARCHIVE, anchor.partition, [merge(anchor.row, {"count": 7})])


async def _with_other_text(storage: Storage, snapshot: Snapshot) -> None:
    """Joined metadata that are well-formed and not those of the instances."""
    (name, blob), *_ = _joined_blobs(snapshot).items()
    text = zlib.decompressobj(-zlib.MAX_WBITS).decompress(blob).replace(b"P-1", b"P-2")
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    changed = compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)
    await storage.blobs.put(keys.METADATA, name, changed, if_absent=False)
    row = _anchor(snapshot)
    said = {"joinedLength": len(changed), "joinedCrc": zlib.crc32(text), "joinedText": len(text)}
    await storage.tables.transact(keys.ARCHIVE, row.partition, [merge(row.row, said)])


async def _without_joined(storage: Storage, snapshot: Snapshot) -> None:
    (name,) = _joined_blobs(snapshot)
    await storage.blobs.delete(keys.METADATA, name)


def _anchor(snapshot: Snapshot) -> Row:
    (found,) = (row for row in snapshot.studies[0].rows_of("anchor") if SERIES in row.row)
    return found


def _joined_blobs(snapshot: Snapshot) -> dict[str, bytes]:
    return {name: blob for name, blob in snapshot.blobs[keys.METADATA].items() if name.endswith(".joined")}


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_with_wrong_count, "wrong about its instances"),
        (_with_other_text, "are not those of its instances"),
        (_without_joined, "wrong about its joined metadata"),
    ],
)
def test_the_checker_notices(
    damage: Callable[[Storage, Snapshot], Awaitable[None]], complaint: str, account: Account, nursery: Nursery
) -> None:
    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(*joined("p"), Emit())
            before = await read_snapshot(storage)
            assert checker.problems(before, trial.told) == []
            await damage(storage, before)
            return checker.problems(await read_snapshot(storage), trial.told)

    found = asyncio.run(whole())

    assert any(complaint in line for line in found), found


LINKS = Links(JOINED_BASE)
AS_IT_IS = Wish(DICOM_JSON, LINKS, joined_base=JOINED_BASE)
AS_GZIP = Wish(DICOM_JSON, LINKS, joined_base=JOINED_BASE, takes_gzip=True)


async def read(storage: Storage, series: str | None, wish: Wish) -> bytes:
    """The whole body of an answer."""
    answer = await retrieve_metadata(storage, Workers(1), Scope(study_key("p", STUDY), series), wish)
    body = await body_of(answer)
    return gzip.decompress(body) if "Content-Encoding" in answer.headers else body


async def body_of(answer: Answer) -> bytes:
    """All of a body that comes as a stream."""
    assert not isinstance(answer.body, bytes)
    return b"".join([piece async for piece in answer.body])


async def _messages(account: Account) -> int:
    """How many wait in the queue of series to look at, also those nobody sees yet."""
    async with QueueClient.from_connection_string(account.text, keys.REFRESH_QUEUE) as queue:
        return (await queue.get_queue_properties()).approximate_message_count or 0


@pytest.mark.parametrize("wish", [AS_IT_IS, AS_GZIP], ids=["plain", "gzip"])
@pytest.mark.parametrize("series", [SERIES, None], ids=["series", "study"])
def test_where_a_blob_is_gone_the_rows_are_read(
    series: str | None, wish: Wish, account: Account, nursery: Nursery
) -> None:
    """The sweep may remove one that somebody has learnt of and not read yet. The next refresh sees it too."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(Store("p", ALSO_MANY), Refresh("p", STUDY, OTHER_SERIES), *joined("p"))
            expected = await read(storage, series, wish)
            for name in _joined_blobs(await read_snapshot(storage)):
                await storage.blobs.delete(keys.METADATA, name)

            found = await read(storage, series, wish)
            outcome = await refresh(storage, study_key("p", STUDY), SERIES, JOINED_BASE)

            assert found == expected
            assert len(json.loads(found)) == MIN_JOINED * (1 if series else 2)
            assert outcome is Outcome.JOINED

    asyncio.run(whole())


def test_a_series_that_is_gone_by_then_is_never_left_out_silently(account: Account, nursery: Nursery) -> None:
    """Its anchor was read, its blob and its rows are gone: the answer ends uncleanly, or is a refusal."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(Store("p", ALSO_MANY), Refresh("p", STUDY, OTHER_SERIES), *joined("p"))
            anchors = await read_anchors(storage, Scope(study_key("p", STUDY)))
            await trial.do(Delete("p", STUDY, OTHER_SERIES), Emit())
            await trial.restart()

            whole = retrieve_joined(storage, Scope(study_key("p", STUDY)), AS_GZIP, anchors)
            one = retrieve_joined(storage, Scope(study_key("p", STUDY), OTHER_SERIES), AS_GZIP, anchors[1:])

            with pytest.raises(NotFound):
                await one
            with pytest.raises(Unavailable):
                await body_of(await whole)

    asyncio.run(whole())


def test_stored_bytes_are_passed_on_as_they_are(account: Account, nursery: Nursery) -> None:
    """Also within a study, beside a series whose rows are read."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(*joined("p"), Store("p", ALSO_MANY[:2]), Refresh("p", STUDY, OTHER_SERIES))
            (blob,) = _joined_blobs(await read_snapshot(storage)).values()

            answers = [
                await retrieve_metadata(storage, Workers(1), Scope(study_key("p", STUDY), series), AS_GZIP)
                for series in (SERIES, None)
            ]

            bodies = [await body_of(answer) for answer in answers]
            assert [body.count(blob) for body in bodies] == [1, 1]
            assert [len(json.loads(gzip.decompress(body))) for body in bodies] == [MIN_JOINED, MIN_JOINED + 2]

    asyncio.run(whole())


def test_anchors_of_before_are_taken_as_out_of_date(account: Account, nursery: Nursery) -> None:
    """Written by a version of the service that kept nothing in them."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(Store("p", MANY), Emit())
            (row,) = [
                row
                for row in (await read_snapshot(storage)).studies[0].rows_of("anchor")
                if SERIES in row.row
            ]
            await storage.tables.transact(keys.ARCHIVE, row.partition, [replace_row(row.row, {})])
            scope = Scope(study_key("p", STUDY), SERIES)
            assert (await read_anchors(storage, scope))[0].summary is None

            outcomes = [await refresh(storage, scope.key, SERIES, JOINED_BASE) for _ in range(2)]

            assert outcomes == [Outcome.JOINED, Outcome.CURRENT]
            assert len(json.loads(await read(storage, SERIES, AS_GZIP))) == MIN_JOINED
            assert checker.problems(await read_snapshot(storage), trial.told) == []

    asyncio.run(whole())


def test_a_series_on_its_way_in_is_left_alone(account: Account, nursery: Nursery) -> None:
    """Joining it after each instance would cost the square of their number."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial, opened(account) as storage:
            await trial.do(Store("p", MANY), Emit())
            patient = dataclasses.replace(
                storage, times=Times(timedelta(0), timedelta(0), timedelta(hours=1))
            )

            outcomes = [await refresh(patient, study_key("p", STUDY), SERIES, JOINED_BASE) for _ in range(3)]

            assert outcomes == [Outcome.LATER] * 3
            assert await _messages(account) == 2

    asyncio.run(whole())
