"""Reading the pending changes of many studies ahead of the writer of the feed."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.changefeed.order import in_order
from shared.storage import keys, pending
from shared.storage.aside import is_hopeless
from shared.storage.keys import ChangeKey, StudyKey
from shared.storage.mend import mend_index
from shared.storage.pending import Pending
from shared.storage.storage import Storage

READS_AT_ONCE: Final = 64
"""Studies read and not entered yet."""


@dataclass(frozen=True, slots=True)
class Round:
    """Changes to enter, some thousands at the most."""

    wanted: dict[StudyKey, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Their versions by study, in the order in which studies come."""

    blobs: dict[ChangeKey, str] = field(default_factory=dict)
    """What announces them."""

    strange: list[str] = field(default_factory=list)
    """Blobs that announce nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What there is to enter of a study."""

    changes: Sequence[Pending]
    """In order: the wanted ones that are pending still, and what has to be entered before them."""

    done: Sequence[ChangeKey] = ()
    """Wanted ones that are not pending any more."""

    failed: Mapping[ChangeKey, str] = field(default_factory=dict)
    """Wanted ones that could not be made ready, and why."""


def make_round(names: Iterable[str]) -> Round:
    """Sort what is announced by study."""
    found = Round()
    for name in names:
        try:
            key, version = keys.parse_change_blob(name)
        except ValueError:
            found.strange.append(name)
        else:
            found.wanted[key].add(version)
            found.blobs[ChangeKey(key, version)] = name
    return found


async def read_ahead(storage: Storage, wanted: Mapping[StudyKey, set[int]]) -> AsyncGenerator[Reading, None]:
    """Read study after study, many at once."""
    tasks: deque[asyncio.Task[Reading]] = deque()
    try:
        for key, versions in wanted.items():
            tasks.append(asyncio.create_task(_read(storage, key, versions)))
            if len(tasks) == READS_AT_ONCE:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(storage: Storage, key: StudyKey, versions: set[int]) -> Reading:
    """Read a study.

    What comes before a change was committed before it, so a reading that began later has it.
    """
    try:
        waiting = await pending.read_waiting(storage, key)
        changes = in_order(waiting.changes, versions)
        for change in changes:
            if change.version not in versions:
                # Its request is still at work, or ended without finishing: then we do it, as the row goes.
                await mend_index(storage, change)
    except Exception as error:
        if not is_hopeless(error):
            raise
        return Reading((), failed={ChangeKey(key, each): type(error).__name__ for each in versions})
    unreadable = {each for each in waiting.unreadable if each.version in versions}
    found = {change.version for change in changes} | {each.version for each in unreadable}
    done = [ChangeKey(key, version) for version in versions - found]
    return Reading(changes, done, dict.fromkeys(unreadable, "Unreadable"))
