"""What all measurements of retrieving have in common: requests in turn, and bare reads of blobs."""

from collections.abc import Sequence

from bench.files import Place
from bench.load import Answer, Server, Work
from bench.raw import Raw
from bench.stage import Stage

DICOM = "dicom"
"""The service's container of files."""

Blob = tuple[str, int]
"""Name and length."""


async def find_blobs(stage: Stage, place: Place) -> list[Blob]:
    """The blobs with the files of a study."""
    return [blob for blob in await stage.raw.list_blobs(DICOM) if f"/{place.study_uid}/" in blob[0]]


def holds(size: int, _number: int, body: bytes) -> bool:
    """Whether so many bytes came, and hardly more than the heads of their parts."""
    return size <= len(body) < size * 1.01


def turn(number: int, count: int) -> int:
    """Which of several things a request asks for: far apart from one to the next."""
    return number * 7 % count


async def gets(
    paths: Sequence[str], accept: str, server: Server, count: int, *, coding: str = ""
) -> list[Work]:
    """So many requests, each for another path until all have had their turn."""
    return [server.get(paths[turn(number, len(paths))], accept, coding) for number in range(count)]


async def turns(works: Sequence[Work], count: int) -> list[Work]:
    """So many pieces of work out of a few, in the same order."""
    return [works[turn(number, len(works))] for number in range(count)]


async def read(raw: Raw, name: str, container: str = DICOM, span: tuple[int, int] | None = None) -> Answer:
    """Read a blob, or some bytes of it from a position on."""
    start, length = span or (0, None)
    return Answer(len(await raw.get_blob(container, name, start, length)))
