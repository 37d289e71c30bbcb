"""Bulk values: what is noted of them, and how their bytes are sent."""

from base64 import b64encode
from random import Random

import pytest

from shared.dicom.bulk import BulkCutter, BulkIndex, BulkSpan, BulkWriter, parse_media_type, parse_path
from shared.dicom.levels import MAX_VALUE_BYTES, Limits
from shared.dicom.part10 import Part10Reader
from tests.unit.dicom.making import (
    BIG,
    DEFLATED,
    EXPLICIT,
    JPEG,
    encapsulated,
    explicit,
    file_of,
    image,
    implicit,
    item,
    json_of,
    metadata_of,
    pieces,
    read,
    whole_json_of,
)
from tests.unit.dicom.test_part10 import deflated

SPANS = (
    BulkSpan("00420011", "OB", 400, 1 << 40, media_type="application/pdf"),
    BulkSpan("54000100/0/54001010", "OW", 900, 6, unit=2),
    BulkSpan("7FE00010", "OB", 1000, 500, content=470),
)


def noted(*spans: BulkSpan, inflated_from: int | None = None, mime_type: bytes = b"") -> bytes:
    """What a writer makes of values."""
    writer = BulkWriter()
    for span in spans:
        writer.note(span)
    return writer.finish(inflated_from, mime_type)


def sent(data: bytes, path: str, parts: int | None = None) -> bytes:
    """The bytes of a value of a file, cut out of it in pieces of random sizes."""
    span = BulkIndex(read(data).bulk).find(path)
    assert span is not None
    cutter = BulkCutter(span)
    raw = data[span.start : span.start + span.length]
    fed = [raw] if parts is None else pieces(raw, Random(parts), largest=parts)
    content = b"".join(map(cutter.feed, fed)) + cutter.finish()
    assert len(content) == span.size
    return content


@pytest.mark.parametrize("inflated_from", [None, 0, 340])
def test_values_come_back_as_they_were_noted(inflated_from: int | None) -> None:
    """The document last, as its media type stands behind it."""
    index = BulkIndex(noted(*SPANS, inflated_from=inflated_from, mime_type=b"application/pdf "))

    assert index.inflated_from == inflated_from
    assert list(index) == [*SPANS[1:], SPANS[0]]
    assert [index.find(span.path) for span in SPANS] == list(SPANS)
    assert index.find("54000100") is None


def test_nothing_noted_takes_no_room() -> None:
    """Empty values are not noted either."""
    assert noted() == noted(BulkSpan("00420011", "OB", 5, 0), BulkSpan("00091001", "UN", 5, 0)) == b""
    assert list(BulkIndex(b"")) == []
    assert BulkIndex(b"").find("7FE00010") is None


def test_of_an_element_that_comes_twice_the_last_is_found() -> None:
    """As in metadata (a damaged file)."""
    first, last = BulkSpan("00091001", "OB", 1, 2), BulkSpan("00091001", "OB", 3, 4)

    assert BulkIndex(noted(first, last)).find("00091001") == last


def test_another_version_is_told() -> None:
    """Not misread."""
    with pytest.raises(ValueError, match="version"):
        BulkIndex(b"\x63" + noted(*SPANS)[1:])


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("7FE00010", "7FE00010"),
        ("7fe00010/", "7FE00010"),
        ("/54000100/0/54001010", "54000100/0/54001010"),
        ("54000100/12/54001010/3/00091001", "54000100/12/54001010/3/00091001"),
        ("", None),
        ("7FE0001", None),
        ("7FE00010/0", None),
        ("7FE00010/-1/00091001", None),
        ("../7FE00010", None),
        ("7FE00010\n", None),
        ("PixelData", None),
    ],
)
def test_paths_are_tags_and_item_numbers(text: str, path: str | None) -> None:
    """Nothing else names a value."""
    assert parse_path(text) == path


@pytest.mark.parametrize(
    ("raw", "media_type"),
    [
        (b"application/pdf", "application/pdf"),
        (b"text/XML ", "text/xml"),
        (b"model/stl\0", "model/stl"),
        (b"", ""),
        (b"pdf", ""),
        (b"text/html\r\nX: y", ""),
        (b"text/html; charset=x", ""),
        (b"a/b\\c/d", ""),
    ],
)
def test_media_types_are_plain_or_none(raw: bytes, media_type: str) -> None:
    """What stands in a file goes into a header."""
    assert parse_media_type(raw) == media_type


def test_a_document_has_its_media_type() -> None:
    """Which stands behind it, and in an item is another document's."""
    inner = explicit(0x00420011, "OB", b"inner!") + explicit(0x00420012, "LO", b"text/html ")
    data = file_of(
        explicit(0x00081140, "SQ", item(inner))
        + explicit(0x00420011, "OB", b"%PDF")
        + explicit(0x00420012, "LO", b"application/pdf ")
    )

    types = {span.path: span.media_type for span in BulkIndex(read(data).bulk)}

    assert types == {"00081140/0/00420011": "", "00420011": "application/pdf"}


@pytest.mark.parametrize("parts", [None, 1, 3, 8, 100])
def test_fragments_are_joined_without_headers_and_offset_table(parts: int | None) -> None:
    """An icon's, which no frame index knows (PS3.5 annex A.4)."""
    icon = item(image() + encapsulated([b"one ", b"", b"two!", b"3\0"], table=b"\0\0\0\0\x0c\0\0\0"))
    data = file_of(explicit(0x00880200, "SQ", icon), JPEG)

    assert sent(data, "00880200/0/7FE00010", parts) == b"one two!3\0"


