"""Table `uploads`: what clients upload, or may still upload, past the service.

A row is there before its address is handed out and goes last, so that every blob of container `uploads`
has one as long as it matters. The table holds what is under way and nothing else: a sweep reads little.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.storage import keys
from shared.storage.storage import Storage
from shared.storage.tables import Row, RowChanged, RowExists, RowMissing, Value, insert, less, merge
from shared.storage.tables import delete as removal


class State(StrEnum):
    """How far an upload is."""

    OPEN = "open"
    """The client may upload, and say that it has."""

    FINISHED = "finished"
    """The client said so; the content is stored, or will be."""

    ABANDONED = "abandoned"
    """Its time was over before the client said anything."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How an upload is to be stored: what a store request says by its path and headers."""

    partition: str
    """Name of the data partition, as the client wrote it."""

    is_v1: bool
    root: str
    """What stands before `/studies` in the URLs of the answer."""

    study: str | None
    """The study that all instances must belong to."""

    content_type: str
    content_encoding: str
    """Empty when there is none."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload. Its id is that of its operation, and the name of its blob."""

    id: str
    terms: Terms
    expires: datetime
    """When its address ends."""

    due: datetime
    """When the sweep looks at it."""

    state: State
    length: int
    """Bytes, once it is finished."""

    content: str = field(repr=False)
    """Version of the blob that the client finished; nothing else is stored."""

    etag: str = field(repr=False)


async def create(storage: Storage, upload: str, terms: Terms, *, expires: datetime, due: datetime) -> None:
    """Note an upload that may come. The sweep looks at it when it is due."""
    values: dict[str, Value] = {
        "partition": terms.partition,
        "v1": terms.is_v1,
        "root": terms.root,
        "type": terms.content_type,
        "encoding": terms.content_encoding,
        "expires": expires,
        "state": State.OPEN.value,
        "due": due,
    }
    if terms.study is not None:
        values["study"] = terms.study
    try:
        await storage.tables.transact(keys.UPLOADS, keys.upload_key(upload), [insert(upload, values)])
    except RowExists as conflict:
        # After a lost answer it is our own.
        if not conflict.after_retry:
            raise


async def read(storage: Storage, upload: str) -> Upload | None:
    """Read an upload; None when there is none, or it has been dealt with."""
    row = await storage.tables.get(keys.UPLOADS, keys.upload_key(upload), upload)
    return _upload(row) if row else None


async def every(storage: Storage) -> list[Upload]:
    """All uploads under way."""
    pages = storage.tables.query(keys.UPLOADS, less("PartitionKey", keys.AFTER))
    return [_upload(row) async for page in pages for row in page]


async def finish(storage: Storage, upload: Upload, *, length: int, content: str, due: datetime) -> bool:
    """Write down what was uploaded; False when somebody changed the row meanwhile."""
    values: dict[str, Value] = {
        "state": State.FINISHED.value,
        "length": length,
        "content": content,
        "due": due,
    }
    return await _change(storage, upload, values)


async def abandon(storage: Storage, upload: Upload) -> bool:
    """Say that it is too late; False when somebody changed the row meanwhile."""
    return await _change(storage, upload, {"state": State.ABANDONED.value})


async def look_again(storage: Storage, upload: Upload, when: datetime) -> bool:
    """Have the sweep come back later; False when somebody changed the row meanwhile."""
    return await _change(storage, upload, {"due": when})


async def remove(storage: Storage, upload: str) -> None:
    """Forget an upload that has been dealt with."""
    try:
        await storage.tables.transact(keys.UPLOADS, keys.upload_key(upload), [removal(upload)])
    except RowMissing:
        return


async def _change(storage: Storage, upload: Upload, values: Mapping[str, Value]) -> bool:
    step = merge(upload.id, values, etag=upload.etag)
    try:
        await storage.tables.transact(keys.UPLOADS, keys.upload_key(upload.id), [step])
    except (RowChanged, RowMissing):
        return False
    return True


def _upload(row: Row) -> Upload:
    values = row.values
    study, length = values.get("study"), values.get("length", 0)
    assert isinstance(length, int)
    terms = Terms(
        partition=str(values["partition"]),
        is_v1=values["v1"] is True,
        root=str(values["root"]),
        study=None if study is None else str(study),
        content_type=str(values["type"]),
        content_encoding=str(values["encoding"]),
    )
    state, content = State(str(values["state"])), str(values.get("content", ""))
    expires, due = _time(row, "expires"), _time(row, "due")
    return Upload(row.row, terms, expires, due, state, length, content, row.etag)


def _time(row: Row, name: str) -> datetime:
    value = row.values[name]
    assert isinstance(value, datetime)
    return value
