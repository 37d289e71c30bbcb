"""What is asked for one thing at the same time is done together."""

import asyncio
from collections.abc import Hashable, Sequence

import pytest

from shared.storage.gather import MAX_BYTES, MAX_ITEMS, TURNS_AT_ONCE, Ask, Gathering


class Works:
    """Does what is asked once it is let go, and notes what went together."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()

    async def work(self, items: Sequence[int]) -> Sequence[int]:
        """Give ten times each item; -1 cannot be done."""
        self.turns.append(list(items))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        if -1 in items:
            raise ValueError(-1)
        return [10 * item for item in items]

    def ask(self, *items: int, size: int = 1, names: Sequence[Hashable] | None = None) -> Ask[int, int]:
        """A request for some items, whose names they are if no others are told."""
        return Ask(items, size, frozenset(items if names is None else names), self.work)


async def _all(works: Works, gathering: Gathering, asks: Sequence[Ask[int, int]]) -> list[object]:
    """Ask in this order, all before the first is done."""
    tasks = []
    for ask in asks:
        tasks.append(asyncio.create_task(gathering.do("study", ask)))
        for _ in range(5):
            await asyncio.sleep(0)
    works.gate.set()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def _run(*asks: Sequence[int], size: int = 1) -> tuple[list[object], list[list[int]]]:
    async def whole() -> tuple[list[object], list[list[int]]]:
        works = Works()
        results = await _all(works, Gathering(), [works.ask(*items, size=size) for items in asks])
        return results, works.turns

    return asyncio.run(whole())


def test_one_alone_goes_at_once() -> None:
    """With the results of its items in order."""
    assert _run([1, 2]) == ([[10, 20]], [[1, 2]])


def test_what_comes_meanwhile_goes_together() -> None:
    """Everybody gets the results of his own."""
    results, turns = _run([1], [2], [3, 4], [5], [6, 7, 8])

    assert results == [[10], [20], [30, 40], [50], [60, 70, 80]]
    assert turns == [[1], [2], [3, 4, 5, 6, 7, 8]]


def test_two_of_one_name_never_go_together_nor_at_once() -> None:
    """The second finds what the first has left."""
    results, turns = _run([1], [2], [3], [4], [3], [5])

    assert results == [[10], [20], [30], [40], [30], [50]]
    assert turns == [[1], [2], [3, 4], [3, 5]]


def test_a_name_under_way_is_waited_for() -> None:
    """While another turn would be free."""
    assert _run([1], [1], [1])[1] == [[1], [1], [1]]


@pytest.mark.parametrize(
    ("items", "size", "expected"),
    [(MAX_ITEMS // 2, 1, [1, 1, 2, 1]), (MAX_ITEMS + 1, 1, [1, 1, 1, 1, 1]), (1, MAX_BYTES // 3, [1, 1, 3])],
)
def test_a_turn_is_bounded(items: int, size: int, expected: list[int]) -> None:
    """By items and by bytes; a request beyond the bounds goes alone."""
    asks = [range(number * items, (number + 1) * items) for number in range(5)]

    _, turns = _run(*asks, size=size)

    assert [len(turn) // items for turn in turns] == expected


def test_few_turns_are_under_way_at_once() -> None:
    """One writes its rows while the next uploads its bytes."""

    async def whole() -> int:
        works = Works()
        await _all(works, Gathering(), [works.ask(*range(90 * n, 90 * n + 90)) for n in range(6)])
        return works.most_at_once

    assert asyncio.run(whole()) == TURNS_AT_ONCE


def test_keys_do_not_wait_for_each_other() -> None:
    """Nothing of one study goes with another's."""

    async def whole() -> list[list[int]]:
        works, gathering = Works(), Gathering()
        tasks = [asyncio.create_task(gathering.do(number, works.ask(number))) for number in range(5)]
        for _ in range(5):
            await asyncio.sleep(0)
        works.gate.set()
        await asyncio.gather(*tasks)
        return works.turns

    assert asyncio.run(whole()) == [[0], [1], [2], [3], [4]]


def test_an_error_hits_those_that_went_together() -> None:
    """And nobody else; the line goes on."""
    results, turns = _run([1], [2], [3], [-1], [4], [3], [5])

    assert turns == [[1], [2], [3, -1, 4], [3, 5]]
    assert [type(each) for each in results] == [list, list, ValueError, ValueError, ValueError, list, list]


def test_one_who_leaves_takes_nothing_along() -> None:
    """The others get their results, and the line is free afterwards."""

    async def whole() -> tuple[list[object], Sequence[int]]:
        works, gathering = Works(), Gathering()
        tasks = [asyncio.create_task(gathering.do("study", works.ask(number))) for number in range(5)]
        for _ in range(5):
            await asyncio.sleep(0)
        tasks[3].cancel()
        works.gate.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return list(results), await gathering.do("study", works.ask(9))

    results, last = asyncio.run(whole())

    assert isinstance(results[3], asyncio.CancelledError)
    assert [*results[:3], results[4]] == [[0], [10], [20], [40]]
    assert last == [90]
