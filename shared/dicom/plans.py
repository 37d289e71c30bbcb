"""What to do with an element, decided once for each tag and VR and then looked up.

A header of a hundred elements must cost a fraction of a millisecond, so everything that follows from tag and
VR alone (the text before the value, how the value becomes text, how long the header is) is worked out once
and kept in a bounded cache keyed by the header's own bytes.
"""

from dataclasses import dataclass, replace
from enum import IntEnum, auto
from functools import lru_cache
from typing import Final

from shared.dicom import dictionary, render
from shared.dicom.render import Endian, Render
from shared.dicom.tags import CORE_SEARCH, INDEXED_TAGS
from shared.dicom.validate_quick import IsFine, always_fine, never_fine, quick_check
from shared.dicom.validate_rules import ANY_NUMBER, Multiplicity

PIXEL_DATA: Final = 0x7FE00010
FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
PIXEL_TAGS: Final = frozenset({PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA})
EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
TRAILING_PADDING: Final = 0xFFFCFFFC
SPECIFIC_CHARACTER_SET: Final = 0x00080005
PIXEL_REPRESENTATION: Final = 0x00280103
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY_INSTANCE: Final = 0x0020000D
SERIES_INSTANCE: Final = 0x0020000E
PATIENT_ID: Final = 0x00100020
MODALITIES_IN_STUDY: Final = 0x00080061
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
SAMPLES_PER_PIXEL: Final = 0x00280002
PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
NUMBER_OF_FRAMES: Final = 0x00280008
MIME_TYPE_OF_DOCUMENT: Final = 0x00420012
AVAILABLE_SYNTAX: Final = 0x00083002
BITS_ALLOCATED: Final = 0x00280100

WATCHED_TAGS: Final = frozenset(
    {
        SPECIFIC_CHARACTER_SET,
        PIXEL_REPRESENTATION,
        SOP_CLASS,
        SOP_INSTANCE,
        STUDY_INSTANCE,
        SERIES_INSTANCE,
        ROWS,
        COLUMNS,
        SAMPLES_PER_PIXEL,
        PHOTOMETRIC_INTERPRETATION,
        NUMBER_OF_FRAMES,
        BITS_ALLOCATED,
        MIME_TYPE_OF_DOCUMENT,
    }
)
"""Elements whose values the reader itself needs; private creators in implicit VR are among them too."""

IDENTIFYING_TAGS: Final = frozenset({SOP_CLASS, SOP_INSTANCE, STUDY_INSTANCE, SERIES_INSTANCE})
"""The UIDs of an instance: where its bytes go depends on them while they still arrive."""

SEARCHED_VRS: Final = {
    SOP_CLASS: "UI",
    **{
        int(attribute.tag, 16): attribute.vr
        for attributes in CORE_SEARCH.values()
        for attribute in attributes
        # Made of the series; what a file says of it is not looked at.
        if int(attribute.tag, 16) != MODALITIES_IN_STUDY
    },
}
"""The VR of each attribute that can be searched or identifies an instance. All of them have one value."""

BULK_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Not in metadata, but by reference (PS3.18 section F.2.2)."""


class Role(IntEnum):
    """What an element is to the reader."""

    VALUE = auto()
    BULK = auto()
    SEQUENCE = auto()
    DROPPED = auto()
    ITEM_END = auto()
    SEQUENCE_END = auto()
    MISPLACED = auto()
    """Group 0002, which belongs before the dataset, or an item outside a sequence."""


class Layout(IntEnum):
    """Where an element's length stands."""

    SHORT = auto()
    """Two bytes after the VR."""

    WIDE = auto()
    """Four bytes after the VR and two reserved bytes."""

    BARE = auto()
    """Four bytes after the tag: implicit VR, and items and delimiters always."""

    UNSURE = auto()
    """A VR nobody knows: wide when the two bytes after it are zero, as PS3.5 demands of new VRs."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with the elements of one tag and VR."""

    tag: int
    vr: str
    role: Role
    layout: Layout
    render: Render | None
    """How the value becomes text, for role VALUE alone."""

    prefix: str
    """The JSON text up to and including the VR."""

    watched: bool
    indexed: bool
    multiplicity: Multiplicity
    is_fine: IsFine
    """Whether a value breaks no rule at first sight; if not, it is to be looked at (`validate`)."""

    unit: int
    """Bytes of each number in a value that has its high byte first; 1 where nothing has to be turned."""


