"""What clients know for certain while their requests overlap, fail and get no answer.

Requests that are under way at the same address at the same time form a **meeting**. What is there is settled
when the last of them has ended, from what was there before and what each was told. Where stores and deletions
have met nobody knows, and where a request got no clear answer both may be true. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.faults.checker import Told
from tests.faults.files import Address, File


class State(Enum):
    """What is at an address."""

    GONE = auto()
    THERE = auto()
    UNKNOWN = auto()


class Kind(Enum):
    """What a request does."""

    STORE = auto()
    UPSERT = auto()
    DELETE = auto()


class Outcome(Enum):
    """What a client is told of one address."""

    STORED = auto()
    EXISTS = auto()
    """Refused, as there is one."""

    DELETED = auto()
    MISSING = auto()
    """Nothing to delete."""

    UNCLEAR = auto()
    """An error, or no answer at all: it may have happened or not."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is known of an address."""

    state: State = State.GONE
    contents: frozenset[File] = frozenset()
    """Those of which one is there, if there is any."""

    is_told: bool = False
    """Whether a request was told that it is so: then searches tell the same."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one request of a meeting did at an address."""

    kind: Kind
    outcome: Outcome
    file: File | None = None


Scope = tuple[str, ...]
"""The beginning of addresses: data partition, study, and perhaps series and instance."""


@dataclass(eq=False, slots=True)
class Request:
    """A request under way."""

    kind: Kind
    files: dict[Address, File | None]
    scope: Scope = ()


@dataclass(slots=True)
class _Place:
    belief: Belief = field(default_factory=Belief)
    stamp: int = 0
    """Grows with whatever begins or ends here."""

    under_way: int = 0
    meeting: list[Visit] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """What the clients of one run know together."""

    sent: dict[Address, set[File]] = field(default_factory=lambda: defaultdict(set))
    stored: Counter[Address] = field(default_factory=Counter)
    """How often somebody was told that it is stored."""

    contradictions: list[str] = field(default_factory=list)
    """What clients were told that cannot be true."""

    _places: dict[Address, _Place] = field(default_factory=lambda: defaultdict(_Place))
    _deletions: list[Request] = field(default_factory=list)

    def store(self, kind: Kind, partition: str, files: Iterable[File]) -> Request:
        """A client sends files, each to an address of its own."""
        request = Request(kind, {file.address(partition): file for file in files})
        for address, file in request.files.items():
            assert file is not None
            self.sent[address].add(file)
            self._enter(address)
            for deletion in self._deletions:
                if _is_within(address, deletion.scope) and address not in deletion.files:
                    deletion.files[address] = None
                    self._enter(address)
        return request

    def delete(self, scope: Scope) -> Request:
        """A client asks to delete all that is in a scope."""
        request = Request(Kind.DELETE, dict.fromkeys(self.within(scope)), scope)
        self._deletions.append(request)
        for address in request.files:
            self._enter(address)
        return request

    def end(self, request: Request, outcomes: Mapping[Address, Outcome], rest: Outcome) -> None:
        """A client is told what became of its request, or learns that nobody will ever tell.

        Args:
            request: It changes nothing any more.
            outcomes: What it was told.
            rest: The outcome at all other addresses.
        """
        if request in self._deletions:
            self._deletions.remove(request)
        for address, file in request.files.items():
            visit = Visit(request.kind, outcomes.get(address, rest), file)
            self.stored[address] += visit.outcome is Outcome.STORED
            self._leave(address, visit)

    def within(self, scope: Scope) -> list[Address]:
        """Every address of a scope that anything was ever sent to."""
        return [address for address in self.sent if _is_within(address, scope)]

    def stamps(self, addresses: Iterable[Address]) -> dict[Address, int]:
        """Where each address stands, to be compared after something was read."""
        return {address: self._places[address].stamp for address in addresses}

    def certain(self, stamps: Mapping[Address, int]) -> dict[Address, Belief]:
        """What was true for all the time since these stamps were taken, where that is known."""
        places = {address: self._places[address] for address, stamp in stamps.items()}
        return {
            address: place.belief
            for address, place in places.items()
            if not place.under_way and place.stamp == stamps[address]
        }

    def told(self) -> Told:
        """The same for the checker, when no request is under way."""
        told = Told()
        for address, sent in self.sent.items():
            belief = self._places[address].belief
            possible = sent if belief.state is State.GONE else belief.contents
            told.sent[address] = [file.content() for file in possible]
            if belief.state is State.THERE:
                told.there.add(address)
            elif belief.state is State.GONE:
                told.gone.add(address)
        return told

    def _enter(self, address: Address) -> None:
        place = self._places[address]
        place.under_way += 1
        place.stamp += 1

    def _leave(self, address: Address, visit: Visit) -> None:
        place = self._places[address]
        place.under_way -= 1
        place.stamp += 1
        place.meeting.append(visit)
        if not place.under_way:
            self.contradictions += [
                f"{address[0]}: {address} {what}" for what in contradictions(place.belief, place.meeting)
            ]
            place.belief = settled(place.belief, place.meeting)
            place.meeting = []


def settled(before: Belief, meeting: Sequence[Visit]) -> Belief:
    """What is known after a meeting."""
    deletions = [visit for visit in meeting if visit.kind is Kind.DELETE]
    stores = [visit for visit in meeting if visit.kind is not Kind.DELETE]
    if not deletions:
        return _after_stores(before, stores)
    if not stores:
        return _after_deletions(before, {visit.outcome for visit in deletions})
    arrived = _files(visit for visit in stores if visit.outcome is not Outcome.EXISTS)
    return Belief(State.UNKNOWN, before.contents | arrived)


def contradictions(before: Belief, meeting: Sequence[Visit]) -> list[str]:
    """What somebody was told in a meeting that cannot be true."""
    outcomes = {visit.outcome for visit in meeting}
    only_told_of_another = Outcome.EXISTS in outcomes and outcomes <= {Outcome.EXISTS}
    return ["was told to exist where nothing was"] * (only_told_of_another and before.state is State.GONE)


def _after_deletions(before: Belief, outcomes: Collection[Outcome]) -> Belief:
    if Outcome.DELETED in outcomes or Outcome.MISSING in outcomes:
        return Belief(is_told=Outcome.DELETED in outcomes)
    if before.state is State.GONE:
        return before
    return Belief(State.UNKNOWN, before.contents)


def _after_stores(before: Belief, stores: Sequence[Visit]) -> Belief:
    is_stored = any(visit.outcome is Outcome.STORED for visit in stores)
    is_there = is_stored or any(visit.outcome is Outcome.EXISTS for visit in stores)
    was_there = before.state is State.THERE
    unclear = [visit for visit in stores if visit.outcome is Outcome.UNCLEAR]
    if was_there:
        # A store that is no upsert leaves what is there.
        unclear = [visit for visit in unclear if visit.kind is Kind.UPSERT]
    arrived = _files(visit for visit in stores if visit.outcome is Outcome.STORED) | _files(unclear)
    return Belief(
        State.THERE if is_there or was_there else State.UNKNOWN,
        arrived if is_stored else arrived | before.contents,
        is_stored or (was_there and before.is_told),
    )


def _files(visits: Iterable[Visit]) -> frozenset[File]:
    return frozenset(visit.file for visit in visits if visit.file is not None)


def _is_within(address: Address, scope: Scope) -> bool:
    return address[: len(scope)] == scope
