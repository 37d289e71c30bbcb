"""An answer of storage is lost or late, and before the call is repeated another request has come between.

Then the repetition meets what the other left. Whatever it does, no row may name bytes or details that go
with a purge, and the feed must tell a history that can have happened. Nothing is retained here, but the
grace is longer than a request takes: by it what is young is left alone.
"""

import asyncio

import pytest

from shared.storage import keys
from shared.storage.planning import render_pending
from shared.storage.rows import Change, cut_text, render_changes
from shared.storage.tables import insert
from shared.storage.versions import next_version
from tests.faults.accounts import Account
from tests.faults.crashing import Trial, begin_trial, opened
from tests.faults.driver import CAREFUL, Delete, Emit, Purge, Store, replace
from tests.faults.files import File
from tests.faults.meeting import DENIALS, Meeting, meet_everywhere
from tests.faults.nursery import Nursery
from tests.faults.proxy import held_and_denied, held_and_lost

STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
AGAIN = File(STUDY, "1.2.3.1", "1.2.3.1.1", patient="P-3", variant=3)
NECK_AGAIN = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=5)
OVERSIZE = File(STUDY, "1.2.3.1", "1.2.3.1.4", is_oversize=True, variant=4)
SCATTERED = File(STUDY, "1.2.3.1", "1.2.3.1.4", is_oversize=True, has_many_values=True, variant=4)
OVERSIZE_AGAIN = File(STUDY, "1.2.3.1", "1.2.3.1.4", is_oversize=True, variant=6)

ECHOES = {
    "a store, then a deletion and its purge": Meeting(
        held=lambda at: Store(at, (SCATTERED, NECK)),
        other=lambda at: (Delete(at, STUDY), Emit(), Purge(at, STUDY)),
        may_lose=True,
        fault=held_and_lost,
    ),
    "a store, then an upsert and its purge": Meeting(
        held=lambda at: Store(at, (OVERSIZE, NECK)),
        other=lambda at: (replace(at, OVERSIZE_AGAIN), Emit(), Purge(at, STUDY)),
        fault=held_and_lost,
    ),
    "an upsert, then another that the feed has not": Meeting(
        before=lambda at: (Store(at, (HEAD, NECK)),),
        held=lambda at: replace(at, AGAIN, NECK_AGAIN),
        other=lambda at: (replace(at, HEAD),),
        fault=held_and_lost,
    ),
    "an upsert, then another and its purge": Meeting(
        before=lambda at: (Store(at, (HEAD,)), Emit()),
        held=lambda at: replace(at, OVERSIZE),
        other=lambda at: (replace(at, OVERSIZE_AGAIN), Emit(), Purge(at, STUDY)),
        fault=held_and_lost,
    ),
    "an upsert, then a deletion and its purge": Meeting(
        before=lambda at: (Store(at, (OVERSIZE, NECK)),),
        held=lambda at: replace(at, OVERSIZE_AGAIN),
        other=lambda at: (Delete(at, STUDY), Emit(), Purge(at, STUDY)),
        may_lose=True,
        fault=held_and_lost,
    ),
    "a deletion, then a store": Meeting(
        before=lambda at: (Store(at, (OVERSIZE,)),),
        held=lambda at: Delete(at, STUDY),
        other=lambda at: (Store(at, (OVERSIZE_AGAIN,)), Emit(), Purge(at, STUDY)),
        may_lose=True,
        fault=held_and_lost,
    ),
    "a pack written anew, then an upsert": Meeting(
        before=lambda at: (
            Store(at, (HEAD, NECK)),
            Delete(at, STUDY, NECK.series, NECK.instance),
            Emit(),
        ),
        held=lambda at: Purge(at, STUDY),
        other=lambda at: (replace(at, AGAIN), Emit(), Purge(at, STUDY)),
        fault=held_and_lost,
    ),
    "an upsert refused for good, then another": Meeting(
        before=lambda at: (Store(at, (HEAD,)),),
        held=lambda at: replace(at, AGAIN, NECK),
        other=lambda at: (replace(at, HEAD, NECK_AGAIN),),
        fault=held_and_denied,
        refusals=DENIALS,
    ),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
def test_a_repetition_that_comes_late_spoils_nothing(
    echo: Meeting, account: Account, nursery: Nursery
) -> None:
    async def whole() -> None:
        async with begin_trial(account, nursery, CAREFUL) as trial:
            await meet_everywhere(trial, echo)
            # What the first sweep has handed to a purge is gone after the second.
            await trial.restart()
            assert await trial.problems() == []

    asyncio.run(whole())


def test_a_history_that_goes_in_a_circle_is_entered(account: Account, nursery: Nursery) -> None:
    """No request writes such a one. Should rows tell it, the changes of no study may wait for ever."""

    async def go_back(trial: Trial) -> None:
        """Write a change that says that what was replaced first has come back."""
        async with opened(trial.account) as storage:
            (study,) = (await trial.snapshot()).studies
            (row,) = study.instances
            first, second = (Change(row.series, row.instance, version, row.location) for version in (1, 2))
            for before, after in ((first, second), (second, first)):
                version = next_version()
                values = render_pending("update", [after], [])
                values |= cut_text("replaced", render_changes([before]))
                operation = insert(keys.pending_row(version), values)
                await storage.tables.transact(keys.ARCHIVE, study.key.archive, [operation])

    async def whole() -> None:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store("p", (HEAD,)))
            await go_back(trial)
            await trial.do(Store("q", (HEAD,)))
            await trial.restart()
            snapshot = await trial.snapshot()
            assert not [row for study in snapshot.studies for row in study.rows_of("pending")]
            assert len([row for row in snapshot.tables[keys.FEED] if row.partition != "head"]) == 4

    asyncio.run(whole())
