"""The timer's function itself, as a step of a process of its own: what it reports is seen as by operators."""

import logging
import os
from collections import Counter as Count
from dataclasses import dataclass
from typing import Any, cast

import azure.functions as func
from opentelemetry import metrics
from opentelemetry.metrics import Counter, Meter, MeterProvider, NoOpCounter, NoOpMeter

from functions import background, report
from functions.service import service
from shared.config import CONNECTION
from shared.storage.storage import Storage
from tests.faults.driver import QUICK, Value


@dataclass(frozen=True, slots=True)
class Reported:
    """What one sweep reports."""

    lines: tuple[str, ...]
    """Of the log."""

    counted: dict[str, float]
    """By the metric, for each kind."""

    def line(self, kind: str) -> dict[str, int]:
        """The counts of the log line that has a kind."""
        (found,) = (line for line in self.lines if f" {kind}=" in line)
        pairs = (word.split("=") for word in found.split() if not word.startswith("function"))
        return {name: int(count) for name, count in pairs}


@dataclass(frozen=True, slots=True)
class TimerSweep:
    """Run the function that the timer runs. Gives what it reports."""

    connection: str

    async def run(self, storage: Storage) -> Value:
        os.environ[CONNECTION] = self.connection
        own = service().storage
        own.wire.limits = QUICK
        # The times of whoever sweeps here are shorter than any setting allows.
        object.__setattr__(own, "times", storage.times)
        metrics.set_meter_provider(_Provider())
        lines = _Lines()
        logger = logging.getLogger("dicomweb")
        logger.setLevel(logging.INFO)
        logger.addHandler(lines)
        sweep: Any = background.sweep
        await sweep._function.get_user_function()(cast(func.TimerRequest, None))
        await own.aclose()
        return Reported(tuple(lines.told), dict(_counted))


_counted: Count[str] = Count()


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())


class _Recording(NoOpCounter):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._name = name

    def add(self, amount: float, attributes: Any = None, *_rest: object) -> None:
        if self._name == report.METRIC:
            _counted[attributes["kind"]] += int(amount)


class _RecordingMeter(NoOpMeter):
    def create_counter(self, name: str, *_rest: object, **_more: object) -> Counter:
        return _Recording(name)


class _Provider(MeterProvider):
    """Stands where Azure's runtime sets up its own."""

    def get_meter(self, name: str, *_rest: object, **_more: object) -> Meter:
        return _RecordingMeter(name)
