"""Native frames joined to the value of Pixel Data (PS3.5 section 8.1.1)."""

import numpy as np
import pytest

from shared.dicom.codecs import PixelDescription, join_frames
from tests.unit.dicom.codecs.files import NO_COLLECTION, by_name, image
from tests.unit.dicom.codecs.making import colour, grey, noise


@pytest.mark.parametrize("pixels", [1, 3, 7, 8, 9, 13, 64])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_bits_follow_each_other_without_a_gap(pixels: int, count: int) -> None:
    """Against the same bits laid out one by one."""
    description = grey(1, pixels, 1)
    frames = [noise(description, seed) for seed in range(count)]
    bits = [np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:pixels] for frame in frames]
    packed = np.packbits(np.concatenate([*bits, np.zeros(0, np.uint8)]), bitorder="little").tobytes()

    joined = b"".join(join_frames(frames, description))

    assert joined == packed + b"\0" * (len(packed) % 2)


@pytest.mark.parametrize("description", [grey(1, 3), grey(1, 3, 16), colour(1, 1)])
def test_bytes_follow_each_other_and_end_even(description: PixelDescription) -> None:
    """One byte of padding, after the last frame alone."""
    frames = [noise(description, seed) for seed in range(3)]

    joined = b"".join(join_frames(frames, description))

    assert joined.rstrip(b"\0") == b"".join(frames).rstrip(b"\0")
    assert len(joined) == (3 * description.frame_bytes + 1) // 2 * 2


@pytest.mark.filterwarnings("ignore")
def test_a_file_with_frames_that_end_within_a_byte_is_put_together_again() -> None:
    """From frames compressed one by one."""
    if "liver_nonbyte_aligned_deflate.dcm" not in by_name():
        pytest.skip(NO_COLLECTION)
    deflated, native = (image(f"liver_nonbyte_aligned{end}.dcm") for end in ("_deflate", ""))

    frames = [deflated.native(index).content for index in range(len(deflated.frames))]

    assert b"".join(join_frames(frames, deflated.description)) == native.dataset.PixelData
