"""Makes a large archive of files fast: the rows that storing each would leave, written into a file of tables.

What a row holds comes from the code that stores files. They are those of series that have come to rest.
Left out is what a stored change needs on its way: pending rows, change blobs, the bytes themselves. A test
compares the rows with those of a real store.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from bench.tableserver import TableFile
from shared.dicom.part10 import Part10Reader
from shared.storage import keys, terms
from shared.storage.anchors import Summary, render_summary
from shared.storage.index import wanted_rows
from shared.storage.keys import StudyKey
from shared.storage.planning import Known, plan_commit
from shared.storage.rows import Location
from shared.storage.tables import Value
from shared.storage.terms import IndexKey
from shared.stow.checks import Passed
from shared.stow.intake import Received
from shared.stow.together import make_instance

SECONDS_BETWEEN_STUDIES: Final = 150
"""Some 600 studies a day."""

_RANDOM_BITS: Final = 10
"""Of a version, below its microseconds (`shared.storage.versions`)."""

_PENDING: Final = "pending|"
_AT_ONCE: Final = 500


def write_archive(tables: TableFile, files: Iterable[bytes], count: int) -> None:
    """Write the rows of files, each the only instance of a study of its own.

    They seem to have come in one after the other, as in a hospital, and not all within these minutes.

    Args:
        tables: Where to.
        files: The files, the oldest first.
        count: How many there are.
    """
    first = time.time() - count * SECONDS_BETWEEN_STUDIES
    numbered = enumerate(files)
    while chunk := list(islice(numbered, _AT_ONCE)):
        with tables.transaction():
            for number, content in chunk:
                arrived = version_at(first + number * SECONDS_BETWEEN_STUDIES)
                for where, values in _rows_of(content, arrived):
                    tables.put(where.table, [(where.partition, where.row, tables.keep(values))])


def version_at(seconds: float) -> int:
    """The version that something stored then would have; the next few are free too."""
    return int(seconds * 1_000_000) << _RANDOM_BITS


def _rows_of(content: bytes, arrived: int) -> Iterator[tuple[IndexKey, Mapping[str, Value]]]:
    reader = Part10Reader()
    reader.feed(content)
    file = reader.finish()
    key = keys.study_key(keys.DEFAULT_PARTITION, file.identity.study)
    received = Received(file, Passed(None, ()), arrived, content, None)
    place = Location(_blob(key, received), 0, len(content))
    new = make_instance(received, place)
    plan = plan_commit(key, Known(None, {new.series: None}), [new], arrived + 1)
    anchor = keys.anchor_row(new.series, arrived + 1)
    noted = {anchor: render_summary(arrived + 1, Summary(1, arrived, None))}
    for operation in plan.operations:
        if not operation.row.startswith(_PENDING):
            values = noted.get(operation.row, operation.values)
            yield IndexKey(keys.ARCHIVE, key.archive, operation.row), values
    series = {uid: change.after for uid, change in plan.series.items()}
    found = wanted_rows(key, plan.study.after, series) | terms.instance_row(key, new.series, new.instance)
    yield from found.items()


def _blob(key: StudyKey, received: Received) -> str:
    identity = received.file.identity
    return keys.instance_blob(key, identity.series, identity.instance, received.version)
