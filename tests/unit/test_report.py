"""What the sweep reports, as a log line and as a metric (zero is the norm)."""

import logging

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import Counter, Meter, MeterProvider, NoOpCounter, NoOpMeter

from functions.report import METRIC, report_sweep

_added: list[tuple[str, float, object]] = []


class _Recording(NoOpCounter):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._name = name

    def add(self, amount: float, attributes: object = None, *_rest: object) -> None:
        _added.append((self._name, amount, attributes))


class _RecordingMeter(NoOpMeter):
    def create_counter(self, name: str, *_rest: object, **_more: object) -> Counter:
        return _Recording(name)


class _Provider(MeterProvider):
    """Stands where Azure's runtime sets up its own."""

    def get_meter(self, name: str, *_rest: object, **_more: object) -> Meter:
        return _RecordingMeter(name)


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    """Set up once, as a process can do it only once."""
    metrics.set_meter_provider(_Provider())


@pytest.fixture(autouse=True)
def added() -> list[tuple[str, float, object]]:
    """What was counted."""
    _added.clear()
    return _added


def test_one_line_tells_all(caplog: pytest.LogCaptureFixture) -> None:
    """In the order given, each count by its name."""
    with caplog.at_level(logging.INFO, "dicomweb"):
        report_sweep({"studies": 3, "changes": 1, "aside": 0})

    assert [record.getMessage() for record in caplog.records] == [
        "function=sweep studies=3 changes=1 aside=0"
    ]


def test_what_was_left_behind_is_counted_by_kind(added: list[tuple[str, float, object]]) -> None:
    """Zeros too, so that a sweep that no longer runs can be told from one that finds nothing."""
    report_sweep({"changes": 2, "blobs": 0})

    assert added == [(METRIC, 2, {"kind": "changes"}), (METRIC, 0, {"kind": "blobs"})]


def test_what_is_no_fault_alarms_nobody(added: list[tuple[str, float, object]]) -> None:
    """Studies visited, joined metadata out of date, entries made meanwhile, operations that are old."""
    report_sweep({"studies": 5, "joined": 2, "entries": 9, "operations": 4})

    assert added == []
