"""The timer's function reports what it mended, in a log line and by a metric; zero is the norm."""

import asyncio
from dataclasses import replace as update

from shared.storage import keys
from shared.storage.anchors import MIN_JOINED
from tests.faults.accounts import Account
from tests.faults.crashing import Trial, begin_trial
from tests.faults.driver import Delete, Emit, Purge, Refresh, Store, Under, replace
from tests.faults.files import File
from tests.faults.nursery import Nursery
from tests.faults.proxy import killed_before, once
from tests.faults.sweeping import Reported, TimerSweep

AT = "p"
STUDY, OTHER_STUDY = "1.2.3", "1.2.4"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
AGAIN = update(NECK, patient="P-2", variant=2)
LONG = tuple(File(OTHER_STUDY, "1.2.4.1", f"1.2.4.1.{number}") for number in range(MIN_JOINED))
MORE = File(OTHER_STUDY, "1.2.4.1", "1.2.4.1.99", variant=99)


async def sweep(trial: Trial) -> Reported:
    """Let the grace end, and have the timer's function run."""
    after = await trial.let_time_pass()
    (reported,) = await trial.do(Under(after, TimerSweep(trial.account.text)))
    assert isinstance(reported, Reported)
    return reported


def test_after_orderly_work_a_sweep_reports_zeros(account: Account, nursery: Nursery) -> None:
    """Stores, duplicates, upserts, deletions and joined metadata, each brought to its end by its function."""

    async def whole() -> list[Reported]:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store(AT, (HEAD, NECK)), Store(AT, (HEAD,)), Store(AT, (HEAD, NECK)), Emit())
            await trial.do(replace(AT, AGAIN), Delete(AT, STUDY, HEAD.series, HEAD.instance), Emit())
            await trial.do(Store(AT, LONG), Emit(), Refresh(AT, OTHER_STUDY, MORE.series))
            await trial.do(Store(AT, (MORE,)), Emit(), Refresh(AT, OTHER_STUDY, MORE.series))
            await trial.do(Purge(AT, STUDY), Purge(AT, STUDY))
            reported = [await sweep(trial), await sweep(trial)]
            assert await trial.problems() == []
            return reported

    for reported in asyncio.run(whole()):
        assert reported.line("studies")["studies"] == 2
        assert set(reported.counted.values()) == {0}, reported
        assert {"changes", "blobs", "purges", "failed", "aside", "abandoned", "woken", "uploads"} <= {
            *reported.counted
        }


def test_what_a_sweep_mended_is_reported(account: Account, nursery: Nursery) -> None:
    """One store died before its transaction, one before it was announced, one purge was never done."""

    async def dies_at(trial: Trial, place: str, store: Store) -> None:
        lost = await trial.try_to(
            store,
            trial.lanes[0],
            lambda child: once(lambda call: call.is_write and call.place == place, killed_before(child.kill)),
        )
        assert lost is None

    async def whole() -> tuple[Reported, Reported]:
        async with begin_trial(account, nursery) as trial:
            await dies_at(trial, keys.ARCHIVE, Store(AT, (HEAD,)))
            await dies_at(trial, keys.CHANGES, Store(AT, (NECK,)))
            await trial.do(Store(AT, (MORE,)), Delete(AT, OTHER_STUDY), Emit())
            found, after = await sweep(trial), await sweep(trial)
            assert await trial.problems() == []
            return found, after

    found, after = asyncio.run(whole())

    mended = {"changes": 1, "blobs": 1, "purges": 1}
    assert {kind: found.line("studies")[kind] for kind in mended} == mended
    assert {kind: count for kind, count in found.counted.items() if count} == mended
    assert set(after.counted.values()) == {0}
