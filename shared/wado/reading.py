"""A stored file read once from its first byte to its last, a deflated dataset inflated on the way."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from io import BytesIO
from typing import Final

from shared.dicom.errors import NotDicom
from shared.dicom.frames import DEFLATED_STEP_BYTES, FrameIndex, FrameSpan, cut_frame
from shared.dicom.rewrite import turned
from shared.storage.ahead import close, ended
from shared.wado.cutting import in_threads

STEP_BYTES: Final = 256 * 1024
"""Inflated or turned at once: so long the loop waits for it."""


MAX_ROOM_BYTES: Final = 128 * 1024 * 1024
"""Set aside for what is taken at once, whatever its length is said to be."""


class Reading:
    """Takes a file apart as its bytes come; holds little more than what is taken at once."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self.position = 0
        """Bytes taken so far, of the file or, once it is inflated, of the dataset."""

        self._pieces = pieces
        self._held = bytearray()
        self._last = b""
        """Where the last frame taken ended."""

    async def look(self, length: int) -> bytes:
        """The next bytes, which stay there; fewer at the end."""
        await self._hold(length)
        with memoryview(self._held) as held:
            return bytes(held[:length])

    async def take(self, length: int) -> bytes:
        """The next bytes.

        Raises:
            NotDicom: There are fewer.
        """
        taken = await self._gather(length, about=length)
        if len(taken) < length:
            raise NotDicom("The file ends before its pixel data do.")
        return taken

    async def take_rest(self, most: int, about: int = 0) -> bytes:
        """All that is left, which may be known to be about so much.

        Raises:
            NotDicom: It is more than `most` bytes.
        """
        taken = await self._gather(most, about)
        if await self.look(1):
            raise NotDicom(f"More than {most} bytes would have to be rewritten at once.")
        return taken

    async def pass_on(self, length: int | None = None) -> AsyncGenerator[bytes, None]:
        """The next bytes, or all that are left, as they come.

        Raises:
            NotDicom: There are fewer.
        """
        left = length
        while left != 0:
            await self._hold(1)
            if not self._held:
                if left is None:
                    return
                raise NotDicom("The file ends before its pixel data do.")
            piece = self._cut(len(self._held) if left is None else left)
            left = None if left is None else left - len(piece)
            yield piece

    async def skip(self, length: int) -> None:
        """Pass over bytes."""
        async for _ in self.pass_on(length):
            pass

    def inflate(self) -> None:
        """Take what follows as deflated, and count from here."""
        self._pieces = _inflated(bytes(self._held), self._pieces)
        self._held.clear()
        self.position = 0

    def turn(self, length: int, size: int) -> None:
        """Take the next bytes as numbers of `size` bytes in the other order."""
        self._pieces = _turned(bytes(self._held), self._pieces, length, size)
        self._held.clear()

    async def frames(self, index: FrameIndex) -> AsyncGenerator[bytes, None]:
        """Every frame in file order, without item headers, one-bit pixels from the lowest bit on."""
        for span in index.spans():
            yield await self.frame(span)

    async def frame(self, span: FrameSpan) -> bytes:
        """A frame that does not stand before the last one taken, without item headers."""
        # Frames that do not fill their last byte share it with the next.
        shared = max(self.position - span.start, 0)
        await self.skip(max(span.start - self.position, 0))
        raw = await self.take(span.length - shared)
        if shared:
            raw = self._last[len(self._last) - shared :] + raw
        self._last = raw[-1:]
        return cut_frame(span, raw)

    async def aclose(self) -> None:
        """End the reading."""
        await close(self._pieces)

    async def _gather(self, length: int, about: int) -> bytes:
        """The next bytes, or all that are left; held once, however many they are."""
        if length <= len(self._held):
            return self._cut(length)
        # Has room for all at once: whatever grows is copied, and nothing else runs meanwhile.
        gathered, left = BytesIO(bytes(min(about, MAX_ROOM_BYTES))), length
        await self._hold(1)
        while left and self._held:
            left -= gathered.write(self._cut(left))
            await self._hold(min(left, 1))
        gathered.truncate()
        return gathered.getvalue()

    def _cut(self, length: int) -> bytes:
        """The next of the bytes held, at most so many."""
        with memoryview(self._held) as held:
            piece = bytes(held[:length])
        del self._held[: len(piece)]
        self.position += len(piece)
        return piece

    async def _hold(self, length: int) -> None:
        while len(self._held) < length and (piece := await anext(self._pieces, b"")):
            self._held += piece


async def _inflated(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    async with aclosing(_chained(first, rest)) as pieces:
        async for piece in pieces:
            async with aclosing(in_threads(_steps(inflater, piece))) as found:
                async for plain in found:
                    yield plain
    if not inflater.eof:
        raise NotDicom("The file ends within the deflated dataset.")


async def _turned(
    first: bytes, rest: AsyncIterator[bytes], length: int, size: int
) -> AsyncGenerator[bytes, None]:
    inner = Reading(_chained(first, rest))
    async with aclosing(inner):
        left = length
        while left:
            step = min(left, STEP_BYTES)
            yield turned(await inner.take(step), size)
            left -= step
        async for piece in inner.pass_on():
            yield piece


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async with ended(rest) as pieces:
        if first:
            yield first
        async for piece in pieces:
            yield piece


def _steps(inflater: "zlib._Decompress", deflated: bytes) -> Iterator[bytes]:
    for at in range(0, len(deflated), DEFLATED_STEP_BYTES):
        left, plain = deflated[at : at + DEFLATED_STEP_BYTES], b""
        # Some may still be to come when all that was given is consumed.
        while (left or plain) and not inflater.eof:
            try:
                plain = inflater.decompress(left, STEP_BYTES)
            except zlib.error as error:
                raise NotDicom("The dataset is not deflated as its transfer syntax says.") from error
            left = inflater.unconsumed_tail
            yield plain
