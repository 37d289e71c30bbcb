"""The ledger knows what must be there, and no more; the weather follows from its seed."""

from itertools import permutations

import pytest

from tests.faults.files import File
from tests.faults.ledger import Belief, Kind, Ledger, Outcome, State, Visit, contradictions, settled
from tests.faults.weather import TROUBLES, pick_trouble

OLD = File("1.2", "1.2.1", "1.2.1.1", variant=1)
NEW = File("1.2", "1.2.1", "1.2.1.1", variant=2)
OTHER = File("1.2", "1.2.1", "1.2.1.1", variant=3)
AT = OLD.address("p")

NOTHING = Belief()
THERE = Belief(State.THERE, frozenset({OLD}), is_told=True)
MAYBE = Belief(State.UNKNOWN, frozenset({OLD}))


def stored(file: File) -> Visit:
    return Visit(Kind.STORE, Outcome.STORED, file)


def replaced(file: File) -> Visit:
    return Visit(Kind.UPSERT, Outcome.STORED, file)


def lost(kind: Kind, file: File | None = None) -> Visit:
    return Visit(kind, Outcome.UNCLEAR, file)


REFUSED = Visit(Kind.STORE, Outcome.EXISTS, NEW)
DELETED = Visit(Kind.DELETE, Outcome.DELETED)
MISSED = Visit(Kind.DELETE, Outcome.MISSING)

MEETINGS: dict[str, tuple[Belief, list[Visit], Belief]] = {
    "stored": (NOTHING, [stored(NEW)], Belief(State.THERE, frozenset({NEW}), is_told=True)),
    "stored where something may be": (
        MAYBE,
        [stored(NEW)],
        Belief(State.THERE, frozenset({NEW}), is_told=True),
    ),
    "refused": (THERE, [REFUSED], THERE),
    "refused where something may be": (MAYBE, [REFUSED], Belief(State.THERE, frozenset({OLD}))),
    "one of two": (NOTHING, [stored(OLD), REFUSED], THERE),
    "replaced": (THERE, [replaced(NEW)], Belief(State.THERE, frozenset({NEW}), is_told=True)),
    "replaced twice": (
        THERE,
        [replaced(NEW), replaced(OTHER)],
        Belief(State.THERE, frozenset({NEW, OTHER}), is_told=True),
    ),
    "a store without an answer": (
        NOTHING,
        [lost(Kind.STORE, NEW)],
        Belief(State.UNKNOWN, frozenset({NEW})),
    ),
    "a store without an answer where something is": (THERE, [lost(Kind.STORE, NEW)], THERE),
    "an upsert without an answer": (
        THERE,
        [lost(Kind.UPSERT, NEW)],
        Belief(State.THERE, frozenset({OLD, NEW}), is_told=True),
    ),
    "deleted": (THERE, [DELETED], Belief(is_told=True)),
    "nothing to delete": (MAYBE, [MISSED], NOTHING),
    "deleted by one of two": (THERE, [DELETED, MISSED], Belief(is_told=True)),
    "a deletion without an answer": (THERE, [lost(Kind.DELETE)], MAYBE),
    "a deletion of nothing without an answer": (NOTHING, [lost(Kind.DELETE)], NOTHING),
    "a store and a deletion": (
        THERE,
        [replaced(NEW), DELETED],
        Belief(State.UNKNOWN, frozenset({OLD, NEW})),
    ),
}


@pytest.mark.parametrize(("before", "meeting", "after"), MEETINGS.values(), ids=MEETINGS.keys())
def test_a_meeting_leaves_what_is_certain(before: Belief, meeting: list[Visit], after: Belief) -> None:
    for order in permutations(meeting):
        assert settled(before, order) == after


def test_what_cannot_be_true_is_noticed() -> None:
    assert contradictions(NOTHING, [REFUSED])
    assert not contradictions(MAYBE, [REFUSED])
    assert not contradictions(NOTHING, [REFUSED, stored(NEW)])


def test_requests_that_overlap_are_one_meeting() -> None:
    """The first has ended when the last begins; that in the middle met both."""
    ledger = Ledger()

    first = ledger.store(Kind.STORE, "p", [OLD])
    deletion = ledger.delete(("p", "1.2"))
    ledger.end(first, {AT: Outcome.STORED}, Outcome.UNCLEAR)
    last = ledger.store(Kind.STORE, "p", [NEW])
    stamps = ledger.stamps([AT])
    assert ledger.certain(stamps) == {}
    ledger.end(deletion, {}, Outcome.DELETED)
    ledger.end(last, {AT: Outcome.EXISTS}, Outcome.UNCLEAR)

    assert ledger.certain(stamps) == {}
    assert ledger.certain(ledger.stamps([AT])) == {AT: Belief(State.UNKNOWN, frozenset({OLD}))}


def test_a_deletion_may_take_what_was_sent_after_it() -> None:
    ledger = Ledger()

    deletion = ledger.delete(("p", "1.2"))
    request = ledger.store(Kind.STORE, "p", [OLD])
    ledger.end(request, {AT: Outcome.STORED}, Outcome.UNCLEAR)
    ledger.end(deletion, {}, Outcome.DELETED)

    assert ledger.told().there == set()
    assert ledger.told().gone == set()


def test_what_follows_one_another_is_certain() -> None:
    ledger = Ledger()

    ledger.end(ledger.store(Kind.STORE, "p", [OLD]), {AT: Outcome.STORED}, Outcome.UNCLEAR)
    assert ledger.told().there == {AT}
    assert ledger.told().sent == {AT: [OLD.content()]}
    ledger.end(ledger.delete(("p", "1.2", "1.2.1")), {}, Outcome.DELETED)

    assert ledger.told().there == set()
    assert ledger.told().gone == {AT}


def test_the_same_seed_makes_the_same_weather() -> None:
    """And another seed another; all kinds of trouble come."""
    week = [pick_trouble("1/0", number) for number in range(2000)]

    assert week == [pick_trouble("1/0", number) for number in range(2000)]
    assert week != [pick_trouble("1/1", number) for number in range(2000)]
    assert {*week} == {None, *TROUBLES}
