"""Two changes of one study meet: one is held at a call to storage while the other runs from end to end.

Done for every call, this tries all the ways in which the second can come between two steps of the first.
Chance would find few of them.
"""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults.crashing import EVERY_CALL, StepsIn, Trial
from tests.faults.driver import Emit, Failed, Step, Value
from tests.faults.proxy import Proxy, at, held

REFUSALS = frozenset({"NotFound"})
"""What a request may be told because the other came first."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two that meet, in a data partition."""

    held: Callable[[str], Step]
    other: StepsIn
    before: StepsIn = lambda _partition: ()

    may_lose: bool = False
    """What one was told may be undone by the other, so that only agreement can be checked."""

    every: int = 3
    """At which of many like calls; 3 is every third."""

    is_of_all: bool = False
    """It works on what waits in the whole account, so only one runs at a time."""


async def meet_everywhere(trial: Trial, meeting: Meeting) -> int:
    """Let two meet at every call of the first, restart, and check all promises.

    Returns:
        The number of meetings.
    """
    await trial.do(*meeting.before("warm"), meeting.held("warm"), Emit(), *meeting.before("count"))
    calls = await trial.count_calls(meeting.held("count"))
    numbers = range(1, calls + 1, 1 if EVERY_CALL else meeting.every)
    if not meeting.is_of_all:
        await trial.prepare(meeting.before(_name(number)) for number in numbers)
    left = iter(numbers)
    lanes = trial.lanes[:1] if meeting.is_of_all else trial.lanes
    found = await asyncio.gather(*(_meet_some(trial, meeting, lane, left) for lane in lanes))
    await trial.restart()
    lines = [line for lines in found for line in lines] + await trial.problems()
    assert not lines, "\n".join(lines[:20])
    return len(numbers)


async def _meet_some(trial: Trial, meeting: Meeting, lane: Proxy, numbers: Iterator[int]) -> list[str]:
    found: list[str] = []
    for number in numbers:
        where = _name(number)
        if meeting.is_of_all:
            await trial.do(*meeting.before(where))
        values = await _meet(trial, meeting, lane, number)
        spoiled = lane.seen[number - 1] if len(lane.seen) >= number else "no call"
        found += [f"{spoiled}: {value}" for value in values if not _is_fine(value)]
        if meeting.may_lose:
            trial.told.forget(where)
    return found


async def _meet(trial: Trial, meeting: Meeting, lane: Proxy, number: int) -> list[Value]:
    """What the one and the other were answered."""
    where = _name(number)
    reached, until = asyncio.Event(), asyncio.Event()
    script = at(number, held(reached, until))
    first = asyncio.create_task(trial.try_to(meeting.held(where), lane, lambda _child: script))
    is_held = asyncio.create_task(reached.wait())
    await asyncio.wait({first, is_held}, return_when=FIRST_COMPLETED)
    is_held.cancel()
    if meeting.is_of_all:
        await trial.wait_for_lease()
    values = [await trial.ask(step) for step in meeting.other(where)]
    until.set()
    return [await first, *values]


def _name(number: int) -> str:
    return f"held-{number:03d}"


def _is_fine(value: Value) -> bool:
    return value.kind in REFUSALS if isinstance(value, Failed) else value is not None
