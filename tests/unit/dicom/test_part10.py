"""Whole files: their front, their dataset, and what is wrong with them (PS3.10 and PS3.5, section 7 each)."""

import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from random import Random

import pytest

from shared.dicom import metadata as metadata_module
from shared.dicom.levels import MAX_VALUE_BYTES
from shared.dicom.part10 import PREAMBLE, BulkIndex, BulkSpan, Identity, NotDicom, Part10Reader
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
    json_of,
    meta,
    metadata_of,
    open_item,
    pieces,
    read,
)

ROOT = Path(__file__).parents[3]
UIDS = (
    explicit(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0")
    + explicit(0x00080018, "UI", b"1.2.3.4\0")
    + explicit(0x0020000D, "UI", b"1.2 ")
    + explicit(0x0020000E, "UI", b"1.2.3\0")
)
IDENTITY = Identity(study="1.2", series="1.2.3", instance="1.2.3.4", sop_class="1.2.840.10008.5.1.4.1.1.2")
NAME = explicit(0x00100010, "PN", b"A^B ")
NAME_JSON = {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}


def referred(tag: int, vr: str = "UN") -> dict[str, dict[str, str]]:
    """An element whose value is elsewhere."""
    return {f"{tag:08X}": {"vr": vr, "BulkDataURI": f"{tag:08X}"}}


def deflated(dataset: bytes) -> bytes:
    """A dataset as the deflated syntax has it."""
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(dataset) + deflate.flush()


def test_identity_is_known_before_the_pixels() -> None:
    """A caller can decide where a file belongs while it still arrives."""
    data = file_of(UIDS + image() + explicit(0x7FE00010, "OW", b"abcd"))
    reader = Part10Reader()

    reader.feed(data[:140])
    before = reader.identity
    reader.feed(data[140:-40])
    after = reader.identity
    reader.feed(data[-40:])

    assert before is None
    assert after == IDENTITY
    assert reader.finish().identity == IDENTITY


def test_absent_uids_are_empty() -> None:
    """The caller decides what that means."""
    file = read(file_of(explicit(0x00080018, "UI", b"1.2\\1.3\0") + NAME))

    assert file.identity == Identity(study="", series="", instance="1.2\\1.3", sop_class="")


def test_attributes_are_those_search_needs_trimmed() -> None:
    """NULs and trailing blanks go here, while metadata keep the NULs (API rules 3.4 and 3.9)."""
    code = item(explicit(0x00080100, "SH", b"X\0"))
    dataset = (
        explicit(0x00081030, "LO", b"Head \\b\0")
        + explicit(0x00081032, "SQ", code)
        + explicit(0x00081111, "SQ", code)
        + explicit(0x00100010, "PN", b"A^B\0")
        + explicit(0x00100020, "LO", b"  ")
        + explicit(0x00180050, "DS", b"1.5 ")
    )

    file = read(file_of(dataset))

    assert file.attributes == {
        "00081030": {"vr": "LO", "Value": ["Head", "b"]},
        "00081032": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["X"]}}]},
        "00100010": NAME_JSON,
        "00100020": {"vr": "LO"},
    }
    assert json_of(file)["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "A^B\0"}]}


def test_bulk_values_are_named_by_reference_and_group_lengths_stay_out() -> None:
    """At every level; keys ascend in upper case (PS3.18 F.2.2)."""
    inner = (
        explicit(0x00090010, "LO", b"ME")
        + explicit(0x00091001, "OB", b"abcd")
        + explicit(0x00091002, "SL", b"\1\0\0\0")
    )
    dataset = (
        explicit(0x00080000, "UL", b"\0\0\0\0")
        + explicit(0x00081140, "SQ", item(b"") + item(inner))
        + explicit(0x00091001, "UN", b"xyz ")
        + explicit(0x0020000D, "UI", b"1.2\0")
        + explicit(0x00420011, "OB", b"%PDF")
    )
    data = file_of(dataset)

    file = read(data)

    assert json_of(file) == {
        "00081140": {
            "vr": "SQ",
            "Value": [
                {},
                {
                    "00090010": {"vr": "LO", "Value": ["ME"]},
                    "00091001": {"vr": "OB", "BulkDataURI": "00081140/1/00091001"},
                    "00091002": {"vr": "SL", "Value": [1]},
                },
            ],
        },
        "00091001": {"vr": "UN", "BulkDataURI": "00091001"},
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00420011": {"vr": "OB", "BulkDataURI": "00420011"},
    }
    spans = list(BulkIndex(file.bulk))
    assert [(span.path, span.vr) for span in spans] == [
        ("00081140/1/00091001", "OB"),
        ("00091001", "UN"),
        ("00420011", "OB"),
    ]
    assert [data[span.start : span.start + span.length] for span in spans] == [b"abcd", b"xyz ", b"%PDF"]


SEQUENCES = {
    "lengths": explicit(0x00081140, "SQ", item(NAME)),
    "delimiters": explicit(0x00081140, "SQ", open_item(NAME) + SEQUENCE_END, length=UNDEFINED),
    "length around delimiters": explicit(0x00081140, "SQ", open_item(NAME)),
    "delimiters around lengths": explicit(0x00081140, "SQ", item(NAME) + SEQUENCE_END, length=UNDEFINED),
    "an end counted in": explicit(0x00081140, "SQ", item(NAME) + SEQUENCE_END),
    "an item end counted in": explicit(0x00081140, "SQ", item(NAME + ITEM_END)),
    "an item without end": explicit(
        0x00081140, "SQ", item(NAME, length=UNDEFINED) + SEQUENCE_END, length=UNDEFINED
    ),
    "UN without a length": explicit(
        0x00081140, "UN", item(implicit(0x00100010, b"A^B ")) + SEQUENCE_END, length=UNDEFINED
    ),
    "implicit VR within": explicit(0x00081140, "SQ", item(implicit(0x00100010, b"A^B "))),
}


@pytest.mark.parametrize("sequence", SEQUENCES.values(), ids=[*SEQUENCES])
def test_sequences_come_in_many_forms(sequence: bytes) -> None:
    """Ended by length or delimiter, and as real writers mix them."""
    assert metadata_of(sequence + explicit(0x00100020, "LO", b"1 ")) == {
        "00081140": {"vr": "SQ", "Value": [{"00100010": NAME_JSON}]},
        "00100020": {"vr": "LO", "Value": ["1"]},
    }


def test_empty_sequences_have_no_value() -> None:
    """API rules section 1.6."""
    empty = explicit(0x00081140, "SQ", b"") + explicit(0x00081199, "SQ", SEQUENCE_END, length=UNDEFINED)

    assert metadata_of(empty) == {"00081140": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}


def test_sequences_nest() -> None:
    """As deep as anything real, and not deeper than the limit."""

    def nested(depth: int) -> bytes:
        return explicit(0x00081140, "SQ", item(nested(depth - 1))) if depth else NAME

    found = metadata_of(nested(20))

    for _ in range(20):
        (found,) = found["00081140"]["Value"]  # type: ignore[assignment]  # an item is a dataset again
    assert found == {"00100010": NAME_JSON}
    with pytest.raises(NotDicom, match="nested more than"):
        read(file_of(nested(60)))


VRS = {
    "implicit, standard": (
        IMPLICIT,
        implicit(0x00080060, b"CT"),
        {"00080060": {"vr": "CS", "Value": ["CT"]}},
    ),
    "implicit, unknown": (
        IMPLICIT,
        implicit(0x00080061, b"CT") + implicit(0x00089999, b"CT"),
        {"00080061": {"vr": "CS", "Value": ["CT"]}, **referred(0x00089999)},
    ),
    "implicit, private creator": (
        IMPLICIT,
        implicit(0x00290010, b"SIEMENS MEDCOM HEADER ")
        + implicit(0x00291008, b"A ")
        + implicit(0x00291099, b"A "),
        {
            "00290010": {"vr": "LO", "Value": ["SIEMENS MEDCOM HEADER"]},
            "00291008": {"vr": "CS", "Value": ["A"]},
            **referred(0x00291099),
        },
    ),
    "implicit, private without creator": (IMPLICIT, implicit(0x00291008, b"A "), referred(0x00291008)),
    "implicit, unsigned": (
        IMPLICIT,
        implicit(0x00280103, b"\0\0") + implicit(0x00280106, b"\xff\xff"),
        {"00280103": {"vr": "US", "Value": [0]}, "00280106": {"vr": "US", "Value": [65535]}},
    ),
    "implicit, signed": (
        IMPLICIT,
        implicit(0x00280103, b"\1\0") + implicit(0x00280106, b"\xff\xff") + implicit(0x00283006, b"\0\0"),
        {
            "00280103": {"vr": "US", "Value": [1]},
            "00280106": {"vr": "SS", "Value": [-1]},
            **referred(0x00283006, "OW"),
        },
    ),
    "explicit declared, implicit written": (
        EXPLICIT,
        implicit(0x00080060, b"CT"),
        {"00080060": {"vr": "CS", "Value": ["CT"]}},
    ),
    "implicit declared, explicit written": (IMPLICIT, NAME, {"00100010": NAME_JSON}),
    "big endian": (
        BIG,
        explicit(0x00080060, "CS", b"CT", order=">") + explicit(0x00280010, "US", b"\1\0", order=">"),
        {"00080060": {"vr": "CS", "Value": ["CT"]}, "00280010": {"vr": "US", "Value": [256]}},
    ),
    "an unknown private syntax": ("1.2.3.4.5", NAME, {"00100010": NAME_JSON}),
    "the big endian syntax of GE": (
        "1.2.840.113619.5.2",
        implicit(0x00080060, b"CT"),
        {"00080060": {"vr": "CS", "Value": ["CT"]}},
    ),
    "a standard element as UN": (EXPLICIT, explicit(0x00100010, "UN", b"A^B "), {"00100010": NAME_JSON}),
    "a standard number as UN in big endian": (
        BIG,
        explicit(0x00280010, "UN", b"\1\0", order=">"),
        {"00280010": {"vr": "US", "Value": [1]}},
    ),
    "a standard sequence as UN": (
        EXPLICIT,
        explicit(0x00081140, "UN", item(NAME)),
        referred(0x00081140),
    ),
    "a VR nobody knows, short": (
        EXPLICIT,
        b"\x09\0\1\x10ZZ\2\0ab" + NAME,
        {"00100010": NAME_JSON, **referred(0x00091001)},
    ),
    "a VR nobody knows, wide": (
        EXPLICIT,
        b"\x09\0\1\x10ZZ\0\0\2\0\0\0ab" + NAME,
        {"00100010": NAME_JSON, **referred(0x00091001)},
    ),
    "no VR": (
        EXPLICIT,
        NAME + b"\x10\0\x20\0\2\0\0\0ab",
        {"00100010": NAME_JSON, "00100020": {"vr": "LO", "Value": ["ab"]}},
    ),
    "deflated": (DEFLATED, deflated(NAME), {"00100010": NAME_JSON}),
    "deflated and padded": (DEFLATED, deflated(NAME) + b"\0", {"00100010": NAME_JSON}),
    "out of order": (
        EXPLICIT,
        NAME + explicit(0x00080060, "CS", b"CT"),
        {"00080060": {"vr": "CS", "Value": ["CT"]}, "00100010": NAME_JSON},
    ),
    "twice": (EXPLICIT, explicit(0x00100010, "PN", b"X^Y ") + NAME, {"00100010": NAME_JSON}),
    "padded with zeros": (EXPLICIT, NAME + bytes(37), {"00100010": NAME_JSON}),
    "trailing padding": (EXPLICIT, NAME + explicit(0xFFFCFFFC, "OB", bytes(10)), {"00100010": NAME_JSON}),
    "nothing": (EXPLICIT, b"", {}),
}


@pytest.mark.parametrize(("syntax", "dataset", "expected"), VRS.values(), ids=[*VRS])
def test_elements_are_read_as_they_are_written(
    syntax: str, dataset: bytes, expected: dict[str, object]
) -> None:
    """By transfer syntax, dictionary and what stands in the file, in ascending order."""
    found = metadata_of(dataset, syntax)

    assert found == expected
    assert list(found) == sorted(expected)


FRONTS = {
    "preamble": (bytes(128) + b"DICM" + meta(), True),
    "a preamble that is not empty": (b"II*\0" * 32 + b"DICM" + meta(), True),
    "group 0002 at once": (meta(), False),
    "no group length": (bytes(128) + b"DICM" + meta()[12:], True),
    "a group length that is too long": (
        bytes(128) + b"DICM" + explicit(0x00020000, "UL", b"\xff\0\0\0") + meta()[12:],
        True,
    ),
    "a group length that is too short": (
        bytes(128) + b"DICM" + explicit(0x00020000, "UL", b"\2\0\0\0") + meta()[12:],
        True,
    ),
    "group 0002 in implicit VR": (
        bytes(128) + b"DICM" + implicit(0x00020010, b"1.2.840.10008.1.2.1\0"),
        True,
    ),
}


@pytest.mark.parametrize(("front", "preamble"), FRONTS.values(), ids=[*FRONTS])
def test_fronts_that_are_accepted(front: bytes, preamble: bool) -> None:
    """Positions count the preamble that the caller adds where it is missing."""
    data = front + NAME + explicit(0x00420011, "OB", b"%PDF") + explicit(0x7FE00010, "OW", b"pixels")
    stored = data if preamble else PREAMBLE + data
    reader = Part10Reader()

    for index in range(len(data)):
        reader.feed(data[index : index + 1])
    file = reader.finish()

    assert reader.starts_with_preamble is preamble
    assert reader.transfer_syntax == file.transfer_syntax == EXPLICIT
    assert file.length == len(stored)
    document = BulkIndex(file.bulk).find("00420011")
    assert document == BulkSpan("00420011", "OB", stored.index(b"%PDF"), 4)
    assert file.frames is not None
    assert file.frames.span(1).start == stored.index(b"pixels")
    assert json_of(file) == {
        "00100010": NAME_JSON,
        "00420011": {"vr": "OB", "BulkDataURI": "00420011"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"},
    }


REFUSED = {
    "nothing": (b"", "empty"),
    "text": (b"This is not DICOM. " * 20, "no DICM marker"),
    "a short text": (b"hello", "no DICM marker"),
    "no group 0002, no preamble": (UIDS + NAME, "no DICM marker"),
    "no group 0002": (PREAMBLE + NAME, "no group 0002"),
    "only a preamble": (PREAMBLE, "no group 0002"),
    "no transfer syntax": (PREAMBLE + explicit(0x00020002, "UI", b"1.2\0") + NAME, "no transfer syntax"),
    "cut within group 0002": ((PREAMBLE + meta())[:-4], "cut off"),
    "an endless group 0002": (
        PREAMBLE + explicit(0x00020102, "OB", b"", length=1 << 30) + bytes(70_000),
        "cut off or too long",
    ),
    "group 0002 later": (file_of(NAME + meta()), "Group 0002 stands"),
    "cut within a header": (file_of(NAME)[:-9], "ends within"),
    "cut within a value": (file_of(NAME)[:-1], "ends within"),
    "cut within a sequence": (
        file_of(explicit(0x00081140, "SQ", item(NAME) * 2))[: -len(item(NAME))],
        "ends within",
    ),
    "cut before a delimiter": (
        file_of(explicit(0x00081140, "SQ", item(NAME), length=UNDEFINED)),
        "ends within",
    ),
    "cut within pixels": (file_of(image() + explicit(0x7FE00010, "OW", b"abcd"))[:-1], "ends within"),
    "cut within a fragment": (file_of(encapsulated([b"abcd"]), JPEG)[:-10], "ends within"),
    "an item that is too long": (
        file_of(explicit(0x00081140, "SQ", item(NAME, length=99))),
        "longer than its sequence",
    ),
    "an element that is too long": (
        file_of(explicit(0x00081140, "SQ", item(explicit(0x00100010, "PN", b"A", length=9)) + item(b""))),
        "longer than the item",
    ),
    "an item that ends within a header": (
        file_of(explicit(0x00081140, "SQ", item(NAME[:4])) + NAME),
        "ends within an element",
    ),
    "no item": (file_of(explicit(0x00081140, "SQ", NAME)), "other than items"),
    "an item outside a sequence": (file_of(item(NAME)), "An item stands"),
    "the end of no item": (file_of(ITEM_END), "none is open"),
    "the end of no sequence": (file_of(SEQUENCE_END), "none is open"),
    "text without a length": (file_of(explicit(0x00091001, "UT", NAME, length=UNDEFINED)), "has no length"),
    "something behind the padding": (file_of(NAME + bytes(16) + NAME), "follows the dataset"),
    "not deflated": (file_of(b"\xff\xff\xff", DEFLATED), "not deflated"),
    "cut within the deflated dataset": (file_of(deflated(NAME), DEFLATED)[:-2], "within the deflated"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=[*REFUSED])
def test_damaged_files_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    """Whole and byte by byte; the message holds no value of the dataset."""
    for parts in ([data], [data[index : index + 1] for index in range(len(data))]):
        with pytest.raises(NotDicom, match=reason) as caught:
            read(data, parts)
        assert "A^B" not in str(caught.value)


@pytest.mark.parametrize("largest", [1, 2, 7, 64])
def test_a_file_may_come_in_any_pieces(largest: int) -> None:
    """The result is that of the whole file."""
    dataset = (
        UIDS
        + SEQUENCES["delimiters"]
        + image(frames=2)
        + explicit(0x00420011, "OB", bytes(300))
        + encapsulated([b"aaaa\xff\xd9", b"bbb", b"cc\xff\xd9\0"])
    )
    for data in (file_of(dataset, JPEG), file_of(deflated(dataset), DEFLATED)):
        whole = read(data)

        assert read(data, pieces(data, Random(largest), largest=largest)) == whole
        assert read(data, map(bytearray, pieces(data, Random(1), largest=largest))) == whole
        assert read(data, [memoryview(data)]) == whole


def test_a_value_longer_than_the_limit_is_bulk() -> None:
    """So that no value is ever held that the sender chose to make huge."""
    text = b"x" * (MAX_VALUE_BYTES + 2)

    file = read(file_of(explicit(0x00080060, "CS", b"CT") + explicit(0x00091001, "UT", text) + NAME))

    assert json_of(file) == {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00091001": {"vr": "UT", "BulkDataURI": "00091001"},
        "00100010": NAME_JSON,
    }
    (span,) = BulkIndex(file.bulk)
    assert (span.path, span.vr, span.length) == ("00091001", "UT", len(text))


def test_values_up_to_the_limit_are_kept() -> None:
    """Long texts come in several pieces and stay inline."""
    text = b"x" * MAX_VALUE_BYTES
    data = file_of(explicit(0x00091001, "UT", text))

    assert json_of(read(data, pieces(data, Random(0), largest=200_000))) == {
        "00091001": {"vr": "UT", "Value": [text.decode()]}
    }


def test_however_many_bulk_values_are_found_again() -> None:
    """What is noted of them is compressed while the file is read."""
    data = file_of(b"".join(explicit(0x00090000 + index, "OB", b"ab") for index in range(1, 5000)))

    file = read(data)

    assert len(list(BulkIndex(file.bulk))) == len(json_of(file)) == 4999
    assert len(file.bulk) < 40_000
    found = BulkIndex(file.bulk).find("00091234")
    assert found is not None
    assert data[found.start - 12 :][:4] == b"\x09\x00\x34\x12"


@pytest.mark.parametrize("limit", ["MAX_METADATA_BYTES", "MAX_TEXT_BYTES"])
def test_headers_without_end_are_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata are held in memory, so they have a limit."""
    monkeypatch.setattr(metadata_module, limit, 1000)
    long = b"".join(
        explicit(0x00091001 + index, "UT", Random(index).randbytes(500).hex().encode())
        for index in range(200)
    )

    with pytest.raises(NotDicom, match="too many or too long"):
        read(file_of(long))


def test_disorder_beyond_what_can_be_sorted_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting needs all values at once; a wrong order is no reason to refuse a large object."""
    monkeypatch.setattr(metadata_module, "MAX_SORTED_BYTES", 50)

    assert list(metadata_of(NAME + UIDS)) == ["00100010", "00080016", "00080018", "0020000D", "0020000E"]


def test_a_deflated_bomb_is_refused() -> None:
    """A megabyte that becomes a gigabyte is not worth inflating."""
    data = file_of(deflated(explicit(0x7FE00010, "OB", bytes(10_000_000))), DEFLATED)
    reader = Part10Reader(max_inflated_bytes=5_000_000)

    with pytest.raises(NotDicom, match="once it is inflated"):
        reader.feed(data)


def test_a_large_indexed_sequence_is_left_to_the_metadata() -> None:
    """An index row has limits; the sequence is complete in the metadata."""
    many = b"".join(item(explicit(0x00080100, "SH", b"%010d" % index)) for index in range(3000))

    file = read(file_of(explicit(0x00081032, "SQ", many) + NAME))

    assert list(file.attributes) == ["00100010"]
    assert len(json_of(file)["00081032"]["Value"]) == 3000


def test_memory_does_not_grow_with_the_object() -> None:
    """A MiB of per-frame groups, many MiB as values, and 200 MiB of pixels go by in less than two."""
    groups = [
        item(explicit(0x00209111, "SQ", item(explicit(0x00189074, "DT", b"%020d" % index))))
        for index in range(1000)
    ]
    many = b"".join(groups)
    rounds = 1024 * 1024 // len(many)
    front = file_of(explicit(0x52009230, "SQ", length=len(many) * rounds))
    chunk = bytes(1024 * 1024)
    tracemalloc.start()
    try:
        reader = Part10Reader()
        reader.feed(front)
        for _ in range(rounds):
            reader.feed(many)
        reader.feed(explicit(0x7FE00010, "OW", length=200 * len(chunk)))
        for _ in range(200):
            reader.feed(chunk)
        file = reader.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert file.length > 200 * len(chunk)
    assert peak < 2 * 1024 * 1024


def test_reading_needs_neither_numpy_nor_all_of_pydicom() -> None:
    """A cold start pays for what it uses: importing pydicom takes a quarter of a second."""
    program = (
        "import sys, shared.dicom.part10, shared.dicom.tags\n"
        "assert shared.dicom.tags.parse_tag('PatientName') == '00100010'\n"
        "assert shared.dicom.dictionary.private_vr_of('SIEMENS CSA HEADER', 0x00291110) == 'OB'\n"
        "print([name for name in ('numpy', 'pydicom') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_an_implicit_sequence_of_a_private_creator_is_read() -> None:
    """Private elements of undefined length are sequences, whatever the dictionary knows."""
    dataset = (
        implicit(0x00410010, b"UNKNOWN ")
        + implicit(0x00411001, open_item(implicit(0x00100010, b"A^B ")) + SEQUENCE_END, length=UNDEFINED)
        + implicit(0x00420010, b"x ")
    )

    found = metadata_of(dataset, IMPLICIT)

    assert found["00411001"] == {"vr": "SQ", "Value": [{"00100010": NAME_JSON}]}
    assert found["00420010"] == {"vr": "ST", "Value": ["x"]}


def test_deflated_bytes_may_look_like_group_0002() -> None:
    """They are not taken for it where the group's length says that it has ended."""
    looking_so = b"\2\0" + b"\0\0\xff\xff"  # An empty block of fixed codes, then an empty stored block.
    data = PREAMBLE + meta(DEFLATED) + looking_so + deflated(NAME)

    assert json_of(read(data)) == {"00100010": NAME_JSON}
