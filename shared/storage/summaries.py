"""Reading and noting what anchors say of series, and having somebody look whether it still holds."""

import asyncio
import json
import logging
import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

from shared.dicom.uid import parse_uid
from shared.errors import BadRequest
from shared.storage import keys
from shared.storage.anchors import Anchor, Summary, parse_anchor, render_summary
from shared.storage.keys import Scope, StudyKey
from shared.storage.partitions import check_name
from shared.storage.storage import Storage
from shared.storage.tables import RowChanged, RowMissing, between, merge
from shared.storage.versions import next_version

SOON = timedelta(seconds=1)
"""Longer than a reader's message takes, so that many readers at once send one."""

GATHER_SECONDS = 0.2
"""Series that are to be looked at within this time share a message, which costs more than other calls do."""

MAX_SERIES = 50
"""Of one message; about 12 KB."""

MAX_TO_WAKE = 4096
"""Series that wait for their message to be sent."""

log = logging.getLogger(__name__)


async def read_anchors(storage: Storage, scope: Scope) -> list[Anchor]:
    """The anchors of a series (one or none), or of all series of a study, in the order of their UIDs."""
    filter_text = between(scope.key.archive, *keys.anchor_rows(scope.series))
    pages = storage.tables.query(keys.ARCHIVE, filter_text)
    return [parse_anchor(row) async for page in pages for row in page]


async def note_summary(storage: Storage, key: StudyKey, anchor: Anchor, summary: Summary) -> bool:
    """Write down what was worked out from the instances of a series after its anchor was read.

    Returns:
        False when the series has changed meanwhile; then nothing was written.
    """
    values = render_summary(anchor.state or next_version(), summary)
    try:
        noting = merge(anchor.row, values, etag=anchor.etag)
        await storage.tables.transact(keys.ARCHIVE, key.archive, [noting])
    except (RowChanged, RowMissing) as conflict:
        if not conflict.after_retry:
            return False
        # After a lost answer it may be our own.
        found = await read_anchors(storage, Scope(key, anchor.series))
        return any(each.summary == summary for each in found)
    return True


def wake_aside(storage: Storage, key: StudyKey, series: Iterable[str], delay: timedelta) -> None:
    """Have several series of a study looked at, as `wake` does, while the caller goes on.

    It waits for nothing and fails at nothing: messages are sent by one task of this process, each for all
    that came within a moment. What is too much at once, or what a queue does not take, is forgotten.
    """
    memory = storage.memory
    for uid in series:
        if len(memory.to_wake) < MAX_TO_WAKE and _begin_to_wake(storage, key, uid, delay):
            memory.to_wake[key, uid] = delay
    if memory.to_wake and not memory.waking:
        task = asyncio.create_task(_send_all(storage))
        memory.waking.add(task)
        task.add_done_callback(memory.waking.discard)


async def _send_all(storage: Storage) -> None:
    to_wake = storage.memory.to_wake
    while to_wake:
        await asyncio.sleep(GATHER_SECONDS)
        delay = next(iter(to_wake.values()))
        together = [each for each, its_delay in to_wake.items() if its_delay == delay][:MAX_SERIES]
        for each in together:
            del to_wake[each]
        if not await _send(storage, together, delay):
            # The others would only wait for as long, and what is remembered of them keeps new ones away.
            _forget(storage, to_wake)
            to_wake.clear()


async def wake(storage: Storage, key: StudyKey, series: str, delay: timedelta) -> None:
    """Have somebody look, a while from now, whether the summary of a series still holds.

    Where this process knows of a message that is still to be delivered, that one will do. One that gets
    lost does little harm: the next reader sends another.
    """
    if _begin_to_wake(storage, key, series, delay):
        await _send(storage, [(key, series)], delay)


def _begin_to_wake(storage: Storage, key: StudyKey, series: str, delay: timedelta) -> bool:
    """Remember that a series is going to be looked at; False when that is known already."""
    now, woken = asyncio.get_running_loop().time(), storage.memory.woken
    until = woken.get((key.archive, series))
    if until is not None and until > now:
        return False
    woken.put((key.archive, series), now + math.ceil(delay.total_seconds()))
    return True


def _forget(storage: Storage, series: Iterable[tuple[StudyKey, str]]) -> None:
    for key, uid in series:
        storage.memory.woken.forget((key.archive, uid))


async def _send(storage: Storage, series: Sequence[tuple[StudyKey, str]], delay: timedelta) -> bool:
    """Send one message for some series; tell whether it was taken."""
    named = [{"partition": key.partition, "study": key.study, "series": uid} for key, uid in series]
    seconds = math.ceil(delay.total_seconds())
    try:
        await storage.queues.send(keys.REFRESH_QUEUE, json.dumps(named), visible_after_seconds=seconds)
    except Exception as error:
        # Whatever it is, nobody depends on it.
        _forget(storage, series)
        log.warning(
            "queue %s takes no message (%s); the next reader sends another",
            keys.REFRESH_QUEUE,
            type(error).__name__,
        )
        return False
    return True


def named_series(message: bytes) -> list[tuple[StudyKey, str]]:
    """Read which series a message names; none when it is not one of ours."""
    try:
        return [
            (StudyKey(check_name(each["partition"]), parse_uid(each["study"])), parse_uid(each["series"]))
            for each in json.loads(message)
        ]
    except (ValueError, KeyError, TypeError, RecursionError, BadRequest):
        return []
