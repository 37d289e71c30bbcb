"""What one search may cost, so that none takes so long that its caller has gone."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.storage.calls import current

MAX_ROWS = 50_000
"""Table rows that one search may read."""

MAX_SECONDS = 10.0
"""Half of what Python's dicomweb-client waits (clients section 2.5): the datasets of a page take time too."""


@dataclass(slots=True)
class Budget:
    """What a search has left. Whoever is about to read asks first, and stops when there is nothing left."""

    rows: int = MAX_ROWS
    seconds: float = MAX_SECONDS
    clock: Callable[[], float] = time.monotonic
    is_ended: bool = False
    """Whether something was not read for the budget's sake."""

    _first_row: int = field(init=False)
    _begun: float = field(init=False)

    def __post_init__(self) -> None:
        self._first_row, self._begun = current().rows, self.clock()

    def allows(self) -> bool:
        """Whether more may be read."""
        spent = current().rows - self._first_row >= self.rows
        if spent or self.clock() - self._begun >= self.seconds:
            self.is_ended = True
        return not self.is_ended

    def close(self) -> None:
        """Allow nothing any more: what was to be found is found."""
        self.rows = 0
