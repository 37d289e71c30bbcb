"""Native frames in a row, as the value of Pixel Data holds them."""

from collections.abc import Iterable, Iterator

from shared.dicom.codecs.model import PixelDescription


class FrameJoiner:
    """Makes the value of native Pixel Data from its frames as they come.

    Frames follow each other without a gap. Those of one-bit pixels do so within a byte too, so a frame whose
    pixels do not fill its last byte shifts all after it (PS3.5 section 8.1.1).
    """

    def __init__(self, description: PixelDescription) -> None:
        """Prepare for native frames, as `decode_frame` gives them."""
        self._pixels = description.pixels
        self._packed = description.bits_allocated == 1 and description.pixels % 8 != 0
        self._odd = False
        self._held = 0
        self._bits = 0

    def feed(self, frame: bytes) -> bytes:
        """The bytes that the next frame completes."""
        piece = self._shifted(frame) if self._packed else frame
        self._odd ^= len(piece) % 2 == 1
        return piece

    def finish(self) -> bytes:
        """What is left when all frames were fed: of a last byte the bits, and what makes the length even."""
        last = bytes((self._held,)) if self._bits else b""
        return last + bytes((len(last) + self._odd) % 2)

    def _shifted(self, frame: bytes) -> bytes:
        """A frame moved up to the one before as one big number."""
        self._held |= (int.from_bytes(frame, "little") & (1 << self._pixels) - 1) << self._bits
        whole, self._bits = divmod(self._bits + self._pixels, 8)
        piece = (self._held & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        self._held >>= 8 * whole
        return piece


def joined_bytes(count: int, description: PixelDescription) -> int:
    """How many bytes that value has."""
    packed = description.bits_allocated == 1
    size = (count * description.pixels + 7) // 8 if packed else count * description.frame_bytes
    return size + size % 2


def join_frames(frames: Iterable[bytes], description: PixelDescription) -> Iterator[bytes]:
    """The value of native Pixel Data, of even length.

    Args:
        frames: Native frames as `decode_frame` gives them.
        description: What they are.
    """
    joiner = FrameJoiner(description)
    yield from map(joiner.feed, frames)
    if last := joiner.finish():
        yield last
