"""Files made of DICOM JSON: every kind of value, the holes, and what cannot be written."""

import io
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames

from shared.dicom.build import EXPLICIT_LITTLE, Draft, Hole, Unwritable, draft_of
from shared.dicom.framing import SEQUENCE_END, file_head, frames_head, item_head, value_head
from shared.dicom.json_reader import MAX_NODES, parse_json
from shared.errors import BadRequest
from tests.unit.dicom.making import json_of, read

Dataset = Mapping[str, Any]

UIDS = {
    "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
    "00080018": {"vr": "UI", "Value": ["1.2.3"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.1"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.2"]},
}


def draft(dataset: Dataset) -> Draft:
    """The draft of a dataset, sent as text."""
    (parsed,) = parse_json(json.dumps({**UIDS, **dataset}).encode())
    return draft_of(parsed)


def head_of(made: Draft, syntax: str) -> bytes:
    """What stands before the dataset."""
    return file_head(made.identity.sop_class, made.identity.instance, syntax)


def file_of(made: Draft, filled: Sequence[bytes] = ()) -> bytes:
    """The file, with values in its holes."""
    left = iter(filled)
    pieces = [head_of(made, made.transfer_syntax or EXPLICIT_LITTLE)]
    for piece in made.pieces:
        if isinstance(piece, Hole):
            value = next(left)
            pieces += [value_head(piece.tag, piece.vr, len(value)), value]
        else:
            pieces.append(piece)
    return b"".join(pieces)


def written(dataset: Dataset) -> Dataset:
    """What is read back, without the UIDs that every dataset has."""
    found = json_of(read(file_of(draft(dataset))))
    return {key: element for key, element in found.items() if key not in UIDS}


