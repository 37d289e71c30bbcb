"""What can be converted to another transfer syntax, and what it takes."""

from typing import Final

from shared.dicom.codecs import (
    ENCODABLE,
    MAX_FRAME_BYTES,
    DamagedPixels,
    Frame,
    PixelDescription,
    PixelError,
    UnsupportedPixels,
    can_decode,
    decode_frame,
    encode_frame,
    is_lossy,
)
from shared.dicom.codecs.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE
from shared.dicom.errors import NotDicom
from shared.wado.converted.workers import MAX_WORK_BYTES, Workers

INCONVERTIBLE: Final = (PixelError, NotDicom)
"""What is raised where something cannot be converted, or is too large for it."""

MAX_WHOLE_BYTES: Final = 16 * 1024 * 1024
"""Results up to this size are made whole before an answer begins: it then has a length and a tag, and what
cannot be converted is refused. As much is made ahead of a client for larger ones."""

MADE_BY: Final = "1"
"""Part of the tag of what is converted: another number when the same request would give other bytes."""

SPARE_BYTES: Final = 4 * 1024 * 1024
"""A compressed frame may be this much longer than twice its pixels, as some carry colour profiles."""

# What a codec takes at most, in native bytes of the frame (see `codecs.MAX_FRAME_BYTES`).
_DECODING: Final = 6
_ENCODING: Final = 11


def can_make_file(stored: str, wanted: str) -> bool:
    """Whether files are converted so at all; an empty `stored` is nothing.

    A lossy copy under the same SOP Instance UID would be another instance, so none is made.
    """
    return wanted in ENCODABLE and not is_lossy(wanted) and (not stored or can_decode(stored))


def can_make_frame(stored: str, wanted: str) -> bool:
    """Whether frames are converted so at all; an empty `stored` is nothing."""
    return wanted in ENCODABLE and (not stored or can_decode(stored))


def bytes_needed(stored_bytes: int, description: PixelDescription, wanted: str) -> int:
    """The memory that it takes to convert a frame: known, and refused, before anything of it is read.

    Raises:
        DamagedPixels: It is far longer than its pixels could be.
        UnsupportedPixels: It takes more than all work may take together.
    """
    native = description.decoded_bytes
    if stored_bytes > 2 * native + SPARE_BYTES:
        raise DamagedPixels(f"A frame of {native} bytes of pixels takes {stored_bytes} bytes.")
    needed = stored_bytes + native * (_DECODING if wanted == EXPLICIT_LITTLE else _ENCODING)
    if native > MAX_FRAME_BYTES or needed > MAX_WORK_BYTES:
        raise UnsupportedPixels(f"A frame of {native} bytes of pixels is too large to be converted.")
    return needed


def turns_words(description: PixelDescription) -> bool:
    """Whether pixels of a byte or less lie in big-endian words, which frames may share (PS3.5 8.1.1)."""
    return (
        description.transfer_syntax == EXPLICIT_BIG and description.words and description.bits_allocated <= 8
    )


def convert(description: PixelDescription, wanted: str, stored: bytes) -> Frame:
    """Decode a frame and encode it anew; slow, so done in a thread.

    Raises:
        PixelError: It cannot be done.
    """
    native = decode_frame(stored, description)
    return encode_frame(native.content, native.description, wanted)


def depth_for(workers: Workers, native_bytes: int) -> int:
    """How many frames are converted at once for one request."""
    return max(1, min(workers.threads + 1, MAX_WHOLE_BYTES // max(native_bytes, 1)))
