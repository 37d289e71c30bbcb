"""Two changes of one study meet: one is held at a call to storage while the other runs from end to end.

Done for every call that may change something, this tries the ways in which the second can come between two
steps of the first. Chance would find few of them.
"""

import asyncio
from asyncio import FIRST_COMPLETED
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.faults.crashing import EVERY_CALL, WHOLE, StepsIn, Trial, some_of, some_writes
from tests.faults.driver import Emit, Failed, InTurn, Step, Value
from tests.faults.proxy import Call, Fault, Proxy, held, nth

REFUSALS = frozenset({"NotFound"})
"""What a request may be told because the other came first."""

DENIALS = frozenset({"NotFound", "StorageRefused", "Unavailable"})
"""The same where storage refuses a call for good."""

Holding = Callable[[asyncio.Event, asyncio.Event], Fault]
"""A fault that tells when a call is reached, and holds it until the other is done."""

ON_ITS_WAY: Holding = held


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two that meet, in a data partition."""

    held: Callable[[str], Step]
    other: StepsIn
    before: StepsIn = lambda _partition: ()

    may_lose: bool = False
    """What one was told may be undone by the other, so that only agreement can be checked."""

    at_reads: bool = False
    """Hold the first at its reads too: where it decides by several of them, what comes between matters."""

    is_of_all: bool = False
    """It works on what waits in the whole account, so only one runs at a time."""

    fault: Holding = ON_ITS_WAY
    """What becomes of the call at which the first is held."""

    refusals: frozenset[str] = REFUSALS
    """How the two may fail."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One call of the first, at which it is held."""

    kind: str
    number: int
    """Among the calls of its kind, counted from 1."""

    @property
    def name(self) -> str:
        """Also that of the data partition."""
        return f"{self.kind.replace(' ', '-').lower()}-{self.number}"


async def meet_everywhere(trial: Trial, meeting: Meeting, part: slice = WHOLE) -> None:
    """Let two meet at every call of the first, or at some of them; restart, and check all promises."""
    await trial.do(*meeting.before("warm"), meeting.held("warm"), Emit(), *meeting.before("count"))
    calls, _ = await trial.watch(meeting.held("count"))
    moments = moments_of(calls, at_reads=meeting.at_reads)[part]
    if not meeting.is_of_all:
        await trial.prepare(meeting.before(moment.name) for moment in moments)
    left = iter(moments)
    lanes = trial.lanes[:1] if meeting.is_of_all else trial.lanes
    found = await asyncio.gather(*(_meet_some(trial, meeting, lane, left) for lane in lanes))
    await trial.restart()
    lines = [line for lines in found for line in lines] + await trial.problems()
    assert not lines, "\n".join(lines[:20])


def moments_of(calls: Sequence[Call], *, at_reads: bool) -> list[Moment]:
    """The calls at which a first one is held."""
    held = calls if EVERY_CALL else some_of(calls) if at_reads else some_writes(calls)
    numbers = {call.number for call in held}
    seen: Counter[str] = Counter()
    found: list[Moment] = []
    for call in calls:
        seen[call.kind] += 1
        if call.number in numbers:
            found.append(Moment(call.kind, seen[call.kind]))
    return found


async def _meet_some(trial: Trial, meeting: Meeting, lane: Proxy, moments: Iterator[Moment]) -> list[str]:
    found: list[str] = []
    for moment in moments:
        if meeting.is_of_all:
            await trial.do(*meeting.before(moment.name))
        values = await meet(trial, meeting, lane, moment)
        found += [f"{moment.name}: {value}" for value in values if not _is_fine(value, meeting.refusals)]
        if meeting.may_lose:
            trial.told.forget(moment.name)
    return found


async def meet(trial: Trial, meeting: Meeting, lane: Proxy, moment: Moment) -> list[Value]:
    """What the one and the other were answered."""
    reached, until = asyncio.Event(), asyncio.Event()
    script = nth(moment.kind, moment.number, meeting.fault(reached, until))
    first = asyncio.create_task(trial.try_to(meeting.held(moment.name), lane, lambda _child: script))
    is_held = asyncio.create_task(reached.wait())
    await asyncio.wait({first, is_held}, return_when=FIRST_COMPLETED)
    is_held.cancel()
    if meeting.is_of_all:
        await trial.wait_for_lease()
    values = await trial.ask(InTurn(meeting.other(moment.name)))
    until.set()
    assert isinstance(values, list)
    return [await first, *values]


def _is_fine(value: Value, refusals: frozenset[str]) -> bool:
    return value.kind in refusals if isinstance(value, Failed) else value is not None
