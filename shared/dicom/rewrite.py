"""Elements of a stored dataset, written anew in explicit VR little endian, some of them replaced.

Values stay the bytes they are: text is not decoded and numbers are not parsed, only turned where they come
high byte first. A dataset that is explicit little endian already is copied element by element, so nothing
but what is replaced differs. What the reader of files takes (`dataset.py`) is taken here too.

Source: PS3.5 section 7 and annex A.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from shared.dicom import plans
from shared.dicom.encode import pad_of
from shared.dicom.errors import NotDicom
from shared.dicom.framing import ITEM_END, SEQUENCE_END, UNDEFINED, item_head, value_head
from shared.dicom.headers import (
    READ_HEADER,
    SHORT_HEADER_BYTES,
    Coding,
    Header,
    Scope,
    read_item_header,
)
from shared.dicom.levels import MAX_DEPTH
from shared.dicom.plans import Plan, Role

NUMBER_BYTES: Final = {
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OL", "OF"), 4),
    **dict.fromkeys(("UV", "SV", "FD", "OV", "OD"), 8),
}
"""How many bytes are turned together when they come high byte first (PS3.5 section 7.3)."""

COPIED_AT_ONCE: Final = 1024 * 1024
"""Bytes of a long value between which other threads have their turn."""


@dataclass(frozen=True, slots=True)
class PixelHead:
    """The header of the pixel data at which a dataset was cut."""

    tag: int
    vr: str
    start: int
    """First byte of the value, counted from the start of the dataset."""

    length: int | None
    """Bytes of the value; None when it comes in fragments."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A dataset, or its front, in explicit VR little endian."""

    elements: bytes
    pixels: PixelHead | None
    """What follows the elements; None where the dataset was given whole."""

    holds_pixels: bool
    """Whether pixel data, whole or empty, are among the elements."""


def rewrite(dataset: bytes, coding: Coding, changes: Mapping[int, bytes | None]) -> Rewritten:
    """Write a dataset anew.

    Args:
        dataset: Its elements: all of them, or those up to some byte of the pixel data's value.
        coding: How they are written.
        changes: Whole elements to put in or to put in the place of others, by tag; None removes one.

    Raises:
        NotDicom: The dataset cannot be followed to its end.
    """
    return _Rewriter(dataset, coding).run(changes)


def turned(raw: bytes, size: int) -> bytes:
    """Numbers of `size` bytes each with their bytes in the other order.

    Raises:
        NotDicom: The last number is not whole.
    """
    if len(raw) % size:
        raise NotDicom("A value in big endian ends within a number.")
    other = bytearray(len(raw))
    for place in range(size):
        other[place::size] = raw[size - 1 - place :: size]
    return bytes(other)


