"""Promises 1 to 3 hold through a crash, a hiccup or an outage of storage at any call of any change."""

import asyncio

import pytest

from shared.storage import keys
from shared.stow.checks import Taken
from tests.faults.accounts import Account
from tests.faults.checker import remains
from tests.faults.crashing import Scenario, begin_trial, run_scenario
from tests.faults.driver import Delete, Emit, Failed, Purge, Store, Sweep, Together, replace
from tests.faults.files import File
from tests.faults.nursery import Nursery
from tests.faults.proxy import Call, Fault, answered, passed

STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
MOVED = File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", patient="P-2", description="NECK", variant=2)
LARGE = File(STUDY, HEAD.series, "1.2.3.1.3", is_large=True, variant=3)
OTHER_HEAD = File(STUDY, HEAD.series, HEAD.instance, patient="P-3", variant=5)
OTHER_OVERSIZE = File(STUDY, HEAD.series, "1.2.3.1.4", is_oversize=True, variant=6)
OVERSIZE = File(STUDY, HEAD.series, "1.2.3.1.4", is_oversize=True, variant=4)
SCATTERED = File(STUDY, HEAD.series, "1.2.3.1.5", has_many_values=True, variant=10)
OTHER_NECK = File(STUDY, HEAD.series, NECK.instance, variant=7)
AS_MR = File(STUDY, HEAD.series, HEAD.instance, modality="MR", variant=9)
OTHER_LARGE = File(STUDY, HEAD.series, LARGE.instance, is_large=True, variant=8)

SCENARIOS = {
    "a new study": Scenario(act=lambda at: Store(at, (HEAD,))),
    "a pack of three in two series": Scenario(act=lambda at: Store(at, (HEAD, NECK, MOVED))),
    "a large instance": Scenario(before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (LARGE,))),
    "metadata too large for a row": Scenario(
        before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (OVERSIZE, NECK))
    ),
    "an index of bulk data too large for a row": Scenario(act=lambda at: Store(at, (SCATTERED,)), every=3),
    "a known study that changes": Scenario(
        before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (MOVED,))
    ),
    "a known study that stays": Scenario(
        before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (NECK,))
    ),
    "a duplicate": Scenario(before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (HEAD, NECK))),
    "an instance replaced by itself": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK)),), act=lambda at: replace(at, HEAD)
    ),
    "the modality of a series replaced": Scenario(
        before=lambda at: (Store(at, (HEAD,)),), act=lambda at: replace(at, AS_MR)
    ),
    "one replaced and one new": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK)),), act=lambda at: replace(at, OTHER_HEAD, MOVED), every=2
    ),
    "metadata too large for a row replaced": Scenario(
        before=lambda at: (Store(at, (OVERSIZE, LARGE)),), act=lambda at: replace(at, OTHER_OVERSIZE), every=2
    ),
    "duplicates of which one is identical": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK)),),
        act=lambda at: Store(at, (HEAD, OTHER_NECK, MOVED), Taken.ACCEPT_IDENTICAL),
        every=3,
    ),
    "metadata and bulk data": Scenario(act=lambda at: Store(at, (HEAD, MOVED), is_apart=True), every=2),
    "metadata and bulk data that replace": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK)),),
        act=lambda at: Store(at, (OTHER_HEAD, MOVED), Taken.REPLACE, is_apart=True),
        every=3,
    ),
    "large bulk data": Scenario(
        before=lambda at: (Store(at, (HEAD,)),),
        act=lambda at: Store(at, (LARGE, NECK), is_apart=True),
        every=3,
    ),
    "large bulk data that replace": Scenario(
        before=lambda at: (Store(at, (HEAD, LARGE)),),
        act=lambda at: Store(at, (OTHER_LARGE,), Taken.REPLACE, is_apart=True),
        every=4,
    ),
    "requests that share a turn": Scenario(
        before=lambda at: (Store(at, (HEAD,)),),
        act=lambda at: Together(
            (
                Store(at, (NECK,)),
                Store(at, (OTHER_HEAD, MOVED)),
                Store(at, (HEAD,), Taken.ACCEPT_IDENTICAL),
            )
        ),
        every=2,
    ),
    "upserts that share a turn": Scenario(
        before=lambda at: (Store(at, (HEAD,)),),
        act=lambda at: Together((replace(at, OTHER_HEAD), replace(at, NECK))),
        every=3,
    ),
    "an instance deleted": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK)),),
        act=lambda at: Delete(at, STUDY, HEAD.series, HEAD.instance),
    ),
    "the last instance of a series deleted": Scenario(
        before=lambda at: (Store(at, (HEAD, MOVED)),),
        act=lambda at: Delete(at, STUDY, MOVED.series, MOVED.instance),
    ),
    "a study of two series deleted": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK, MOVED)),), act=lambda at: Delete(at, STUDY), every=2
    ),
}


