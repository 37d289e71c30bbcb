"""What goes wrong between the service and storage, by seed.

Calls come in spells of some kind of weather; in each a call has some trouble by chance. The chance is that of
seed and number of the call alone, so the same seed spoils the same calls in the same way.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from random import Random
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from tests.faults.proxy import (
    Call,
    Fault,
    answered,
    answered_though_done,
    cut_after,
    cut_before,
    delayed,
    killed_after,
    killed_before,
    passed,
    short_pages,
)

CALLS_IN_SPELL: Final = 30
LATE_SECONDS: Final = (0.005, 0.05)
PAGE_ROWS: Final = (1, 2, 5)

Kill = Callable[[], Awaitable[None]]


async def torn_request(call: Call) -> web.StreamResponse:
    """The connection ends in the middle of the request; storage gets the first half of it."""
    if call.body:
        base = urlsplit(call.proxy.target.base(call.service))
        _, writer = await asyncio.open_connection(base.hostname, base.port)
        headers = "".join(f"{name}: {value}\r\n" for name, value in call.request.headers.items())
        writer.write(f"{call.request.method} {call.request.raw_path} HTTP/1.1\r\n{headers}\r\n".encode())
        writer.write(call.body[: len(call.body) // 2])
        await writer.drain()
        writer.transport.abort()
    return call.hang_up()


async def torn_answer(call: Call) -> web.StreamResponse:
    """Storage does what is asked, and the connection ends in the middle of its answer."""
    answer = await call.forward()
    if call.request.method != "HEAD" and answer.body:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(call.request)
        await response.write(answer.body[: len(answer.body) // 2])
    return call.hang_up()


def late_and_lost(seconds: float) -> Fault:
    """The call takes long to get there, and its answer is lost."""

    async def fault(call: Call) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await cut_after(call)

    return fault


def _wait(random: Random) -> int | None:
    """What a Retry-After says: mostly nothing that would hold up a test."""
    return random.choice((None, None, None, *[0] * 16, 1))


def _late(random: Random) -> float:
    return random.uniform(*LATE_SECONDS)


TROUBLES: Final[dict[str, Callable[[Random], Fault]]] = {
    "500": lambda _: answered(500),
    "503": lambda random: answered(503, retry_after=_wait(random)),
    "429": lambda random: answered(429, retry_after=_wait(random)),
    "cut before": lambda _: cut_before,
    "request torn": lambda _: torn_request,
    "cut after": lambda _: cut_after,
    "answer torn": lambda _: torn_answer,
    "done but 500": lambda _: answered_though_done(500),
    "done but 503": lambda _: answered_though_done(503),
    "late": lambda random: delayed(_late(random)),
    "late and lost": lambda random: late_and_lost(_late(random)),
    "short page": lambda random: short_pages(random.choice(PAGE_ROWS)),
}
_UNDONE: Final = ("500", "503", "429", "cut before", "request torn")
_DONE: Final = ("cut after", "answer torn", "done but 500", "done but 503", "late and lost")


@dataclass(frozen=True, slots=True)
class Spell:
    """A kind of weather."""

    share: int
    """Of all spells, as a weight."""

    chance: float
    """Of trouble, for each call."""

    troubles: tuple[str, ...] = ()


SPELLS: Final = (
    Spell(7, 0.0),
    Spell(4, 0.15, tuple(TROUBLES)),
    Spell(3, 0.35, (*_UNDONE, "late")),
    Spell(3, 0.35, (*_DONE, "late")),
    Spell(2, 0.8, ("late", "late", "late", "late and lost")),
    Spell(1, 0.9, ("short page",)),
    Spell(1, 1.0, ("500", "503", "429")),
)


@dataclass(slots=True)
class Weather:
    """The script of one proxy, with the moments at which the process behind it is killed."""

    seed: str
    kill: Kill
    calls_between_kills: tuple[int, int]
    injected: Counter[str] = field(default_factory=Counter)
    """What went wrong how often."""

    _kills: Iterator[int] = field(init=False)
    _next_kill: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin before the first call."""
        random = Random(f"{self.seed}/kills")
        gaps = (random.randint(low, high) for low, high in repeat(self.calls_between_kills))
        self._kills = accumulate(gaps)
        self._next_kill = next(self._kills)

    def script(self, call: Call) -> Fault:
        """What happens to a call."""
        random = Random(f"{self.seed}/{call.number}")
        if call.number >= self._next_kill:
            self._next_kill = next(self._kills)
            self.injected["kill"] += 1
            return random.choice((killed_before, killed_after))(self.kill)
        trouble = pick_trouble(self.seed, call.number)
        if trouble is None:
            return passed
        self.injected[trouble] += 1
        return TROUBLES[trouble](random)


def pick_trouble(seed: str, number: int) -> str | None:
    """What goes wrong with a call, by its number."""
    of_spell = Random(f"{seed}/spell/{number // CALLS_IN_SPELL}")
    (spell,) = of_spell.choices(SPELLS, [spell.share for spell in SPELLS])
    of_call = Random(f"{seed}/trouble/{number}")
    return of_call.choice(spell.troubles) if of_call.random() < spell.chance else None
