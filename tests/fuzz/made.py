"""Files made by rule: every form of element, mostly well made, in every order."""

import struct
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from shared.dicom.part10 import PREAMBLE
from tests.fuzz.damage import LENGTHS, TAGS, VALUES, VRS
from tests.fuzz.seeds import deflate
from tests.unit.dicom.making import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    WIDE,
    explicit,
    implicit,
    meta,
)

SYNTAXES: Final = (EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG, "1.2.840.10008.1.2.4.100", "1.2.3")

_values = st.sampled_from(VALUES) | st.binary(max_size=40) | st.text(max_size=20).map(str.encode)
_lengths = st.none() | st.sampled_from(LENGTHS)
_sound_tags = st.sampled_from([tag for tag in TAGS if tag >> 16 not in (0, 2, 0xFFFE)])
_tags = st.sampled_from(TAGS) | st.integers(0, 0xFFFFFFFF)
_sound_vrs = st.sampled_from([vr for vr in VRS if vr.isupper() and vr != "SQ"])


@dataclass(frozen=True, slots=True)
class Form:
    """How the elements of a file are made."""

    order: str
    is_bare: bool
    """Whether they have no VR."""

    is_wild: bool
    """Whether tags, VRs and lengths may be wrong, and not only values."""


@st.composite
def _elements(draw: st.DrawFn, form: Form, depth: int) -> bytes:
    """One element: a value, a sequence or fragments."""
    kind = draw(st.integers(0, 9 if depth else 7))
    tag = draw(_tags if form.is_wild else _sound_tags)
    if kind < 7:
        return draw(_plain(form, tag))
    if kind == 7:
        fragments = b"".join(_item(draw(_values), form.order) for _ in range(draw(st.integers(0, 4))))
        return _write(form, tag, "OB", fragments + _end(SEQUENCE_END, form.order), UNDEFINED)
    inner = form
    vr = draw(st.sampled_from(("SQ", "SQ", "SQ", "UN")))
    if vr == "UN" and not form.is_wild:
        inner = Form("<", is_bare=True, is_wild=False)
    items = b"".join(draw(_items(inner, depth)) for _ in range(draw(st.integers(0, 3))))
    if kind == 8:
        return _write(form, tag, vr, items, None)
    return _write(form, tag, vr, items + _end(SEQUENCE_END, inner.order), UNDEFINED)


@st.composite
def _plain(draw: st.DrawFn, form: Form, tag: int) -> bytes:
    value = draw(_values)
    if form.is_wild:
        bare = Form(form.order, is_bare=draw(st.booleans()), is_wild=True)
        return _write(bare, tag, draw(st.sampled_from(VRS)), value, draw(_lengths))
    return _write(form, tag, draw(_sound_vrs), value, None)


def _write(form: Form, tag: int, vr: str, value: bytes, length: int | None) -> bytes:
    if form.is_bare:
        return implicit(tag, value, length=length)
    if vr in WIDE:
        return explicit(tag, vr, value, length=length, order=form.order)
    short = None if length is None else length & 0xFFFF
    return explicit(tag, vr, value[:0xFFFE], length=short, order=form.order)


@st.composite
def _items(draw: st.DrawFn, form: Form, depth: int) -> bytes:
    content = draw(_datasets(form, depth - 1))
    kind = draw(st.integers(0, 9 if form.is_wild else 8))
    if kind < 5:
        return _item(content, form.order)
    ended = content + (_end(ITEM_END, form.order) if kind < 9 else b"")
    return _end(b"\xfe\xff\x00\xe0\xff\xff\xff\xff", form.order) + ended


def _datasets(form: Form, depth: int) -> st.SearchStrategy[bytes]:
    return st.lists(_elements(form, depth), max_size=6).map(b"".join)


def _item(content: bytes, order: str) -> bytes:
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(content)) + content


def _end(little: bytes, order: str) -> bytes:
    """A delimiter in the order of the file."""
    return struct.pack(f"{order}HHI", *struct.unpack("<HHI", little))


@dataclass(frozen=True, slots=True)
class Made:
    """A file, which a report does not show byte by byte."""

    content: bytes

    def __repr__(self) -> str:
        return f"<{len(self.content)} bytes>"


@st.composite
def files(draw: st.DrawFn) -> Made:
    """A whole file."""
    syntax = draw(st.sampled_from(SYNTAXES))
    form = Form(
        ">" if syntax == BIG else "<", is_bare=syntax == IMPLICIT, is_wild=draw(st.integers(0, 3)) == 1
    )
    dataset = draw(_datasets(form, 3))
    if syntax == DEFLATED and draw(st.integers(0, 5)):
        dataset = deflate(dataset)
    front = draw(st.sampled_from((*[PREAMBLE] * 6, b"", b"MM\0*" * 32 + b"DICM", bytes(128))))
    other = draw(_elements(Form("<", is_bare=False, is_wild=True), 0))
    group = meta(syntax)
    group = draw(st.sampled_from((*[group] * 6, group[12:], group + other)))
    end = draw(st.sampled_from((*[b""] * 6, b"\0", bytes(300), b"\r\n")))
    content = front + group + dataset + end
    return Made(content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 20)) == 7 else content)