def _renders(endian: Endian) -> dict[str, Render]:
    texts = dict.fromkeys(("SH", "LO", "UC"), render.render_text)
    long_texts = dict.fromkeys(("ST", "LT", "UT"), render.render_long_text)
    codes = dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM"), render.render_code)
    numbers = {"SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q", "FL": "f", "FD": "d"}
    return {
        **texts,
        **long_texts,
        **codes,
        "UI": render.render_uid,
        "UR": render.render_url,
        "PN": render.render_name,
        "DS": render.render_decimal,
        "IS": render.render_integer,
        "AT": render.render_tags(endian),
        **{vr: render.render_numbers(endian, code) for vr, code in numbers.items()},
    }


_RENDERS: Final[dict[Endian, dict[str, Render]]] = {"<": _renders("<"), ">": _renders(">")}
_UNITS: Final = {
    **dict.fromkeys(("OW", "SS", "US", "AT"), 2),
    **dict.fromkeys(("OF", "OL", "FL", "SL", "UL"), 4),
    **dict.fromkeys(("OD", "OV", "FD", "SV", "UV"), 8),
}
_WIDE_VRS: Final = BULK_VRS | {"SQ", "SV", "UC", "UR", "UT", "UV"}
_KNOWN_VRS: Final = BULK_VRS | {"SQ"} | set(_RENDERS["<"])


@lru_cache(maxsize=8192)
def plan_explicit_little(head: bytes) -> Plan:
    """The plan for an element whose header starts with these six bytes: tag and VR."""
    return _plan_explicit(head, "<")


@lru_cache(maxsize=8192)
def plan_explicit_big(head: bytes) -> Plan:
    """The same in big endian."""
    return _plan_explicit(head, ">")


@lru_cache(maxsize=8192)
def plan_implicit(head: bytes) -> Plan:
    """The plan for an element with this tag (four bytes, little endian), its VR taken from the dictionary.

    Ambiguous VRs come out as "US or SS" with no renderer for `resolved()` to settle; private ones as UN.
    """
    return _plan_bare(_tag(head, "<"), "<")


@lru_cache(maxsize=8192)
def plan_private(head: bytes, creator: str) -> Plan:
    """The plan for a private element in implicit VR, from its creator's dictionary."""
    tag = _tag(head, "<")
    vr = dictionary.private_vr_of(creator, tag)
    return _plan(tag, vr if vr in _KNOWN_VRS else "UN", Layout.BARE, "<")


@lru_cache(maxsize=1024)
def resolved(plan: Plan, signed: bool) -> Plan:
    """Settle "US or SS" by the Pixel Representation in force."""
    return _plan(plan.tag, "SS" if signed else "US", plan.layout, "<")


@lru_cache(maxsize=1024)
def translated(plan: Plan) -> Plan:
    """The plan for a standard element that comes as UN: its VR of the dictionary, always little endian.

    A sequence with a length stays UN: writers disagree on how the items inside are encoded.
    """
    entry = dictionary.entry_of(plan.tag)
    vr = _settled(entry.vr) if entry else "UN"
    return plan if vr == "SQ" or vr not in _KNOWN_VRS else _plan(plan.tag, vr, plan.layout, "<")


@lru_cache(maxsize=1024)
def as_sequence(plan: Plan) -> Plan:
    """The plan for an element that turns out to be a sequence."""
    return _plan(plan.tag, "SQ", plan.layout, "<")


