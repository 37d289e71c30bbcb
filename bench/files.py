"""Made-up DICOM files: a CT's header of a hundred elements and as many pixels as asked for.

The header is as long and as mixed as a scanner's, so that what reading it costs is honest. Values that
searches look for follow from the number of the study alone.
"""

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Final

UID_ROOT: Final = "1.2.826.0.1.3680043.8.498.77"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT: Final = "1.2.840.10008.5.1.4.1.1.2.1"

MODALITIES: Final = ("CT", "MR", "US", "CR")
STUDIES_A_DAY: Final = 10
ELSEWHERE: Final = 1_000_000
"""Studies that are not of the archive that is searched count from here, so that no search finds them."""

FIRST_DAY: Final = date(2001, 1, 1)

_FAMILY_BEGINS: Final = ("Ander", "Berg", "Carl", "Dahl", "Eng", "Fors", "Gron", "Holm", "Iver", "Jans")
_FAMILY_ENDS: Final = ("berg", "dal", "feldt", "gren", "kvist", "lund", "man", "qvist", "sson", "strom")
_GIVEN_BEGINS: Final = ("Al", "Be", "Ce", "Da", "El", "Fa", "Ge", "Ha", "Il", "Jo")
_GIVEN_ENDS: Final = ("bert", "da", "fan", "gar", "ka", "lin", "mar", "na", "rik", "vid")
_FAMILIES: Final = tuple(f"{begin}{end}" for begin in _FAMILY_BEGINS for end in _FAMILY_ENDS)
_GIVEN: Final = tuple(f"{begin}{end}" for begin in _GIVEN_BEGINS for end in _GIVEN_ENDS)
_LONG_FORM: Final = frozenset({"OB", "OW", "SQ", "UN", "UT"})
_PATTERN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Which instance of a made-up archive a file is. All numbers count from 0."""

    run: int
    """Keeps the UIDs of one run, and of one purpose within it, apart from all others."""

    study: int
    series: int = 0
    instance: int = 0

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return f"{UID_ROOT}.{self.run}.{self.study}"

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return f"{self.study_uid}.{self.series + 1}"

    @property
    def instance_uid(self) -> str:
        """SOP Instance UID."""
        return f"{self.series_uid}.{self.instance + 1}"

    @property
    def path(self) -> str:
        """The instance as a path below the root of a DICOMweb server."""
        return f"{self.series_path}/instances/{self.instance_uid}"

    @property
    def series_path(self) -> str:
        """The series as such a path."""
        return f"studies/{self.study_uid}/series/{self.series_uid}"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many pixels, of two bytes each."""

    rows: int
    columns: int
    frames: int = 1

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.rows * self.columns * 2


TINY: Final = Shape(2, 2)
SMALL: Final = Shape(96, 96)
"""A file of some 20 KB."""

CT: Final = Shape(512, 512)
"""A file of some 0.5 MB."""


def patient_id(study: int) -> str:
    """Patient ID of a study: every study has a patient of its own."""
    return f"P{study:07d}"


def accession(study: int) -> str:
    """Accession Number of a study."""
    return f"A{study:07d}"


def patient_name(study: int) -> str:
    """Patient's Name of a study; the first ten thousand studies have ten thousand names."""
    round_, place = divmod(study, len(_FAMILIES) * len(_GIVEN))
    family, given = divmod(place, len(_GIVEN))
    return f"{_FAMILIES[family]}^{_GIVEN[given]}{round_ or ''}"


