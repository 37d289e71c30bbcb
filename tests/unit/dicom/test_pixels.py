"""Which bytes are a frame: native, tables, fragments, and what is wrong in real files."""

import struct
import zlib

import pytest

from shared.dicom import pixels
from shared.dicom.frames import FrameIndex, cut_frame
from shared.dicom.part10 import BulkIndex, NotDicom
from tests.unit.dicom.making import (
    DEFLATED,
    EXPLICIT,
    JPEG,
    SEQUENCE_END,
    encapsulated,
    explicit,
    file_of,
    image,
    item,
    open_item,
    read,
)

END = b"\xff\xd9"
RLE = "1.2.840.10008.1.2.5"
VIDEO = "1.2.840.10008.1.2.4.102"


def frames_of(dataset: bytes, transfer_syntax: str = EXPLICIT) -> list[bytes]:
    """Every frame of a file, read as retrieval will: by ranges of the file."""
    data = file_of(dataset, transfer_syntax)
    index = read(data).frames
    assert index is not None
    spans = [index.span(number) for number in range(1, index.count + 1)]
    return [cut_frame(span, data[span.start : span.start + span.length]) for span in spans]


def table(*offsets: int) -> bytes:
    """A basic offset table."""
    return struct.pack(f"<{len(offsets)}I", *offsets)


NATIVE = [
    (image(), b"abcd", [b"abcd"]),
    (image(frames=2), b"abcdefgh", [b"abcd", b"efgh"]),
    (image(3, 1, frames=2), b"abcdef", [b"abc", b"def"]),
    (image(3, 1), b"abc\0", [b"abc"]),
    (image(1, 1, bits=16, frames=2), b"abcd", [b"ab", b"cd"]),
    (image(1, 1, colours=b"RGB "), b"abc\0", [b"abc"]),
    (image(1, 2, colours=b"YBR_FULL_422", frames=2), b"abcdefgh", [b"abcd", b"efgh"]),
    (image(2, 2, colours=b"YBR_PARTIAL_420 ", frames=1), b"abcdef", [b"abcdef"]),
    (image(1, 4, bits=1, frames=3), b"\x21\x03", [b"\1", b"\2", b"\3"]),
    (image(1, 2, bits=12, frames=1), b"abc\0", [b"abc"]),
    (image(frames=b"0 "), b"abcd", [b"abcd"]),
    (image(frames=b"1A"), b"abcd", [b"abcd"]),
    (image(frames=b"-2"), b"abcd", [b"abcd"]),
    (image(frames=b"+2"), b"abcdefgh", [b"abcd", b"efgh"]),
    (image(frames=3), b"abcdefgh", [b"abcd", b"efgh"]),
    (b"", b"abcd", [b"abcd"]),
]


@pytest.mark.parametrize(("head", "value", "frames"), NATIVE)
def test_native_frames_follow_from_their_size(head: bytes, value: bytes, frames: list[bytes]) -> None:
    """Rows, columns, samples and bits; a strange number of frames means one, missing frames are not there."""
    assert frames_of(head + explicit(0x7FE00010, "OW", value)) == frames


