"""Metadata as XML are rendered when there is room for it, and take no more than that."""

import asyncio
import tracemalloc
from collections.abc import AsyncGenerator, Iterable
from functools import partial

from shared.wado.converted.workers import Workers, given
from shared.wado.metadata.xml import BYTES_FOR_EACH, documents
from tests.unit.wado.test_workers import Gate, until

TEXT = b'{"00540016":{"vr":"SQ","Value":[' + b",".join([b"{}"] * 100_000) + b"]}}"
"""The smallest items, which take the most as values and as XML."""


async def texts() -> AsyncGenerator[Iterable[bytes], None]:
    """Metadata of one instance."""
    yield [TEXT]


async def rendered(workers: Workers) -> bytes:
    """The whole answer."""
    return b"".join([piece async for piece in documents(texts(), workers, "boundary")])


def test_documents_wait_for_room() -> None:
    """Four at once would else take as much as all work may."""

    async def whole() -> tuple[bool, bytes]:
        workers, gate = Workers(2, BYTES_FOR_EACH * len(TEXT)), Gate()
        other = asyncio.ensure_future(workers.run(partial(given, b""), gate.work, 1))
        await until(lambda: gate.entered == 1)
        mine = asyncio.ensure_future(rendered(workers))
        await until(lambda: workers.waiting == 1)
        was_done = mine.done()
        gate.open.set()
        await other
        return was_done, await mine

    was_done, body = asyncio.run(whole())

    assert not was_done
    assert body.count(b"<Item ") == 100_000


def test_documents_take_no_more_than_they_are_charged_with() -> None:
    asyncio.run(rendered(Workers(1)))

    tracemalloc.start()
    asyncio.run(rendered(Workers(1)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < BYTES_FOR_EACH * len(TEXT)
