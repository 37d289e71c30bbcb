"""Odd files: what can be read is stored as it is, what cannot is refused, and its neighbours never suffer.

Every file here is made byte by byte, so that a bare clone has all of them; `test_real_files.py` sends the
real ones. Each goes into a request between two ordinary files (API rules sections 3.2, 3.5 and 3.8; PS3.5
section 7 and annex A; PS3.10 section 7.1).
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import pydicom
import pytest
from pydicom import config

from shared.dicom.part10 import PREAMBLE
from tests.archive import ANY_FRAME, Archive, Dataset, failures, parts_of, relative, stored, values
from tests.factories import make_image, new_uid
from tests.unit.dicom.making import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    ITEM_END,
    JPEG,
    SEQUENCE_END,
    UNDEFINED,
    encapsulated,
    explicit,
    file_of,
    image,
    implicit,
    item,
    meta,
    open_item,
)

WHOLE = "application/dicom; transfer-syntax=*"
UNREADABLE = 43264

STUDY, SERIES, INSTANCE = (
    b"1.2.826.0.1.3680043.10.1337.1 ",
    b"1.2.826.0.1.3680043.10.1337.2 ",
    b"1.2.3.4.5.6.7.8.9\0",
)
CLASS = b"1.2.840.10008.5.1.4.1.1.7\0"
PATH = "studies/{}/series/{}/instances/{}".format(
    *(uid.rstrip(b"\0 ").decode() for uid in (STUDY, SERIES, INSTANCE))
)

CORE = (
    "00080005",
    "00080016",
    "00080018",
    "00080020",
    "00080060",
    "00081140",
    "00100010",
    "00100020",
    "0020000D",
    "0020000E",
    "00200013",
    "00280008",
    "00280010",
)
"""What is compared with pydicom, where the metadata have it."""


def front(order: str = "<") -> bytes:
    """The elements that name the instance and come first."""
    return explicit(0x00080016, "UI", CLASS, order=order) + explicit(0x00080018, "UI", INSTANCE, order=order)


def middle(order: str = "<") -> bytes:
    """The patient, the study and the series."""
    patient = explicit(0x00100010, "PN", b"Doe^Jane", order=order) + explicit(
        0x00100020, "LO", b"P1", order=order
    )
    study = explicit(0x0020000D, "UI", STUDY, order=order) + explicit(0x0020000E, "UI", SERIES, order=order)
    return patient + study


def bare() -> bytes:
    """All of them in implicit VR."""
    pairs = (
        (0x00080016, CLASS),
        (0x00080018, INSTANCE),
        (0x00100010, b"Doe^Jane"),
        (0x00100020, b"P1"),
        (0x0020000D, STUDY),
        (0x0020000E, SERIES),
    )
    return b"".join(implicit(tag, value) for tag, value in pairs)


def around(early: bytes = b"", late: bytes = b"", syntax: str = EXPLICIT) -> bytes:
    """A file with elements before the patient and at its end."""
    return file_of(front() + early + middle() + late, syntax)


def deflated(dataset: bytes) -> bytes:
    """A file whose dataset is deflated."""
    made = zlib.compressobj(9, wbits=-15)
    return file_of(made.compress(dataset) + made.flush(), DEFLATED)


def number(tag: int, value: int, order: str = "<") -> bytes:
    """An element of VR US."""
    return explicit(tag, "US", struct.pack(f"{order}H", value), order=order)


PLAIN = around()
NAME = explicit(0x00100010, "PN", b"Roe^Rick")
NAME_JSON = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Roe^Rick"}]}}
LONG_JSON = {"00291001": {"vr": "UT", "BulkDataURI": "00291001"}}
NESTED = {"00081140": {"vr": "SQ", "Value": [NAME_JSON]}}


def nested(depth: int) -> bytes:
    """Sequences of undefined length within one another."""
    inner = nested(depth - 1) if depth > 1 else NAME
    return explicit(0x00081140, "SQ", open_item(inner) + SEQUENCE_END, length=UNDEFINED)


def nested_json(depth: int) -> Dataset:
    """The same in metadata."""
    inner = nested_json(depth - 1) if depth > 1 else NAME_JSON
    return {"00081140": {"vr": "SQ", "Value": [inner]}}


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is stored."""

    content: bytes
    metadata: Dataset
    """Elements that its metadata have, beside the UIDs; an absent one is None."""


