"""Reading a dataset element by element while its bytes arrive.

The reader keeps the bytes of one unfinished element and a stack of open sequences and items, nothing else:
an element that is complete becomes DICOM JSON text at once, and bulk values are passed over without being
held. So memory is bounded by the limits below, whatever the size of the file.

Source: PS3.5 sections 7.1 to 7.5 and annex A; what the JSON has by reference: PS3.18 section F.2.2.
"""

from typing import Final

from shared.dicom import plans
from shared.dicom.bulk import REFERRED_VRS, BulkSpan, BulkWriter
from shared.dicom.errors import NotDicom
from shared.dicom.framing import UNDEFINED
from shared.dicom.headers import (
    READ_HEADER,
    SHORT_HEADER_BYTES,
    WIDE_HEADER_BYTES,
    Coding,
    Scope,
    read_item_header,
)
from shared.dicom.levels import MAX_DEPTH, NEVER, NO_INLINE, Kind, Level, Limits, PixelElement
from shared.dicom.metadata import MetadataWriter
from shared.dicom.pixels import MAX_TABLE_BYTES, Fragments
from shared.dicom.plans import SEARCHED_VRS, Plan, Role
from shared.dicom.render import quote
from shared.dicom.validate import Checks, Findings, Problem
from shared.dicom.window import Window


