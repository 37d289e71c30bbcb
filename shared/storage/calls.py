"""Counts what one request asks of storage, so that promise 4 (cost does not grow) can be measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Calls:
    """What was asked of storage so far; it grows while the request runs."""

    calls: int = 0
    """HTTP requests sent, each repetition counted again."""

    rows: int = 0
    """Table rows that came back."""

    bytes_read: int = 0
    """Bytes of the bodies received."""

    bytes_written: int = 0
    """Bytes of the bodies sent."""


_current: ContextVar[Calls] = ContextVar("storage calls", default=Calls())  # noqa: B039 (meant to be shared)


@contextmanager
def counted() -> Iterator[Calls]:
    """Count from zero within this block, with the tasks it starts.

    A task inherits the context it is made in, and with it this one mutable object.
    """
    calls = Calls()
    token = _current.set(calls)
    try:
        yield calls
    finally:
        _current.reset(token)


@contextmanager
def counting_into(calls: Calls) -> Iterator[None]:
    """Go on counting for a request whose body is sent by another task than the one that began it."""
    token = _current.set(calls)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Calls:
    """The count of the request that is running; outside any, that of the whole process."""
    return _current.get()