BIG_DATASET = (
    front(">")
    + explicit(
        0x00081140,
        "SQ",
        struct.pack(">HHI", 0xFFFE, 0xE000, len(NAME)) + explicit(0x00100010, "PN", b"Roe^Rick", order=">"),
        order=">",
    )
    + middle(">")
    + explicit(0x00189073, "FD", struct.pack(">d", 2.5), order=">")
    + number(0x00280010, 513, ">")
    + explicit(0x00280009, "AT", struct.pack(">HH", 0x0018, 0x1063), order=">")
)
EMPTY_VRS = (
    "AE",
    "AS",
    "CS",
    "DA",
    "DS",
    "DT",
    "FL",
    "FD",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
)

FORMS = {
    "a preamble for TIFF readers": Kept(b"II*\0" * 32 + PLAIN[128:], {}),
    "no preamble": Kept(PLAIN[132:], {}),
    "deflated": Kept(deflated(front() + nested(1) + middle()), NESTED),
    "deflated, and a byte of padding behind": Kept(deflated(front() + middle()) + b"\0", {}),
    "big endian": Kept(
        file_of(BIG_DATASET, BIG),
        {
            **NESTED,
            "00189073": {"vr": "FD", "Value": [2.5]},
            "00280009": {"vr": "AT", "Value": ["00181063"]},
            "00280010": {"vr": "US", "Value": [513]},
        },
    ),
    "implicit VR": Kept(file_of(bare(), IMPLICIT), {"00100020": {"vr": "LO", "Value": ["P1"]}}),
    "implicit VR where explicit is declared": Kept(
        file_of(bare(), EXPLICIT), {"00100020": {"vr": "LO", "Value": ["P1"]}}
    ),
    "explicit VR where implicit is declared": Kept(around(nested(1), syntax=IMPLICIT), NESTED),
    "a transfer syntax nobody knows": Kept(around(syntax="1.2.3.4.5.6.7"), {}),
    "group 0002 without its length": Kept(PREAMBLE + meta()[12:] + PLAIN[132 + len(meta()) :], {}),
    "group 0002 longer than it says": Kept(
        PREAMBLE + explicit(0x00020000, "UL", b"\2\0\0\0") + PLAIN[132 + 12 :], {}
    ),
    "group 0002 shorter than it says": Kept(
        PREAMBLE + explicit(0x00020000, "UL", b"\xff\0\0\0") + PLAIN[132 + 12 :], {}
    ),
    "group 0002 that names another instance": Kept(
        PREAMBLE + explicit(0x00020003, "UI", b"9.9.9\0") + PLAIN[132 + 12 :], {}
    ),
    "group 0002 with private elements": Kept(
        PREAMBLE + meta() + explicit(0x00020102, "OB", bytes(300)) + PLAIN[132 + len(meta()) :], {}
    ),
    "sequences of known length": Kept(around(explicit(0x00081140, "SQ", item(NAME))), NESTED),
    "sequences of unknown length": Kept(around(nested(1)), NESTED),
    "items of unknown length in a sequence of known length": Kept(
        around(explicit(0x00081140, "SQ", open_item(NAME))), NESTED
    ),
    "an item that its sequence ends": Kept(
        around(explicit(0x00081140, "SQ", item(NAME, length=UNDEFINED) + SEQUENCE_END, length=UNDEFINED)),
        NESTED,
    ),
    "thirty sequences within one another": Kept(around(nested(30)), nested_json(30)),
    "a sequence of 10,000 items": Kept(
        around(explicit(0x00081140, "SQ", item(b"") * 10_000)),
        {"00081140": {"vr": "SQ", "Value": [{}] * 10_000}},
    ),
    "a sequence of UN": Kept(
        around(
            explicit(
                0x00081140, "UN", item(implicit(0x00100010, b"Roe^Rick")) + SEQUENCE_END, length=UNDEFINED
            )
        ),
        NESTED,
    ),
    "a private sequence without VR": Kept(
        file_of(
            bare()
            + implicit(0x00410010, b"UNKNOWN ")
            + implicit(
                0x00411001, open_item(implicit(0x00100010, b"Roe^Rick")) + SEQUENCE_END, length=UNDEFINED
            ),
            IMPLICIT,
        ),
        {"00411001": {"vr": "SQ", "Value": [NAME_JSON]}},
    ),
    "private elements with their creator": Kept(
        around(late=explicit(0x00290010, "LO", b"ME") + explicit(0x00291001, "SL", b"\1\0\0\0")),
        {"00290010": {"vr": "LO", "Value": ["ME"]}, "00291001": {"vr": "SL", "Value": [1]}},
    ),
    "private elements without a creator": Kept(
        around(late=explicit(0x00291001, "SL", b"\1\0\0\0")), {"00291001": {"vr": "SL", "Value": [1]}}
    ),
    "a VR nobody knows": Kept(
        around(late=b"\x29\0\1\x10ZZ\2\0ab" + b"\x29\0\2\x10ZY\0\0\2\0\0\0ab"),
        {tag: {"vr": "UN", "BulkDataURI": tag} for tag in ("00291001", "00291002")},
    ),
    "a standard element as UN": Kept(
        around(explicit(0x00080060, "UN", b"CT")), {"00080060": {"vr": "CS", "Value": ["CT"]}}
    ),
    "values of no length": Kept(
        around(late=b"".join(explicit(0x00291001 + n, vr) for n, vr in enumerate(EMPTY_VRS))),
        {f"{0x00291001 + n:08X}": {"vr": vr} for n, vr in enumerate(EMPTY_VRS)},
    ),
    "a value of odd length": Kept(
        around(explicit(0x00080060, "CS", b"CT1")), {"00080060": {"vr": "CS", "Value": ["CT1"]}}
    ),
    "a number too short for its VR": Kept(around(late=explicit(0x00280010, "US", b"\1")), {"00280010": None}),
    "group lengths that are wrong": Kept(
        file_of(explicit(0x00080000, "UL", b"\xff\xff\xff\x7f") + front() + middle()), {"00080000": None}
    ),
    "zeros at its end": Kept(PLAIN + bytes(511), {}),
    "trailing padding": Kept(around(late=explicit(0xFFFCFFFC, "OB", bytes(100))), {"FFFCFFFC": None}),
    "elements out of order": Kept(
        file_of(explicit(0x00200013, "IS", b"7 ") + middle() + front()),
        {"00200013": {"vr": "IS", "Value": [7]}},
    ),
    "an element that comes twice": Kept(
        around(explicit(0x00080060, "CS", b"CT") + explicit(0x00080060, "CS", b"MR")),
        {"00080060": {"vr": "CS", "Value": ["MR"]}},
    ),
    "a text of 16 MiB": Kept(around(late=explicit(0x00291001, "UT", b"x" * 2**24)), LONG_JSON),
    "5,000 small elements": Kept(
        around(late=b"".join(explicit(0x00291001 + n, "SH", b"x ") for n in range(5_000))),
        {f"{0x00291001 + n:08X}": {"vr": "SH", "Value": ["x"]} for n in (0, 4_999)},
    ),
    "fragments that are no pixels": Kept(
        around(late=explicit(0x00291001, "OB", item(b"ab") * 3 + SEQUENCE_END, length=UNDEFINED)),
        {"00291001": {"vr": "OB", "BulkDataURI": "00291001"}},
    ),
    "text that its character set does not allow": Kept(
        around(explicit(0x00081030, "LO", b"Kopf \xff\xfe\x1b")),
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}},
    ),
    "Japanese behind escape sequences": Kept(
        file_of(
            explicit(0x00080005, "CS", b"\\ISO 2022 IR 87 ")
            + front()
            + explicit(0x00100010, "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B")
            + middle()[16:]
        ),
        {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]}},
    ),
}

