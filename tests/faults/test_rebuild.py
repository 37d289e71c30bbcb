"""A rebuilt index is as the archive has it, whatever goes wrong at any call and whatever comes between."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence

import pytest
from aiohttp.web import StreamResponse

from shared.storage import works
from shared.storage.works import Status
from tests.faults.accounts import Account
from tests.faults.checker import problems
from tests.faults.crashing import EVERY_CALL, TROUBLES, Run, Trial, begin_trial
from tests.faults.driver import Delete, Emit, Failed, Step, Store, Sweep, Value, replace
from tests.faults.files import File
from tests.faults.meeting import Moment, moments_of
from tests.faults.nursery import Child, Nursery
from tests.faults.proxy import Call, Script, killed_after, nth, passed
from tests.faults.rebuilding import Rebuild, Spoil

AT = "p"
STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1", description="HEAD")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
MOVED = File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", patient="P-2", description="NECK", variant=2)
AGAIN = File(STUDY, "1.2.3.1", "1.2.3.1.1", patient="P-3", description="HEAD", variant=3)

SPOIL = Spoil(STUDY, "p-1", "p-3")

STEP = 1 if EVERY_CALL else 31
"""Of so many calls one is tried, in each test others."""

MOST_ATTEMPTS = 4
REMOVING = "DELETE table studiesByPatientId"

OTHERS: dict[str, tuple[Step, ...]] = {
    "the study changes": (Store(AT, (MOVED,)),),
    "the study changes and changes back": (replace(AT, AGAIN), replace(AT, HEAD)),
    "the study goes": (Delete(AT, STUDY),),
    "the study goes and comes": (Delete(AT, STUDY), Store(AT, (AGAIN, NECK))),
}


def test_a_rebuild_is_taken_up_where_it_was_left(account: Account, nursery: Nursery) -> None:
    """By the message that comes back; as often as need be."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store(AT, (HEAD, NECK)), Store(AT, (MOVED,)), Emit(), Sweep())
            await trial.do(SPOIL, Rebuild(works.new_id()), SPOIL)
            assert len(problems(await trial.snapshot(), trial.told)) > 20
            calls, usual = await trial.watch(Rebuild(works.new_id()))
            runs = [Run(trouble, number, usual) for trouble in TROUBLES for number in trouble.numbers(calls)]
            for run in runs[::STEP]:
                await trial.do(SPOIL)
                operation = works.new_id()
                value = await trial.try_to(Rebuild(operation), trial.lanes[0], run.script)
                assert is_fine(value, run), f"{run.name}: {value}"
                await finish(trial, operation)
                assert await trial.problems() == [], run.name

    asyncio.run(whole())


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_a_rebuild_harms_nobody_who_comes_between(
    other: tuple[Step, ...], account: Account, nursery: Nursery
) -> None:
    """It is held at a call, while something else happens from end to end."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            first = list(OTHERS.values()).index(other) * 7 % STEP
            for moment in (await moments(trial, at_reads=True))[first::STEP]:
                await meet(trial, moment, other, dies=False)

    asyncio.run(whole())


def test_a_rebuild_that_dies_when_its_call_is_late_harms_nobody(account: Account, nursery: Nursery) -> None:
    """It removes a row that has come to be right meanwhile; whoever goes on from there knows of it."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            removing = [each for each in await moments(trial) if each.kind == REMOVING]
            assert removing
            for moment in removing:
                await meet(trial, moment, (replace(AT, AGAIN),), dies=True)

    asyncio.run(whole())


async def prepare(trial: Trial) -> None:
    """A study, of whose search rows few are as they should be."""
    await trial.ask(Delete(AT, STUDY))
    await trial.do(Store(AT, (HEAD, NECK)), Emit(), SPOIL)


async def moments(trial: Trial, *, at_reads: bool = False) -> Sequence[Moment]:
    """The calls at which a rebuild may be held."""
    await prepare(trial)
    await trial.do(Rebuild(works.new_id()), SPOIL)
    calls, _ = await trial.watch(Rebuild(works.new_id()))
    return moments_of(calls, at_reads=at_reads)


async def meet(trial: Trial, moment: Moment, other: Sequence[Step], *, dies: bool) -> None:
    """Let others come before a call of a rebuild, which dies after it or goes on; all must be well then."""
    await prepare(trial)
    operation, reached, until = works.new_id(), asyncio.Event(), asyncio.Event()

    def script(child: Child) -> Script:
        async def late(call: Call) -> StreamResponse:
            reached.set()
            await until.wait()
            return await (killed_after(child.kill) if dies else passed)(call)

        return nth(moment.kind, moment.number, late)

    first = asyncio.create_task(trial.try_to(Rebuild(operation), trial.lanes[0], script))
    is_held = asyncio.create_task(reached.wait())
    await asyncio.wait({first, is_held}, return_when=FIRST_COMPLETED)
    is_held.cancel()
    told = [await trial.ask(step) for step in other]
    until.set()
    value = await first
    await finish(trial, operation)
    await trial.restart()
    where = f"{moment.name}: {told}, {value}"
    assert not any(isinstance(each, Failed) for each in (*told, value)), where
    assert await trial.problems() == [], where


async def finish(trial: Trial, operation: str) -> None:
    """The message comes back until its function ends well."""
    for _ in range(MOST_ATTEMPTS):
        if await trial.ask(Rebuild(operation)) is Status.SUCCEEDED:
            return
    raise AssertionError(operation)


def is_fine(value: Value, run: Run) -> bool:
    """Whether the function ended as the trouble lets it."""
    if run.trouble.ends == "dies":
        return value is None
    if run.trouble.ends == "works":
        return value is Status.SUCCEEDED
    if isinstance(value, Failed):
        return value.kind in (
            {"Unavailable"} if run.trouble.ends == "fails" else {"Unavailable", "StorageRefused"}
        )
    return run.trouble.ends == "may fail"
