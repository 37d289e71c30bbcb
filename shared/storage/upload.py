"""Uploading a blob in blocks while its bytes arrive, in bounded memory."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from shared.storage.blobs import BlobExists, BlobMissing, Blobs, Body

BLOCK_BYTES = 4 * 1024 * 1024
MAX_BLOCKS_AT_ONCE = 3
"""Blocks on their way at one time; with the one being filled they bound the memory of an upload."""


async def put_new(blobs: Blobs, container: str, name: str, body: Body) -> None:
    """Write a blob under a name that nobody else uses.

    Raises:
        BlobExists: Somebody does.
        Unavailable: No clear answer came; whether it was written is unknown.
    """
    try:
        await blobs.put(container, name, body)
    except BlobExists as conflict:
        # After a lost answer it is our own.
        if not conflict.after_retry:
            raise


class BlockUpload:
    """A blob that becomes visible, whole, when it is finished. Left unfinished it never existed."""

    def __init__(self, blobs: Blobs, container: str, name: str) -> None:
        self._blobs = blobs
        self._container = container
        self._name = name
        self._filling = bytearray()
        self._sent = 0
        self._on_the_way: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._on_the_way:
            task.cancel()
        await asyncio.gather(*self._on_the_way, return_exceptions=True)
        self._on_the_way.clear()

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes; waits while too many blocks are on their way."""
        self._filling += data
        while len(self._filling) >= BLOCK_BYTES:
            block = bytes(memoryview(self._filling)[:BLOCK_BYTES])
            del self._filling[:BLOCK_BYTES]
            await self._send(block)

    async def cut(self) -> int:
        """End the block that is being filled, wait until all are there, and give the number of the next."""
        await self._send_rest()
        await self._settle(0)
        return self._sent

    async def finish(self, order: Iterable[int] | None = None) -> None:
        """Make the blob, whose name nobody else uses, visible.

        Args:
            order: The numbers of its blocks, where they do not lie in the blob as they were written.

        Raises:
            BlobExists: There is one of that name.
            BlobMissing: A block is gone; the service keeps them for a week.
        """
        await self.cut()
        names = [_block_name(number) for number in (range(self._sent) if order is None else order)]
        try:
            await self._blobs.commit(self._container, self._name, names)
        except BlobExists as conflict:
            if not conflict.after_retry:
                raise
        except BlobMissing:
            # After a lost answer the blocks are used up, and the blob is there.
            if not await self._blobs.exists(self._container, self._name):
                raise

    async def _send_rest(self) -> None:
        if self._filling:
            await self._send(bytes(self._filling))
            self._filling.clear()

    async def _send(self, block: bytes) -> None:
        await self._settle(MAX_BLOCKS_AT_ONCE - 1)
        name = _block_name(self._sent)
        self._sent += 1
        staged = self._blobs.stage(self._container, self._name, name, block)
        self._on_the_way.add(asyncio.create_task(staged))

    async def _settle(self, most: int) -> None:
        """Wait until at most so many blocks are on their way; an upload that failed is raised here."""
        while len(self._on_the_way) > most:
            done, self._on_the_way = await asyncio.wait(self._on_the_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()


def _block_name(number: int) -> str:
    return f"{number:08d}"