# pydicom reads these as something else or not at all.
UNLIKE_PYDICOM = {
    "no preamble",
    "implicit VR where explicit is declared",
    "explicit VR where implicit is declared",
    "zeros at its end",
    "a sequence of UN",
    "group 0002 longer than it says",
    "group 0002 shorter than it says",
    "a standard element as UN",
    "text that its character set does not allow",
    "an item that its sequence ends",
}


@pytest.mark.parametrize(("form", "kept"), FORMS.items(), ids=[*FORMS])
def test_an_odd_file_that_can_be_read_is_stored(archive: Archive, form: str, kept: Kept) -> None:
    """It comes back byte for byte but for its preamble (Q-08), and its metadata are what it says."""
    metadata = assert_kept(archive, kept.content)

    assert {tag: relative(metadata).get(tag) for tag in kept.metadata} == kept.metadata
    assert list(metadata) == sorted(metadata)
    if form not in UNLIKE_PYDICOM:
        assert core_of(metadata) == core_of(oracle(kept.content))


def assert_kept(archive: Archive, content: bytes) -> Dataset:
    """Store a file between two others; give its metadata."""
    before, after = make_image(), make_image()

    answer = archive.store(before, content, after)

    assert answer.status_code in (200, 202)
    assert stored(answer) == [before.instance, INSTANCE.rstrip(b"\0").decode(), after.instance]
    assert archive.get(PATH, WHOLE).content == as_stored(content)
    for neighbour in (before, after):
        assert archive.get(neighbour.path, WHOLE).content == neighbour.content
    (metadata,) = archive.metadata(PATH)
    return metadata


