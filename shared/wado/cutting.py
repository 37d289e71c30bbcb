"""Streams of stored bytes, cut to what is wanted of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final, Protocol

from shared.dicom.frames import SpanInflater
from shared.errors import NotAcceptable
from shared.storage.ahead import ended

MAX_INFLATED_BYTES: Final = 100 * 1024 * 1024
MAX_INFLATED_RATIO: Final = 200
"""What stands before a value in a deflated dataset is inflated for it each time: up to so many bytes, or so
many for each byte that is stored. Pixels of one colour shrink a thousandfold, those of pictures tenfold."""

STEPS_AT_ONCE: Final = 16
"""Steps taken in a thread without looking whether anybody still waits for what they give."""


class Cutter(Protocol):
    """Makes the bytes of a value or a frame from those of the file, as they arrive."""

    def feed(self, raw: bytes) -> bytes:
        """What the next bytes of the file give."""

    def finish(self) -> bytes:
        """What is left when all were fed."""


async def cut(stream: AsyncIterator[bytes], cutter: Cutter) -> AsyncIterator[bytes]:
    """What a cutter makes of a stream."""
    async with ended(stream) as pieces:
        async for raw in pieces:
            if piece := cutter.feed(raw):
                yield piece
    if last := cutter.finish():
        yield last


async def between(stream: AsyncIterator[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    """Part of a stream that can only be read from its beginning."""
    at = 0
    async with ended(stream) as pieces:
        async for piece in pieces:
            if wanted := piece[max(start - at, 0) : max(end - at, 0)]:
                yield wanted
            at += len(piece)
            if at >= end:
                return


def check_reach(stored_bytes: int, end: int) -> None:
    """Refuse a value for which too much of a deflated dataset would have to be inflated.

    Args:
        stored_bytes: Length of the file.
        end: Where the value ends in the inflated dataset.

    Raises:
        NotAcceptable: It would be too much.
    """
    if end > max(MAX_INFLATED_BYTES, MAX_INFLATED_RATIO * stored_bytes):
        raise NotAcceptable(f"{end} bytes would have to be inflated; ask for the instance as it is stored.")


async def inflated(deflated: AsyncIterator[bytes], start: int, length: int) -> AsyncIterator[bytes]:
    """Bytes of a deflated dataset, which can only be read from its beginning."""
    inflater = SpanInflater(start, length)
    async with ended(deflated) as pieces:
        async for raw in pieces:
            async with aclosing(in_threads(inflater.feed(raw))) as found:
                async for piece in found:
                    yield piece
            if inflater.done:
                return


async def in_threads(steps: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    """What slow steps give, which take turns with everything else that there is to do."""
    while (piece := await asyncio.to_thread(_next, steps)) is not None:
        if piece:
            yield piece


def _next(steps: Iterator[bytes]) -> bytes | None:
    """The next that is given; nothing if that takes more steps, None at the end."""
    for _ in range(STEPS_AT_ONCE):
        if piece := next(steps, None):
            return piece
        if piece is None:
            return None
    return b""