class DatasetReader(Window):
    """Takes the bytes of a dataset in pieces and keeps what it says."""

    def __init__(
        self,
        coding: Coding,
        start: int,
        transfer_syntax: str,
        *,
        limits: Limits = NO_INLINE,
        checks: Checks = Checks.NONE,
    ) -> None:
        super().__init__(start)
        self.findings = Findings(checks)
        self.metadata = MetadataWriter()
        self.values: dict[int, bytes] = {}
        """Raw values of the elements watched for, top level only."""

        self.bulk = BulkWriter()
        """Values that metadata have by reference."""

        self.pixels: PixelElement | None = None
        self.unterminated = False
        """Whether the file ended behind a fragment, without the delimiter that should follow the last one."""

        self.extended_offsets = b""
        self._syntax_element = f'"00083002":{{"vr":"UI","Value":[{quote(transfer_syntax)}]}}'
        self._max_value_bytes, self._max_inline_bytes = limits.value_bytes, limits.inline_bytes
        self._checks_all = checks is Checks.ALL
        self._checks_searched = checks is Checks.SEARCHED
        self._level = Level(Kind.DATASET, coding, Scope(), start, due=plans.AVAILABLE_SYNTAX)
        self._levels = [self._level]

    def finish(self) -> None:
        """Say that no byte follows.

        Raises:
            NotDicom: The dataset is not complete.
        """
        if not self._skip:
            # What was passed over may have ended items and sequences too.
            self._go_on()
        level = self._level
        if not self._skip and not self._pending and level.kind is Kind.FRAGMENTS and len(self._levels) == 2:
            self.unterminated = True
            self._close_fragments(level, self._base)
        if self._skip or any(self._pending) or len(self._levels) > 1:
            raise NotDicom(f"The file ends within the dataset, {self._place()}.")
        if self._level.due != NEVER:
            self._note_order(self._level, NEVER)

    @property
    def past_identity(self) -> bool:
        """Whether the elements that identify the instance have gone by."""
        return self._levels[0].last_tag >= plans.SERIES_INSTANCE

    @property
    def last_tag(self) -> int:
        """The element of the top level that was begun last; 0 before the first."""
        return max(self._levels[0].last_tag, 0)

    def _step(self) -> bool:
        """Go on as far as the open level allows; False when more bytes are needed."""
        if self._skip:
            return False
        return _STEPS[self._level.kind](self)

    def _read_elements(self) -> bool:
        """Take plain values until something else comes: this is where the time goes."""
        level, buffer, at = self._level, self._buffer, self._at
        read_header, scope = READ_HEADER[level.coding], level.scope
        limit = min(len(buffer), level.end - self._base)
        while limit - at >= SHORT_HEADER_BYTES:
            header = read_header(buffer, at, scope)
            if header is None:
                break
            plan, start, length = header
            if plan.role is not Role.VALUE or start + length > limit or length > self._max_value_bytes:
                self._at = at
                return self._read_other(plan, start, length)
            self._take(level, plan, buffer[start : start + length])
            at = start + length
        self._at = at
        return self._end_item(level)

    def _end_item(self, level: Level) -> bool:
        """Close an item at its end; else say how many bytes the next header needs."""
        if self._base + self._at == level.end:
            return self._close_item()
        if level.end - self._base <= len(self._buffer):
            raise NotDicom(f"An item ends within an element, {self._place()}.")
        rest = len(self._buffer) - self._at
        self._need = WIDE_HEADER_BYTES if rest >= SHORT_HEADER_BYTES else SHORT_HEADER_BYTES
        return False

    def _take(self, level: Level, plan: Plan, raw: bytes) -> None:
        """Take one plain value: all of them come through here, whole."""
        if not level.last_tag < plan.tag < level.due and not self._note_order(level, plan.tag):
            return
        level.last_tag = plan.tag
        if plan.watched:
            level.scope.note(plan.tag, raw)
            if len(self._levels) == 1 and plan.tag in plans.WATCHED_TAGS:
                self._keep(plan.tag, raw)
        if self._checks_all:
            is_odd = not plan.is_fine(raw)
        else:
            is_odd = self._checks_searched and plan.tag in SEARCHED_VRS
        if is_odd and not self._examine(level, plan, raw):
            return
        text = plan.render(raw, level.scope.charset) if raw and plan.render else ""
        if text is None:
            return
        piece = f"{level.comma}{plan.prefix}{text}}}"
        level.comma = ","
        self.metadata.add(piece)
        if plan.indexed and len(self._levels) == 1:
            self.metadata.index(piece)

    def _examine(self, level: Level, plan: Plan, raw: bytes) -> bool:
        """Look closely at a value; False when metadata leave its element out."""
        finding = self.findings.examine(plan, raw, level.scope.charset, nested=len(self._levels) > 1)
        if finding is None or not self.findings.leaves_out(finding):
            return True
        # What should have one value is searched by its first, even where metadata have none.
        if finding.problem is Problem.NUMBER and plan.tag in SEARCHED_VRS and plan.render:
            self.metadata.index(f"{plan.prefix}{plan.render(raw, level.scope.charset)}}}")
        return False

    def _keep(self, tag: int, raw: bytes) -> None:
        """Keep a value that the reader or its caller needs."""
        # By the first UIDs a large file may be on its way into storage already.
        if tag in plans.IDENTIFYING_TAGS and self.values.get(tag, raw) != raw:
            raise NotDicom(f"A UID of the instance comes twice and differs, {self._place()}.")
        self.values[tag] = raw

    def _read_other(self, plan: Plan, start: int, length: int) -> bool:
        """Take an element that is no plain value, or one that is not whole yet."""
        if length == UNDEFINED:
            return self._open_undefined(plan, start)
        if self._base + start + length > self._level.end:
            raise NotDicom(f"An element is longer than the item it lies in, {self._place()}.")
        if plan.vr == "UN":
            plan = plans.translated(plan)
        return _OTHERS[plan.role](self, plan, start, length)

    def _read_value(self, plan: Plan, start: int, length: int) -> bool:
        """A value that is too long, not whole yet, or came as UN."""
        if length > self._max_value_bytes:
            return self._read_bulk(plan, start, length)
        if not self._whole(start, length):
            return False
        self._take(self._level, plan, self._buffer[start : start + length])
        self._at = start + length
        return True

    def _read_bulk(self, plan: Plan, start: int, length: int) -> bool:
        """Name a value by reference and pass over it."""
        level = self._level
        top = len(self._levels) == 1
        is_table = top and plan.tag == plans.EXTENDED_OFFSET_TABLE and length <= MAX_TABLE_BYTES
        is_pixels = top and plan.tag in plans.PIXEL_TAGS
        is_inline = length <= self._max_inline_bytes and not is_pixels
        if (is_table or is_inline) and not self._whole(start, length):
            return False
        raw = self._buffer[start : start + length] if is_table or is_inline else b""
        self._note_order(level, plan.tag)
        if top:
            self.findings.examine_vr(plan)
        if is_pixels:
            self.pixels = PixelElement(self._base + start, length, None)
        if is_table:
            self.extended_offsets = raw
        path, vr = f"{level.path}{plan.tag:08X}", plan.vr if plan.vr in REFERRED_VRS else "UN"
        span = BulkSpan(path, vr, self._base + start, length, plan.unit)
        self._refer(level, span, raw if is_inline else b"")
        return self._pass_over(start, length)

    def _drop(self, plan: Plan, start: int, length: int) -> bool:
        if plan.tag == 0 and length == 0 and len(self._levels) == 1:
            self._level.kind = Kind.PADDING
        return self._pass_over(start, length)

    def _refuse(self, plan: Plan, _: int, __: int) -> bool:
        kind = "An item" if plan.tag == plans.ITEM else "Group 0002"
        raise NotDicom(f"{kind} stands where an element should, {self._place()}.")

    def _read_padding(self) -> bool:
        """Zeros behind the last element, which some writers add to fill a block."""
        if self._buffer.count(0, self._at) != len(self._buffer) - self._at:
            raise NotDicom(f"Something follows the dataset that is no element, {self._place()}.")
        self._at = len(self._buffer)
        return False

    def _open_undefined(self, plan: Plan, start: int) -> bool:
        """Open a value whose end a delimiter marks: a sequence, or fragments."""
        level = self._level
        if plan.role is Role.SEQUENCE:
            return self._open_sequence(plan, start, UNDEFINED)
        if plan.role is not Role.BULK:
            raise NotDicom(f"A plain element has no length, {self._place()}.")
        # UN without a length is a sequence whose VR the writer did not know, in implicit VR (PS3.5 6.2.2).
        if plan.vr == "UN":
            return self._open_sequence(plans.as_sequence(plan), start, UNDEFINED, Coding.IMPLICIT)
        self._note_order(level, plan.tag)
        if len(self._levels) == 1:
            self.findings.examine_vr(plan)
        inner = Level(Kind.FRAGMENTS, level.coding, level.scope, self._base + start, plan=plan)
        inner.path = f"{level.path}{plan.tag:08X}"
        inner.fragments = Fragments()
        return self._open(inner, start)

    def _open_sequence(self, plan: Plan, start: int, length: int, coding: Coding | None = None) -> bool:
        level = self._level
        self._note_order(level, plan.tag)
        if len(self._levels) == 1:
            self.findings.begin_sequence()
            self.findings.examine_vr(plan)
            if plan.indexed and SEARCHED_VRS.get(plan.tag, "SQ") == "SQ":
                self.metadata.start_capture()
        self.metadata.add(level.comma + plan.prefix)
        level.comma = ","
        inner = Level(Kind.SEQUENCE, coding or level.coding, level.scope, self._base + start, plan=plan)
        inner.path = f"{level.path}{plan.tag:08X}"
        inner.end = NEVER if length == UNDEFINED else inner.start + length
        return self._open(inner, start)

    def _read_item(self) -> bool:
        """Open the next item of a sequence, or close the sequence."""
        level, at = self._level, self._at
        if self._base + at >= level.end:
            return self._close_sequence()
        if not self._whole(at, SHORT_HEADER_BYTES):
            return False
        tag, length = read_item_header(self._buffer, at, level.coding)
        self._at = at + SHORT_HEADER_BYTES
        if tag == plans.ITEM:
            return self._open_item(level, length)
        if tag == plans.SEQUENCE_END:
            return self._close_sequence() if level.end == NEVER else True
        if tag == plans.ITEM_END:
            return True
        raise NotDicom(f"A sequence holds something other than items, {self._place()}.")

    def _open_item(self, level: Level, length: int) -> bool:
        self.metadata.add(",{" if level.items else ',"Value":[{')
        inner = Level(Kind.DATASET, level.coding, level.scope.inner(), self._base + self._at)
        inner.path = f"{level.path}/{level.items}/"
        inner.end = NEVER if length == UNDEFINED else inner.start + length
        if inner.end > level.end and length != UNDEFINED:
            raise NotDicom(f"An item is longer than its sequence, {self._place()}.")
        level.items += 1
        return self._open(inner, self._at)

    def _end_item_mark(self, _: Plan, start: int, __: int) -> bool:
        if len(self._levels) == 1:
            raise NotDicom(f"An item ends where none is open, {self._place()}.")
        self._at = start
        return self._close_item() if self._level.end == NEVER else True

    def _end_sequence_mark(self, _: Plan, start: int, __: int) -> bool:
        """The end of a sequence whose last item was not ended."""
        if len(self._levels) == 1 or self._level.end != NEVER or self._levels[-2].end != NEVER:
            raise NotDicom(f"A sequence ends where none is open, {self._place()}.")
        self._at = start
        self._close_item()
        return self._close_sequence()

    def _close_item(self) -> bool:
        self.metadata.add("}")
        return self._close()

    def _close_sequence(self) -> bool:
        level = self._level
        self.metadata.add("]}" if level.items else "}")
        if level.plan and level.plan.indexed and len(self._levels) == 2:
            self.metadata.end_capture()
        return self._close()

    def _read_fragment(self) -> bool:
        """Take the next fragment's header and pass over the fragment, or close the list."""
        level, at = self._level, self._at
        fragments = level.fragments or Fragments()
        if level.fragment_open:
            fragments.close(self._tail)
            level.fragment_open = False
        if not self._whole(at, SHORT_HEADER_BYTES):
            return False
        tag, length = read_item_header(self._buffer, at, level.coding)
        if tag == plans.SEQUENCE_END:
            self._at = at + SHORT_HEADER_BYTES
            return self._close_fragments(level, self._base + at)
        if tag != plans.ITEM or length == UNDEFINED:
            raise NotDicom(f"Encapsulated data hold something other than fragments, {self._place()}.")
        if not level.items and length <= MAX_TABLE_BYTES:
            if not self._whole(at, SHORT_HEADER_BYTES + length):
                return False
            fragments.table = self._buffer[at + SHORT_HEADER_BYTES : at + SHORT_HEADER_BYTES + length]
        elif level.items:
            fragments.add(self._base + at + SHORT_HEADER_BYTES, length)
            level.fragment_open = True
        level.items += 1
        return self._pass_over(at + SHORT_HEADER_BYTES, length)

    def _close_fragments(self, level: Level, end: int) -> bool:
        fragments, vr = level.fragments or Fragments(), level.plan.vr if level.plan else "OB"
        if level.fragment_open:
            fragments.close(self._tail)
        if len(self._levels) == 2 and level.plan and level.plan.tag in plans.PIXEL_TAGS:
            self.pixels = PixelElement(level.start, end - level.start, fragments)
        span = BulkSpan(level.path, vr, level.start, end - level.start, content=sum(fragments.lengths))
        self._refer(self._levels[-2], span)
        return self._close()

    def _open(self, inner: Level, start: int) -> bool:
        # A sequence and an item of it are two levels.
        if len(self._levels) >= 2 * MAX_DEPTH:
            raise NotDicom(f"Sequences are nested more than {MAX_DEPTH} deep, {self._place()}.")
        self._levels.append(inner)
        self._level = inner
        self._at = start
        return True

    def _close(self) -> bool:
        self._levels.pop()
        self._level = self._levels[-1]
        return True

    def _note_order(self, level: Level, tag: int) -> bool:
        """Note where an element stands; False where it is Available Transfer Syntax UID, which we tell."""
        if tag <= level.last_tag:
            self.metadata.unordered = True
        level.last_tag = tag
        if tag < level.due:
            return True
        # Viewers need it, and group 0002 is no part of metadata.
        level.due = NEVER
        self.metadata.add(level.comma + self._syntax_element)
        level.comma = ","
        return tag != plans.AVAILABLE_SYNTAX

    def _refer(self, level: Level, span: BulkSpan, inline: bytes = b"") -> None:
        """Have metadata name a value by reference, or hold it."""
        self.metadata.add(level.comma + span.element(inline))
        level.comma = ","
        if not inline:
            self.bulk.note(span)

    def _place(self) -> str:
        """Where the reader is, for a message: a tag, never a value."""
        return f"at or behind ({self.last_tag >> 16:04x},{self.last_tag & 0xFFFF:04x})"


_STEPS: Final = {
    Kind.DATASET: DatasetReader._read_elements,
    Kind.SEQUENCE: DatasetReader._read_item,
    Kind.FRAGMENTS: DatasetReader._read_fragment,
    Kind.PADDING: DatasetReader._read_padding,
}
_OTHERS: Final = {
    Role.VALUE: DatasetReader._read_value,
    Role.BULK: DatasetReader._read_bulk,
    Role.SEQUENCE: DatasetReader._open_sequence,
    Role.DROPPED: DatasetReader._drop,
    Role.ITEM_END: DatasetReader._end_item_mark,
    Role.SEQUENCE_END: DatasetReader._end_sequence_mark,
    Role.MISPLACED: DatasetReader._refuse,
}
