"""The smallest frames that show a point."""

import numpy as np

from shared.dicom.codecs import PixelDescription
from shared.dicom.codecs.syntaxes import EXPLICIT_LITTLE


def grey(
    rows: int = 4, columns: int = 6, bits: int = 8, *, stored: int = 0, signed: bool = False
) -> PixelDescription:
    """What a native grey frame is; `stored` bits are all when not given."""
    return PixelDescription(
        transfer_syntax=EXPLICIT_LITTLE,
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=bits,
        bits_stored=stored or bits,
        high_bit=(stored or bits) - 1,
        pixel_representation=int(signed),
    )


def colour(
    rows: int = 4, columns: int = 6, *, colours: str = "RGB", bits: int = 8, planar: int = 0
) -> PixelDescription:
    """What a native colour frame is."""
    return PixelDescription(
        transfer_syntax=EXPLICIT_LITTLE,
        rows=rows,
        columns=columns,
        samples_per_pixel=3,
        photometric_interpretation=colours,
        bits_allocated=bits,
        bits_stored=bits,
        high_bit=bits - 1,
        planar_configuration=planar,
    )


def noise(description: PixelDescription, seed: int = 0) -> bytes:
    """Random content of a native frame, within Bits Stored."""
    random = np.random.default_rng(seed)
    if description.bits_allocated == 1:
        bits = random.integers(0, 2, description.pixels, np.uint8)
        return np.packbits(bits, bitorder="little").tobytes()
    size = description.bits_allocated // 8
    count = description.frame_bytes // size
    low = -(1 << description.bits_stored - 1) if description.signed else 0
    if description.bits_stored > 32:
        return random.bytes(description.frame_bytes)
    values = random.integers(low, low + (1 << description.bits_stored), count)
    return values.astype(f"<{'i' if description.signed else 'u'}{size}").tobytes()


def smooth(description: PixelDescription) -> bytes:
    """Content that any codec shrinks: a slope from corner to corner, the same in every sample."""
    rows, columns = np.mgrid[: description.rows, : description.columns]
    slope = (
        (rows + columns) * ((1 << description.bits_stored) - 1) // (description.rows + description.columns)
    )
    samples = np.repeat(slope[..., None], description.samples_per_pixel, axis=2)
    return samples.astype(f"<u{description.bits_allocated // 8}").tobytes()