@pytest.mark.parametrize(("tag", "vr", "bits"), [(0x7FE00008, "OF", 32), (0x7FE00009, "OD", 64)])
def test_float_pixel_data_have_frames_too(tag: int, vr: str, bits: int) -> None:
    """Parametric maps."""
    value = bytes(range(2 * 4 * bits // 8))

    assert frames_of(image(frames=2, bits=bits) + explicit(tag, vr, value)) == [
        value[: len(value) // 2],
        value[len(value) // 2 :],
    ]


A, B, C = b"aaa" + END + b"\0", b"bb" + END, b"cccc" + END
A1, A2 = b"aaaa", b"a" + END + b"\0"
ENCAPSULATED = {
    "one frame, one fragment": (None, (), [A], [A]),
    "one fragment a frame": (3, (), [A, B, C], [A, B, C]),
    "one fragment a frame, with a table": (3, (0, 14, 26), [A, B, C], [A, B, C]),
    "a table believed before markers": (2, (0, 14), [A, B, C], [A, B + C]),
    "frames by markers": (2, (), [A1, A2, B], [A1 + A2, B]),
    "one frame in many fragments": (None, (), [A1, b"aa", A2], [A1 + b"aa" + A2]),
    "one frame in many fragments with a table": (1, (0,), [A1, A2], [A1 + A2]),
    "no number, frames by table": (None, (0, 24), [A1, A2, B], [A1 + A2, B]),
    "no number, frames by markers": (b"0 ", (), [A1, A2, B], [A1 + A2, B]),
    "a table that misses the fragments": (2, (0, 13), [A1, A2, B], [A1 + A2, B]),
    "a table that is cut off": (3, (0,), [A, B, C], [A, B, C]),
    "a table of zeros": (2, (0, 0), [A1, A2, B], [A1 + A2, B]),
    "a table that starts too late": (2, (12, 24), [A1, A2, B], [A1 + A2, B]),
    "a table that goes backwards": (3, (0, 24, 12), [A1, A2, B, C], [A1 + A2, B, C]),
    "a table that runs past the end": (2, (0, 240), [A1, A2, B], [A1 + A2, B]),
    "neither table nor markers": (2, (), [b"aa", b"bb", b"cc"], [b"aabbcc"]),
    "fewer fragments than frames": (5, (), [A, B], [A, B]),
    "what follows the last marker": (2, (), [A, B, b"zz"], [A, B + b"zz"]),
}


@pytest.mark.parametrize(("number", "offsets", "parts", "frames"), ENCAPSULATED.values(), ids=ENCAPSULATED)
def test_fragments_are_gathered_into_frames(
    number: int | bytes | None, offsets: tuple[int, ...], parts: list[bytes], frames: list[bytes]
) -> None:
    """Tables are believed when they can be true."""
    assert frames_of(image(frames=number) + encapsulated(parts, table(*offsets)), JPEG) == frames


def test_an_extended_offset_table_is_used_before_the_basic_one() -> None:
    """Groups that only 64-bit offsets tell (PS3.3 C.7.6.3.1.8)."""
    offsets = explicit(0x7FE00001, "OV", struct.pack("<2Q", 0, 20))

    assert frames_of(image(frames=2) + offsets + encapsulated([b"aa", b"bb", b"cc"]), RLE) == [b"aabb", b"cc"]


def test_a_video_is_one_stream() -> None:
    """Its frames cannot be told apart without decoding, so the stream is handed out as the first."""
    file = read(file_of(image(frames=30) + encapsulated([b"aaaa", b"bbbb"]), VIDEO))

    assert file.number_of_frames == 30
    assert file.frames is not None
    assert file.frames.count == 1
    assert file.frames.span(1).fragments == (4, 4)


def test_pixels_of_an_icon_are_no_frames() -> None:
    """Nested pixel data, native or in fragments, are bulk data of their sequence."""
    native = item(image() + explicit(0x7FE00010, "OW", b"abcd"))
    fragments = open_item(encapsulated([b"abcdef"]))
    icon = explicit(0x00880200, "SQ", native + fragments)

    file = read(file_of(icon + image() + explicit(0x7FE00010, "OW", b"wxyz")))

    assert file.frames is not None
    assert (file.frames.count, file.frames.frame_bits) == (1, 32)
    paths = [span.path for span in BulkIndex(file.bulk)]
    assert paths == ["00880200/0/7FE00010", "00880200/1/7FE00010", "7FE00010"]


def test_no_pixel_data_mean_no_frames() -> None:
    """Reports and the like."""
    file = read(file_of(explicit(0x00080060, "CS", b"SR")))

    assert file.frames is None
    assert file.number_of_frames == 0
    assert read(file_of(explicit(0x7FE00010, "OW", b""))).frames is None
    assert read(file_of(encapsulated([]), JPEG)).frames is None


def test_frames_of_a_deflated_dataset_are_found_in_the_inflated_one() -> None:
    """The index says where the deflated bytes start."""
    dataset = image(frames=2) + explicit(0x7FE00010, "OW", b"abcdefgh")
    deflate = zlib.compressobj(wbits=-15)
    data = file_of(deflate.compress(dataset) + deflate.flush(), DEFLATED)

    index = read(data).frames

    assert index is not None
    assert index.inflated_from is not None
    plain = zlib.decompress(data[index.inflated_from :], -15)
    assert [plain[span.start : span.start + span.length] for span in index.spans()] == [b"abcd", b"efgh"]
    assert FrameIndex.decode(index.encode()) == index


def test_a_missing_last_delimiter_is_forgiven_when_all_frames_are_there() -> None:
    """Some writers leave it out; a file cut off just there lacks frames."""
    data = file_of(image(frames=2) + encapsulated([A, B]), JPEG).removesuffix(SEQUENCE_END)

    file = read(data)

    assert file.frames is not None
    assert file.frames.count == 2
    for cut in (data[: -len(item(B))], data[:-1], data + SEQUENCE_END[:4]):
        with pytest.raises(NotDicom, match="ends within"):
            read(cut)


def test_fragments_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their lengths are kept in memory, so their number has a limit."""
    monkeypatch.setattr(pixels, "MAX_FRAGMENTS", 3)

    with pytest.raises(NotDicom, match="more than 3 fragments"):
        read(file_of(encapsulated([b"aa"] * 4), JPEG))


@pytest.mark.parametrize(
    "inside", [explicit(0x00100010, "PN", b"A^B "), item(b"", length=0xFFFFFFFF), b"\0" * 8]
)
def test_what_is_no_fragment_is_refused(inside: bytes) -> None:
    """Only items may stand between fragments."""
    data = file_of(explicit(0x7FE00010, "OB", item(b"") + inside + SEQUENCE_END, length=0xFFFFFFFF), JPEG)

    with pytest.raises(NotDicom, match="other than fragments"):
        read(data)