def as_stored(content: bytes) -> bytes:
    """A file as it should come back."""
    return PREAMBLE + (content[132:] if content[128:132] == b"DICM" else content)


def oracle(content: bytes) -> Dataset:
    """A file as pydicom reads it."""
    config.settings.reading_validation_mode = config.IGNORE
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        found: Dataset = dataset.to_json_dict(bulk_data_threshold=1 << 30, suppress_invalid_tags=True)
    finally:
        config.settings.reading_validation_mode = config.WARN
    return found


def core_of(dataset: Dataset) -> dict[str, Any]:
    """Core attributes without what both may write differently: padding, and empty values."""
    return {tag: (dataset[tag]["vr"], plain(dataset[tag].get("Value", []))) for tag in CORE if tag in dataset}


def plain(value: object) -> object:
    """A value without padding."""
    if isinstance(value, str):
        return value.rstrip("\0 ") or None
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def frames_file(
    *, declared: bytes | int | None, pixels: bytes, syntax: str = EXPLICIT, size: int = 2
) -> bytes:
    """A file with pixel data whose header says what it likes."""
    return around(late=image(size, size, frames=declared) + pixels, syntax=syntax)


FOUR = explicit(0x7FE00010, "OW", b"abcd")
JPEGS = [b"one\xff\xd9\0", b"two\xff\xd9\0"]
STARTS = struct.pack("<2I", 0, 14)

