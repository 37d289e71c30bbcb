"""Versions: time-ordered 64-bit numbers, one for each stored thing.

The upper 53 bits count microseconds since 1970, the lower ten are random, so that processes that
write at the same microsecond still differ. Within a process versions only rise.
"""

import secrets
import threading
import time
from datetime import UTC, datetime

LATEST = (1 << 63) - 1
"""No version is later."""

_RANDOM_BITS = 10

_lock = threading.Lock()
_last = 0


def next_version() -> int:
    """A number larger than every one this process gave before, and unlike any other process's."""
    global _last
    now = (time.time_ns() // 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = max(now, _last + 1)
        return _last


def made_at(version: int) -> datetime:
    """When a version was made."""
    return datetime.fromtimestamp((version >> _RANDOM_BITS) / 1_000_000, UTC)
