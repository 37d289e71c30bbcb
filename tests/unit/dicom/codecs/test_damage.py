"""Damaged frames: whatever the bytes, the answer is a frame of the declared size or `PixelError`."""

from dataclasses import replace
from random import Random

import imagecodecs
import numpy as np
import pytest

from shared.dicom.codecs import Frame, PixelError, decode_frame, encode_frame
from shared.dicom.codecs.syntaxes import (
    DEFLATED_FRAMES,
    ENCODABLE,
    EXPLICIT_BIG,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_XL_LOSSLESS,
)
from tests.unit.dicom.codecs.making import colour, grey, noise, smooth

CASES = 150
"""For each kind of frame."""

TWELVE = grey(24, 40, 16, stored=12)
TWELVE_BITS = np.frombuffer(smooth(TWELVE), "<u2").reshape(24, 40)
EIGHT_BITS = np.frombuffer(smooth(colour(24, 40)), np.uint8).reshape(24, 40, 3)

SEEDS = [
    *(
        encode_frame(smooth(description), description, target)
        for target in ENCODABLE
        for description in (grey(24, 40), colour(24, 40))
    ),
    Frame(
        bytes(imagecodecs.jpeg8_encode(TWELVE_BITS, lossless=True, bitspersample=16)),
        replace(TWELVE, transfer_syntax=JPEG_LOSSLESS),
    ),
    Frame(
        bytes(imagecodecs.jpeg8_encode(TWELVE_BITS, bitspersample=12)),
        replace(TWELVE, transfer_syntax=JPEG_EXTENDED),
    ),
    Frame(
        bytes(imagecodecs.jpegxl_encode(EIGHT_BITS, lossless=True)),
        replace(colour(24, 40), transfer_syntax=JPEG_XL_LOSSLESS),
    ),
    Frame(noise(TWELVE), replace(TWELVE, transfer_syntax=EXPLICIT_BIG)),
    Frame(b"\x4b\4\0", replace(grey(1, 1), transfer_syntax=DEFLATED_FRAMES)),
]


@pytest.mark.parametrize(
    "seed",
    SEEDS,
    ids=lambda frame: f"{frame.description.transfer_syntax}-{frame.description.samples_per_pixel}",
)
def test_damage_yields_pixels_or_a_refusal(seed: Frame) -> None:
    """Bits turned, bytes lost and put in, more of it near the front, where the headers are."""
    random = Random(seed.description.transfer_syntax)
    size = replace(seed.description, photometric_interpretation="RGB").frame_bytes
    refused = 0
    for _ in range(CASES):
        changed = damaged(seed.content, random)
        try:
            frame = decode_frame(changed, seed.description)
        except PixelError:
            refused += 1
            continue
        assert len(frame.content) == size

    assert refused or seed.description.bits_allocated == 16


def damaged(content: bytes, random: Random) -> bytes:
    """A frame with something wrong in it, more often near its front."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 5, 20))):
        at = random.randrange(min(len(changed), random.choice((64, 200, 10_000))) or 1)
        kind = random.randrange(5)
        if kind == 0:
            changed[at : at + 1] = random.randbytes(1)
        elif kind == 1:
            changed[at : at + random.choice((1, 2, 4))] = random.choice((b"\xff" * 4, b"\0\0", b""))
        elif kind == 2:
            changed[at:at] = random.randbytes(random.choice((1, 4, 30)))
        elif kind == 3:
            del changed[at : at + random.choice((1, 3, 50))]
        else:
            changed[at:] = changed[at : random.randrange(at, len(changed) + 1)]
    return bytes(changed)


@pytest.mark.parametrize("transfer_syntax", sorted({seed.description.transfer_syntax for seed in SEEDS}))
def test_no_bytes_and_foreign_bytes_are_refused(transfer_syntax: str) -> None:
    """As where a file says one transfer syntax and holds another."""
    random = Random(transfer_syntax)
    description = replace(colour(24, 40), transfer_syntax=transfer_syntax)

    for content in (b"", b"\0", b"\xff\xd8", random.randbytes(64), random.randbytes(5000)):
        with pytest.raises(PixelError):
            decode_frame(content, description)
