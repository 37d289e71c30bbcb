"""Finding and cutting frames (PS3.5 section 8 and annex A.4)."""

import zlib
from array import array
from random import Random

import pytest

from shared.dicom.frames import FrameCutter, FrameIndex, FrameSpan, SpanInflater, cut_frame
from shared.errors import NotFound
from tests.unit.dicom.making import item, pieces

NATIVE = FrameIndex(count=3, start=1000, frame_bits=80)
BITS = FrameIndex(count=4, start=100, frame_bits=5)
SINGLE = FrameIndex(count=3, start=500, fragments=array("I", [10, 20, 30]))
GROUPED = FrameIndex(count=2, start=500, fragments=array("I", [10, 20, 0]), groups=array("I", [1, 2]))
INFLATED = FrameIndex(count=1, start=7, frame_bits=8, inflated_from=340)


@pytest.mark.parametrize(
    ("index", "spans"),
    [
        (NATIVE, [FrameSpan(1000, 10), FrameSpan(1010, 10), FrameSpan(1020, 10)]),
        (
            BITS,
            [
                FrameSpan(100, 1, shift_bits=0, bits=5),
                FrameSpan(100, 2, shift_bits=5, bits=5),
                FrameSpan(101, 1, shift_bits=2, bits=5),
                FrameSpan(101, 2, shift_bits=7, bits=5),
            ],
        ),
        (
            FrameIndex(2, 0, 12),
            [FrameSpan(0, 2, shift_bits=0, bits=12), FrameSpan(1, 2, shift_bits=4, bits=12)],
        ),
        (SINGLE, [FrameSpan(500, 10), FrameSpan(518, 20), FrameSpan(546, 30)]),
        (GROUPED, [FrameSpan(500, 10), FrameSpan(518, 28, fragments=(20, 0))]),
        (INFLATED, [FrameSpan(7, 1)]),
    ],
)
def test_spans_are_the_same_one_by_one_together_and_after_storing(
    index: FrameIndex, spans: list[FrameSpan]
) -> None:
    """A frame is found by number, by going through all, and from the stored index."""
    stored = FrameIndex.decode(index.encode())

    assert stored == index
    assert [index.span(number) for number in range(1, index.count + 1)] == spans
    assert list(stored.spans()) == spans


@pytest.mark.parametrize("number", [0, -1, 4])
def test_frames_that_do_not_exist_are_not_found(number: int) -> None:
    """Numbers count from 1 to the last frame."""
    with pytest.raises(NotFound, match="the instance has 3"):
        NATIVE.span(number)


def test_an_index_of_a_large_slide_is_small() -> None:
    """Twenty thousand tiles take well under a table property of 64 KiB."""
    random = Random(7)
    lengths = array("I", [2 * max(100, int(random.gauss(9000, 2500))) for _ in range(20_000)])

    encoded = FrameIndex(len(lengths), 5000, fragments=lengths).encode()

    assert len(encoded) < 48 * 1024
    assert FrameIndex.decode(encoded).span(20_000).length == lengths[-1]


@pytest.mark.parametrize("wrong", [b"", b"nonsense", zlib.compress(b""), NATIVE.encode()[:-9]])
def test_what_is_no_index_is_refused(wrong: bytes) -> None:
    """A damaged row is noticed."""
    with pytest.raises(ValueError, match="Not a frame index"):
        FrameIndex.decode(wrong)


def test_item_headers_between_fragments_are_cut_out() -> None:
    """A frame in three fragments, one of them empty, is their bytes alone."""
    fragments = [b"abcd", b"", b"ef", b"ghijkl"]
    raw = b"".join(map(item, fragments))[8:]

    assert cut_frame(FrameSpan(0, len(raw), fragments=tuple(map(len, fragments))), raw) == b"abcdefghijkl"


@pytest.mark.parametrize("bits", [1, 5, 8, 9, 12, 63, 64, 1000])
def test_frames_that_share_bytes_are_moved_to_byte_edges(bits: int) -> None:
    """Pixels fill bytes from the low end; the rest of the last byte is zero (PS3.5 section 8.1.1)."""
    random = Random(bits)
    frames = [random.getrandbits(bits) for _ in range(9)]
    packed = sum(frame << (bits * index) for index, frame in enumerate(frames))
    pixels = packed.to_bytes((bits * 9 + 7) // 8, "little")
    index = FrameIndex(9, 0, bits)

    for frame, span in zip(frames, index.spans(), strict=True):
        raw = pixels[span.start : span.start + span.length]
        assert len(raw) == span.length
        assert cut_frame(span, raw) == frame.to_bytes((bits + 7) // 8, "little")


@pytest.mark.parametrize("largest", [1, 3, 100])
def test_a_frame_can_be_cut_while_it_arrives(largest: int) -> None:
    """In any pieces the result is that of the whole."""
    random = Random(largest)
    fragments = [random.randbytes(size) for size in (5, 1, 0, 300, 2)]
    joined = b"".join(map(item, fragments))[8:]
    shifted = random.randbytes(127)

    for span, raw in (
        (FrameSpan(0, len(joined), fragments=tuple(map(len, fragments))), joined),
        (FrameSpan(0, len(shifted), shift_bits=3, bits=8 * 127 - 6), shifted),
        (FrameSpan(0, len(shifted)), shifted),
    ):
        cutter = FrameCutter(span)
        cut = b"".join(cutter.feed(piece) for piece in pieces(raw, random, largest=largest)) + cutter.finish()
        assert cut == cut_frame(span, raw)


@pytest.mark.parametrize(("start", "length"), [(0, 10), (3, 4), (0, 0), (99_990, 10), (50_000, 49_000)])
def test_a_span_is_found_in_a_deflated_dataset(start: int, length: int) -> None:
    """The dataset is inflated in bounded pieces up to the end of the span."""
    plain = Random(1).randbytes(1000) * 100
    deflate = zlib.compressobj(wbits=-15)
    deflated = deflate.compress(plain) + deflate.flush()
    inflater = SpanInflater(start, length, max_piece_bytes=4096)

    found = [part for piece in pieces(deflated, Random(2), largest=50) for part in inflater.feed(piece)]

    assert b"".join(found) == plain[start : start + length]
    assert all(len(part) <= 4096 for part in found)
    assert inflater.done


def test_bytes_that_are_not_deflated_are_refused() -> None:
    """Damage is noticed, not passed on."""
    with pytest.raises(ValueError, match="not deflated"):
        list(SpanInflater(0, 10).feed(b"\xff\xff\xff\xff"))
