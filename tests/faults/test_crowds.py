"""Promises 1 to 3 hold when many processes change one study at once."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from tests.faults.accounts import Account
from tests.faults.crashing import Trial, begin_trial, note_begin, note_end
from tests.faults.driver import CAREFUL, Delete, Emit, Failed, Job, Step, Store, Together, Value, replace
from tests.faults.files import File
from tests.faults.nursery import Nursery
from tests.faults.proxy import always, short_pages

PROCESSES = 3
STUDY = "1.2.3"
MODALITIES = ("CT", "MR", "US", "PT")
ROUNDS = 6


async def _crowd(trial: Trial, crowds: Sequence[tuple[Step, ...]]) -> list[list[Value]]:
    """Each crowd in a process of its own, all at once."""
    jobs = [Job(trial.account.text, (Together(steps),), CAREFUL) for steps in crowds]
    outcomes = await asyncio.gather(*map(trial.nursery.run, jobs))
    values: list[list[Value]] = []
    for (value,) in outcomes:
        assert isinstance(value, list), value
        values.append(value)
    return values


def _instance(number: int, patient: str = "P-1") -> File:
    """One instance of one of four series, each of another modality."""
    kind = number % len(MODALITIES)
    series = f"1.2.3.{kind + 1}"
    return File(STUDY, series, f"{series}.{number + 1}", MODALITIES[kind], patient, variant=number)


def test_many_stores_into_one_study_all_succeed(account: Account, nursery: Nursery) -> None:
    """Each changes the study's row, as it brings another modality, patient or description."""
    crowds = [
        tuple(Store("p", (_instance(4 * process + number, patient=f"P-{process}"),)) for number in range(4))
        for process in range(PROCESSES)
    ]

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            note_begin(trial.told, Together(tuple(step for crowd in crowds for step in crowd)))
            values = await _crowd(trial, crowds)
            assert values == [[["stored"]] * 4] * PROCESSES
            for crowd, value in zip(crowds, values, strict=True):
                note_end(trial.told, Together(crowd), value)
            await trial.restart()
            return await trial.problems()

    assert asyncio.run(whole()) == []


def test_one_instance_stored_by_eight_at_once_is_stored_once(account: Account, nursery: Nursery) -> None:
    """The one that is told so is the one that is there, whichever it is."""

    def variant(number: int) -> File:
        return File(STUDY, "1.2.3.1", "1.2.3.1.1", patient=f"P-{number}", variant=number)

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            for number in range(ROUNDS):
                where = f"round-{number}"
                crowds = [
                    tuple(Store(where, (variant(4 * process + each),)) for each in range(4))
                    for process in range(2)
                ]
                values = await _crowd(trial, crowds)
                told = [value for each in values for value in each]
                assert Counter(map(str, told)) == {"['stored']": 1, "['EXISTS']": 7}
                winner = variant(told.index(["stored"]))
                trial.told.send(where, (winner,))
                trial.told.acknowledge(where, (winner,), ("stored",))
            await trial.restart()
            return await trial.problems()

    assert asyncio.run(whole()) == []


def test_stores_and_deletions_at_once_leave_one_truth(account: Account, nursery: Nursery) -> None:
    """Whatever wins, rows, searches, bytes and feed agree; and a last deletion leaves nothing."""

    def crowds(where: str) -> list[tuple[Step, ...]]:
        return [
            (
                Store(where, (_instance(number), _instance(number + 1))),
                Delete(where, STUDY, _instance(number).series),
                Store(where, (_instance(number + 4, patient=f"P-{number}"),)),
                replace(where, _instance(number, patient=f"Q-{number}")),
                Delete(where, STUDY),
                replace(where, _instance(number + 1, patient=f"R-{number}")),
                Emit(),
            )
            for number in range(PROCESSES)
        ]

    async def whole() -> tuple[list[str], list[str]]:
        async with begin_trial(account, nursery) as trial:
            refusals: set[str] = set()
            for number in range(ROUNDS):
                where = f"round-{number}"
                for crowd in crowds(where):
                    note_begin(trial.told, Together(crowd))
                for values in await _crowd(trial, crowds(where)):
                    refusals |= {value.kind + value.trace for value in values if isinstance(value, Failed)}
            assert refusals <= {"NotFound"}
            await trial.restart()
            after = await trial.problems()
            for number in range(ROUNDS):
                await trial.ask(Delete(f"round-{number}", STUDY))
            await trial.restart()
            return after, await trial.problems()

    assert asyncio.run(whole()) == ([], [])


def test_short_pages_change_nothing(account: Account, nursery: Nursery) -> None:
    """The real service may give one row of a thousand asked for and a continuation."""
    files = tuple(_instance(number) for number in range(6))
    steps: tuple[Step, ...] = (
        Store("p", files),
        Store("p", files),
        Emit(),
        Delete("p", STUDY, files[1].series),
        Delete("p", STUDY, files[0].series, files[0].instance),
        Emit(),
    )

    async def whole() -> list[str]:
        async with begin_trial(account, nursery) as trial:
            for step in steps:
                value = await trial.try_to(step, trial.lanes[0], lambda _child: always(short_pages(1)))
                assert not isinstance(value, Failed), value
            await trial.restart()
            return await trial.problems()

    assert asyncio.run(whole()) == []