PURGES = {
    "a pack written anew": Scenario(
        before=lambda at: (
            Store(at, (HEAD, NECK, MOVED)),
            Delete(at, STUDY, NECK.series, NECK.instance),
            Emit(),
        ),
        act=lambda at: Purge(at, STUDY),
    ),
    "what was replaced purged": Scenario(
        before=lambda at: (
            Store(at, (HEAD, NECK, OVERSIZE)),
            replace(at, OTHER_HEAD, OTHER_OVERSIZE),
            Emit(),
        ),
        act=lambda at: Purge(at, STUDY),
    ),
    "a study purged": Scenario(
        before=lambda at: (Store(at, (OVERSIZE, HEAD)), Store(at, (MOVED,)), Delete(at, STUDY), Emit()),
        act=lambda at: Purge(at, STUDY),
    ),
}
EMISSION = Scenario(
    before=lambda at: (
        Store(at, (HEAD, NECK)),
        Store(at, (MOVED,)),
        replace(at, OTHER_HEAD),
        Delete(at, STUDY, HEAD.series, HEAD.instance),
    ),
    act=lambda _at: Emit(),
    is_of_all=True,
)
SWEEP = Scenario(
    before=lambda at: (Store(at, (HEAD,)), Delete(at, STUDY)),
    act=lambda _at: Sweep(),
    every=4,
    is_of_all=True,
)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_nothing_is_lost_or_half_done(scenario: Scenario, account: Account, nursery: Nursery) -> None:
    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await run_scenario(trial, scenario)

    asyncio.run(whole())


@pytest.mark.parametrize("scenario", [EMISSION, SWEEP], ids=["emission", "sweep"])
def test_each_change_is_entered_once(
    scenario: Scenario, some_accounts: list[Account], nursery: Nursery
) -> None:
    async def part(number: int) -> None:
        async with begin_trial(some_accounts[number], nursery) as trial:
            await run_scenario(trial, scenario, slice(number, None, len(some_accounts)))

    async def whole() -> None:
        await asyncio.gather(*map(part, range(len(some_accounts))))

    asyncio.run(whole())


@pytest.mark.parametrize("scenario", PURGES.values(), ids=PURGES.keys())
def test_deleted_bytes_go_and_no_others(scenario: Scenario, account: Account, nursery: Nursery) -> None:
    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await run_scenario(trial, scenario)
            # What a pack was rewritten from is purged after a grace of its own.
            await trial.restart()
            assert await trial.problems() == []
            assert remains(await trial.snapshot(), trial.told) == []

    asyncio.run(whole())


def test_bytes_of_refused_files_go_though_the_feed_lags(account: Account, nursery: Nursery) -> None:
    """A pack with them is still named by a change that waits for its number when their purge is due."""

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store("p", (HEAD,)), Emit(), Store("p", (OTHER_HEAD, NECK)))
            for _ in range(3):
                await trial.do(Sweep())
            held = (await trial.snapshot()).blobs[keys.DICOM].values()
            assert not [blob for blob in held if OTHER_HEAD.content() in blob]
            assert await trial.problems() == []

    asyncio.run(whole())


def test_who_cannot_be_compared_is_alone_in_it(account: Account, nursery: Nursery) -> None:
    """One request of a turn has a duplicate that storage does not give; the others are stored."""

    def no_bytes(call: Call) -> Fault:
        return answered(503) if call.kind == "GET blob dicom" else passed

    # The first two have each a turn to themselves, so that the others wait and go together.
    files = [File(STUDY, HEAD.series, f"1.2.3.1.{number}", variant=number) for number in range(20, 26)]
    others = [Store("p", (file,)) for file in files]
    act = Together((*others[:2], Store("p", (HEAD,), Taken.ACCEPT_IDENTICAL), *others[2:]))

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store("p", (HEAD,)))
            value = await trial.try_to(act, trial.lanes[0], lambda _child: no_bytes)
            assert value == [*[["stored"]] * 2, Failed("Unavailable", ""), *[["stored"]] * 4]
            await trial.restart()
            assert await trial.problems() == []

    asyncio.run(whole())