def test_no_fragments_are_no_value() -> None:
    """Nothing is referred to where nothing is."""
    for fragments in ([], [b""], [b"", b""]):
        file = read(file_of(image() + encapsulated(fragments), JPEG))

        assert whole_json_of(file)["7FE00010"] == {"vr": "OB"}
        assert file.bulk == b""


UNITS = (("OB", 1), ("UN", 1), ("OW", 2), ("OF", 4), ("OL", 4), ("OD", 8), ("OV", 8))


@pytest.mark.parametrize(("vr", "unit"), UNITS)
@pytest.mark.parametrize("parts", [None, 1, 3, 7])
def test_numbers_of_big_endian_files_are_turned(vr: str, unit: int, parts: int | None) -> None:
    """Big endian never travels on the web service (PS3.18 section 8.7.3)."""
    value = bytes(range(48))
    data = file_of(explicit(0x00091001, vr, value, order=">"), BIG)

    turned = b"".join(value[at : at + unit][::-1] for at in range(0, len(value), unit))
    assert sent(data, "00091001", parts) == turned


def test_half_a_number_at_the_end_stays_as_it_is() -> None:
    """A damaged value keeps its length."""
    data = file_of(explicit(0x00091001, "OL", b"abcdef", order=">"), BIG)

    assert sent(data, "00091001", 1) == b"dcbaef"


def test_a_standard_element_that_came_as_un_in_a_big_endian_file_is_not_turned() -> None:
    """UN is always little endian (PS3.5 section 6.2.2)."""
    data = file_of(explicit(0x00281201, "UN", b"\1\0\2\0", order=">"), BIG)

    assert metadata_of(explicit(0x00281201, "UN", b"\1\0", order=">"), BIG)["00281201"]["vr"] == "OW"
    assert sent(data, "00281201") == b"\1\0\2\0"


@pytest.mark.parametrize(("tag", "vr"), [(0x00204000, "LT"), (0x30060050, "DS"), (0x00100010, "UN")])
def test_a_value_longer_than_the_limit_is_referred_to(tag: int, vr: str) -> None:
    """Under its own VR where it may be; else as the UN that it would be in explicit VR (PS3.5 6.2.2)."""
    value = b"1" * (MAX_VALUE_BYTES + 2)
    data = file_of(implicit(tag, value), "1.2.840.10008.1.2")

    path = f"{tag:08X}"
    assert whole_json_of(read(data))[path] == {"vr": vr, "BulkDataURI": path}
    assert sent(data, path) == value


@pytest.mark.parametrize("parts", [None, 1, 5])
def test_small_values_may_be_inline(parts: int | None) -> None:
    """InlineBinary up to a length, low byte first, but never pixel data (PS3.18 section F.2.7)."""
    data = file_of(
        explicit(0x00081140, "SQ", b"", order=">")
        + explicit(0x00091001, "OW", b"\1\2\3\4", order=">")
        + explicit(0x00091002, "UN", b"12345678", order=">")
        + explicit(0x00091003, "OB", b"123456789 ", order=">")
        + explicit(0x00091004, "OB", b"", order=">")
        + explicit(0x7FE00010, "OW", b"ab", order=">"),
        BIG,
    )
    reader = Part10Reader(limits=Limits(inline_bytes=8))
    for part in [data] if parts is None else pieces(data, Random(parts), largest=parts):
        reader.feed(part)

    file = reader.finish()

    assert json_of(file) == {
        "00081140": {"vr": "SQ"},
        "00091001": {"vr": "OW", "InlineBinary": b64encode(b"\2\1\4\3").decode()},
        "00091002": {"vr": "UN", "InlineBinary": b64encode(b"12345678").decode()},
        "00091003": {"vr": "OB", "BulkDataURI": "00091003"},
        "00091004": {"vr": "OB"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"},
    }
    assert [span.path for span in BulkIndex(file.bulk)] == ["00091003", "7FE00010"]


def test_positions_in_a_deflated_dataset_count_from_its_start() -> None:
    """And it is told where that is in the file."""
    dataset = explicit(0x00080060, "CS", b"CT") + explicit(0x00420011, "OB", b"%PDF")
    data = file_of(deflated(dataset), DEFLATED)

    index = BulkIndex(read(data).bulk)

    span = index.find("00420011")
    assert span is not None
    assert dataset[span.start : span.start + span.length] == b"%PDF"
    assert index.inflated_from == data.index(deflated(dataset))


@pytest.mark.parametrize(
    "own", [b"", explicit(0x00083002, "UI", b"1.2.840.10008.1.2.4.50")], ids=["absent", "claimed"]
)
@pytest.mark.parametrize("before", [b"", explicit(0x00080060, "CS", b"CT")], ids=["first", "later"])
@pytest.mark.parametrize(
    "behind", [b"", explicit(0x00100020, "LO", b"P1"), explicit(0x7FE00010, "OW", b"ab")]
)
def test_metadata_tell_the_transfer_syntax_in_its_place(own: bytes, before: bytes, behind: bytes) -> None:
    """Available Transfer Syntax UID is that of the file, whatever the file says (clients checklist 23)."""
    found = whole_json_of(read(file_of(before + own + behind, EXPLICIT)))

    assert found["00083002"] == {"vr": "UI", "Value": [EXPLICIT]}
    assert list(found) == sorted(found)
    assert len(found) == 1 + bool(before) + bool(behind)
