"""Doing what a commit or a removal had still to do when its process ended."""

from shared.storage.archive import read_known
from shared.storage.commit import settle
from shared.storage.index import agree, wanted_rows
from shared.storage.pending import Pending
from shared.storage.storage import Storage
from shared.storage.uids import agree_on_uids


async def mend_index(storage: Storage, change: Pending) -> None:
    """Make the search tables agree with what a change touched, as it is now."""
    key = change.key
    known = await read_known(storage, key, {item.series for item in change.changes})
    await agree(storage.tables, change.touched, wanted_rows(key, known.study, known.series))
    await settle(storage, key, change.touched, known)
    await agree_on_uids(storage, key, [(item.series, item.instance) for item in change.changes])
