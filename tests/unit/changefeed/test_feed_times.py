"""Finding a time in the change feed: in few calls, with hints and without."""

from datetime import datetime, timedelta

import pytest

from shared.storage import feed, keys
from shared.storage.calls import counted
from shared.storage.feed_times import find_first, pick_probe
from shared.storage.storage import Storage
from shared.storage.tables import delete
from tests.unit.changefeed.conftest import NOON, Using, enter

COUNT = 3000
TIMES = [NOON + timedelta(seconds=number // 7) for number in range(COUNT)]
"""Seven entries share each time."""


def first_of(moment: datetime) -> int:
    """The answer, by looking at everything."""
    return next((number + 1 for number, time in enumerate(TIMES) if time >= moment), COUNT + 1)


async def forget_hints(storage: Storage) -> None:
    """As if every writer had ended before it could write one."""
    pages = storage.tables.query(keys.FEED, "PartitionKey eq 'head'", select=("RowKey",))
    rows = [row.row async for page in pages for row in page]
    await storage.tables.transact(keys.FEED, "head", [delete(row) for row in rows])


@pytest.mark.parametrize("with_hints", [True, False])
def test_every_kind_of_time_is_found(using: Using, with_hints: bool) -> None:
    """At, between, before and after those of entries."""
    moments = [
        TIMES[0] - timedelta(days=1),
        TIMES[0],
        TIMES[0] + timedelta(microseconds=1),
        *(TIMES[number] for number in (1, 6, 7, 499, 500, 501, 1000, 2345, COUNT - 1)),
        TIMES[-1] + timedelta(microseconds=1),
    ]

    async def act(storage: Storage) -> list[int]:
        await enter(storage, TIMES)
        if not with_hints:
            await forget_hints(storage)
        return [await find_first(storage, moment) for moment in moments]

    assert using(act) == [first_of(moment) for moment in moments]


def test_it_takes_a_few_calls_however_long_the_feed_is(using: Using) -> None:
    """A hint, a look before it and one reading; the second time none."""

    async def act(storage: Storage) -> list[int]:
        await enter(storage, TIMES)
        found = []
        for number in (1700, 1700, 100, 2900):
            with counted() as calls:
                assert await find_first(storage, TIMES[number]) == first_of(TIMES[number])
            found.append(calls.calls)
        return found

    first, again, early, late = using(act)

    assert first <= 3
    assert again == 0
    assert early <= 3
    assert late <= 5


def test_what_is_not_there_yet_is_not_remembered(using: Using) -> None:
    """The end of the feed moves."""
    later = NOON + timedelta(hours=1)

    async def act(storage: Storage) -> None:
        assert await find_first(storage, later) == 1
        await enter(storage, [NOON, NOON])
        assert await find_first(storage, later) == 3

    using(act)


def test_the_last_entry_is_found_from_anywhere(using: Using) -> None:
    """By the hint, without it, and from where this process looked last."""

    async def act(storage: Storage) -> list[int]:
        assert await feed.read_last(storage) is None
        await enter(storage, TIMES)
        by_hint = await feed.read_last(storage)
        storage.memory.last = 0
        await forget_hints(storage)
        without = await feed.read_last(storage)
        storage.memory.last = 700
        from_behind = await feed.read_last(storage)
        return [each.sequence for each in (by_hint, without, from_behind) if each]

    assert using(act) == [COUNT] * 3


def test_the_search_gallops_backwards_and_then_halves() -> None:
    """The next place lies always between the ends."""
    assert pick_probe(0, 100_000, 600) == 99_400
    assert pick_probe(90_000, 100_000, 8_000) == 95_000
    assert pick_probe(0, 601, 600) == 300