FRAMES = {
    "a billion frames declared": (frames_file(declared=10**9, pixels=FOUR), [b"abcd"]),
    "a billion frames declared of as many fragments": (
        frames_file(declared=10**9, pixels=encapsulated(JPEGS), syntax=JPEG),
        JPEGS,
    ),
    "a number of frames that is none": (frames_file(declared=b"1A", pixels=FOUR), [b"abcd"]),
    "frames larger than all pixels": (frames_file(declared=1, pixels=FOUR, size=65535), []),
    "pixels of no length": (frames_file(declared=1, pixels=explicit(0x7FE00010, "OW", b"")), []),
    "an offset table": (
        frames_file(declared=2, pixels=encapsulated([*JPEGS], STARTS), syntax=JPEG),
        JPEGS,
    ),
    "an offset table that points elsewhere": (
        frames_file(declared=2, pixels=encapsulated(JPEGS, struct.pack("<2I", 0, 10**9)), syntax=JPEG),
        JPEGS,
    ),
    "an offset table of a million entries": (
        frames_file(declared=2, pixels=encapsulated(JPEGS, bytes(4_000_000)), syntax=JPEG),
        JPEGS,
    ),
    "an offset table cut within an entry": (
        frames_file(declared=2, pixels=encapsulated(JPEGS, STARTS[:6]), syntax=JPEG),
        JPEGS,
    ),
    "an empty fragment among others": (
        frames_file(declared=2, pixels=encapsulated([JPEGS[0], b"", JPEGS[1]]), syntax=JPEG),
        JPEGS,
    ),
    "a delimiter's bytes within a fragment": (
        frames_file(declared=1, pixels=encapsulated([b"one" + SEQUENCE_END + b"\xff\xd9\0"]), syntax=JPEG),
        [b"one" + SEQUENCE_END + b"\xff\xd9\0"],
    ),
    "no delimiter behind the last fragment": (
        frames_file(declared=2, pixels=encapsulated(JPEGS)[:-8], syntax=JPEG),
        JPEGS,
    ),
    "100,000 fragments of one frame": (
        frames_file(declared=1, pixels=encapsulated([b""] * 99_999 + JPEGS[:1]), syntax=JPEG),
        JPEGS[:1],
    ),
    "elements behind the pixels": (
        frames_file(declared=1, pixels=FOUR + explicit(0xFFFAFFFA, "SQ", item(NAME))),
        [b"abcd"],
    ),
    "pixels that come twice": (
        frames_file(declared=1, pixels=explicit(0x7FE00010, "OW", b"efgh") + FOUR),
        [b"abcd"],
    ),
}


@pytest.mark.parametrize(("content", "frames"), FRAMES.values(), ids=[*FRAMES])
def test_pixel_data_that_lie_are_stored_and_their_frames_found(
    archive: Archive, content: bytes, frames: list[bytes]
) -> None:
    """Those that are there are served (PS3.18 section 10.4), and no others."""
    assert_kept(archive, content)

    if frames:
        numbers = ",".join(str(number) for number in range(1, len(frames) + 1))
        answer = archive.get(f"{PATH}/frames/{numbers}", ANY_FRAME)
        assert answer.status_code == 200
        assert [part.content for part in parts_of(answer)] == frames
    for beyond in (len(frames) + 1, 10**9):
        assert archive.get(f"{PATH}/frames/{beyond}", ANY_FRAME).status_code == 404


def test_frames_of_a_deflated_dataset_are_found(archive: Archive) -> None:
    """Pixels of one colour shrink a thousandfold, which is no bomb."""
    pixels = bytes(1000 * 1000 * 8)
    assert_kept(
        archive,
        deflated(front() + middle() + image(1000, 1000, frames=8) + explicit(0x7FE00010, "OB", pixels)),
    )

    answer = archive.get(f"{PATH}/frames/8", ANY_FRAME)

    assert [part.content for part in parts_of(answer)] == [bytes(1000 * 1000)]


def bomb() -> bytes:
    """Some kilobytes that become 24 MiB of elements."""
    return deflated(explicit(0x00291001, "LO") * (24 * 2**17))