class _Rewriter:
    """Follows a dataset and writes it anew, or only follows it to learn where its elements end."""

    def __init__(self, content: bytes, coding: Coding) -> None:
        self._content = content
        self._coding = coding
        self._converts = coding is not Coding.EXPLICIT_LITTLE
        self._view = memoryview(content)
        # Has room for all at once: whatever grows is copied, and nothing else runs meanwhile.
        self._out = BytesIO(bytes(len(content)))

    def run(self, changes: Mapping[int, bytes | None]) -> Rewritten:
        """The whole dataset, element by element."""
        tags = sorted(changes)
        scope, at, done, pixels, holds_pixels = Scope(), 0, 0, None, False
        while at < len(self._content) and pixels is None:
            plan, start, length = self._header(at, self._coding, scope)
            pixels = self._cut_at(plan, start, length)
            if not (plan.tag or length):
                break  # Zeros behind the last element, which fill a block.
            upto = bisect_right(tags, plan.tag)
            for tag in tags[done:upto]:
                self._out.write(changes[tag] or b"")
            done = max(done, upto)
            holds_pixels |= pixels is None and plan.tag in plans.PIXEL_TAGS
            if pixels is None:
                at = self._top(at, (plan, start, length), scope, replaced=plan.tag in changes)
        for tag in tags[done:]:
            self._out.write(changes[tag] or b"")
        self._out.truncate()
        return Rewritten(self._out.getvalue(), pixels, holds_pixels)

    def _cut_at(self, plan: Plan, start: int, length: int) -> PixelHead | None:
        """The header of pixel data that are not all there."""
        if plan.tag not in plans.PIXEL_TAGS or (length != UNDEFINED and start + length <= len(self._content)):
            return None
        return PixelHead(plan.tag, plan.vr, start, None if length == UNDEFINED else length)

    def _top(self, at: int, header: Header, scope: Scope, *, replaced: bool) -> int:
        """Take an element of the top level; give where it ends."""
        before = self._out.tell()
        end = self._element(header, self._coding, scope, depth=0)
        if replaced:
            self._out.seek(before)
        elif not self._converts and header[0].role is not Role.DROPPED:
            self._copy(at, end)
        return end

    def _write(self, piece: bytes) -> None:
        if self._converts:
            self._out.write(piece)

    def _copy(self, start: int, end: int) -> None:
        """Take bytes as they are; in steps, as nothing else runs meanwhile."""
        for at in range(start, end, COPIED_AT_ONCE):
            self._out.write(self._view[at : min(at + COPIED_AT_ONCE, end)])

    def _header(self, at: int, coding: Coding, scope: Scope) -> Header:
        if len(self._content) - at < SHORT_HEADER_BYTES:
            raise NotDicom("The dataset ends within an element.")
        header = READ_HEADER[coding](self._content, at, scope)
        if header is None:
            raise NotDicom("The dataset ends within an element.")
        return header

    def _element(self, header: Header, coding: Coding, scope: Scope, *, depth: int) -> int:
        plan, start, length = header
        if plan.role is Role.SEQUENCE:
            return self._sequence(header, coding, scope, depth=depth)
        if length == UNDEFINED and plan.role is Role.BULK:
            # UN without a length is a sequence in implicit VR (PS3.5 section 6.2.2).
            if plan.vr == "UN":
                unknown = plans.as_sequence(plan), start, length
                return self._sequence(unknown, Coding.IMPLICIT, scope, depth=depth)
            return self._fragments(plan, start, coding)
        if plan.role not in (Role.VALUE, Role.BULK, Role.DROPPED) or start + length > len(self._content):
            raise NotDicom("The dataset holds something that is no whole element.")
        if plan.role is not Role.DROPPED:
            self._value(plan, start, start + length, coding, scope)
        return start + length

    def _value(self, plan: Plan, start: int, end: int, coding: Coding, scope: Scope) -> None:
        if plan.watched:
            scope.note(plan.tag, self._content[start:end])
        if not self._converts:
            return
        is_odd = (end - start) % 2
        self._out.write(value_head(plan.tag, plan.vr, end - start + is_odd))
        size = 1 if coding.little else NUMBER_BYTES.get(plan.vr, 1)
        if size > 1:
            self._out.write(turned(self._content[start:end], size))
        else:
            self._copy(start, end)
        if is_odd:
            self._out.write(pad_of(plan.vr))

    def _sequence(self, header: Header, coding: Coding, scope: Scope, *, depth: int) -> int:
        plan, at, length = header
        if depth >= MAX_DEPTH:
            raise NotDicom(f"Sequences are nested more than {MAX_DEPTH} deep.")
        end = None if length == UNDEFINED else at + length
        if end is not None and not self._converts:
            return end
        self._write(value_head(plan.tag, "SQ", UNDEFINED))
        while end is None or at < end:
            tag, item_length = self._item(at, coding)
            at += SHORT_HEADER_BYTES
            if tag == plans.SEQUENCE_END and end is None:
                break
            if tag == plans.ITEM:
                at, closed = self._open_item(at, item_length, coding, scope.inner(), depth=depth + 1)
                if closed:
                    break
        self._write(SEQUENCE_END)
        return at

    def _item(self, at: int, coding: Coding) -> tuple[int, int]:
        if len(self._content) - at < SHORT_HEADER_BYTES:
            raise NotDicom("The dataset ends within a sequence.")
        tag, length = read_item_header(self._content, at, coding)
        if tag not in (plans.ITEM, plans.ITEM_END, plans.SEQUENCE_END):
            raise NotDicom("A sequence holds something other than items.")
        return tag, length

    def _open_item(
        self, at: int, length: int, coding: Coding, scope: Scope, *, depth: int
    ) -> tuple[int, bool]:
        """Take an item; give where it ends, and whether the end of its sequence stood there instead."""
        end = len(self._content) + 1 if length == UNDEFINED else at + length
        self._write(item_head(UNDEFINED))
        closed = False
        while at < end:
            plan, start, size = self._header(at, coding, scope)
            if plan.role in (Role.ITEM_END, Role.SEQUENCE_END):
                at = start
                closed = plan.role is Role.SEQUENCE_END
                if length == UNDEFINED:
                    break
                continue
            at = self._element((plan, start, size), coding, scope, depth=depth)
        self._write(ITEM_END)
        return at, closed

    def _fragments(self, plan: Plan, at: int, coding: Coding) -> int:
        """Take a value in fragments that is not the pixel data, such as that of an icon."""
        self._write(value_head(plan.tag, "OB", UNDEFINED))
        while True:
            tag, length = self._item(at, coding)
            at += SHORT_HEADER_BYTES
            if tag == plans.SEQUENCE_END:
                break
            self._write(item_head(length) + self._content[at : at + length])
            at += length
        self._write(SEQUENCE_END)
        return at