def study_day(study: int) -> date:
    """Study Date: ten studies a day, so that as many lie in a week however large the archive is."""
    return FIRST_DAY + timedelta(days=study // STUDIES_A_DAY)


def modality(study: int) -> str:
    """Modality of all series of a study."""
    return MODALITIES[study % len(MODALITIES)]


@dataclass(frozen=True, slots=True)
class Compressed:
    """Frames that are compressed, each in one fragment."""

    syntax: str
    frames: Sequence[bytes]


def make_file(place: Place, shape: Shape, compressed: Compressed | None = None) -> bytes:
    """Make a Part 10 file, of pixels without compression or of such frames."""
    changing = dict(_changing(place, shape))
    elements = {**_fixed(), **changing}
    if compressed:
        syntax, pixels = compressed.syntax, list(_encapsulated(compressed.frames))
    else:
        syntax, pixels = EXPLICIT_LITTLE, [_element(0x7FE00010, "OW", _pixels(place, shape))]
    return b"".join([_front(place, shape, syntax), *(elements[tag] for tag in sorted(elements)), *pixels])


def _encapsulated(frames: Sequence[bytes]) -> Iterator[bytes]:
    """Pixel data of undefined length: no table, and an item for each frame (PS3.5 A.4)."""
    yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
    for content in (b"", *frames):
        padded = content + b"\0" * (len(content) % 2)
        yield struct.pack("<HHI", 0xFFFE, 0xE000, len(padded)) + padded
    yield struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _front(place: Place, shape: Shape, syntax: str) -> bytes:
    meta = b"".join(
        _element(tag, vr, value)
        for tag, vr, value in (
            (0x00020001, "OB", b"\0\1"),
            (0x00020002, "UI", _sop_class(shape).encode()),
            (0x00020003, "UI", place.instance_uid.encode()),
            (0x00020010, "UI", syntax.encode()),
            (0x00020012, "UI", UID_ROOT.encode()),
            (0x00020013, "SH", b"BENCH"),
        )
    )
    length = _element(0x00020000, "UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + length + meta


def _sop_class(shape: Shape) -> str:
    return CT_IMAGE if shape.frames == 1 else ENHANCED_CT


def _changing(place: Place, shape: Shape) -> Iterator[tuple[int, bytes]]:
    day = study_day(place.study).strftime("%Y%m%d")
    hour = f"{place.study % 24:02d}"
    moment = f"{hour}{place.instance // 60 % 60:02d}{place.instance % 60:02d}.000000"
    texts = {
        **dict.fromkeys((0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00400244), day),
        **dict.fromkeys((0x00080030, 0x00080031, 0x00400245), f"{hour}0000.000000"),
        **dict.fromkeys((0x00080032, 0x00080033), moment),
        0x00080016: _sop_class(shape),
        0x00080018: place.instance_uid,
        0x00080050: accession(place.study),
        0x00080060: modality(place.study),
        0x00080090: f"{_FAMILIES[place.study % 50]}^Doctor",
        0x00081030: f"Thorax and abdomen {place.study % 20}",
        0x0008103E: f"Axial {place.series + 1}",
        0x00081090: f"Scanner {place.study % 12}",
        0x00100010: patient_name(place.study),
        0x00100020: patient_id(place.study),
        0x00100030: (date(1930, 1, 1) + timedelta(days=place.study * 37 % 30_000)).strftime("%Y%m%d"),
        0x0020000D: place.study_uid,
        0x0020000E: place.series_uid,
        0x00200010: str(place.study),
        0x00200011: str(place.series + 1),
        0x00200013: str(place.instance + 1),
        0x00200032: f"-250\\-250\\{place.instance * 1.25:.2f}",
        0x00200052: f"{place.study_uid}.999",
        0x00201041: f"{place.instance * 1.25:.2f}",
        **({0x00280008: str(shape.frames)} if shape.frames > 1 else {}),
    }
    for tag, text in texts.items():
        yield tag, _element(tag, _VR[tag], text.encode())
    yield 0x00280010, _element(0x00280010, "US", struct.pack("<H", shape.rows))
    yield 0x00280011, _element(0x00280011, "US", struct.pack("<H", shape.columns))


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in _LONG_FORM:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def _sequence(tag: int, *items: bytes) -> bytes:
    whole = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return _element(tag, "SQ", whole)


def _code(value: str, scheme: str, meaning: str) -> bytes:
    texts = ((0x00080100, "SH", value), (0x00080102, "SH", scheme), (0x00080104, "LO", meaning))
    return b"".join(_element(tag, vr, text.encode()) for tag, vr, text in texts)


@cache
def _pattern() -> bytes:
    return random.Random(1).randbytes(_PATTERN_BYTES)


def _pixels(place: Place, shape: Shape) -> bytes:
    wanted = shape.frame_bytes * shape.frames
    start = hash((place.study, place.series, place.instance)) % (_PATTERN_BYTES // 2)
    turned = _pattern()[start:] + _pattern()[:start] if wanted > _PATTERN_BYTES // 2 else _pattern()[start:]
    return (turned * (wanted // len(turned) + 1))[:wanted]


@cache
def _fixed() -> Mapping[int, bytes]:
    """The elements that are the same in all files, written once."""
    found = {tag: _element(tag, vr, text.encode()) for tag, vr, text in _TEXTS}
    found |= {tag: _element(tag, "US", struct.pack("<H", number)) for tag, number in _NUMBERS.items()}
    reference = _element(0x00081150, "UI", b"1.2.840.10008.3.1.2.3.1")
    reference += _element(0x00081155, "UI", f"{UID_ROOT}.1".encode())
    found[0x00081032] = _sequence(0x00081032, _code("RPID16", "RADLEX", "CT Thorax Abdomen"))
    found[0x00081110] = _sequence(0x00081110, reference)
    found[0x00081140] = _sequence(0x00081140, reference, reference)
    found[0x00082218] = _sequence(0x00082218, _code("T-D3000", "SRT", "Chest"))
    found[0x00400260] = _sequence(0x00400260, _code("PROT7", "99LOCAL", "Thorax standard"))
    found[0x00400275] = _sequence(0x00400275, _element(0x00400009, "SH", b"SPS1"))
    found[0x00091010] = _element(0x00091010, "UN", _pattern()[:256])
    return found


_VR: Final = {
    0x00080016: "UI",
    0x00080018: "UI",
    **dict.fromkeys((0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00100030, 0x00400244), "DA"),
    **dict.fromkeys((0x00080030, 0x00080031, 0x00080032, 0x00080033, 0x00400245), "TM"),
    0x00080050: "SH",
    0x00080060: "CS",
    0x00080090: "PN",
    0x00081030: "LO",
    0x0008103E: "LO",
    0x00081090: "LO",
    0x00100010: "PN",
    0x00100020: "LO",
    0x0020000D: "UI",
    0x0020000E: "UI",
    0x00200010: "SH",
    0x00200011: "IS",
    0x00200013: "IS",
    0x00200032: "DS",
    0x00200052: "UI",
    0x00201041: "DS",
    0x00280008: "IS",
}

_NUMBERS: Final = {
    0x00280002: 1,
    0x00280100: 16,
    0x00280101: 12,
    0x00280102: 11,
    0x00280103: 0,
    0x00280106: 0,
    0x00280107: 4095,
    0x00280120: 0,
}

_TEXTS: Final = (
    (0x00080005, "CS", "ISO_IR 192"),
    (0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
    (0x00080012, "DA", "20240102"),
    (0x00080013, "TM", "101530.000000"),
    (0x00080014, "UI", f"{UID_ROOT}.5"),
    (0x00080054, "AE", "ARCHIVE"),
    (0x00080064, "CS", "WSD"),
    (0x00080070, "LO", "Example Medical"),
    (0x00080080, "LO", "Example Hospital"),
    (0x00080081, "ST", "1 Example Street, Example Town"),
    (0x00080201, "SH", "+0100"),
    (0x00081010, "SH", "CT01"),
    (0x00081040, "LO", "Radiology"),
    (0x00081048, "PN", "Physician^Record"),
    (0x00081050, "PN", "Physician^Performing"),
    (0x00081060, "PN", "Physician^Reading"),
    (0x00081070, "PN", "Operatör^One"),
    (0x00081080, "LO", "Follow-up"),
    (0x00082111, "ST", "Derived from raw data"),
    (0x00090010, "LO", "EXAMPLE PRIVATE"),
    (0x00100021, "LO", "EXAMPLE"),
    (0x00100040, "CS", "O"),
    (0x00101010, "AS", "052Y"),
    (0x00101020, "DS", "1.74"),
    (0x00101030, "DS", "71.5"),
    (0x00102160, "SH", "unknown"),
    (0x00102180, "SH", "none"),
    (0x001021B0, "LT", "None known."),
    (0x00104000, "LT", "No comment."),
    (0x00180010, "LO", "Iodine 350"),
    (0x00180015, "CS", "CHEST"),
    (0x00180022, "CS", "HELIX"),
    (0x00180050, "DS", "1.25"),
    (0x00180060, "DS", "120"),
    (0x00180088, "DS", "1.25"),
    (0x00180090, "DS", "500"),
    (0x00181000, "LO", "SN000123"),
    (0x00181020, "LO", "v7.1.2"),
    (0x00181030, "LO", "Thorax standard"),
    (0x00181040, "LO", "IV"),
    (0x00181041, "DS", "100"),
    (0x00181100, "DS", "360"),
    (0x00181110, "DS", "949.07"),
    (0x00181111, "DS", "541"),
    (0x00181120, "DS", "0"),
    (0x00181130, "DS", "133.5"),
    (0x00181140, "CS", "CW"),
    (0x00181150, "IS", "500"),
    (0x00181151, "IS", "320"),
    (0x00181152, "IS", "160"),
    (0x00181160, "SH", "BODY FILTER"),
    (0x00181170, "IS", "48000"),
    (0x00181190, "DS", "1.2"),
    (0x00181210, "SH", "STANDARD"),
    (0x00185100, "CS", "FFS"),
    (0x00200012, "IS", "1"),
    (0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
    (0x00200060, "CS", ""),
    (0x00201002, "IS", "200"),
    (0x00201040, "LO", "XY"),
    (0x00204000, "LT", "Made for measuring."),
    (0x00280004, "CS", "MONOCHROME2"),
    (0x00280030, "DS", "0.976562\\0.976562"),
    (0x00281050, "DS", "40"),
    (0x00281051, "DS", "400"),
    (0x00281052, "DS", "-1024"),
    (0x00281053, "DS", "1"),
    (0x00281054, "LO", "HU"),
    (0x00281055, "LO", "SOFT TISSUE"),
    (0x00282110, "CS", "00"),
    (0x00321032, "PN", "Physician^Requesting"),
    (0x00321033, "LO", "Ward 3"),
    (0x00321060, "LO", "CT thorax and abdomen"),
    (0x00324000, "LT", "Follow-up after treatment."),
    (0x00400253, "SH", "PPS1"),
    (0x00400254, "LO", "CT thorax"),
    (0x00400280, "ST", "Nothing to report."),
)  # fmt: skip