def is_private(tag: int) -> bool:
    """Whether the group is odd."""
    return bool(tag & 0x10000)


def _plan_explicit(head: bytes, endian: Endian) -> Plan:
    tag = _tag(head, endian)
    vr = str(head[4:6], "latin-1")
    # Some writers fall back to implicit VR within a file; half a length then stands in place of the VR.
    if tag >> 16 == 0xFFFE or not (vr.isascii() and vr.isalpha() and vr.isupper()):
        return _plan_bare(tag, endian)
    if vr not in _KNOWN_VRS:
        return replace(_plan(tag, "UN", Layout.UNSURE, endian), vr="UN")
    return _plan(tag, vr, Layout.WIDE if vr in _WIDE_VRS else Layout.SHORT, endian)


def _plan_bare(tag: int, endian: Endian) -> Plan:
    if is_private(tag):
        creator = 0x10 <= tag & 0xFFFF <= 0xFF
        plan = _plan(tag, "LO" if creator else "UN", Layout.BARE, endian)
        return replace(plan, watched=creator)
    entry = dictionary.entry_of(tag) if tag & 0xFFFF and tag >> 16 != 0xFFFE else None
    return _plan(tag, _settled(entry.vr) if entry else "UN", Layout.BARE, endian)


def _settled(vr: str) -> str:
    """One VR of a choice, but for "US or SS", which the dataset decides."""
    if "OW" in vr:
        return "OW"
    return vr if vr in _KNOWN_VRS or vr == "US or SS" else "UN"


def _plan(tag: int, vr: str, layout: Layout, endian: Endian) -> Plan:
    role = _role(tag, vr)
    multiplicity = _multiplicity(tag)
    return Plan(
        tag=tag,
        vr=vr,
        role=role,
        layout=layout,
        render=_RENDERS[endian].get(vr) if role is Role.VALUE else None,
        prefix=f'"{tag:08X}":{{"vr":"{vr}"',
        watched=tag in WATCHED_TAGS,
        indexed=tag in INDEXED_TAGS,
        multiplicity=multiplicity,
        is_fine=_is_fine(tag, vr, multiplicity) if role is Role.VALUE else always_fine,
        unit=_UNITS.get(vr, 1) if endian == ">" else 1,
    )


def _multiplicity(tag: int) -> Multiplicity:
    """Of the dictionary; private elements and those it does not know may have any number of values."""
    entry = None if is_private(tag) else dictionary.entry_of(tag)
    return Multiplicity.parse(entry.multiplicity) if entry else ANY_NUMBER


def _is_fine(tag: int, vr: str, multiplicity: Multiplicity) -> IsFine:
    if SEARCHED_VRS.get(tag, vr) != vr:
        return never_fine
    quick = quick_check(vr, multiplicity)
    if tag == PATIENT_ID:
        return lambda raw: raw.strip(b"\0 ") and quick(raw)
    return quick


_DELIMITERS: Final = {ITEM: Role.MISPLACED, ITEM_END: Role.ITEM_END, SEQUENCE_END: Role.SEQUENCE_END}


def _role(tag: int, vr: str) -> Role:
    if tag in _DELIMITERS:
        return _DELIMITERS[tag]
    # Group lengths say nothing about the data and are often wrong; padding says nothing at all.
    if tag == TRAILING_PADDING or (not tag & 0xFFFF and tag != 0x00020000):
        return Role.DROPPED
    if tag >> 16 == 2:
        return Role.MISPLACED
    if vr == "SQ":
        return Role.SEQUENCE
    return Role.BULK if vr in BULK_VRS else Role.VALUE


def _tag(head: bytes, endian: Endian) -> int:
    order: Final = "little" if endian == "<" else "big"
    return int.from_bytes(head[:2], order) << 16 | int.from_bytes(head[2:4], order)
