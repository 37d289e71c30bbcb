"""What converting a frame takes, and what is not begun."""

from dataclasses import replace

import pytest

from shared.dicom.codecs import DamagedPixels, UnsupportedPixels
from shared.dicom.codecs.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, JPEG_2000_LOSSLESS, JPEG_BASELINE
from shared.wado.converted.rules import (
    MAX_WHOLE_BYTES,
    SPARE_BYTES,
    bytes_needed,
    can_make_file,
    can_make_frame,
    depth_for,
    turns_words,
)
from shared.wado.converted.workers import Workers
from tests.unit.dicom.codecs.making import colour, grey

FRAME = grey(1000, 1000, 16)


def test_encoding_takes_more_than_decoding() -> None:
    """Both grow with the pixels, as the codecs' own page says."""
    decoding, encoding = (bytes_needed(10, FRAME, to) for to in (EXPLICIT_LITTLE, JPEG_2000_LOSSLESS))

    assert 2_000_000 < decoding < encoding
    assert bytes_needed(10, grey(2000, 1000, 16), EXPLICIT_LITTLE) > decoding


def test_a_frame_far_longer_than_its_pixels_is_not_read() -> None:
    """A file may say anything of itself."""
    longest = 2 * FRAME.frame_bytes + SPARE_BYTES

    bytes_needed(longest, FRAME, EXPLICIT_LITTLE)
    with pytest.raises(DamagedPixels):
        bytes_needed(longest + 1, FRAME, EXPLICIT_LITTLE)


@pytest.mark.parametrize(
    ("wanted", "rows"), [(EXPLICIT_LITTLE, 8193), (JPEG_2000_LOSSLESS, 4500), (EXPLICIT_LITTLE, 65_535)]
)
def test_a_frame_that_takes_more_than_all_work_may_is_not_begun(wanted: str, rows: int) -> None:
    """Before a byte of it is read: 128 MiB of pixels, and for encoding as much less as it takes more."""
    bytes_needed(10, grey(4000, 8192, 16), wanted)

    with pytest.raises(UnsupportedPixels, match="too large"):
        bytes_needed(10, grey(rows, 8192, 16), wanted)


def test_shared_chroma_comes_out_of_a_codec_whole() -> None:
    """What compressed pixels share takes room once they are decoded; what is native stays as it is."""
    native = colour(10, 12, colours="YBR_FULL_422")
    compressed = replace(native, transfer_syntax=JPEG_BASELINE)

    assert (native.decoded_bytes, compressed.decoded_bytes) == (240, 360)
    assert bytes_needed(0, compressed, EXPLICIT_LITTLE) > bytes_needed(0, native, EXPLICIT_LITTLE)


def test_lossy_frames_are_made_but_no_lossy_files() -> None:
    """A lossy copy of an instance under its own UID would be another instance."""
    assert can_make_frame(EXPLICIT_LITTLE, JPEG_BASELINE)
    assert not can_make_file(EXPLICIT_LITTLE, JPEG_BASELINE)
    assert can_make_file(JPEG_BASELINE, JPEG_2000_LOSSLESS)
    assert not can_make_file("1.2.840.10008.1.2.4.100", EXPLICIT_LITTLE)
    assert can_make_file("", EXPLICIT_LITTLE)


def test_large_frames_are_converted_one_at_a_time() -> None:
    """So that what waits for a client stays within a limit."""
    workers = Workers(3)

    assert depth_for(workers, MAX_WHOLE_BYTES) == depth_for(workers, 10 * MAX_WHOLE_BYTES) == 1
    assert depth_for(workers, MAX_WHOLE_BYTES // 2) == 2
    assert depth_for(workers, 1) == depth_for(workers, 0) == 4


@pytest.mark.parametrize(
    ("syntax", "bits", "words", "turns"),
    [
        (EXPLICIT_BIG, 8, True, True),
        (EXPLICIT_BIG, 1, True, True),
        (EXPLICIT_BIG, 8, False, False),
        (EXPLICIT_BIG, 16, True, False),
        (EXPLICIT_LITTLE, 8, True, False),
    ],
)
def test_small_pixels_in_big_endian_words_are_turned_before_they_are_cut(
    syntax: str, bits: int, words: bool, turns: bool
) -> None:
    """PS3.5 section 8.1.1: larger ones are turned by the codecs, frame by frame."""
    assert turns_words(replace(grey(3, 3, bits), transfer_syntax=syntax, words=words)) is turns