SEQUENCE = explicit(0x00081140, "SQ", item(NAME) * 2)
REFUSED = {
    "nothing": b"",
    "a text": b"This is not DICOM. " * 20,
    "zeros": bytes(1000),
    "a preamble alone": PREAMBLE,
    "no group 0002": PREAMBLE + front() + middle(),
    "neither a preamble nor group 0002": front() + middle(),
    "group 0002 without a transfer syntax": PREAMBLE
    + explicit(0x00020003, "UI", b"1.2\0")
    + front()
    + middle(),
    "an empty transfer syntax": around(syntax=""),
    "a transfer syntax that is no UID": around(syntax="1.2.840.10008.1.2.1\r\nX-Y: z"),
    "a transfer syntax beyond ASCII": PREAMBLE
    + explicit(0x00020010, "UI", b"1.2.\xe9\0")
    + front()
    + middle(),
    "group 0002 without end": PREAMBLE + explicit(0x00020102, "OB", b"", length=2**30) + bytes(70_000),
    "group 0002 of 100 KB": PREAMBLE + explicit(0x00020102, "OB", bytes(100_000)) + PLAIN[132:],
    "cut within group 0002": PLAIN[:150],
    "cut within a tag": PLAIN[:-37],
    "cut within a length": PLAIN[:-31],
    "cut within a value": PLAIN[:-1],
    "cut within a sequence": around(late=SEQUENCE)[: -len(item(NAME))],
    "cut within an item": around(late=SEQUENCE)[:-1],
    "cut before a delimiter": around(late=explicit(0x00291001, "SQ", item(NAME), length=UNDEFINED)),
    "cut within the pixels": frames_file(declared=1, pixels=FOUR)[:-1],
    "cut within a fragment": frames_file(declared=1, pixels=encapsulated(JPEGS), syntax=JPEG)[:-9],
    "cut between fragments": frames_file(declared=2, pixels=encapsulated(JPEGS), syntax=JPEG)[:-22],
    "cut within a deflated dataset": deflated(front() + middle())[:-2],
    "a deflated dataset that is none": file_of(front() + middle(), DEFLATED),
    "a value of 4 GB in a small file": around(late=explicit(0x00291001, "OB", bytes(1000), length=2**32 - 2)),
    "a text of 4 GB in a small file": around(late=explicit(0x00291001, "UT", bytes(1000), length=2**32 - 2)),
    "an item longer than its sequence": around(explicit(0x00081140, "SQ", item(NAME, length=99))),
    "an element longer than its item": around(
        explicit(0x00081140, "SQ", item(explicit(0x00100010, "PN", b"A", length=99)) + item(b""))
    ),
    "an item that ends within an element": around(explicit(0x00081140, "SQ", item(NAME[:4]))),
    "a sequence of no items": around(explicit(0x00081140, "SQ", NAME)),
    "an item outside a sequence": around(item(NAME)),
    "an item without a length outside a sequence": around(item(NAME, length=UNDEFINED) + SEQUENCE_END),
    "the end of no item": around(ITEM_END),
    "the end of no sequence": around(SEQUENCE_END),
    "a text without a length": around(late=explicit(0x00291001, "UT", NAME, length=UNDEFINED)),
    "a group length without a length": around(
        late=explicit(0x00290000, "UN", SEQUENCE_END, length=UNDEFINED)
    ),
    "group 0002 within the dataset": around(meta()),
    "something behind the padding": PLAIN + bytes(16) + NAME,
    "65,000 sequences within one another": around(
        (explicit(0x00081140, "SQ", length=UNDEFINED) + item(b"", length=UNDEFINED)) * 65_000
    ),
    "some kilobytes that become megabytes of elements": bomb(),
    "a UID that comes again as a sequence": around(late=explicit(0x0020000D, "SQ", item(NAME))),
    "a patient's ID that is a sequence": around(late=explicit(0x00100020, "SQ", item(NAME))),
    "two studies": around(late=explicit(0x0020000D, "UI", b"1.2.3\0")),
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=[*REFUSED])
def test_an_odd_file_that_cannot_be_read_is_refused_alone(archive: Archive, content: bytes) -> None:
    """Section 3.2 step 1: 43264. Those before and behind it in the request are stored and come back."""
    before, after = make_image(), make_image()

    answer = archive.store(before, content, after)

    assert answer.status_code == 202
    assert failures(answer) == [UNREADABLE]
    assert stored(answer) == [before.instance, after.instance]
    for neighbour in (before, after):
        assert archive.get(neighbour.path, WHOLE).content == neighbour.content
    found = {values(item, "00080018")[0] for item in archive.search("instances")}
    assert found == {before.instance, after.instance}


def test_a_large_file_whose_study_changes_on_the_way_is_refused(archive: Archive) -> None:
    """It is on its way into storage, under the first UIDs, before the others come."""
    pixels = explicit(0x7FE00010, "OW", bytes(6_000_000))
    content = around(late=pixels + explicit(0x0020000D, "UI", new_uid().encode()))

    answer = archive.store(content)

    assert answer.status_code == 409
    assert failures(answer) == [UNREADABLE]
    assert archive.search("instances") == []
