"""What is open while a dataset is read, and what it leaves behind."""

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Final

from shared.dicom.headers import Coding, Scope
from shared.dicom.pixels import Fragments
from shared.dicom.plans import Plan

NEVER: Final = 1 << 62
"""The end of what has no length: a delimiter ends it, or the end of the file."""

MAX_DEPTH: Final = 32
"""Sequences within one another."""

MAX_VALUE_BYTES: Final = 1024 * 1024
"""Longer values are treated as bulk: metadata have them by reference."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Which values metadata hold, and which they have by reference."""

    inline_bytes: int = 0
    """Bulk values up to here are in metadata, but for pixel data."""

    value_bytes: int = MAX_VALUE_BYTES
    """Other values up to here are."""


NO_INLINE: Final = Limits()


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The pixel data of the dataset, at its top level."""

    start: int
    length: int
    fragments: Fragments | None
    """None when native."""


class Kind(IntEnum):
    """What is open; an integer, as every step looks one up and a plain Enum hashes slowly."""

    DATASET = auto()
    SEQUENCE = auto()
    FRAGMENTS = auto()
    PADDING = auto()


@dataclass(slots=True)
class Level:
    """An open dataset or item, an open sequence, or the open fragments of a value."""

    kind: Kind
    coding: Coding
    scope: Scope
    start: int
    end: int = NEVER
    """Where it ends; `NEVER` when a delimiter says so, or the end of the file."""

    path: str = ""
    """As in `BulkSpan`; of an item, with a slash behind it."""

    plan: Plan | None = None
    """Of a sequence or fragments."""

    last_tag: int = -1
    due: int = NEVER
    """The element before which the one is due that the file does not have."""

    comma: str = ""
    items: int = 0
    fragments: Fragments | None = None
    fragment_open: bool = False
