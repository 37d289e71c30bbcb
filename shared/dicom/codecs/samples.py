"""Between the bytes of a native frame and arrays of its samples.

Arrays are (row, column) with one sample and (row, column, sample) with three, whatever the planar
configuration; their type is the smallest that holds Bits Allocated, signed as Pixel Representation says.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.dicom.codecs.errors import DamagedPixels, UnsupportedPixels
from shared.dicom.codecs.model import PixelDescription

Samples = NDArray[Any]  # The type of the samples is known at run time only.

_KINDS: Final = {False: "<u", True: "<i"}


def sample_type(description: PixelDescription) -> np.dtype[Any]:
    """The type of one stored sample, little endian; of one-bit pixels a byte."""
    size = max(description.bits_allocated // 8, 1)
    if description.floating:
        return np.dtype(f"<f{size}")
    return np.dtype(f"{_KINDS[description.signed]}{size}")


def to_bytes(samples: Samples, precision: int, description: PixelDescription) -> bytes:
    """The native frame for what a decoder gave, colour by pixel.

    Args:
        samples: (row, column) or (row, column, sample), any integers.
        precision: Bits of each sample in the stream.
        description: What the dataset says.

    Raises:
        DamagedPixels: The shape is not the one declared.
    """
    shape: tuple[int, ...] = (description.rows, description.columns)
    if description.samples_per_pixel > 1:
        shape += (description.samples_per_pixel,)
    if samples.shape != shape:
        raise DamagedPixels("The frame decodes to another size than declared.")
    if description.bits_allocated == 1:
        return np.packbits(samples.astype(np.bool_).ravel(), bitorder="little").tobytes()
    return _in_range(samples, precision, description).tobytes()


def _in_range(samples: Samples, precision: int, description: PixelDescription) -> Samples:
    """Samples with the sign that Pixel Representation asks for.

    JPEG and JPEG-LS know no sign, and JPEG 2000 streams may disagree with the dataset about it, so the top
    bit of the stream's own precision is the sign.
    """
    target = sample_type(description)
    if samples.dtype == target and (not description.signed or precision == description.bits_allocated):
        return samples
    widened = samples.astype(target)
    spare = description.bits_allocated - precision
    if description.signed or samples.dtype.kind == "i":
        # Shifted out at the top and back in: with the sign where there is one, with zeros where not.
        widened = (widened << spare) >> spare
    return widened


def from_bytes(content: bytes, description: PixelDescription) -> Samples:
    """The samples of a native little-endian frame, colour by pixel, chroma of each pixel its own.

    Raises:
        DamagedPixels: There are fewer bytes than the frame needs.
        UnsupportedPixels: Pixels share chroma in pairs, but a row has an odd number of them.
    """
    if len(content) < description.frame_bytes:
        raise DamagedPixels("The frame has fewer bytes than its size asks for.")
    if description.bits_allocated == 1:
        packed = np.frombuffer(content, np.uint8, description.frame_bytes)
        bits = np.unpackbits(packed, count=description.pixels, bitorder="little")
        return bits.reshape(description.rows, description.columns)
    kind = sample_type(description)
    flat = np.frombuffer(content, kind, description.frame_bytes // kind.itemsize)
    if description.halves_chroma:
        return _whole_chroma(flat, description)
    if description.samples_per_pixel == 1:
        return flat.reshape(description.rows, description.columns)
    if description.planar_configuration == 1:
        planes = flat.reshape(description.samples_per_pixel, description.rows, description.columns)
        return np.moveaxis(planes, 0, -1)
    return flat.reshape(description.rows, description.columns, description.samples_per_pixel)


def _whole_chroma(flat: Samples, description: PixelDescription) -> Samples:
    """Two lumas, then a pair of chromas that both pixels get."""
    if description.columns % 2:
        raise UnsupportedPixels("Pixels that share chroma in pairs need an even number of columns.")
    pairs = flat.reshape(description.rows, description.columns // 2, 4)
    whole = np.empty((description.rows, description.columns, 3), flat.dtype)
    whole[:, 0::2, 0] = pairs[..., 0]
    whole[:, 1::2, 0] = pairs[..., 1]
    whole[:, 0::2, 1:] = whole[:, 1::2, 1:] = pairs[..., 2:]
    return whole


def stored_values(samples: Samples, description: PixelDescription) -> Samples:
    """Samples without what lies outside Bits Stored, such as overlays, and with their sign (PS3.5 8.1.1)."""
    if description.floating or description.bits_stored == description.bits_allocated:
        return samples
    left = description.bits_allocated - 1 - description.high_bit
    return (samples << left) >> (description.bits_allocated - description.bits_stored)


def swap(content: bytes, description: PixelDescription) -> bytes:
    """A native frame with its bytes in the other order (PS3.5 section 7.3)."""
    size = description.bits_allocated // 8
    if size < 2:
        # Bytes and bits in words are swapped with the words that hold them.
        size = 2 if description.words else 1
    if len(content) % size:
        raise UnsupportedPixels("The frame ends within a word of big-endian pixels.")
    return content if size == 1 else np.frombuffer(content, f"<u{size}").byteswap().tobytes()
