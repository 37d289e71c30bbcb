"""Makes a large archive fast: the rows that storing each file would leave, written table by table.

What a row holds comes from the code that stores files. Only the order of the writes differs: rows of many
studies that lie in one partition go together, and what a stored change needs on its way (pending rows,
change blobs, the bytes themselves) is left out. A test compares the rows with those of a real store.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from shared.dicom.part10 import Part10Reader
from shared.storage import keys, terms
from shared.storage.connection import resolve
from shared.storage.index import wanted_rows
from shared.storage.keys import StudyKey
from shared.storage.planning import Known, plan_commit
from shared.storage.rows import Location
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import MAX_OPERATIONS, Operation, upsert_replace
from shared.stow.checks import Passed
from shared.stow.intake import Received
from shared.stow.together import make_instance

SECONDS_BETWEEN_STUDIES: Final = 150
"""Some 600 studies a day."""

_WRITERS: Final = 4
_RANDOM_BITS: Final = 10
"""Of a version, below its microseconds (`shared.storage.versions`)."""

_PENDING: Final = "pending|"

_Rows = dict[tuple[str, str], list[Operation]]
"""Operations by table and partition."""


async def write_archive(connection: str, files: Iterable[bytes]) -> None:
    """Fill an empty archive with files, each the only instance of a study of its own.

    They seem to have come in one after the other, as in a hospital, and not all within these minutes: what
    was stored in one hour lies together, and the emulator slows down with the rows that do.
    """
    storage = open_for_filling(connection)
    try:
        await _write(storage, _rows(list(files)))
    finally:
        await storage.aclose()


def open_for_filling(connection: str) -> Storage:
    """The storage account, as the service's own code uses it."""
    times = Times(retention=timedelta(days=3), grace=timedelta(minutes=15))
    return open_storage(resolve("STORAGE", {"STORAGE": connection}), times)


def _rows(files: Sequence[bytes]) -> _Rows:
    rows: _Rows = defaultdict(list)
    first = time.time() - len(files) * SECONDS_BETWEEN_STUDIES
    for number, content in enumerate(files):
        arrived = version_at(first + number * SECONDS_BETWEEN_STUDIES)
        for table, partition, operation in _rows_of(content, arrived):
            rows[table, partition].append(operation)
    return rows


def version_at(seconds: float) -> int:
    """The version that something stored then would have; the next few are free too."""
    return int(seconds * 1_000_000) << _RANDOM_BITS


def _rows_of(content: bytes, arrived: int) -> Iterator[tuple[str, str, Operation]]:
    reader = Part10Reader()
    reader.feed(content)
    file = reader.finish()
    key = keys.study_key(keys.DEFAULT_PARTITION, file.identity.study)
    received = Received(file, Passed(None, ()), arrived, content, None)
    place = Location(_blob(key, received), 0, len(content))
    new = make_instance(received, place)
    plan = plan_commit(key, Known(None, {new.series: None}), [new], arrived + 1)
    for operation in plan.operations:
        if not operation.row.startswith(_PENDING):
            yield keys.ARCHIVE, key.archive, operation
    series = {uid: change.after for uid, change in plan.series.items()}
    found = wanted_rows(key, plan.study.after, series) | terms.instance_row(key, new.series, new.instance)
    for where, values in found.items():
        yield where.table, where.partition, upsert_replace(where.row, values)


def _blob(key: StudyKey, received: Received) -> str:
    identity = received.file.identity
    return keys.instance_blob(key, identity.series, identity.instance, received.version)


async def _write(storage: Storage, rows: _Rows) -> None:
    waiting = iter([(where, part) for where, operations in rows.items() for part in _parts(operations)])

    async def write() -> None:
        for (table, partition), operations in waiting:
            await storage.tables.transact(table, partition, operations)

    await asyncio.gather(*(write() for _ in range(_WRITERS)))


def _parts(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    for at in range(0, len(operations), MAX_OPERATIONS):
        yield operations[at : at + MAX_OPERATIONS]
