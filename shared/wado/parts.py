"""The parts of an answer with several instances, some of them converted."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

from shared.storage import archive
from shared.storage.ahead import ended, read_ahead
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import FRAMES, LOCATION, METADATA, InstanceRow
from shared.storage.storage import Storage
from shared.wado.content import READ_AHEAD
from shared.wado.converted.files import Converted, check_convertible, convert_instance
from shared.wado.converted.pixels import MAX_NATIVE_BYTES
from shared.wado.converted.rules import INCONVERTIBLE, can_make_file
from shared.wado.converted.workers import Workers
from shared.wado.runs import Run, read_run, runs
from shared.web.links import Links
from shared.web.multipart import DICOM, closing, part_head, part_type

CONVERTED_AHEAD: Final = 2
"""Instances converted at once for one request, each of which may be made whole (`MAX_WHOLE_BYTES`)."""

MAX_UNASKED_BYTES: Final = 100 * 1024 * 1024
"""Pixels beyond it are not decompressed for who did not name a syntax (PS3.18 section 8.7.3.4)."""


@dataclass(frozen=True, slots=True)
class Found:
    """Instances that a client asks for."""

    storage: Storage
    workers: Workers
    scope: Scope
    rows: Sequence[InstanceRow]
    links: Links

    def identity(self, *further: str) -> tuple[str, ...]:
        """What tells an answer with these instances, in this order, from all others."""
        where = (self.scope.key.archive, self.scope.series or "", self.scope.instance or "", self.links.root)
        return (*where, *further, *(str(row.version) for row in self.rows))

    def head(self, boundary: str, row: InstanceRow, syntax: str, length: int | None) -> bytes:
        """The head of an instance's part."""
        return part_head(
            boundary,
            part_type(DICOM, syntax),
            first=row is self.rows[0],
            location=self.links.instance(row.study, row.series, row.instance),
            length=length,
        )

    def stored_head(self, boundary: str, row: InstanceRow) -> bytes:
        """The same of an instance as it is stored."""
        return self.head(boundary, row, row.transfer_syntax, row.location.length)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Into which transfer syntax, and how strictly."""

    wanted: str
    lenient: bool
    """Whether what cannot be converted is given as stored, as the client did not name the syntax."""

    def converts(self, row: InstanceRow) -> bool:
        """Whether an instance is to be converted.

        Raises:
            UnsupportedPixels: It would have to be, and is too long.
        """
        if row.transfer_syntax == self.wanted:
            return False
        try:
            check_convertible(row, self.wanted)
        except INCONVERTIBLE:
            if not self.lenient:
                raise
            return False
        return not self.lenient or can_make_file(row.transfer_syntax, self.wanted)


async def stored_parts(found: Found, boundary: str, heads: Sequence[bytes]) -> AsyncIterator[bytes]:
    """A multipart body of instances as they are stored."""
    by_version = {row.version: head for row, head in zip(found.rows, heads, strict=True)}
    sources = (partial(read_run, found.storage, run, by_version) for run in runs(found.rows))
    async with ended(read_ahead(sources, depth=READ_AHEAD)) as pieces:
        async for piece in pieces:
            yield piece
    yield closing(boundary)


def converted_parts(found: Found, boundary: str, conversion: Conversion) -> AsyncIterator[bytes]:
    """A multipart body of instances, each converted if it has to be.

    Raises:
        UnsupportedPixels: One of them is too long for it, and nothing has been read.
    """
    sources: list[Callable[[], AsyncIterator[bytes]]] = []
    for converts, group in groupby(found.rows, conversion.converts):
        if converts:
            sources += [partial(_converted_part, found, boundary, conversion, row) for row in group]
        else:
            sources += _stored_sources(found, boundary, list(group))
    return _one_after_another(sources, boundary)


async def convert_one(found: Found, row: InstanceRow, conversion: Conversion) -> Converted:
    """Convert an instance, whose row is read again with all it takes.

    Raises:
        BlobMissing: It has changed, or is gone.
        PixelError, NotDicom: It cannot be converted.
    """
    select = (*LOCATION, *FRAMES, *METADATA)
    now = await archive.read_instance(found.storage, found.scope.key, row.series, row.instance, select)
    if now is None or now.version != row.version:
        raise BlobMissing
    most = MAX_UNASKED_BYTES if conversion.lenient else MAX_NATIVE_BYTES
    return await convert_instance(
        found.storage, found.workers, row=now, wanted=conversion.wanted, max_native_bytes=most
    )


def _stored_sources(
    found: Found, boundary: str, rows: Sequence[InstanceRow]
) -> Iterator[Callable[[], AsyncIterator[bytes]]]:
    heads = {row.version: found.stored_head(boundary, row) for row in rows}
    return (partial(read_run, found.storage, run, heads) for run in runs(rows))


async def _one_after_another(
    sources: Sequence[Callable[[], AsyncIterator[bytes]]], boundary: str
) -> AsyncIterator[bytes]:
    async with ended(read_ahead(sources, depth=CONVERTED_AHEAD)) as pieces:
        async for piece in pieces:
            yield piece
    yield closing(boundary)


async def _converted_part(
    found: Found, boundary: str, conversion: Conversion, row: InstanceRow
) -> AsyncIterator[bytes]:
    try:
        made = await convert_one(found, row, conversion)
    except INCONVERTIBLE:
        if not conversion.lenient:
            raise
        run = Run(row.location.blob, row.location.start, (row,))
        head, stream = b"", read_run(found.storage, run, {row.version: found.stored_head(boundary, row)})
    else:
        head, stream = found.head(boundary, row, conversion.wanted, made.length), made.pieces
    async with ended(stream) as pieces:
        if head:
            yield head
        async for piece in pieces:
            yield piece
