"""What the codecs work on: one frame, and what the dataset says about it."""

from dataclasses import dataclass
from typing import Final

from shared.dicom.codecs.errors import UnsupportedPixels
from shared.dicom.codecs.syntaxes import is_coded

MAX_FRAME_BYTES: Final = 128 * 1024 * 1024
"""A native frame beyond it is refused. JPEG 2000 takes the most room meanwhile: up to six times as much to
decode, and eleven times to encode."""

MAX_SIDE: Final = 65535
"""Rows and Columns are unsigned shorts."""

BITS_ALLOCATED: Final = (1, 8, 16, 32, 64)
"""What occurs. Other packings are retired and nobody decodes them."""

HALF_CHROMA: Final = ("YBR_FULL_422", "YBR_PARTIAL_422")
"""Native, two pixels share their chroma samples (PS3.3 C.7.6.3.1.2)."""


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The part of the Image Pixel module that a codec must know (PS3.3 C.7.6.3)."""

    transfer_syntax: str
    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int = 0
    """1 when samples are signed."""

    planar_configuration: int = 0
    """1 when each native colour plane is whole; of no meaning with one sample."""

    floating: bool = False
    """Whether the pixels come from Float Pixel Data or Double Float Pixel Data."""

    words: bool = True
    """Whether the VR is OW. It matters for 8-bit and 1-bit pixels in big endian alone."""

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return self.rows * self.columns

    @property
    def signed(self) -> bool:
        """Whether samples are in two's complement."""
        return self.pixel_representation == 1

    @property
    def halves_chroma(self) -> bool:
        """Whether native pixels share chroma samples in pairs."""
        return self.samples_per_pixel == 3 and self.photometric_interpretation in HALF_CHROMA

    @property
    def frame_bytes(self) -> int:
        """Bytes of a native frame; bits are padded to a whole byte."""
        bits = self.pixels * self.samples_per_pixel * self.bits_allocated
        return (bits * 2 // 3 if self.halves_chroma else bits + 7) // 8

    @property
    def decoded_bytes(self) -> int:
        """Bytes of a frame once it is decoded: chroma that pixels share comes out of a codec whole."""
        whole = self.halves_chroma and is_coded(self.transfer_syntax)
        return self.frame_bytes * 3 // 2 if whole else self.frame_bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of one frame and what they are."""

    content: bytes
    description: PixelDescription


def check_description(description: PixelDescription, max_bytes: int) -> None:
    """Refuse a frame that cannot be, before anything is reserved for it.

    Args:
        description: What the dataset says.
        max_bytes: The most that a native frame may have.

    Raises:
        UnsupportedPixels: A size is missing, unknown to the standard or beyond the limit.
    """
    sides = (description.rows, description.columns)
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise UnsupportedPixels("Rows and Columns must be 1 to 65535.")
    if description.samples_per_pixel not in (1, 3):
        raise UnsupportedPixels("Samples per Pixel must be 1 or 3.")
    if description.bits_allocated not in BITS_ALLOCATED:
        raise UnsupportedPixels("Bits Allocated must be 1, 8, 16, 32 or 64.")
    if description.bits_allocated == 1 and description.samples_per_pixel != 1:
        raise UnsupportedPixels("Pixels of one bit have one sample.")
    if not 1 <= description.bits_stored <= description.bits_allocated:
        raise UnsupportedPixels("Bits Stored must be 1 to Bits Allocated.")
    if not description.bits_stored - 1 <= description.high_bit < description.bits_allocated:
        raise UnsupportedPixels("High Bit must lie within Bits Allocated and leave room for Bits Stored.")
    size = description.pixels * description.samples_per_pixel * description.bits_allocated // 8
    if size > max_bytes:
        raise UnsupportedPixels(f"A frame of {size} bytes is beyond the limit of {max_bytes}.")
