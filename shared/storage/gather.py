"""Doing together what is asked for one thing at the same time.

Stores into one study that arrive at once could each write a blob and commit a transaction. Here the first
goes at once; what comes while it is under way waits, and goes together when it is done. Alone nobody waits,
and in a crowd fifty requests cost hardly more than one.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

TURNS_AT_ONCE: Final = 2
"""For one key: while one writes its rows, the next may upload its bytes."""

MAX_ITEMS: Final = 90
MAX_BYTES: Final = 8 * 1024 * 1024
"""What goes together. A larger request goes alone."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Ask(Generic[Item, Result]):
    """What one request wants done."""

    items: Sequence[Item]
    size: int
    """Bytes it holds in memory."""

    names: frozenset[Hashable]
    """Of what it changes; two that share a name never go together."""

    work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
    """Does it, for the items of several requests if need be, and gives a result for each in order."""


@dataclass(eq=False, slots=True)
class _Waiting:
    ask: Ask[Any, Any]
    done: asyncio.Future[Sequence[Any]]
    context: Context
    """Of its request, to which the first of a turn has the storage calls counted."""


@dataclass(slots=True)
class _Line:
    waiting: deque[_Waiting] = field(default_factory=deque)
    busy: set[Hashable] = field(default_factory=set)
    """Names of what is under way."""

    turns: int = 0


class Gathering:
    """Lines of requests, one for each key."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}
        self._turns: set[asyncio.Task[None]] = set()

    async def do(self, key: Hashable, ask: Ask[Item, Result]) -> Sequence[Result]:
        """Have something done, together with what others ask for the same key meanwhile.

        Raises:
            Exception: What its work raised, for it and for all that went with it.
        """
        line = self._lines.setdefault(key, _Line())
        mine = _Waiting(ask, asyncio.get_running_loop().create_future(), copy_context())
        line.waiting.append(mine)
        if line.turns < TURNS_AT_ONCE:
            line.turns += 1
            turn = asyncio.create_task(self._take_turns(key, line))
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)
        return await mine.done

    async def _take_turns(self, key: Hashable, line: _Line) -> None:
        try:
            while chosen := _next(line):
                names = frozenset().union(*(each.ask.names for each in chosen))
                line.busy |= names
                try:
                    await _do(chosen)
                finally:
                    line.busy -= names
        finally:
            line.turns -= 1
            if not line.turns and not line.waiting:
                self._lines.pop(key, None)


def _next(line: _Line) -> list[_Waiting]:
    """Take from the line what goes together next, in the order in which it came."""
    chosen: list[_Waiting] = []
    items = size = 0
    names = set(line.busy)
    while line.waiting:
        ask = line.waiting[0].ask
        full = items + len(ask.items) > MAX_ITEMS or size + ask.size > MAX_BYTES
        if names & ask.names or (chosen and full):
            break
        chosen.append(line.waiting.popleft())
        names |= ask.names
        items, size = items + len(ask.items), size + ask.size
    return chosen


async def _work(ask: Ask[Item, Result], items: Sequence[Item]) -> Sequence[Result]:
    return await ask.work(items)


async def _do(chosen: Sequence[_Waiting]) -> None:
    first = chosen[0]
    items = [item for each in chosen for item in each.ask.items]
    try:
        results = await asyncio.create_task(_work(first.ask, items), context=first.context)
    except BaseException as error:
        for each in chosen:
            if not each.done.done():
                each.done.set_exception(error)
        if not isinstance(error, Exception):
            raise
        return
    start = 0
    for each in chosen:
        end = start + len(each.ask.items)
        if not each.done.done():
            each.done.set_result(results[start:end])
        start = end
