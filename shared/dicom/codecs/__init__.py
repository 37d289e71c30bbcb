"""Pixels: decoded, encoded and rendered, one frame at a time. Pure, and slow: call it from a thread.

The libraries behind it take a third of a second to import, so they are imported where they are first used.
Importing this package imports none of them.
"""

from shared.dicom.codecs.attributes import Appearance, Window, appearance_of, describe
from shared.dicom.codecs.elements import LossyHistory, changed_elements, pixel_vr
from shared.dicom.codecs.errors import DamagedPixels, PixelError, UnsupportedPixels
from shared.dicom.codecs.joining import FrameJoiner, join_frames, joined_bytes
from shared.dicom.codecs.model import MAX_FRAME_BYTES, Frame, PixelDescription
from shared.dicom.codecs.references import presentation_of, references, with_values
from shared.dicom.codecs.syntaxes import ENCODABLE, can_decode, is_lossy
from shared.dicom.codecs.views import Picture, Profile, RenderOptions, Viewport

__all__ = [
    "ENCODABLE",
    "MAX_FRAME_BYTES",
    "Appearance",
    "DamagedPixels",
    "Frame",
    "FrameJoiner",
    "LossyHistory",
    "Picture",
    "PixelDescription",
    "PixelError",
    "Profile",
    "RenderOptions",
    "UnsupportedPixels",
    "Viewport",
    "Window",
    "appearance_of",
    "can_decode",
    "changed_elements",
    "check_frame",
    "decode_frame",
    "describe",
    "encode_frame",
    "is_lossy",
    "join_frames",
    "joined_bytes",
    "pixel_vr",
    "presentation_of",
    "references",
    "render_frame",
    "with_values",
]


def decode_frame(stored: bytes, description: PixelDescription, *, max_bytes: int = MAX_FRAME_BYTES) -> Frame:
    """Decode one frame to native pixels as Explicit VR Little Endian has them.

    Lossy colour comes out as RGB, as do YBR_RCT and YBR_ICT, which are parts of a codec; every other frame
    keeps the samples it was made from. Decompressed frames have planar configuration 0. Native ones stay as
    they are but for the order of their bytes.

    Args:
        stored: The bytes of one frame, fragments joined, without item headers. A native frame may have a
            byte of padding; one of 1-bit pixels starts with a byte.
        description: What the dataset says of it.
        max_bytes: The most that a native frame may have.

    Returns:
        The native frame and the description that then holds.

    Raises:
        UnsupportedPixels: Nothing here reads this form.
        DamagedPixels: The bytes are not what the description says.

    Source: PS3.5 sections 8.1, 8.2 and annex A.
    """
    from shared.dicom.codecs import decoding

    return decoding.decode_frame(stored, description, max_bytes)


def check_frame(stored: bytes, description: PixelDescription) -> None:
    """Compare what a compressed frame says of itself with the dataset, without decoding it.

    Args:
        stored: As for `decode_frame`.
        description: As for `decode_frame`.

    Raises:
        PixelError: The frame would not be decoded.
    """
    from shared.dicom.codecs import decoding

    decoding.check_frame(stored, description)


def encode_frame(
    content: bytes, description: PixelDescription, transfer_syntax: str, *, max_bytes: int = MAX_FRAME_BYTES
) -> Frame:
    """Encode one native frame, as `decode_frame` gives it.

    Args:
        content: A native little-endian frame.
        description: What it is; its transfer syntax is Explicit VR Little Endian.
        transfer_syntax: One of `ENCODABLE`.
        max_bytes: The most that the native frame may have.

    Returns:
        The frame, not padded, and the description that then holds.

    Raises:
        UnsupportedPixels: The frame has no form in this transfer syntax.
        DamagedPixels: The bytes are not what the description says.

    Source: PS3.5 section 8.2.
    """
    from shared.dicom.codecs import encoding

    return encoding.encode_frame(content, description, transfer_syntax, max_bytes)


def render_frame(
    frame: Frame, appearance: Appearance, options: RenderOptions, *, max_bytes: int = MAX_FRAME_BYTES
) -> bytes:
    """Render one native frame, as `decode_frame` gives it, to a picture of 8 bits.

    Without a window of the client's, the first of the dataset is used, else its VOI lookup table, else all
    values that occur in the frame.

    Args:
        frame: The native frame.
        appearance: What the dataset says of how it is to be seen.
        options: What the client asks for.
        max_bytes: The most that the native frame may have.

    Raises:
        UnsupportedPixels: The pixels cannot be shown, or not in this viewport.
        DamagedPixels: The bytes are not what the description says.

    Source: API rules section 6, PS3.18 section 8.3.5.
    """
    from shared.dicom.codecs import rendering

    return rendering.render_frame(frame, appearance, options, max_bytes)
