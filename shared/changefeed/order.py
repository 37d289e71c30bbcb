"""In which order changes are entered, and under which numbers. Pure.

What happened at one address is a chain: an instance is made, replaced by an update any number of times,
and removed, and only then may another be made there. Versions are taken from the clock just before a
transaction, so they alone could turn round two changes that follow closely; the chains cannot.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from shared.storage.feed import MAX_ENTRIES, Entry
from shared.storage.pending import Pending
from shared.storage.storage import Head

_Address = tuple[str, str]
"""Series and instance."""


@dataclass(frozen=True, slots=True)
class _Link:
    """What one change did at one address: the version it found there and the one it left, if any."""

    change: Pending
    found: int | None
    left: int | None


def in_order(changes: Sequence[Pending], wanted: Iterable[int] | None = None) -> list[Pending]:
    """Sort the changes of one study: oldest first, and nothing before what must have gone before it.

    Args:
        changes: Every pending change of the study.
        wanted: Versions of those to enter; all when left out. What must be entered before them comes along.
    """
    before = _before(changes)
    chosen = None if wanted is None else set(wanted)
    placed: dict[int, Pending] = {}
    for change in sorted(changes, key=lambda change: change.version):
        if chosen is None or change.version in chosen:
            _place(change, before, placed)
    return list(placed.values())


def batches(changes: Sequence[Pending]) -> list[list[Pending]]:
    """Changes in groups of at most a hundred entries, in their order."""
    groups: list[list[Pending]] = []
    size = MAX_ENTRIES
    for change in changes:
        if size + len(change.changes) > MAX_ENTRIES:
            groups.append([])
            size = 0
        groups[-1].append(change)
        size += len(change.changes)
    return groups


def number(changes: Sequence[Pending], head: Head, now: datetime) -> list[Entry]:
    """Give every instance of some changes its number and time, after the end of the feed."""
    time = max(now, head.time)
    items = [(change, item) for change in changes for item in change.changes]
    return [
        Entry(
            sequence=sequence,
            time=time,
            action=change.action,
            partition=change.key.partition,
            study=change.key.study,
            series=item.series,
            instance=item.instance,
            version=item.version,
            change=change.version,
        )
        for sequence, (change, item) in enumerate(items, start=head.sequence + 1)
    ]


def _place(change: Pending, before: Mapping[int, Sequence[Pending]], placed: dict[int, Pending]) -> None:
    """Place a change behind all that must come before it."""
    path, seen = [change], {change.version}
    while path:
        missing = (each for each in before[path[-1].version] if each.version not in placed.keys() | seen)
        if (first := next(missing, None)) is None:
            done = path.pop()
            placed.setdefault(done.version, done)
        else:
            path.append(first)
            seen.add(first.version)


def _before(changes: Sequence[Pending]) -> dict[int, list[Pending]]:
    """For each change, those that come right before it at one of its addresses."""
    found: dict[int, list[Pending]] = defaultdict(list)
    for links in _by_address(changes).values():
        chain = _chain(links)
        for earlier, later in pairwise(chain):
            found[later.change.version].append(earlier.change)
    return found


def _by_address(changes: Sequence[Pending]) -> dict[_Address, list[_Link]]:
    links: dict[_Address, list[_Link]] = defaultdict(list)
    for change in sorted(changes, key=lambda change: change.version):
        replaced = {(item.series, item.instance): item.version for item in change.replaced}
        for item in change.changes:
            address = (item.series, item.instance)
            if change.action == "delete":
                links[address].append(_Link(change, item.version, None))
            else:
                links[address].append(_Link(change, replaced.get(address), item.version))
    return links


def _chain(links: Sequence[_Link]) -> list[_Link]:
    """What happened at one address, in the order in which it can only have happened.

    Several whole lives of instances may have passed there; among them versions decide. One that began
    earlier than these changes tell comes first, one that has not ended comes last.
    """
    if len(links) == 1:
        return list(links)
    unused: dict[int | None, _Link] = {link.found: link for link in links if link.found is not None}
    left = {link.left for link in links}
    lives: list[list[_Link]] = []
    for link in links:
        if link.found is None or link.found not in left:
            lives.append([link])
            unused.pop(link.found, None)
            while (following := unused.pop(lives[-1][-1].left, None)) is not None:
                lives[-1].append(following)
    lives.sort(key=lambda life: (life[0].found is None, life[-1].left is not None))
    # What no life reaches would be a version that came back, which nobody writes; it must stop nothing.
    return [*(link for life in lives for link in life), *unused.values()]
