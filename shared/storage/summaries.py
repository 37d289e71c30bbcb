"""Reading and noting what anchors say of series, and having somebody look whether it still holds."""

import asyncio
import json
import logging
import math
from collections.abc import Iterable
from datetime import timedelta

from shared.errors import Unavailable
from shared.storage import keys
from shared.storage.anchors import Anchor, Summary, parse_anchor, render_summary
from shared.storage.keys import Scope, StudyKey
from shared.storage.storage import Storage
from shared.storage.tables import RowChanged, RowMissing, between, merge
from shared.storage.versions import next_version
from shared.storage.wire import StorageRefused

SOON = timedelta(seconds=1)
"""Longer than a reader's message takes, so that many readers at once send one."""

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


async def wake_all(storage: Storage, key: StudyKey, series: Iterable[str], delay: timedelta) -> None:
    """Have several series of a study looked at, as `wake` does."""
    await asyncio.gather(*(wake(storage, key, uid, delay) for uid in series))


def wake_aside(storage: Storage, key: StudyKey, series: Iterable[str], delay: timedelta) -> None:
    """As `wake_all`, while the caller goes on: the first message of a process takes long."""
    task = asyncio.create_task(wake_all(storage, key, series, delay))
    storage.memory.waking.add(task)
    task.add_done_callback(storage.memory.waking.discard)


async def wake(storage: Storage, key: StudyKey, series: str, delay: timedelta) -> None:
    """Have somebody look, a while from now, whether the summary of a series still holds.

    Where this process knows of a message that is still to be delivered, that one will do. One that gets
    lost does little harm: the next reader sends another.
    """
    now, seconds = asyncio.get_running_loop().time(), math.ceil(delay.total_seconds())
    until = storage.memory.woken.get((key.archive, series))
    if until is not None and until > now:
        return
    storage.memory.woken.put((key.archive, series), now + seconds)
    text = json.dumps({"partition": key.partition, "study": key.study, "series": series})
    try:
        await storage.queues.send(keys.REFRESH_QUEUE, text, visible_after_seconds=seconds)
    except (Unavailable, StorageRefused):
        storage.memory.woken.forget((key.archive, series))
        log.warning("queue %s takes no message; the next reader sends another", keys.REFRESH_QUEUE)
