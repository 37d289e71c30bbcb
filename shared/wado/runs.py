"""Instances as they are stored, those that lie side by side in a pack read by one call."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.storage import keys
from shared.storage.ahead import ended
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage

MAX_RUN_BYTES: Final = 32 * 1024 * 1024
"""Instances that lie side by side in a pack are read by one call up to this size."""


@dataclass(frozen=True, slots=True)
class Run:
    """Instances whose bytes follow each other in one blob."""

    blob: str
    start: int
    rows: tuple[InstanceRow, ...]

    @property
    def length(self) -> int:
        """Bytes of all of them."""
        return sum(row.location.length for row in self.rows)


def by_place(rows: Iterable[InstanceRow]) -> list[InstanceRow]:
    """Instances in the order of their bytes: those of a pack are neighbours, whoever stored what between."""
    return sorted(rows, key=lambda row: (row.location.blob, row.location.start))


def runs(rows: Sequence[InstanceRow]) -> list[Run]:
    """Group instances, in the order given, by what one read can fetch."""
    found: list[Run] = []
    for row in rows:
        last = found[-1] if found else None
        place = row.location
        if (
            last is not None
            and last.blob == place.blob
            and last.start + last.length == place.start
            and last.length + place.length <= MAX_RUN_BYTES
        ):
            found[-1] = Run(last.blob, last.start, (*last.rows, row))
        else:
            found.append(Run(place.blob, place.start, (row,)))
    return found


async def read_run(storage: Storage, run: Run, heads: Mapping[int, bytes]) -> AsyncIterator[bytes]:
    """The parts of one run: its bytes with a head before each instance.

    Args:
        storage: The storage account.
        run: Which instances.
        heads: The head of each part, by the instance's version.
    """
    parts = PartHeads(run.rows, heads)
    async with ended(storage.blobs.read(keys.DICOM, run.blob, run.start, run.length)) as pieces:
        async for piece in pieces:
            for cut in parts.cut(piece):
                yield cut


class PartHeads:
    """Puts a head before the bytes of each instance of a run, as the bytes come."""

    def __init__(self, rows: Sequence[InstanceRow], heads: Mapping[int, bytes]) -> None:
        self._rows = iter(rows)
        self._heads = heads
        self._left = 0

    def cut(self, piece: bytes) -> Iterator[bytes]:
        """The next bytes of the run with the heads that belong between them."""
        at = 0
        while at < len(piece):
            if self._left == 0:
                row = next(self._rows)
                self._left = row.location.length
                yield self._heads[row.version]
            taken = piece[at : at + self._left]
            at, self._left = at + len(taken), self._left - len(taken)
            yield taken
