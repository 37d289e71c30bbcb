"""In which order, and under which numbers, changes enter the feed (API rules section 10.2)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.changefeed.order import batches, in_order, number
from shared.storage.keys import StudyKey
from shared.storage.pending import Pending
from shared.storage.rows import Change, Location
from shared.storage.storage import Head

EARLY, LATE = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)


def change(version: int, action: str, *instances: int) -> Pending:
    """A change of the instances of these versions."""
    changes = tuple(Change("2", f"1.{made}", made, Location("b", 0, 1)) for made in instances)
    return Pending(StudyKey("p", "1"), version, action, changes, (), ())


def at_one_address(version: int, found: int | None, left: int | None) -> Pending:
    """A change of the instance at one address: the version it found there and the one it left."""
    made, removed = (
        (Change("2", "1.1", each, Location("b", 0, 1)),) if each else () for each in (left, found)
    )
    if left is None:
        return Pending(StudyKey("p", "1"), version, "delete", removed, (), ())
    action = "update" if found else "create"
    return Pending(StudyKey("p", "1"), version, action, made, removed, ())


def many(version: int, count: int) -> Pending:
    """A change that makes so many instances."""
    return change(version, "create", *range(version * 1000, version * 1000 + count))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], []),
        ([many(2, 1), many(1, 1), many(3, 1)], [1, 2, 3]),
        ([change(5, "delete", 7), change(6, "create", 7)], [6, 5]),
        ([change(5, "delete", 7), change(6, "create", 8)], [5, 6]),
        ([change(5, "delete", 7, 8), change(6, "create", 8), change(7, "create", 7)], [7, 6, 5]),
        ([change(6, "create", 7), change(5, "delete", 7), change(4, "create", 1)], [4, 6, 5]),
    ],
)
def test_nothing_is_removed_before_it_was_made(changes: list[Pending], expected: list[int]) -> None:
    """Versions come from clocks, so they alone may turn round a store and the deletion after it."""
    assert [each.version for each in in_order(changes)] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(5, None, 9), (6, 8, None)], [6, 5]),
        ([(5, 8, None), (6, None, 8)], [6, 5]),
        ([(5, None, 9), (6, None, 8), (7, 8, None)], [6, 7, 5]),
        ([(5, 8, 9), (6, None, 8), (4, 9, 10), (3, 10, None)], [6, 5, 4, 3]),
        ([(3, 10, None), (4, 9, 10), (7, None, 11)], [4, 3, 7]),
        ([(1, None, 9), (2, None, 8), (3, 8, None), (4, 9, None)], [1, 4, 2, 3]),
        ([(1, None, 9), (2, 7, None), (3, 8, None), (4, None, 8)], [2, 4, 3, 1]),
    ],
)
def test_what_happened_at_one_address_is_told_as_it_happened(
    changes: list[tuple[int, int | None, int | None]], expected: list[int]
) -> None:
    """An instance is made where none is, replaced or removed where it is, whatever the clocks said."""
    found = in_order([at_one_address(*each) for each in changes])

    assert [each.version for each in found] == expected


def test_what_must_come_before_comes_along() -> None:
    """And nothing else."""
    maker, stranger, deletion = change(6, "create", 7, 8), change(4, "create", 9), change(5, "delete", 7, 8)
    again = Pending(StudyKey("p", "1"), 9, "create", (replace(maker.changes[0], version=9),), (), ())

    assert in_order([stranger, maker, deletion], [5]) == [maker, deletion]
    assert in_order([stranger, maker], [6]) == [maker]
    assert in_order([stranger, again, maker, deletion], [9]) == [maker, deletion, again]
    assert in_order([stranger], [6]) == []


@pytest.mark.parametrize(
    "changes",
    [
        [(1, None, 7), (2, 7, 8), (3, 8, 7)],
        [(2, 7, 8), (3, 8, 7)],
        [(1, 7, 7)],
        [(1, None, 7), (2, None, 7), (3, 7, None)],
    ],
)
def test_a_version_that_comes_back_stops_nothing(changes: list[tuple[int, int | None, int | None]]) -> None:
    """Nobody writes one twice; if somebody did, the feed must go on with all of it."""
    found = in_order([at_one_address(*each) for each in changes])

    assert sorted(each.version for each in found) == [version for version, _, _ in changes]


def test_a_long_history_is_put_in_order() -> None:
    """A thousand lives at one address, seen backwards."""
    lives = [at_one_address(2 * n, None, n) for n in range(1, 1000)]
    lives += [at_one_address(2 * n + 1, n, None) for n in range(1, 1000)]

    assert [each.version for each in in_order(lives[::-1], [1999])] == list(range(2, 2000))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([], []), ([1, 2], [2]), ([100], [1]), ([60, 40, 1], [2, 1]), ([60, 41], [1, 1]), ([100, 100], [1, 1])],
)
def test_a_transaction_takes_a_hundred_entries(sizes: list[int], expected: list[int]) -> None:
    """Changes stay whole and in their order."""
    changes = [many(version, size) for version, size in enumerate(sizes, start=1)]

    found = batches(changes)

    assert [len(batch) for batch in found] == expected
    assert [each for batch in found for each in batch] == changes


def test_every_instance_gets_the_next_number() -> None:
    """Without gaps, in the order of the changes, from the end of the feed."""
    changes = [change(7, "create", 70, 71), change(8, "delete", 80)]

    entries = number(changes, Head(41, EARLY), LATE)

    assert [(entry.sequence, entry.action, entry.instance, entry.change) for entry in entries] == [
        (42, "create", "1.70", 7),
        (43, "create", "1.71", 7),
        (44, "delete", "1.80", 8),
    ]
    assert {(entry.partition, entry.study, entry.series) for entry in entries} == {("p", "1", "2")}
    assert [entry.version for entry in entries] == [70, 71, 80]


@pytest.mark.parametrize(("last", "now"), [(EARLY, LATE), (LATE, EARLY), (LATE, LATE)])
def test_time_never_runs_backwards(last: datetime, now: datetime) -> None:
    """A clock that was set back does not put an entry before the one that ends the feed."""
    (entry,) = number([many(7, 1)], Head(0, last), now)

    assert entry.time == LATE


def test_nothing_to_enter_makes_no_entry() -> None:
    """As after a change that the feed has already."""
    assert number([], Head(5, EARLY), LATE) == []
