"""Measures one case: the sides take turns, so that whatever else the machine does hits all of them."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Final

from bench.load import Round, Sample, Server, Work, WrongAnswer, drive
from bench.process import Asked, ServiceLog, processor_seconds
from bench.stage import Case, Stage
from local.dev.steps import say

OURS: Final = "ours"
RAW: Final = "raw"
PEER: Final = "peer"

MAX_REQUESTS: Final = 3_000
"""Of one side in one round."""

SLOW_SECONDS: Final = 5
"""What the first few requests take of a side that is too slow for several rounds."""

CHECKED: Final = 3
"""Answers looked at before a server is measured."""

SETTLE_SECONDS: Final = 120
_CHANGES: Final = "changes"

Prepare = Callable[[int], Awaitable[list[Work]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one side."""

    rate: float
    """Requests a second, or instances where a request has several: the middle of all rounds."""

    median_ms: float
    p99_ms: float
    first_byte_ms: float
    megabytes: float
    """Answered a second."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    case: Case
    sides: Mapping[str, Figures]
    calls: float
    """Storage calls of one request, the mean."""

    rows: float
    processor_ms: float
    """Processor time of the service for one request and all that follows from it."""


@dataclass(slots=True)
class _Side:
    """The rounds of one side so far."""

    prepare: Prepare
    requests: int = 0
    is_slow: bool = False
    """One round is enough of it."""

    rounds: list[Round] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Watched:
    """Our service from outside."""

    log: ServiceLog
    pid: int


async def measure(stage: Stage, case: Case, service: Watched) -> Line:
    """Measure a case with all sides.

    Raises:
        WrongAnswer: Our service answered otherwise than it should. The peer may: it has no figures then.
    """
    sides = await _begin(stage, case)
    seconds = 0.0
    for number in range(stage.scale.rounds):
        playing = {name: side for name, side in sides.items() if not (number and side.is_slow)}
        for name, side in playing.items():
            before = await _play(stage, case, side, service.pid)
            if name == OURS:
                await _settle(stage)
                seconds += processor_seconds(service.pid) - before
    return await _line(case, sides, seconds, service.log)


async def _begin(stage: Stage, case: Case) -> dict[str, _Side]:
    """The sides that answer as they should, warmed up."""
    sides = {OURS: _Side(lambda count: case.dicomweb(stage.ours, count)), RAW: _Side(case.raw)}
    peer = stage.peer if case.has_peer else None
    if peer is not None:
        sides[PEER] = _Side(lambda count: case.dicomweb(peer, count))
    servers = {OURS: stage.ours, PEER: peer}
    for name in list(sides):
        try:
            await check(case, servers.get(name))
            await _calibrate(stage, case, sides[name])
        except WrongAnswer as error:
            if name != PEER:
                raise
            say(f"  {case.name}: no figures of the peer: {error}")
            del sides[name]
        await _settle(stage)
    return sides


async def check(case: Case, server: Server | None) -> None:
    """Look at a few answers. A server that answers something else is fast or slow at something else."""
    if server is None or case.is_right is None:
        return
    works = await case.dicomweb(replace(server, keeps=True), CHECKED)
    for number, work in enumerate(works):
        if not case.is_right(number, (await work()).body):
            raise WrongAnswer(f"{server.root} answered something else than was asked for.")


async def _calibrate(stage: Stage, case: Case, side: _Side) -> None:
    """Warm a side up, and find how many requests fill a round."""
    works = await side.prepare(max(3, case.callers * 2))
    warm = await drive(works, case.callers)
    side.is_slow = warm.seconds > SLOW_SECONDS
    fitting = round(len(works) / warm.seconds * stage.scale.seconds)
    side.requests = min(max(fitting, case.callers * 2, 3), MAX_REQUESTS)


async def _play(stage: Stage, case: Case, side: _Side, pid: int) -> float:
    """Play one round; the processor time of the service at its beginning."""
    works = await side.prepare(side.requests)
    await _settle(stage)
    gc.collect()
    gc.disable()
    before = processor_seconds(pid)
    side.rounds.append(await drive(works, case.callers))
    gc.enable()
    return before


async def _settle(stage: Stage) -> None:
    """Wait until our service has done what follows from its answers, so that no other side pays for it."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while await stage.raw.list_blobs(_CHANGES):
        if time.monotonic() > deadline:
            raise WrongAnswer(f"Changes wait for the change feed for more than {SETTLE_SECONDS} seconds.")
        await asyncio.sleep(0.1)


async def _line(case: Case, sides: Mapping[str, _Side], seconds: float, log: ServiceLog) -> Line:
    samples = _samples(sides[OURS])
    asked = (await log.find([sample.answer.request for sample in samples])).values()
    return Line(
        case=case,
        sides={name: _figures(case, side) for name, side in sides.items()},
        calls=_mean([each.calls for each in asked]),
        rows=_mean([each.rows for each in asked]),
        processor_ms=seconds / len(samples) * 1000,
    )


def _figures(case: Case, side: _Side) -> Figures:
    samples = _samples(side)
    times = sorted(sample.seconds * 1000 for sample in samples)
    rates = [len(each.samples) * case.items / each.seconds for each in side.rounds]
    speeds = [sum(sample.answer.size for sample in each.samples) / each.seconds / 1e6 for each in side.rounds]
    return Figures(
        rate=median(rates),
        median_ms=median(times),
        p99_ms=times[min(len(times) - 1, len(times) * 99 // 100)],
        first_byte_ms=median(sample.first_byte_seconds * 1000 for sample in samples),
        megabytes=median(speeds),
    )


def _samples(side: _Side) -> list[Sample]:
    return [sample for each in side.rounds for sample in each.samples]


def _mean(numbers: Sequence[int]) -> float:
    return fmean(numbers) if numbers else float("nan")


__all__ = ["OURS", "PEER", "RAW", "Asked", "Figures", "Line", "Watched", "measure"]
