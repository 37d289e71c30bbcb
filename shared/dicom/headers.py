"""Element headers in the three ways a dataset can be written (PS3.5 section 7.1)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import Final, Protocol

from shared.dicom import plans
from shared.dicom.plans import Layout, Plan, Role
from shared.dicom.text import LATIN, Charset, charset_of

SHORT_HEADER_BYTES: Final = 8
WIDE_HEADER_BYTES: Final = 12

# What is kept, also as keys of caches, is bounded; nothing real comes near.
MAX_CHARSET_BYTES: Final = 256
MAX_CREATORS: Final = 1024
"""Private creators of one dataset or item that are told apart."""

MAX_CREATOR_BYTES: Final = 256


class Coding(IntEnum):
    """How elements are written."""

    IMPLICIT = auto()
    EXPLICIT_LITTLE = auto()
    EXPLICIT_BIG = auto()

    @property
    def little(self) -> bool:
        """Whether numbers come low byte first."""
        return self is not Coding.EXPLICIT_BIG


@dataclass(slots=True)
class Scope:
    """What the elements read so far in a dataset or item mean for those that follow; items inherit a copy."""

    charset: Charset = LATIN
    signed: bool = False
    """Pixel Representation, for elements whose VR depends on it."""

    creators: dict[int, str] = field(default_factory=dict)
    """Private creators by group and block, as in 0x001110. They hold for their own item only."""

    def inner(self) -> "Scope":
        """The scope of an item inside."""
        return Scope(self.charset, self.signed)

    def note(self, tag: int, raw: bytes) -> None:
        """Take the value of an element that changes the meaning of others."""
        if tag == plans.SPECIFIC_CHARACTER_SET:
            self.charset = charset_of(raw[:MAX_CHARSET_BYTES])
        elif tag == plans.PIXEL_REPRESENTATION:
            self.signed = any(raw)
        elif plans.is_private(tag) and len(self.creators) < MAX_CREATORS:
            text = self.charset.text(raw[:MAX_CREATOR_BYTES])
            self.creators[tag >> 16 << 8 | tag & 0xFF] = text.strip("\0 ")


Header = tuple[Plan, int, int]
"""What to do with an element, where its value starts in the buffer, and the length its header gives."""

ReadHeader = Callable[[bytes, int, Scope], Header | None]
"""Read a header of which eight bytes are there; None when it has twelve and they are not."""


class Unpack(Protocol):
    """A struct's `unpack_from` for one number."""

    def __call__(self, buffer: bytes, offset: int, /) -> tuple[int, ...]: ...


_LITTLE_16: Unpack = struct.Struct("<H").unpack_from
_LITTLE_32: Unpack = struct.Struct("<I").unpack_from
_BIG_16: Unpack = struct.Struct(">H").unpack_from
_BIG_32: Unpack = struct.Struct(">I").unpack_from


def _read_implicit(buffer: bytes, at: int, scope: Scope) -> Header | None:
    head = buffer[at : at + 4]
    plan = plans.plan_implicit(head)
    if plan.render is None and plan.role is Role.VALUE:
        plan = plans.resolved(plan, scope.signed)
    elif plan.role is Role.BULK and plans.is_private(plan.tag):
        plan = plans.plan_private(head, scope.creators.get(plan.tag >> 8, ""))
    return plan, at + SHORT_HEADER_BYTES, _LITTLE_32(buffer, at + 4)[0]


def _explicit(find: Callable[[bytes], Plan], u16: Unpack, u32: Unpack) -> ReadHeader:
    def read(buffer: bytes, at: int, scope: Scope) -> Header | None:
        plan = find(buffer[at : at + 6])
        layout = plan.layout
        if layout is Layout.UNSURE:
            layout = Layout.SHORT if any(buffer[at + 6 : at + 8]) else Layout.WIDE
        if layout is Layout.SHORT:
            return plan, at + SHORT_HEADER_BYTES, u16(buffer, at + 6)[0]
        if layout is Layout.WIDE:
            if len(buffer) - at < WIDE_HEADER_BYTES:
                return None
            return plan, at + WIDE_HEADER_BYTES, u32(buffer, at + 8)[0]
        if plan.render is None and plan.role is Role.VALUE:
            plan = plans.resolved(plan, scope.signed)
        return plan, at + SHORT_HEADER_BYTES, u32(buffer, at + 4)[0]

    return read


READ_HEADER: Final[dict[Coding, ReadHeader]] = {
    Coding.IMPLICIT: _read_implicit,
    Coding.EXPLICIT_LITTLE: _explicit(plans.plan_explicit_little, _LITTLE_16, _LITTLE_32),
    Coding.EXPLICIT_BIG: _explicit(plans.plan_explicit_big, _BIG_16, _BIG_32),
}


def read_item_header(buffer: bytes, at: int, coding: Coding) -> tuple[int, int]:
    """Tag and length of an item or delimiter."""
    order: Final = "little" if coding.little else "big"
    tag = int.from_bytes(buffer[at : at + 2], order) << 16 | int.from_bytes(buffer[at + 2 : at + 4], order)
    return tag, int.from_bytes(buffer[at + 4 : at + 8], order)
