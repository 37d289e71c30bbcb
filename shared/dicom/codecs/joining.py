"""Native frames in a row, as the value of Pixel Data holds them."""

from collections.abc import Iterable, Iterator

from shared.dicom.codecs.model import PixelDescription


def join_frames(frames: Iterable[bytes], description: PixelDescription) -> Iterator[bytes]:
    """The value of native Pixel Data, of even length.

    Frames follow each other without a gap. Those of one-bit pixels do so within a byte too, so a frame whose
    pixels do not fill its last byte shifts all after it (PS3.5 section 8.1.1).

    Args:
        frames: Native frames as `decode_frame` gives them.
        description: What they are.
    """
    length = 0
    partial = description.bits_allocated == 1 and description.pixels % 8
    for piece in _shifted(frames, description.pixels) if partial else frames:
        length += len(piece)
        yield piece
    if length % 2:
        yield b"\0"


def _shifted(frames: Iterable[bytes], pixels: int) -> Iterator[bytes]:
    """Frames of so many bits each, moved up to each other as one big number."""
    held, bits = 0, 0
    for frame in frames:
        held |= (int.from_bytes(frame, "little") & (1 << pixels) - 1) << bits
        whole, bits = divmod(bits + pixels, 8)
        yield (held & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        held >>= 8 * whole
    if bits:
        yield bytes((held,))
