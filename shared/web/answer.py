"""An answer as the services give it; `functions/` makes a response of it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of a response."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterator[bytes] = b""
    """Whole, or as a stream; a stream is closed by whoever answers, read or not."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """What the log says of it: numbers of instances, results and the like."""
