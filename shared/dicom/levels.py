"""What is open while a dataset is read, and what it leaves behind."""

from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Final

from shared.dicom.headers import Coding, Scope
from shared.dicom.pixels import Fragments
from shared.dicom.plans import Plan

NEVER: Final = 1 << 62
"""The end of what has no length: a delimiter ends it, or the end of the file."""


@dataclass(frozen=True, slots=True)
class BulkSpan:
    """A value that metadata leave out, and where it lies."""

    path: str
    """Tags and item indexes from the top down, such as `00420011` or `54000100.0.54001010`."""

    vr: str
    start: int
    """First byte, counted as in `FrameSpan`."""

    length: int
    """Bytes of the value; of an encapsulated one, of all its items with their headers."""


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
    """Of an item, with a point behind it; of a sequence or fragments, without."""

    plan: Plan | None = None
    """Of a sequence or fragments."""

    last_tag: int = -1
    comma: str = ""
    items: int = 0
    fragments: Fragments | None = None
    fragment_open: bool = False