@pytest.mark.parametrize(
    ("vr", "values"),
    [
        ("AE", ["AE1", "AE2"]),
        ("AS", ["042Y"]),
        ("AT", ["0010001F", "7FE00010"]),
        ("CS", ["ORIGINAL", None, "AXIAL"]),
        ("DA", ["20240131"]),
        ("DS", [1, -0.5, 1e-7, None, 12345678.12345]),
        ("DT", ["20240131101112.123456+0100"]),
        ("FD", [1.5, -2.25, 1e300]),
        ("FL", [0.5, "NaN", "Infinity", "-Infinity"]),
        ("IS", [1, -2, None, 2147483647]),
        ("LO", ["a b", "c"]),
        ("LT", ["one\r\ntwo \\ three"]),
        ("PN", [{"Alphabetic": "A^B", "Phonetic": "C^D"}, None, {"Ideographic": "E"}]),
        ("SH", ["x"]),
        ("SL", [-(2**31), 2**31 - 1]),
        ("SQ", [{}, {"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]),
        ("SS", [-32768, 32767]),
        ("ST", ["s"]),
        ("SV", [-(2**53), "-9223372036854775808"]),
        ("TM", ["101112.5"]),
        ("UC", ["u", "v"]),
        ("UI", ["1.2.3", "1.2.34"]),
        ("UL", [0, 2**32 - 1]),
        ("UR", ["http://a/b?c"]),
        ("US", [0, 65535]),
        ("UT", ["t" * 70_000]),
        ("UV", ["18446744073709551615"]),
        ("LO", []),
        ("SQ", []),
        ("US", []),
    ],
)
def test_values_are_read_back_as_they_were(vr: str, values: Sequence[object]) -> None:
    """PS3.18 annex F.2, and what pydicom makes of the file."""
    element = {"vr": vr, "Value": values} if values else {"vr": vr}

    assert written({"00189999": element}) == {"00189999": element}
    found = dcmread(io.BytesIO(file_of(draft({"00189999": element}))))[0x00189999]
    assert (found.tag, found.VR) == (0x00189999, vr)


@pytest.mark.parametrize(
    ("vr", "sent", "kept"),
    [
        ("DS", "1.50", [1.50]),
        ("DS", '"1.50 "', [1.50]),
        ("DS", "0.12345678901234567", [0.12345678901235]),
        ("DS", "-1.2345678901234567e-100", [-1.23456789e-100]),
        ("IS", "12.0", [12]),
        ("IS", '"12"', [12]),
        ("US", "12.0", [12]),
        ("US", '" 12 "', [12]),
        ("UL", "null", None),
        ("FD", "NaN", ["NaN"]),
        ("LO", "12", ["12"]),
        ("UI", '" 1.2.3 "', ["1.2.3"]),
        ("PN", '"A^B=C"', [{"Alphabetic": "A^B", "Ideographic": "C"}]),
    ],
)
def test_what_is_spelt_otherwise_is_understood(vr: str, sent: str, kept: Sequence[object] | None) -> None:
    """Numbers as text, text as numbers, integers of JavaScript, decimals with too many digits."""
    text = json.dumps(UIDS)[:-1] + f', "00189999": {{"vr": "{vr}", "Value": [{sent}]}}}}'
    (parsed,) = parse_json(text.encode())

    found = json_of(read(file_of(draft_of(parsed))))["00189999"]

    assert found.get("Value") == kept


def test_the_digits_of_a_decimal_are_kept() -> None:
    """No detour by a floating point number."""
    text = json.dumps(UIDS)[:-1] + ', "00281050": {"vr": "DS", "Value": [40.10, 0.1000, 1e2]}}'
    (parsed,) = parse_json(text.encode())

    assert b"40.10\\0.1000\\1e2" in file_of(draft_of(parsed))


def test_elements_are_written_in_order_without_what_is_none_of_the_object() -> None:
    """Group lengths, group 0002 and what describes the sender's own file are left out."""
    dataset = {
        "7FE00001": {"vr": "OV", "InlineBinary": "AAAAAAAAAAA="},
        "00100020": {"vr": "LO", "Value": ["P"]},
        "0008103e": {"vr": "LO", "Value": ["lower case"]},
        "00100000": {"vr": "UL", "Value": [1]},
        "00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]},
        "00020016": {"vr": "AE", "Value": ["SENDER"]},
        "00083002": {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]},
    }

    made = draft(dataset)
    file = dcmread(io.BytesIO(file_of(made)))

    assert list(file.keys()) == sorted(file.keys())
    assert {f"{tag:08X}" for tag in file.keys()} == {*UIDS, "0008103E", "00100020"}  # noqa: SIM118 - tags
    assert (made.named_syntax, made.transfer_syntax) == ("1.2.840.10008.1.2.4.50", EXPLICIT_LITTLE)
    assert file.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert "SourceApplicationEntityTitle" not in file.file_meta


def test_a_vr_that_is_missing_is_that_of_the_dictionary() -> None:
    dataset = {
        "00100020": {"Value": ["P"]},
        "00280103": {"Value": [1]},
        "00280106": {"Value": [-5]},
        "00281201": {"InlineBinary": "AAE="},
        "00190010": {"Value": ["CREATOR"]},
    }

    file = dcmread(io.BytesIO(file_of(draft(dataset))))

    assert [file[tag].VR for tag in (0x00100020, 0x00280106, 0x00281201, 0x00190010)] == [
        "LO",
        "SS",
        "OW",
        "LO",
    ]
    assert file.SmallestImagePixelValue == -5


def test_a_value_too_long_for_its_header_is_written_as_unknown() -> None:
    """PS3.5 section 6.2.2: a short header holds 65,534 bytes."""
    contour = {"30060050": {"vr": "DS", "Value": [1.25] * 20_000}}

    assert b"\x06\x30\x50\x00UN\0\0" in file_of(draft(contour))
    assert written(contour) == contour


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_inline_binary_is_padded(length: int) -> None:
    raw = bytes(range(1, length + 1))

    file = dcmread(
        io.BytesIO(file_of(draft({"00281201": {"vr": "OW", "InlineBinary": b64encode(raw).decode()}})))
    )

    assert file[0x00281201].value in (raw + b"\0" * (length % 2), None)


def test_holes_are_where_values_come_apart() -> None:
    """At any level; what stands around them has no length."""
    item = {"00081155": {"vr": "UI", "Value": ["1.2"]}, "7FE00010": {"vr": "OW", "BulkDataURI": " nested "}}
    dataset = {
        "00880200": {"vr": "SQ", "Value": [item]},
        "00281201": {"vr": "OW", "BulkDataURI": "palette"},
        "00189999": {"vr": "LT", "BulkDataURI": "text"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "pixels"},
    }

    made = draft(dataset)

    assert [(hole.uri, hole.is_pixels) for hole in made.holes] == [
        ("text", False),
        ("palette", False),
        ("nested", False),
        ("pixels", True),
    ]
    file = dcmread(io.BytesIO(file_of(made, [b"long text ", b"ab", b"cd", b"efgh"])))
    assert file[0x00189999].value == "long text"
    assert (file[0x00281201].value, file.PixelData) == (b"ab", b"efgh")
    assert file.IconImageSequence[0].PixelData == b"cd"
    assert read(file_of(made, [b"long text ", b"ab", b"cd", b"efgh"])).length > 0


def test_frames_are_encapsulated() -> None:
    """PS3.5 section A.4: one fragment each, found by the offset table."""
    frames = [b"one!", b"the second", b"3 "]
    made = draft({"00280008": {"vr": "IS", "Value": [3]}, "7FE00010": {"vr": "OW", "BulkDataURI": "x"}})
    (hole,) = made.holes
    content = head_of(made, "1.2.840.10008.1.2.4.90") + b"".join(
        piece for piece in made.pieces if isinstance(piece, bytes)
    )
    content += frames_head(hole.tag, [len(frame) for frame in frames])
    content += b"".join(item_head(len(frame)) + frame for frame in frames) + SEQUENCE_END

    file = dcmread(io.BytesIO(content))

    assert made.transfer_syntax is None
    assert made.number_of_frames == 3
    assert list(generate_frames(file.PixelData, number_of_frames=3)) == frames
    assert file.PixelData[:20] == b"\xfe\xff\x00\xe0\x0c\0\0\0" + b"\0\0\0\0\x0c\0\0\0\x1e\0\0\0"


def test_compressed_pixels_may_be_inline() -> None:
    """Where the metadata name their syntax."""
    syntax = "1.2.840.10008.1.2.4.50"
    dataset = {
        "00020010": {"vr": "UI", "Value": [syntax]},
        "7FE00010": {"vr": "OB", "InlineBinary": b64encode(b"\xff\xd8x").decode()},
    }

    file = dcmread(io.BytesIO(file_of(draft(dataset))))

    assert file.file_meta.TransferSyntaxUID == syntax
    assert list(generate_frames(file.PixelData, number_of_frames=1)) == [b"\xff\xd8x\0"]


@pytest.mark.parametrize(
    ("names", "text", "kept"),
    [
        (None, "Jane", None),
        (None, "Grüße", ["ISO_IR 192"]),
        (["ISO_IR 6"], "Jane", ["ISO_IR 6"]),
        (["ISO_IR 100"], "Grüße", ["ISO_IR 100"]),
        (["ISO_IR 100"], "日本", ["ISO_IR 192"]),
        (["ISO_IR 192"], "日本", ["ISO_IR 192"]),
        (["ISO_IR 13"], "ﾔﾏﾀﾞ", ["ISO_IR 13"]),
        (["ISO_IR 166"], "นามสกุล", ["ISO_IR 166"]),
        (["GB18030"], "王^小东", ["GB18030"]),
        ([None, "ISO 2022 IR 87"], "山田^太郎", [None, "ISO 2022 IR 87"]),
        ([None, "ISO 2022 IR 87"], "김희중", ["ISO_IR 192"]),
        ([None, "ISO 2022 IR 149"], "김^희중", [None, "ISO 2022 IR 149"]),
        (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Grüße Люк", ["ISO 2022 IR 100", "ISO 2022 IR 144"]),
        (["unknown"], "Jane", ["ISO_IR 192"]),
    ],
)
def test_the_set_named_is_kept_if_nothing_is_lost(
    names: Sequence[str] | None, text: str, kept: Sequence[str] | None
) -> None:
    """Else all is written as Unicode, whose name takes its place."""
    dataset: dict[str, Any] = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": text}]}}
    if names is not None:
        dataset["00080005"] = {"vr": "CS", "Value": names}

    found = written(dataset)

    assert found["00100010"] == dataset["00100010"]
    assert found.get("00080005", {}).get("Value") == kept
    assert dcmread(io.BytesIO(file_of(draft(dataset)))).PatientName == text


def test_items_may_have_a_set_of_their_own() -> None:
    """It holds for what lies in them; where one set fails all is written as Unicode."""
    item = {"00080005": {"vr": "CS", "Value": ["ISO_IR 144"]}, "00080104": {"vr": "LO", "Value": ["Люк"]}}
    dataset = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}, "00081140": {"vr": "SQ", "Value": [item]}}
    fits = written({**dataset, "00100020": {"vr": "LO", "Value": ["ß"]}})
    fails = written({**dataset, "00100020": {"vr": "LO", "Value": ["日"]}})

    assert fits["00081140"]["Value"] == [item]
    assert fails["00080005"]["Value"] == ["ISO_IR 192"]
    assert fails["00081140"]["Value"] == [{**item, "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}]


NESTED: dict[str, Any] = {"00081140": {"vr": "SQ", "Value": [{}]}}
for _ in range(40):
    NESTED = {"00081140": {"vr": "SQ", "Value": [NESTED]}}


@pytest.mark.parametrize(
    ("dataset", "tag"),
    [
        ({"00280010": {"vr": "US", "Value": [-1]}}, "0028,0010"),
        ({"00080005": 1}, "0008,0005"),
        ({"00080005": {"vr": "CS", "Value": 1}}, "0008,0005"),
        ({"7FE00010": True}, "7fe0,0010"),
        ({"00280010": {"vr": "US", "Value": [1.5]}}, "0028,0010"),
        ({"00280010": {"vr": "US", "Value": [True]}}, "0028,0010"),
        ({"00280010": {"vr": "US", "Value": [{}]}}, "0028,0010"),
        ({"00189999": {"vr": "FL", "Value": [1e300]}}, "0018,9999"),
        ({"00189999": {"vr": "AT", "Value": ["(0010,0010)"]}}, "0018,9999"),
        ({"00189999": {"vr": "AT", "Value": [None, "00100010"]}}, "0018,9999"),
        ({"00189999": {"vr": "IS", "Value": [1.5]}}, "0018,9999"),
        ({"00189999": {"vr": "LO", "Value": [True]}}, "0018,9999"),
        ({"00189999": {"vr": "CS", "Value": ["日本"]}}, "0018,9999"),
        ({"00189999": {"vr": "LO", "Value": ["\ud800"]}}, "0018,9999"),
        ({"00189999": {"vr": "PN", "Value": [{"Alphabetic": True}]}}, "0018,9999"),
        ({"00189999": {"vr": "OB", "InlineBinary": "AA"}}, "0018,9999"),
        ({"00189999": {"vr": "OB", "InlineBinary": 1}}, "0018,9999"),
        ({"00189999": {"vr": "PN", "BulkDataURI": "x"}}, "0018,9999"),
        ({"00189999": {"vr": "OB", "BulkDataURI": " "}}, "0018,9999"),
        ({"00189999": {"vr": "OB", "BulkDataURI": []}}, "0018,9999"),
        ({"00189999": {"vr": 1}}, "0018,9999"),
        ({"00189999": {"vr": "SQ", "Value": [1]}}, "0018,9999"),
        ({"00189999": {"vr": "SQ", "Value": [{"00100010": 1}]}}, "0018,9999"),
        ({"00189999": {"vr": "SQ", "InlineBinary": "AAAA"}}, "0018,9999"),
        ({"FFFEE000": {"vr": "UN"}}, "fffe,e000"),
        ({"00000002": {"vr": "UI"}}, "0000,0002"),
        ({"0010001": {"vr": "LO"}}, "0000,0000"),
        ({"0010_010": {"vr": "LO"}}, "0000,0000"),
        ({"00020010": {"vr": "UI", "Value": ["1.2.840.10008.1.2.5"]}, "7FE00010": {"vr": "OW"}}, "7fe0,0010"),
        (NESTED, "0008,1140"),
        ({"0020000d": {"vr": "UI", "Value": ["1.2.9"]}}, "0020,000d"),
        ({"00181030": {"vr": "DS", "Value": [10**400]}}, "0018,1030"),
        ({"00181030": {"vr": "DS", "Value": [float("inf")]}}, "0018,1030"),
        ({"00181030": {"vr": "DS", "Value": [float("nan")]}}, "0018,1030"),
        ({"00181030": {"vr": "LO", "Value": ["a\\b"]}}, "0018,1030"),
        ({"00181030": {"vr": "UI", "Value": ["1.2\\3.4"]}}, "0018,1030"),
        ({"00181030": {"vr": "PN", "Value": [{"Alphabetic": "a\\b"}]}}, "0018,1030"),
        ({"00181030": {"vr": "PN", "Value": [{"Alphabetic": "a=b"}]}}, "0018,1030"),
    ],
)
def test_what_cannot_be_written_is_told_by_its_tag(dataset: Dataset, tag: str) -> None:
    """And without its value."""
    with pytest.raises(Unwritable) as refusal:
        draft(dataset)

    assert str(refusal.value).startswith(f"DICOM100: ({tag}) - ")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"1", b"[1]", b'"x"', b"\xff", b"[" * 1_000_000, b"[" + b"1," * 600_000]
)
def test_what_is_no_json_is_malformed(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b'[{"00100020": {"vr": "LO"}, "00100020": {"vr": "LO"}}]',
        b'[{"00100020": {"vr": "LO", "Value": ["a"], "Value": ["b"]}}]',
        b'[{"00081140": {"vr": "SQ", "Value": [{"00081150": {}, "00081150": {}}]}}]',
    ],
)
def test_a_member_that_comes_twice_is_malformed(text: bytes) -> None:
    """Nobody can tell which one is meant."""
    with pytest.raises(BadRequest, match="two members"):
        parse_json(text)


def test_commas_in_text_are_no_values() -> None:
    """Nor brackets, also behind what JSON escapes."""
    text = '",[{\\,"' * (MAX_NODES // 4)
    element = {"00104000": {"vr": "LT", "Value": [text]}}

    assert parse_json(json.dumps(element).encode()) == [element]
    with pytest.raises(BadRequest, match=str(MAX_NODES)):
        parse_json(json.dumps([element, *[{}] * MAX_NODES]).encode())


def test_tags_may_be_in_lower_case() -> None:
    dataset: Dataset = {key.lower(): element for key, element in UIDS.items()}

    made = draft_of(dataset)

    assert (made.identity.study, made.identity.series) == ("1.2.1", "1.2.2")
    assert json_of(read(file_of(made))) == UIDS


def test_a_list_has_so_many_datasets() -> None:
    assert len(parse_json(b"[" + b"{}," * 9_999 + b"{}]")) == 10_000
    with pytest.raises(BadRequest, match="10000"):
        parse_json(b"[" + b"{}," * 10_000 + b"{}]")


def test_json_may_begin_with_a_byte_order_mark() -> None:
    assert parse_json(b"\xef\xbb\xbf[{}, {}]") == [{}, {}]
