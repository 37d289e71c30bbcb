"""Promises 1 to 3 hold however two changes of one study come between each other's steps."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.accounts import Account
from tests.faults.checker import gone_too_early
from tests.faults.crashing import begin_trial
from tests.faults.driver import AT_ONCE, RETAINED, Delete, Emit, Purge, Store, Sweep, Under, replace
from tests.faults.files import File
from tests.faults.meeting import Meeting, meet_everywhere
from tests.faults.nursery import Nursery

STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
MOVED = File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", patient="P-2", description="NECK", variant=2)
AGAIN = File(STUDY, "1.2.3.1", "1.2.3.1.1", patient="P-3", variant=3)
AS_MR = File(STUDY, "1.2.3.1", "1.2.3.1.1", modality="MR", variant=5)
SECOND = File(STUDY, "1.2.3.4", "1.2.3.4.1", variant=6)
SECOND_AS_MR = File(STUDY, "1.2.3.4", "1.2.3.4.1", modality="MR", variant=7)
OTHER = File(STUDY, "1.2.3.3", "1.2.3.3.1", modality="US", patient="P-4", variant=4)

MEETINGS = {
    "a store makes a study, another too": Meeting(
        held=lambda at: Store(at, (HEAD,)), other=lambda at: (Store(at, (MOVED,)),)
    ),
    "two stores change a study": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda at: Store(at, (MOVED,)),
        other=lambda at: (Store(at, (OTHER,)),),
    ),
    "two stores of one instance": Meeting(
        held=lambda at: Store(at, (HEAD,)), other=lambda at: (Store(at, (AGAIN,)),)
    ),
    "two upserts of one instance": Meeting(
        before=lambda at: (Store(at, (HEAD, NECK)),),
        held=lambda at: replace(at, AGAIN),
        other=lambda at: (replace(at, HEAD, MOVED),),
        at_reads=True,
    ),
    "a modality changes while a series with the old one comes": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda at: replace(at, AS_MR),
        other=lambda at: (Store(at, (SECOND,)),),
        at_reads=True,
    ),
    "the last two series of a modality change theirs": Meeting(
        before=lambda at: (Store(at, (HEAD, SECOND, MOVED)),),
        held=lambda at: replace(at, AS_MR),
        other=lambda at: (replace(at, SECOND_AS_MR),),
        at_reads=True,
    ),
    "a modality changes while the other series that had it goes": Meeting(
        before=lambda at: (Store(at, (HEAD, SECOND, MOVED)),),
        held=lambda at: replace(at, AS_MR),
        other=lambda at: (Delete(at, STUDY, SECOND.series),),
        at_reads=True,
    ),
    "an upsert of an instance that is deleted": Meeting(
        before=lambda at: (Store(at, (HEAD, NECK)),),
        held=lambda at: replace(at, AGAIN),
        other=lambda at: (Delete(at, STUDY, HEAD.series, HEAD.instance), Emit()),
        may_lose=True,
        at_reads=True,
    ),
    "a study deleted while an instance is replaced": Meeting(
        before=lambda at: (Store(at, (HEAD, MOVED)),),
        held=lambda at: Delete(at, STUDY),
        other=lambda at: (replace(at, AGAIN), replace(at, HEAD)),
        may_lose=True,
        at_reads=True,
    ),
    "a pack written anew while one of it is replaced": Meeting(
        before=lambda at: (
            Store(at, (HEAD, NECK, MOVED)),
            Delete(at, STUDY, NECK.series, NECK.instance),
            Emit(),
        ),
        held=lambda at: Purge(at, STUDY),
        other=lambda at: (replace(at, AGAIN), Emit()),
    ),
    "a store into a study that is deleted": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda at: Store(at, (NECK, MOVED)),
        other=lambda at: (Delete(at, STUDY), Emit()),
        may_lose=True,
    ),
    "a store into a study that is deleted and stored again": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda at: Store(at, (NECK,)),
        other=lambda at: (Delete(at, STUDY), Store(at, (AGAIN,))),
        may_lose=True,
    ),
    "an instance deleted while it is stored again": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda at: Delete(at, STUDY, HEAD.series, HEAD.instance),
        other=lambda at: (Store(at, (AGAIN, NECK)),),
        may_lose=True,
        at_reads=True,
    ),
    "a study deleted while it grows": Meeting(
        before=lambda at: (Store(at, (HEAD, MOVED)),),
        held=lambda at: Delete(at, STUDY),
        other=lambda at: (Store(at, (NECK,)), Store(at, (OTHER,))),
        may_lose=True,
        at_reads=True,
    ),
    "two deletions": Meeting(
        before=lambda at: (Store(at, (HEAD, MOVED)),),
        held=lambda at: Delete(at, STUDY, HEAD.series),
        other=lambda at: (Delete(at, STUDY),),
        at_reads=True,
    ),
    "a pack written anew while another of it is deleted": Meeting(
        before=lambda at: (
            Store(at, (HEAD, NECK, MOVED)),
            Delete(at, STUDY, NECK.series, NECK.instance),
            Emit(),
        ),
        held=lambda at: Purge(at, STUDY),
        other=lambda at: (Delete(at, STUDY, MOVED.series), Emit(), Purge(at, STUDY)),
        at_reads=True,
    ),
    "a pack written anew while another of it is deleted and stored again": Meeting(
        before=lambda at: (
            Store(at, (HEAD, NECK, MOVED)),
            Delete(at, STUDY, NECK.series, NECK.instance),
            Emit(),
        ),
        held=lambda at: Purge(at, STUDY),
        other=lambda at: (Delete(at, STUDY, HEAD.series), Store(at, (AGAIN,))),
    ),
    "a purge while the instance is stored again": Meeting(
        before=lambda at: (Store(at, (HEAD, NECK)), Delete(at, STUDY), Emit()),
        held=lambda at: Purge(at, STUDY),
        other=lambda at: (Store(at, (AGAIN,)),),
        at_reads=True,
    ),
}
OF_ALL = {
    "a sweep while a store changes the study": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda _at: Sweep(),
        other=lambda at: (Store(at, (MOVED,)),),
        is_of_all=True,
    ),
    "two writers of the change feed": Meeting(
        before=lambda at: (Store(at, (HEAD,)), Store(at, (MOVED,))),
        held=lambda _at: Emit(),
        other=lambda at: (Delete(at, STUDY, HEAD.series), Store(at, (OTHER,)), Emit()),
        is_of_all=True,
    ),
}


@pytest.mark.parametrize("meeting", MEETINGS.values(), ids=MEETINGS.keys())
def test_whoever_comes_between_all_agrees(meeting: Meeting, account: Account, nursery: Nursery) -> None:
    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await meet_everywhere(trial, meeting)

    asyncio.run(whole())


@pytest.mark.parametrize("meeting", OF_ALL.values(), ids=OF_ALL.keys())
def test_whoever_comes_between_what_is_done_for_all_agrees(
    meeting: Meeting, some_accounts: list[Account], nursery: Nursery
) -> None:
    async def part(number: int) -> list[str]:
        async with begin_trial(some_accounts[number], nursery) as trial:
            await meet_everywhere(trial, meeting, slice(number, None, len(some_accounts)))
            return []

    asyncio.run(_apart(part, some_accounts))


def test_a_sweep_leaves_what_is_deleted_meanwhile_until_its_purge(
    some_accounts: list[Account], nursery: Nursery
) -> None:
    meeting = Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda _at: Sweep(),
        other=lambda at: (Delete(at, STUDY),),
        at_reads=True,
        is_of_all=True,
    )

    async def part(number: int) -> list[str]:
        async with begin_trial(some_accounts[number], nursery, RETAINED) as trial:
            await meet_everywhere(trial, meeting, slice(number, None, len(some_accounts)))
            return gone_too_early(await trial.snapshot())

    assert asyncio.run(_apart(part, some_accounts)) == []


def test_a_purge_leaves_what_is_deleted_meanwhile_until_its_own(account: Account, nursery: Nursery) -> None:
    """Both lie in one pack."""
    meeting = Meeting(
        before=lambda at: (
            Store(at, (HEAD, NECK, MOVED)),
            Delete(at, STUDY, MOVED.series),
            Under(AT_ONCE, Delete(at, STUDY, HEAD.series, HEAD.instance)),
            Under(AT_ONCE, Emit()),
        ),
        held=lambda at: Under(AT_ONCE, Purge(at, STUDY)),
        other=lambda at: (Delete(at, STUDY, NECK.series, NECK.instance), Emit()),
        at_reads=True,
    )

    async def whole() -> list[str]:
        async with begin_trial(account, nursery, RETAINED) as trial:
            await meet_everywhere(trial, meeting)
            return gone_too_early(await trial.snapshot())

    assert asyncio.run(whole()) == []


async def _apart(part: Callable[[int], Awaitable[list[str]]], accounts: list[Account]) -> list[str]:
    """Do a part in each account, all at once, and give what is wrong in any of them."""
    found = await asyncio.gather(*map(part, range(len(accounts))))
    return [line for lines in found for line in lines]
