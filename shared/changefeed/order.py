"""In which order changes are entered, and under which numbers. Pure."""

from collections.abc import Sequence
from datetime import datetime

from shared.storage.feed import MAX_ENTRIES, Entry
from shared.storage.pending import Pending
from shared.storage.storage import Head

_Made = tuple[str, str, int]
"""Series, instance and version: what one change makes and at most one other removes."""


def in_order(changes: Sequence[Pending]) -> list[Pending]:
    """Sort the changes of one study: oldest first, and nothing removed before it was made.

    Versions are taken from the clock just before a transaction, so they alone could turn round two that
    follow closely.
    """
    makers = _makers(changes)
    placed: dict[int, Pending] = {}

    def place(change: Pending) -> None:
        if change.action == "delete":
            for maker in _of(change, makers):
                placed.setdefault(maker.version, maker)
        placed.setdefault(change.version, change)

    for change in sorted(changes, key=lambda change: change.version):
        place(change)
    return list(placed.values())


def needed(changes: Sequence[Pending], others: Sequence[Pending]) -> list[Pending]:
    """Those others that made what one of the changes removes."""
    makers = _makers(others)
    found = {
        maker.version: maker
        for change in changes
        if change.action == "delete"
        for maker in _of(change, makers)
    }
    return list(found.values())


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


def _makers(changes: Sequence[Pending]) -> dict[_Made, Pending]:
    return {
        (item.series, item.instance, item.version): change
        for change in changes
        if change.action == "create"
        for item in change.changes
    }


def _of(change: Pending, makers: dict[_Made, Pending]) -> list[Pending]:
    made = [(item.series, item.instance, item.version) for item in change.changes]
    return [makers[item] for item in made if item in makers]
