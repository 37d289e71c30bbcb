"""An upload past the service comes to its end, or leaves nothing, whatever goes wrong at any call of it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from shared.storage import upload_rows, works
from shared.storage.storage import Storage
from tests.faults.accounts import Account
from tests.faults.crashing import EVERY_CALL, TROUBLES, Run, Trial, begin_trial, opened
from tests.faults.driver import Failed, Step, Together, Value
from tests.faults.files import File
from tests.faults.meeting import Meeting, meet, moments_of
from tests.faults.nursery import Nursery
from tests.faults.proxy import Proxy
from tests.faults.uploading import (
    Begin,
    Finish,
    Put,
    StoreUploaded,
    SweepUploads,
    Upload,
)

STUDY = "1.2.3"
FILES = (
    File(STUDY, "1.2.3.1", "1.2.3.1.1"),
    File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", variant=1),
)
MOST_ATTEMPTS = 4
OUTCOMES = {works.Status.SUCCEEDED, None}

Make = Callable[[str, str], Step]
"""The request to disturb, made of a data partition and the id of an upload in it."""

REQUESTS: dict[str, Make] = {
    "beginning": lambda partition, _upload: Begin(partition),
    "finishing": Finish,
}


def test_storing_is_taken_up_where_it_was_left(account: Account, nursery: Nursery) -> None:
    """The answer is the one of a first attempt: what was committed before counts as stored."""

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            await warm_up(trial)
            (counted,) = await uploaded(trial, ["count"])
            calls, usual = await trial.watch(StoreUploaded(counted))
            runs = [Run(trouble, number, usual) for trouble in TROUBLES for number in trouble.numbers(calls)]
            uploads = await uploaded(trial, [run.name for run in runs])
            found = await store_all(trial, list(zip(runs, uploads, strict=True)))
            await store_again(trial, uploads)
            async with opened(account) as storage:
                for partition, upload in zip([run.name for run in runs], uploads, strict=True):
                    trial.told.acknowledge(partition, FILES, ["stored"] * len(FILES))
                    found += await wrong_results(storage, partition, upload)
            return [*found, *await problems(trial)]

    assert asyncio.run(whole()) == []


@pytest.mark.parametrize("make", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_request_that_goes_wrong_leaves_nothing(make: Make, account: Account, nursery: Nursery) -> None:
    """Begun but not told, or finished but not told: the sweep removes the one and wakes for the other."""

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            await warm_up(trial)
            (counted,) = await uploaded(trial, ["count"], finishes=False)
            calls, usual = await trial.watch(make("count", counted))
            runs = [Run(trouble, number, usual) for trouble in TROUBLES for number in trouble.numbers(calls)]
            uploads = await uploaded(trial, [run.name for run in runs], finishes=False)
            for run, upload in zip(runs, uploads, strict=True):
                await trial.try_to(make(run.name, upload), trial.lanes[0], run.script)
            await trial.do(SweepUploads())
            await store_what_is_finished(trial)
            return await problems(trial)

    assert asyncio.run(whole()) == []


def test_a_sweep_that_goes_wrong_is_made_up_for(account: Account, nursery: Nursery) -> None:
    """One upload abandoned, one finished that nobody stores, and a blob that nothing names."""

    async def prepare(trial: Trial, partition: str) -> None:
        trial.told.send(partition, FILES)
        abandoned, waiting = Upload(partition, FILES, finishes=False), Upload(partition, FILES)
        await trial.do(Together((abandoned, waiting, Put(works.new_id(), FILES))))

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            await warm_up(trial)
            await prepare(trial, "count")
            calls, usual = await trial.watch(SweepUploads())
            await store_what_is_finished(trial)
            runs = [Run(trouble, number, usual) for trouble in TROUBLES for number in trouble.numbers(calls)]
            for run in runs[:: 1 if EVERY_CALL else 3]:
                await prepare(trial, run.name)
                await trial.try_to(SweepUploads(), trial.lanes[0], run.script)
            await trial.do(SweepUploads())
            await store_what_is_finished(trial)
            return await problems(trial)

    assert asyncio.run(whole()) == []


def test_two_that_store_one_upload_give_one_answer(account: Account, nursery: Nursery) -> None:
    """The first is silent for so long at one of its calls that another takes the work over."""

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            await warm_up(trial)
            (counted,) = await uploaded(trial, ["count"])
            calls, _ = await trial.watch(StoreUploaded(counted))
            moments = moments_of(calls, at_reads=False)
            names = [moment.name for moment in moments]
            uploads = dict(zip(names, await uploaded(trial, names), strict=True))

            def storing(partition: str) -> Step:
                return StoreUploaded(uploads[partition])

            meeting = Meeting(held=storing, other=lambda partition: (storing(partition),))
            left = iter(moments)

            async def meet_some(lane: Proxy) -> list[str]:
                met = [(moment.name, await meet(trial, meeting, lane, moment)) for moment in left]
                # Whoever lost the work, or found nothing left to do, has nothing to tell.
                return [f"{name}: {values}" for name, values in met if not {*values} <= OUTCOMES]

            found = [line for lines in await asyncio.gather(*map(meet_some, trial.lanes)) for line in lines]
            async with opened(account) as storage:
                for partition, upload in uploads.items():
                    trial.told.acknowledge(partition, FILES, ["stored"] * len(FILES))
                    found += await wrong_results(storage, partition, upload)
            return [*found, *await problems(trial)]

    assert asyncio.run(whole()) == []


async def warm_up(trial: Trial) -> None:
    """Have everything made that is made at its first use, so that each run takes the same calls."""
    (upload,) = await uploaded(trial, ["warm"])
    await trial.do(StoreUploaded(upload), SweepUploads())


async def uploaded(trial: Trial, partitions: Sequence[str], *, finishes: bool = True) -> list[str]:
    """The same upload in many data partitions; the ids."""
    for partition in partitions:
        trial.told.send(partition, FILES)
    steps = tuple(Upload(partition, FILES, finishes) for partition in partitions)
    (ids,) = await trial.do(Together(steps))
    assert isinstance(ids, list)
    return ids


async def store_all(trial: Trial, all_runs: Sequence[tuple[Run, str]]) -> list[str]:
    """Store each upload, with the trouble of its run; what went otherwise than it should."""

    async def store_some(lane: Proxy, runs: Sequence[tuple[Run, str]]) -> list[str]:
        values = [(run, await trial.try_to(StoreUploaded(upload), lane, run.script)) for run, upload in runs]
        return [f"{run.name}: {value}" for run, value in values if not as_expected(value, run)]

    lanes = len(trial.lanes)
    shares = (store_some(lane, all_runs[index::lanes]) for index, lane in enumerate(trial.lanes))
    return [line for lines in await asyncio.gather(*shares) for line in lines]


async def store_again(trial: Trial, uploads: Sequence[str]) -> None:
    """The messages come back until their functions end well."""
    for _ in range(MOST_ATTEMPTS):
        values = await trial.ask(Together(tuple(map(StoreUploaded, uploads))))
        assert isinstance(values, list)
        if not any(isinstance(value, Failed) for value in values):
            return
    raise AssertionError(values)


def as_expected(value: Value, run: Run) -> bool:
    """Whether the function ended as the trouble lets it."""
    if run.trouble.ends == "dies":
        return value is None
    if run.trouble.ends == "works":
        return value == run.usual
    if run.trouble.ends == "may fail" and value == run.usual:
        return True
    # There is something left to do: it will be tried again.
    kinds = {"Unavailable"} if run.trouble.ends == "fails" else {"Unavailable", "StorageRefused"}
    return isinstance(value, Failed) and value.kind in kinds


async def wrong_results(storage: Storage, partition: str, upload: str) -> list[str]:
    """What is wrong with an operation; every file must have been stored, for all the client is told."""
    work = await works.read(storage, upload)
    if work is None or work.status is not works.Status.SUCCEEDED or work.results.get("storeStatus") != 200:
        return [f"{partition}: {work}"]
    told: dict[str, Any] = json.loads(await works.read_answer(storage, work))
    names = [item["00081155"]["Value"][0] for item in told["00081199"]["Value"]]
    is_right = names == [file.instance for file in FILES] and "00081198" not in told
    return [] if is_right else [f"{partition}: {told}"]


async def store_what_is_finished(trial: Trial) -> None:
    """What the messages in the queue bring about."""
    async with opened(trial.account) as storage:
        under_way = await upload_rows.every(storage)
    await trial.do(Together(tuple(StoreUploaded(upload.id) for upload in under_way)))


async def problems(trial: Trial) -> list[str]:
    """Everything that is not as promised."""
    await trial.do(SweepUploads())
    await trial.restart()
    return await trial.problems()
