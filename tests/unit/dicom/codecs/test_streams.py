"""Headers of streams: what is claimed is bounded before a decoder reserves room for it."""

import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from shared.dicom.codecs import DamagedPixels, PixelError, UnsupportedPixels, decode_frame, encode_frame
from shared.dicom.codecs.jpegxl import read_jpeg_xl
from shared.dicom.codecs.streams import Coding, Stream, read_jpeg, read_jpeg_2000
from shared.dicom.codecs.syntaxes import JPEG_2000, JPEG_2000_LOSSLESS, JPEG_BASELINE, JPEG_LS, JPEG_XL
from tests.unit.dicom.codecs.making import colour, grey, noise

J2K = encode_frame(noise(grey(64, 48)), grey(64, 48), JPEG_2000_LOSSLESS).content
J2K_COLOUR = encode_frame(noise(colour(64, 48)), colour(64, 48), JPEG_2000_LOSSLESS).content
JPEG = encode_frame(noise(grey(64, 48)), grey(64, 48), JPEG_BASELINE).content
JLS = encode_frame(noise(colour(64, 48, bits=16)), colour(64, 48, bits=16), JPEG_LS).content
JXL = bytes(imagecodecs.jpegxl_encode(np.zeros((64, 48), np.uint8), lossless=True))

SIZ, COD = 4, J2K.index(b"\xff\x52")


def _patched(stream: bytes, at: int, form: str, *values: int) -> bytes:
    return stream[:at] + struct.pack(form, *values) + stream[at + struct.calcsize(form) :]


def test_headers_say_what_the_streams_are() -> None:
    """Whatever the transfer syntax of the dataset."""
    assert read_jpeg_2000(J2K) == Stream(Coding.JPEG_2000, 64, 48, 1, 8)
    assert read_jpeg_2000(b"boxes" + J2K_COLOUR) == Stream(Coding.JPEG_2000, 64, 48, 3, 8, start=5)
    assert (read_jpeg(JPEG).coding, read_jpeg(JPEG).rows, read_jpeg(JPEG).columns) == (Coding.JPEG, 64, 48)
    assert read_jpeg(JLS) == Stream(Coding.JPEG_LS, 64, 48, 3, 16)
    assert read_jpeg_xl(JXL) == Stream(Coding.JPEG_XL, 64, 48, 1, 8)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(1, 1), (8, 8), (256, 128), (264, 256), (100, 150), (90, 160), (513, 9000), (7, 3000)],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_jpeg_xl_sizes_are_read_however_they_are_written(rows: int, columns: int, samples: int) -> None:
    """In eighths, as a proportion, in four widths."""
    pixels = np.zeros((rows, columns, samples) if samples > 1 else (rows, columns), np.uint16)

    stream = read_jpeg_xl(bytes(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=1)))

    assert stream == Stream(Coding.JPEG_XL, rows, columns, samples, 16)


HUGE = 0x7FFFFFFF
BOMBS = [
    ("a huge JPEG 2000", _patched(J2K, SIZ + 4, ">II", HUGE, HUGE), JPEG_2000, DamagedPixels, "says"),
    ("thousands of components", _patched(J2K, SIZ + 36, ">H", 16384), JPEG_2000, UnsupportedPixels, "differ"),
    ("tiny tiles", _patched(J2K, SIZ + 20, ">II", 1, 1), JPEG_2000, DamagedPixels, "too many tiles"),
    ("tiles of nothing", _patched(J2K, SIZ + 20, ">II", 0, 0), JPEG_2000, DamagedPixels, "impossible"),
    ("an origin too far", _patched(J2K, SIZ + 12, ">I", 99), JPEG_2000, DamagedPixels, "impossible"),
    ("thousands of layers", _patched(J2K, COD + 6, ">H", 65535), JPEG_2000, DamagedPixels, "256 layers"),
    ("tiny precincts", J2K[: COD + 2] + b"\0\x12\1" + J2K[COD + 5 : COD + 14] + b"\x11" * 6 + J2K[COD + 14 :],
     JPEG_2000, DamagedPixels, "smaller than 8 x 8"),
    ("half the columns in chroma", _patched(J2K_COLOUR, SIZ + 38, ">BBBBBB", 7, 1, 1, 7, 2, 1),
     JPEG_2000, UnsupportedPixels, "differ"),
    ("a huge JPEG", JPEG.replace(struct.pack(">HH", 64, 48), b"\xff\xff\xff\xff", 1), JPEG_BASELINE,
     DamagedPixels, "65535 x 65535"),
    ("hundreds of scans", JPEG[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 200 + JPEG[-2:], JPEG_BASELINE,
     DamagedPixels, "100 scans"),
    ("two headers", JPEG[:2] + b"\xff\xc1\0\x0b\x08\0\x40\0\x30\1\1\x11\0" + JPEG[2:], JPEG_BASELINE,
     DamagedPixels, "or two"),
    ("arithmetic", JPEG.replace(b"\xff\xc0", b"\xff\xc9", 1), JPEG_BASELINE, UnsupportedPixels, "arith"),
    ("a huge JPEG-LS", JLS.replace(struct.pack(">HH", 64, 48), b"\xff\xff\xff\xff", 1), JPEG_LS,
     DamagedPixels, "65535 x 65535"),
    ("a huge JPEG XL", b"\xff\x0a" + b"\xff" * 60, JPEG_XL, DamagedPixels, "the dataset says"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "syntax", "kind", "reason"), [row[1:] for row in BOMBS], ids=[row[0] for row in BOMBS]
)
def test_a_stream_that_asks_for_too_much_is_refused_unread(
    stream: bytes, syntax: str, kind: type[PixelError], reason: str
) -> None:
    """In memory that does not grow."""
    samples = 3 if stream[:60] == J2K_COLOUR[:60] or "chroma" in reason else 1
    description = replace(grey(64, 48, 16), transfer_syntax=syntax, samples_per_pixel=samples)
    tracemalloc.start()
    try:
        with pytest.raises(kind, match=reason):
            decode_frame(stream, description)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("read", "stream"), [(read_jpeg, JPEG), (read_jpeg, JLS), (read_jpeg_2000, J2K), (read_jpeg_xl, JXL)]
)
def test_headers_cut_anywhere_are_refused_or_read(read: Callable[[bytes], Stream], stream: bytes) -> None:
    """Nothing else happens."""
    whole = read(stream)
    for length in range(min(len(stream), 700)):
        try:
            assert read(stream[:length]) == whole
        except PixelError:
            continue


def test_tile_parts_are_followed_to_the_end() -> None:
    """A tile's own header may ask for as much as the main one."""
    start = J2K.index(b"\xff\x90")
    length = int.from_bytes(J2K[start + 6 : start + 10], "big")
    coding = b"\xff\x53\0\x0f\0\1\5\4\4\0\1" + b"\x11" * 6
    inside = _patched(J2K, start + 6, ">I", length + len(coding))
    stream = inside[: start + 12] + coding + inside[start + 12 :]

    with pytest.raises(DamagedPixels, match="smaller than 8 x 8"):
        read_jpeg_2000(stream)
