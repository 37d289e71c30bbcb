"""Everything in a scope as one ZIP archive, written while it is sent (PS3.18 section 8.7.3.6).

The files go in as they are stored. Entries are named by UIDs: nothing about a patient is in a name. Pixels
are compressed already or hardly compress, so entries are deflated without compression: unlike with entries
that are merely stored, who reads the archive from a stream can then tell where each ends.
"""

import io
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import IO, Final

from shared.errors import NotFound
from shared.storage import archive, keys
from shared.storage.ahead import primed, read_ahead
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import LOCATION, InstanceRow
from shared.storage.storage import Storage
from shared.wado.content import MAX_TRIES, VARY, lost
from shared.wado.reading import Reading
from shared.wado.runs import by_place, runs
from shared.web.answer import Answer
from shared.web.offers import ZIP

LARGE_BYTES: Final = 2 * 1024**3 - 1024 * 1024
"""An entry from here on has 64-bit sizes. Others have not, as not every reader knows them."""


async def retrieve_zip(storage: Storage, scope: Scope) -> Answer:
    """Answer with every file in a scope, in one archive.

    Raises:
        NotFound: There is nothing in the scope.
        Unavailable: The bytes of an instance are not where they should be.
    """
    for _ in range(MAX_TRIES):
        pages = archive.read_instances(storage, scope, LOCATION)
        rows = [row async for page in pages for row in page]
        if not rows:
            raise NotFound(f"The specified {scope.level} was not found.")
        try:
            body = await primed(_archive(storage, by_place(rows)))
        except BlobMissing:
            # Deleted or moved to another pack since its row was read: the row tells which.
            continue
        name = scope.series or scope.key.study
        headers = {"Content-Type": ZIP, "Content-Disposition": f'attachment; filename="{name}.zip"', **VARY}
        return Answer(200, headers, body, {"instances": len(rows)})
    raise await lost(storage, rows)


async def _archive(storage: Storage, rows: Sequence[InstanceRow]) -> AsyncIterator[bytes]:
    sources = [partial(storage.blobs.read, keys.DICOM, run.blob, run.start, run.length) for run in runs(rows)]
    with closing(_Writer()) as writer:
        async with aclosing(Reading(read_ahead(sources))) as reading:
            for row in rows:
                writer.begin(f"{row.series}/{row.instance}.dcm", row.location.length)
                async for piece in reading.pass_on(row.location.length):
                    if written := writer.write(piece):
                        yield written
        yield writer.finish()


class _Writer:
    """Makes an archive of what it is given, piece by piece."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._archive = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=0)
        self._entry: IO[bytes] | None = None

    def begin(self, name: str, length: int) -> None:
        """Begin an entry; the one before is complete."""
        self._end()
        self._entry = self._archive.open(name, "w", force_zip64=length > LARGE_BYTES)

    def write(self, piece: bytes) -> bytes:
        """Take the next bytes of the entry, and give the next ones of the archive."""
        if self._entry is not None:
            self._entry.write(piece)
        return self._sink.take()

    def finish(self) -> bytes:
        """The end of the archive: what it holds."""
        self.close()
        return self._sink.take()

    def close(self) -> None:
        """Let go of it, complete or not."""
        self._end()
        self._archive.close()

    def _end(self) -> None:
        if self._entry is not None:
            self._entry.close()
        self._entry = None


class _Sink(io.RawIOBase):
    """Holds what is written until it is sent. It cannot go back, so nothing that is written is changed."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile writes bytes alone
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
