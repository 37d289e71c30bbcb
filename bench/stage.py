"""What every group of measurements works with, and what a measurement consists of."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from bench.load import Server, Work, drive
from bench.raw import Raw

ANY_INSTANCE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ANY_FRAME: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JSON: Final = "application/dicom+json"

OWN: Final = "bench"
"""The container and the table that raw storage calls write to."""

_FILLING_CALLERS: Final = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    seconds: float
    """About how long a round of one side takes."""

    rounds: int
    """How often the sides take turns."""

    every_case: bool
    """Whether the cases between the extremes are measured too."""

    studies: tuple[int, int]
    """The sizes of the archive that is searched."""


FULL: Final = Scale(seconds=1.0, rounds=3, every_case=True, studies=(1_000, 10_000))
QUICK: Final = Scale(seconds=0.5, rounds=1, every_case=False, studies=(100, 1_000))


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers of one group of measurements, all of them running and ours empty."""

    ours: Server
    peer: Server | None
    raw: Raw
    tables: Path
    """The file of tables under our service, where its archive is made and not stored."""

    scale: Scale
    runs: "count[int]"
    """Numbers that no other files of this or an earlier benchmark have (`files.Place.run`)."""

    text: str = ""
    """What the name of a measurement has to contain."""

    @property
    def servers(self) -> list[Server]:
        """Ours, and the peer where there is one."""
        return [self.ours, self.peer] if self.peer else [self.ours]

    def wants(self, *names: str) -> bool:
        """Whether any measurement of these names is wanted: only for such is anything stored."""
        return any(self.text in name for name in names)

    async def store_everywhere(self, requests: Sequence[Sequence[bytes]]) -> None:
        """Store files before a measurement, request by request."""
        for server in self.servers:
            await drive([server.store(files) for files in requests], _FILLING_CALLERS)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    name: str
    callers: int
    dicomweb: Callable[[Server, int], Awaitable[list[Work]]]
    """Prepares so many requests for a server."""

    raw: Callable[[int], Awaitable[list[Work]]]
    """Prepares the same work, as many times, in bare storage calls."""

    items: int = 1
    """Instances in one request, where instances are what counts."""

    is_right: Callable[[int, bytes], bool] | None = None
    """Whether the answer to the request of that number is what it should be. None: its status says it all."""

    has_peer: bool = True
    """Whether the peer is asked too: not for what would take it minutes."""
