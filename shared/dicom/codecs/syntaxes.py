"""Transfer syntaxes by what is done with their pixels (PS3.5 section 10 and annex A)."""

from enum import Enum, auto
from typing import Final, NamedTuple

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
JPEG_SPECTRAL: Final = "1.2.840.10008.1.2.4.53"
JPEG_PROGRESSIVE: Final = "1.2.840.10008.1.2.4.55"
JPEG_LOSSLESS: Final = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
JPEG_XL_LOSSLESS: Final = "1.2.840.10008.1.2.4.110"
JPEG_XL_RECOMPRESSED: Final = "1.2.840.10008.1.2.4.111"
JPEG_XL: Final = "1.2.840.10008.1.2.4.112"
HTJ2K_LOSSLESS: Final = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL: Final = "1.2.840.10008.1.2.4.202"
HTJ2K: Final = "1.2.840.10008.1.2.4.203"
RLE: Final = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"


class Family(Enum):
    """Which decoder reads a frame."""

    NATIVE = auto()
    BIG_ENDIAN = auto()
    DEFLATED = auto()
    RLE = auto()
    JPEG = auto()
    """JPEG-LS too: the stream says which it is."""

    JPEG_2000 = auto()
    JPEG_XL = auto()


class Syntax(NamedTuple):
    """What is known of a transfer syntax."""

    family: Family
    lossy_method: str = ""
    """Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1); empty when nothing is lost."""


SYNTAXES: Final[dict[str, Syntax]] = {
    IMPLICIT_LITTLE: Syntax(Family.NATIVE),
    EXPLICIT_LITTLE: Syntax(Family.NATIVE),
    ENCAPSULATED_UNCOMPRESSED: Syntax(Family.NATIVE),
    DEFLATED: Syntax(Family.NATIVE),
    EXPLICIT_BIG: Syntax(Family.BIG_ENDIAN),
    JPEG_BASELINE: Syntax(Family.JPEG, "ISO_10918_1"),
    JPEG_EXTENDED: Syntax(Family.JPEG, "ISO_10918_1"),
    JPEG_SPECTRAL: Syntax(Family.JPEG, "ISO_10918_1"),
    JPEG_PROGRESSIVE: Syntax(Family.JPEG, "ISO_10918_1"),
    JPEG_LOSSLESS: Syntax(Family.JPEG),
    JPEG_LOSSLESS_SV1: Syntax(Family.JPEG),
    JPEG_LS: Syntax(Family.JPEG),
    JPEG_LS_NEAR: Syntax(Family.JPEG, "ISO_14495_1"),
    JPEG_2000_LOSSLESS: Syntax(Family.JPEG_2000),
    JPEG_2000: Syntax(Family.JPEG_2000, "ISO_15444_1"),
    HTJ2K_LOSSLESS: Syntax(Family.JPEG_2000),
    HTJ2K_LOSSLESS_RPCL: Syntax(Family.JPEG_2000),
    HTJ2K: Syntax(Family.JPEG_2000, "ISO_15444_15"),
    JPEG_XL_LOSSLESS: Syntax(Family.JPEG_XL),
    JPEG_XL_RECOMPRESSED: Syntax(Family.JPEG_XL, "ISO_10918_1"),
    JPEG_XL: Syntax(Family.JPEG_XL, "ISO_18181_1"),
    RLE: Syntax(Family.RLE),
    DEFLATED_FRAMES: Syntax(Family.DEFLATED),
}
"""What can be decoded. Video, JPIP and JPEG 2000 Part 2 cannot."""

ENCODABLE: Final = (
    EXPLICIT_LITTLE,
    JPEG_2000_LOSSLESS,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_LS,
    RLE,
    JPEG_BASELINE,
)
"""What frames can be encoded to; nothing is lost but in the last."""

NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
"""Pixel Data of a defined length, without fragments."""


def can_decode(transfer_syntax: str) -> bool:
    """Whether frames of this transfer syntax are read at all; a single one may still be refused."""
    return transfer_syntax in SYNTAXES


def is_coded(transfer_syntax: str) -> bool:
    """Whether frames of this transfer syntax are coded anew pixel by pixel, and not as the bytes they are."""
    plain = (Family.NATIVE, Family.BIG_ENDIAN, Family.DEFLATED)
    return transfer_syntax in SYNTAXES and SYNTAXES[transfer_syntax].family not in plain


def is_lossy(transfer_syntax: str) -> bool:
    """Whether this transfer syntax is meant for compression that loses something."""
    return bool(SYNTAXES.get(transfer_syntax, Syntax(Family.NATIVE)).lossy_method)
