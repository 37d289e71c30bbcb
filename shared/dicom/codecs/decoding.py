"""Stored frames to native ones. The libraries work without Python's lock, so threads help.

Nothing but `PixelError` leaves `decode_frame`. A decoder that ends the process cannot be caught here, which
is why headers are checked first (`streams`).
"""

import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

import imagecodecs
import numpy as np

from shared.dicom.codecs import rle
from shared.dicom.codecs.errors import DamagedPixels, UnsupportedPixels, failing_as
from shared.dicom.codecs.jpegxl import read_jpeg_xl
from shared.dicom.codecs.model import Frame, PixelDescription, check_description
from shared.dicom.codecs.samples import swap, to_bytes
from shared.dicom.codecs.streams import Coding, Colours, Stream, check_stream, read_jpeg, read_jpeg_2000
from shared.dicom.codecs.syntaxes import EXPLICIT_LITTLE, JPEG_XL_LOSSLESS, SYNTAXES, Family

Decoder = Callable[[bytes, PixelDescription], Frame]


def decode_frame(stored: bytes, description: PixelDescription, max_bytes: int) -> Frame:
    """See `shared.dicom.codecs.decode_frame`."""
    check_description(description, max_bytes)
    syntax = SYNTAXES.get(description.transfer_syntax)
    if syntax is None:
        raise UnsupportedPixels(f"Frames of transfer syntax {description.transfer_syntax} cannot be decoded.")
    if syntax.family not in NATIVE_FAMILIES and description.floating:
        raise UnsupportedPixels("Pixels in floating point are not compressed by this transfer syntax.")
    frame = DECODERS[syntax.family](stored, description)
    return Frame(frame.content, replace(frame.description, transfer_syntax=EXPLICIT_LITTLE))


def check_frame(stored: bytes, description: PixelDescription) -> None:
    """See `shared.dicom.codecs.check_frame`."""
    syntax = SYNTAXES.get(description.transfer_syntax)
    read = READERS.get(syntax.family) if syntax else None
    if read:
        check_stream(read(stored), description)


def _native(stored: bytes, description: PixelDescription) -> Frame:
    size = description.frame_bytes
    # One byte of padding follows an odd frame that is alone or a fragment.
    if not size <= len(stored) <= size + 1:
        raise DamagedPixels(f"The frame has {len(stored)} bytes, but its size asks for {size}.")
    return Frame(stored[:size], description)


def _big_endian(stored: bytes, description: PixelDescription) -> Frame:
    return _native(swap(stored, description), description)


def _deflated(stored: bytes, description: PixelDescription) -> Frame:
    """Deflated Image Frame Compression: each frame by itself (PS3.5 annex A.4.13)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with _damaged():
        plain = inflater.decompress(stored, description.frame_bytes + 2)
    return _native(plain, description)


def _rle(stored: bytes, description: PixelDescription) -> Frame:
    """RLE. Bits are packed before they are compressed."""
    size = max(description.bits_allocated // 8, 1)
    packed = description.bits_allocated == 1
    samples = description.samples_per_pixel
    pixels = description.frame_bytes if packed else description.pixels
    planes = rle.decode_planes(stored, size * samples, pixels)
    # (sample, byte, pixel), the high byte first, becomes (pixel, sample, byte), the low one first.
    content = planes.reshape(samples, size, pixels)[:, ::-1].transpose(2, 0, 1).tobytes()
    return Frame(content, _by_pixel(description))


def _jpeg(stored: bytes, description: PixelDescription) -> Frame:
    stream = read_jpeg(stored)
    check_stream(stream, description)
    if stream.coding is Coding.JPEG_LS:
        with _damaged():
            samples = imagecodecs.jpegls_decode(stored)
        return Frame(to_bytes(samples, stream.precision, description), _by_pixel(description))
    colour = stream.samples == 3 and stream.cosine
    ybr = colour and _holds_ybr(stream.colours, description)
    # Naming both spaces keeps the decoder from judging by itself; equal ones give the samples as stored.
    given = ("YCBCR" if ybr else "RGB") if stream.samples == 3 else None
    with _damaged():
        samples = imagecodecs.jpeg8_decode(stored, colorspace=given, outcolorspace=given and "RGB")
    content = to_bytes(samples, stream.precision, description)
    return Frame(content, _rgb(description) if colour else _by_pixel(description))


def _holds_ybr(colours: Colours, description: PixelDescription) -> bool:
    """What a lossy colour JPEG holds.

    Datasets lie: levels of pyramids say RGB and hold YCbCr. The stream is asked first, the dataset where the
    stream is silent, as an RGB picture without a marker is.
    """
    if colours is Colours.UNSAID:
        return description.photometric_interpretation.startswith("YBR")
    return colours is Colours.YBR


def _jpeg_2000(stored: bytes, description: PixelDescription) -> Frame:
    """JPEG 2000 and HTJ2K, both by OpenJPEG.

    OpenJPH would be faster for HTJ2K, but lets values that lossy coding pushed out of range wrap round.
    """
    stream = read_jpeg_2000(stored)
    check_stream(stream, description)
    # Without the boxes around it, so that no palette, profile or channel order of theirs is applied.
    with _damaged():
        samples = imagecodecs.jpeg2k_decode(stored[stream.start :], planar=False, numthreads=1)
    content = to_bytes(samples, stream.precision, description)
    coded = ("YBR_RCT", "YBR_ICT")
    rgb = stream.samples == 3 and description.photometric_interpretation in coded
    return Frame(content, _rgb(description) if rgb else _by_pixel(description))


def _jpeg_xl(stored: bytes, description: PixelDescription) -> Frame:
    stream = read_jpeg_xl(stored)
    check_stream(stream, description)
    with _damaged():
        samples = imagecodecs.jpegxl_decode(stored, index=0, keeporientation=True, numthreads=1)
    content = to_bytes(np.ascontiguousarray(samples), stream.precision, description)
    rgb = stream.samples == 3 and description.transfer_syntax != JPEG_XL_LOSSLESS
    return Frame(content, _rgb(description) if rgb else _by_pixel(description))


def _damaged() -> AbstractContextManager[None]:
    return failing_as(DamagedPixels, "The frame cannot be decoded.")


def _rgb(description: PixelDescription) -> PixelDescription:
    return replace(description, photometric_interpretation="RGB", planar_configuration=0)


def _by_pixel(description: PixelDescription) -> PixelDescription:
    """Samples as stored. Once decompressed, every pixel has chroma samples of its own."""
    colours = "YBR_FULL" if description.halves_chroma else description.photometric_interpretation
    return replace(description, photometric_interpretation=colours, planar_configuration=0)


NATIVE_FAMILIES: Final = frozenset({Family.NATIVE, Family.BIG_ENDIAN, Family.DEFLATED, Family.RLE})

READERS: Final[dict[Family, Callable[[bytes], Stream]]] = {
    Family.JPEG: read_jpeg,
    Family.JPEG_2000: read_jpeg_2000,
    Family.JPEG_XL: read_jpeg_xl,
}
"""The families whose frames tell their own size."""

DECODERS: Final[dict[Family, Decoder]] = {
    Family.NATIVE: _native,
    Family.BIG_ENDIAN: _big_endian,
    Family.DEFLATED: _deflated,
    Family.RLE: _rle,
    Family.JPEG: _jpeg,
    Family.JPEG_2000: _jpeg_2000,
    Family.JPEG_XL: _jpeg_xl,
}
