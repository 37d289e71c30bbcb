"""Reading a file on its way to storage without holding up other requests.

An ordinary header is read in a millisecond, too little to send it to a thread. A header of megabytes takes a
second of processor time: as soon as a piece of a file took long, the next goes to a thread, until one is
quick again. So no more than one piece at a time holds up the event loop, whatever a file looks like. Of a
deflated dataset even one piece may stand for a second, so each goes to a thread.
"""

import asyncio
from time import perf_counter
from typing import Final

from shared.dicom.levels import Limits
from shared.dicom.meta import DEFLATED
from shared.dicom.part10 import Part10File, Part10Reader
from shared.stow.checks import Rules

PIECE_BYTES: Final = 64 * 1024
SHORT_PIECE_BYTES: Final = 4 * 1024
"""Deflated, or before it is known how the file is written: they may stand for a thousand times as many."""

LONG_SECONDS: Final = 0.002
"""Many times what it takes to go to a thread and back."""

_DEFLATED: Final = tuple(uid.encode() for uid in DEFLATED)
_LONGEST_UID: Final = max(map(len, _DEFLATED))


class Reading:
    """A file, read as it arrives."""

    def __init__(self, rules: Rules) -> None:
        """Prepare to read a file that is to be checked by `rules`."""
        self.reader = Part10Reader(checks=rules.checks, limits=Limits(rules.inline_bytes))
        self._long = False
        self._may_be_deflated = False
        self._end_of_piece = b""
        self._seconds = 0.0

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            NotDicom: They cannot be part of a Part 10 file.
        """
        view = memoryview(data)
        while view:
            is_short = self._may_be_deflated or not self.reader.transfer_syntax
            size = SHORT_PIECE_BYTES if is_short else PIECE_BYTES
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
        self._look_for_deflated(piece)
        in_thread = self._long or self._may_be_deflated
        seconds = await asyncio.to_thread(self._take, piece) if in_thread else self._take(piece)
        self._long = seconds > LONG_SECONDS
        self._seconds += seconds

    def _look_for_deflated(self, piece: memoryview) -> None:
        """See whether the syntax may be a deflated one, before it is read: data may follow in this piece."""
        known = self.reader.transfer_syntax
        if known:
            self._may_be_deflated = known in DEFLATED
            return
        seen = self._end_of_piece + piece
        self._may_be_deflated |= any(uid in seen for uid in _DEFLATED)
        self._end_of_piece = seen[-_LONGEST_UID:]

    def _take(self, piece: memoryview) -> float:
        """Read a piece, and tell how long it took."""
        began = perf_counter()
        self.reader.feed(piece)
        return perf_counter() - began
