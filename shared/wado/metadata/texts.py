"""The metadata of instances as text, from the rows that hold them: one JSON object for each."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from shared.dicom.bulk_links import drop_bulk, link_bulk
from shared.dicom.metadata import inflate
from shared.storage import archive
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.web.links import Links

ROWS_AT_ONCE = 150
"""Rows with metadata held at one time: a few kilobytes each as a rule, some 400 at the most."""

PIECE_BYTES = 64 * 1024
"""About how much is sent at once."""

Pages = AsyncIterator[list[InstanceRow]]
Texts = AsyncGenerator[Iterable[bytes], None]
"""The JSON object of each instance, in pieces."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a client wants metadata."""

    media_type: str
    """JSON of either name, or XML."""

    links: Links
    """What BulkDataURIs begin with."""

    joined_base: str
    """What those begin with that are joined beforehand, or `NO_BULK`."""

    omits_bulk: bool = False
    """Whether elements of bulk VRs stay out, as Azure has it, and are not named by reference."""

    takes_gzip: bool = False

    if_none_match: str | None = None
    """The request's header; a match is answered 304."""


async def texts_of(storage: Storage, pages: Pages, wish: Wish) -> Texts:
    """The JSON objects of instances whose rows were read with their metadata."""
    async for page in pages:
        for row in page:
            yield as_wished(row, await archive.read_metadata(storage, row), wish)


def as_wished(row: InstanceRow, compressed: bytes, wish: Wish) -> Iterator[bytes]:
    """The JSON object of an instance with its BulkDataURIs as a client is to see them."""
    if wish.omits_bulk:
        return drop_bulk(inflate(compressed))
    url = wish.links.instance(row.study, row.series, row.instance)
    return link_bulk(inflate(compressed), f"{url}/bulkdata")


async def in_line(texts: Texts) -> AsyncGenerator[bytes, None]:
    """All objects with commas between them, in pieces of about `PIECE_BYTES`."""
    gathered, before = bytearray(), b""
    async with aclosing(texts):
        async for text in texts:
            gathered += before
            before = b","
            for piece in text:
                gathered += piece
                if len(gathered) >= PIECE_BYTES:
                    yield bytes(gathered)
                    gathered.clear()
    if gathered:
        yield bytes(gathered)
