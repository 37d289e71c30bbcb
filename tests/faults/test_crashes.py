"""Promises 1 to 3 hold through a crash, a hiccup or an outage of storage at any call of any change."""

import asyncio

import pytest

from tests.faults.accounts import Account
from tests.faults.checker import remains
from tests.faults.crashing import Scenario, begin_trial, run_scenario
from tests.faults.driver import Delete, Emit, Purge, Store, Sweep, replace
from tests.faults.files import File
from tests.faults.nursery import Nursery

STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
MOVED = File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", patient="P-2", description="NECK", variant=2)
LARGE = File(STUDY, HEAD.series, "1.2.3.1.3", is_large=True, variant=3)
OTHER_HEAD = File(STUDY, HEAD.series, HEAD.instance, patient="P-3", variant=5)
OTHER_OVERSIZE = File(STUDY, HEAD.series, "1.2.3.1.4", is_oversize=True, variant=6)
OVERSIZE = File(STUDY, HEAD.series, "1.2.3.1.4", is_oversize=True, variant=4)

SCENARIOS = {
    "a new study": Scenario(act=lambda at: Store(at, (HEAD,))),
    "a pack of three in two series": Scenario(act=lambda at: Store(at, (HEAD, NECK, MOVED))),
    "a large instance": Scenario(before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (LARGE,))),
    "metadata too large for a row": Scenario(
        before=lambda at: (Store(at, (HEAD,)),), act=lambda at: Store(at, (OVERSIZE, NECK))
    ),
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
    "one replaced and one new": Scenario(
        before=lambda at: (Store(at, (HEAD, NECK)),), act=lambda at: replace(at, OTHER_HEAD, MOVED), every=2
    ),
    "metadata too large for a row replaced": Scenario(
        before=lambda at: (Store(at, (OVERSIZE, LARGE)),), act=lambda at: replace(at, OTHER_OVERSIZE), every=2
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
