"""Reading a file on its way to storage without holding up other requests.

An ordinary header is read in a millisecond, too little to send it to a thread. A header of megabytes takes a
second of processor time: as soon as a piece of a file took long, the next goes to a thread, until one is
quick again. So no more than one piece at a time holds up the event loop, whatever a file looks like.
"""

import asyncio
from time import perf_counter
from typing import Final

from shared.dicom.part10 import Part10File, Part10Reader
from shared.stow.checks import Rules

PIECE_BYTES: Final = 64 * 1024
FIRST_PIECE_BYTES: Final = 4 * 1024
"""Before it is known how the file is written: deflated bytes may stand for a thousand times as many."""

LONG_SECONDS: Final = 0.002
"""Many times what it takes to go to a thread and back."""


class Reading:
    """A file, read as it arrives."""

    def __init__(self, rules: Rules) -> None:
        """Prepare to read a file that is to be checked by `rules`."""
        self.reader = Part10Reader(checks=rules.checks)
        self._long = False
        self._seconds = 0.0

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            NotDicom: They cannot be part of a Part 10 file.
        """
        view = memoryview(data)
        while view:
            size = PIECE_BYTES if self.reader.transfer_syntax else FIRST_PIECE_BYTES
            await self._feed(view[:size])
            view = view[size:]

    async def finish(self) -> Part10File:
        """Say that no byte follows.

        Raises:
            NotDicom: The file is empty or not complete.
        """
        if self._seconds > LONG_SECONDS:
            return await asyncio.to_thread(self.reader.finish)
        return self.reader.finish()

    async def _feed(self, piece: memoryview) -> None:
        seconds = await asyncio.to_thread(self._take, piece) if self._long else self._take(piece)
        self._long = seconds > LONG_SECONDS
        self._seconds += seconds

    def _take(self, piece: memoryview) -> float:
        """Read a piece, and tell how long it took."""
        began = perf_counter()
        self.reader.feed(piece)
        return perf_counter() - began
