"""Files are converted when there is room for what has to be held of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from shared.storage import archive
from shared.storage.calls import Calls, counted
from shared.storage.connection import resolve
from shared.storage.keys import study_key
from shared.storage.rows import FRAMES, LOCATION, METADATA
from shared.storage.storage import Storage, Times, open_storage
from shared.stow.checks import Rules, Taken
from shared.stow.store import store
from shared.wado.converted.files import Converted, convert_instance
from shared.wado.converted.workers import MAX_HELD_BYTES, Workers
from shared.web.multipart import Event, PartBegin, PartBytes, PartEnd
from shared.web.offers import EXPLICIT_LITTLE
from tests.factories import IMPLICIT, make
from tests.unit.wado.test_workers import until

FILE = make(IMPLICIT, SelectorOBValue=bytes(5_000_000))


async def parts() -> AsyncIterator[Event]:
    """A request that stores the file."""
    yield PartBegin({"content-type": "application/dicom"})
    yield PartBytes(FILE.content)
    yield PartEnd()


async def convert(storage: Storage, workers: Workers) -> Converted:
    """Convert the file to explicit VR."""
    select = (*LOCATION, *FRAMES, *METADATA)
    row = await archive.read_instance(storage, study_key("p", FILE.study), FILE.series, FILE.instance, select)
    assert row is not None
    return await convert_instance(
        storage, workers, row=row, wanted=EXPLICIT_LITTLE, max_native_bytes=100_000_000
    )


async def length_of(made: Converted) -> int:
    """Read all of it."""
    return sum([len(piece) async for piece in made.pieces])


def test_elements_are_read_when_there_is_room_for_them(new_account: Callable[[], str]) -> None:
    """Many at once would else take many times what the process may."""

    async def whole() -> tuple[Calls, int, int | None]:
        storage = open_storage(
            resolve("STORAGE", {"STORAGE": new_account()}), Times(timedelta(0), timedelta(minutes=15))
        )
        try:
            await store(storage, "p", Rules(None, is_v1=False, taken=Taken.REFUSE), parts())
            workers = Workers(1)
            with counted() as calls:
                async with workers.holding(MAX_HELD_BYTES):
                    converting = asyncio.create_task(convert(storage, workers))
                    await until(lambda: workers.waiting == 1)
                    before = Calls(calls.calls, calls.rows, calls.bytes_read)
                made = await converting
                return before, await length_of(made), made.length
        finally:
            await storage.aclose()

    before, length, told = asyncio.run(whole())

    assert before.bytes_read < 100_000
    assert length == told
    assert length > 5_000_000
