"""Native frames to compressed ones, without loss but for JPEG Baseline."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import imagecodecs
import numpy as np

from shared.dicom.codecs import rle
from shared.dicom.codecs.errors import UnsupportedPixels, failing_as
from shared.dicom.codecs.model import Frame, PixelDescription, check_description
from shared.dicom.codecs.samples import Samples, from_bytes, stored_values
from shared.dicom.codecs.syntaxes import (
    EXPLICIT_LITTLE,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    RLE,
)

_Encoder = Callable[[Samples, PixelDescription], bytes]

BASELINE_QUALITY: Final = 90
MAX_LEVELS: Final = 5
LOWEST_SIDE: Final = 64
"""HTJ2K RPCL promises a lowest resolution of at most 64 x 64 (PS3.5 A.4.8)."""

SPARE_BYTES: Final = 4096
"""For the headers of pictures of a few pixels."""

_SPIFF: Final = b"\xff\xe8"


def encode_frame(
    content: bytes, description: PixelDescription, transfer_syntax: str, max_bytes: int
) -> Frame:
    """See `shared.dicom.codecs.encode_frame`."""
    check_description(description, max_bytes)
    if description.transfer_syntax != EXPLICIT_LITTLE:
        raise UnsupportedPixels("Only native frames in little endian are encoded.")
    if transfer_syntax == EXPLICIT_LITTLE:
        return Frame(content, description)
    if transfer_syntax not in ENCODERS:
        raise UnsupportedPixels(f"Frames cannot be encoded to transfer syntax {transfer_syntax}.")
    if description.floating:
        raise UnsupportedPixels("Pixels in floating point are not compressed.")
    _check(description, transfer_syntax)
    samples = _bits(content, description) if transfer_syntax == RLE else from_bytes(content, description)
    samples = _values_alone(samples, description)
    with failing_as(UnsupportedPixels, "The frame cannot be encoded."):
        # A copy, since libraries look at strides that mean nothing where there is one row or column.
        encoded = ENCODERS[transfer_syntax](samples.copy(), description)
    return Frame(encoded, _described(description, transfer_syntax))


def _bits(content: bytes, description: PixelDescription) -> Samples:
    """Samples for RLE, which packs one-bit pixels as the bytes they are."""
    if description.bits_allocated != 1:
        return from_bytes(content, description)
    return np.frombuffer(content, np.uint8, description.frame_bytes).reshape(1, -1)


def _values_alone(samples: Samples, description: PixelDescription) -> Samples:
    """Samples with nothing but their sign in unused bits: streams have no room for overlays (PS3.5 8.2)."""
    low, high = 0, 1 << description.bits_stored
    if description.signed:
        low, high = -high // 2, high // 2
    if description.high_bit == description.bits_stored - 1 and samples.min() >= low and samples.max() < high:
        return samples
    return stored_values(samples, description)


def _described(description: PixelDescription, transfer_syntax: str) -> PixelDescription:
    """What holds of the encoded frame (PS3.5 section 8.2)."""
    before = description.photometric_interpretation
    colours = "YBR_FULL" if description.halves_chroma else before
    if before == "RGB" and transfer_syntax in _WAVELETS:
        colours = "YBR_RCT"
    if description.samples_per_pixel == 3 and transfer_syntax == JPEG_BASELINE:
        colours = "YBR_FULL_422"
    return replace(
        description,
        transfer_syntax=transfer_syntax,
        photometric_interpretation=colours,
        planar_configuration=0,
        high_bit=description.bits_stored - 1,
    )


def _check(description: PixelDescription, transfer_syntax: str) -> None:
    """Refuse what the transfer syntax has no form for, or nobody would read."""
    colours = description.photometric_interpretation
    if colours == "YBR_PARTIAL_422":
        raise UnsupportedPixels("YBR_PARTIAL_422 has no compressed form.")
    if description.bits_allocated not in _DEPTHS.get(transfer_syntax, (8, 16)):
        raise UnsupportedPixels(
            f"Samples of {description.bits_allocated} bits are not written in this transfer syntax."
        )
    if transfer_syntax != JPEG_BASELINE:
        return
    if (description.bits_allocated, description.bits_stored, description.signed) != (8, 8, False):
        raise UnsupportedPixels("JPEG Baseline takes unsigned samples of 8 bits alone.")
    if colours not in _BASELINE_COLOURS:
        raise UnsupportedPixels("JPEG Baseline takes grey, RGB and YBR_FULL pixels alone.")


def _is_rgb(description: PixelDescription) -> bool:
    return description.photometric_interpretation == "RGB"


def _jpeg_2000(samples: Samples, description: PixelDescription) -> bytes:
    encoded = imagecodecs.jpeg2k_encode(
        samples,
        level=0,
        codecformat="j2k",
        planar=False,
        bitspersample=description.bits_stored,
        resolutions=_levels(description) + 1,
        reversible=True,
        mct=_is_rgb(description),
        numthreads=1,
    )
    return bytes(encoded)


def _levels(description: PixelDescription) -> int:
    """Decompositions: none of a picture may shrink to nothing."""
    return min(MAX_LEVELS, min(description.rows, description.columns).bit_length() - 1)


def _htj2k(samples: Samples, description: PixelDescription) -> bytes:
    encoded = imagecodecs.htj2k_encode(samples, reversible=True, planar=False, rgb=_is_rgb(description))
    return bytes(encoded)


def _htj2k_rpcl(samples: Samples, description: PixelDescription) -> bytes:
    """Resolution by resolution, with the lengths of the tile-parts before them (PS3.5 A.4.8)."""
    longest = max(description.rows, description.columns)
    levels = max(MAX_LEVELS, (-(-longest // LOWEST_SIDE) - 1).bit_length())
    encoded = imagecodecs.htj2k_encode(
        samples,
        reversible=True,
        planar=False,
        rgb=_is_rgb(description),
        resolutions=levels,
        tlm=True,
        tilepart=1,
    )
    return bytes(encoded)


def _jpeg_ls(samples: Samples, _: PixelDescription) -> bytes:
    """JPEG-LS knows no sign, so the bits are encoded as they are."""
    unsigned = samples.view(f"<u{samples.dtype.itemsize}")
    # The library's own guess is too small for noise.
    encoded = imagecodecs.jpegls_encode(unsigned, level=0, out=2 * samples.nbytes + SPARE_BYTES)
    return _without_spiff(bytes(encoded))


def _without_spiff(encoded: bytes) -> bytes:
    """Without the header that the library puts first, which says RGB whatever there is."""
    position = 2
    while encoded[position : position + 2] == _SPIFF:
        position += 2 + int.from_bytes(encoded[position + 2 : position + 4], "big")
    return encoded[:2] + encoded[position:]


def _rle(samples: Samples, _: PixelDescription) -> bytes:
    whole = samples.reshape(*samples.shape[:2], -1)
    size = whole.dtype.itemsize
    split = whole.view(np.uint8).reshape(*whole.shape, size)
    # (row, column, sample, byte), the low one first, becomes (sample and byte, row, column), the high first.
    planes = split[..., ::-1].transpose(2, 3, 0, 1).reshape(-1, *whole.shape[:2])
    return rle.encode_planes(planes)


def _jpeg_baseline(samples: Samples, description: PixelDescription) -> bytes:
    colour = description.samples_per_pixel == 3
    encoded = imagecodecs.jpeg8_encode(
        samples,
        level=BASELINE_QUALITY,
        colorspace=("RGB" if _is_rgb(description) else "YCBCR") if colour else None,
        outcolorspace="YCBCR" if colour else None,
        subsampling="422" if colour else None,
    )
    return bytes(encoded)


_DEPTHS: Final = {RLE: (1, 8, 16, 32, 64), JPEG_2000_LOSSLESS: (1, 8, 16)}
_WAVELETS: Final = frozenset({JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL})
_BASELINE_COLOURS: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422"})

ENCODERS: Final[dict[str, _Encoder]] = {
    JPEG_2000_LOSSLESS: _jpeg_2000,
    HTJ2K_LOSSLESS: _htj2k,
    HTJ2K_LOSSLESS_RPCL: _htj2k_rpcl,
    JPEG_LS: _jpeg_ls,
    RLE: _rle,
    JPEG_BASELINE: _jpeg_baseline,
}
