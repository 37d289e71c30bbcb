"""What the sweep reports: a log line, and a metric for alerts. Zeros are the norm, but for what is usual."""

import logging
from collections.abc import Mapping
from typing import Final

from opentelemetry import metrics

METRIC: Final = "dicomweb.sweep.found"
"""Counts what each sweep found, by `kind`: the names in the log line."""

_NORMAL: Final = frozenset({"studies", "joined", "entries", "operations"})
"""Found by every sweep of a busy service, so nobody is to be alarmed."""

log = logging.getLogger("dicomweb")

# Does nothing where no telemetry is set up, as locally.
_found = metrics.get_meter("dicomweb").create_counter(
    METRIC, description="Left behind, and found by a sweep."
)


def report_sweep(counts: Mapping[str, int]) -> None:
    """Report what one sweep has found, or one part of it."""
    log.info("function=sweep %s", " ".join(f"{kind}={count}" for kind, count in counts.items()))
    for kind, count in counts.items():
        if kind not in _NORMAL:
            # A zero counts too: it says that a sweep has looked.
            _found.add(count, {"kind": kind})
