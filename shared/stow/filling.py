"""What fills a hole in a file: the parts of a request that hold one value. Pure.

Source: PS3.18 sections 8.6.1.2, 8.7.3.3 and 10.5.1; PS3.5 annex A.4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.dicom.build import EXPLICIT_LITTLE, NATIVE, Draft, Hole, is_compressed
from shared.dicom.encode import pad_of
from shared.dicom.framing import SEQUENCE_END, frames_head, item_head, value_head
from shared.dicom.jpeg import jpeg_syntax
from shared.dicom.pixels import TAIL_BYTES
from shared.dicom.uid import is_uid
from shared.web.media import parse_media_type
from shared.web.offers import is_video, syntaxes_of

_OCTETS: Final = "application/octet-stream"
_BIG_ENDIAN: Final = frozenset({"1.2.840.10008.1.2.2", "1.2.840.113619.5.2"})


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a file that are in memory."""

    data: bytes
    is_payload: bool = False
    """Whether they are a value or part of one, which is passed over when the file is read."""

    @property
    def length(self) -> int:
        """How many there are."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a value that are in memory no longer."""

    length: int
    tail: bytes
    """The last ones: in them the end of a frame can be seen."""

    @classmethod
    def of(cls, data: bytes) -> "Gap":
        """The gap that bytes leave behind."""
        return cls(len(data), data[-TAIL_BYTES:])

    def followed(self, data: bytes | memoryview) -> "Gap":
        """The same with more bytes behind."""
        return Gap(self.length + len(data), (self.tail + bytes(data[-TAIL_BYTES:]))[-TAIL_BYTES:])


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes of a file that are in storage, as blocks of a blob nobody sees yet."""

    blocks: range
    """The numbers of the blocks."""

    sight: tuple[bytes | Gap, ...]
    """What whoever reads the file has to see of them."""


Content = Held | Staged


@dataclass(slots=True)
class Filling:
    """The parts that have come for one hole."""

    hole: Hole
    syntax: str = ""
    """Transfer syntax of the frames, if the hole is for such."""

    contents: list[Content] = field(default_factory=list)
    """What they become in the file, in order."""

    lengths: list[int] = field(default_factory=list)
    """Bytes of each part."""

    @property
    def is_compressed(self) -> bool:
        """Whether each part becomes a frame of its own."""
        return self.hole.is_pixels and is_compressed(self.syntax)

    def add(self, part: Sequence[Content], length: int) -> None:
        """Take a part that is complete."""
        self.lengths.append(length)
        if not self.is_compressed:
            self.contents += part
            return
        self.contents += (Held(item_head(length + length % 2)), *part)
        if length % 2:
            self.contents.append(Held(b"\0"))

    def is_complete(self, draft: Draft) -> bool:
        """Whether no further part belongs here: as many frames as the dataset says have come."""
        if not self.lengths or not self.hole.is_pixels or is_video(self.syntax):
            return bool(self.lengths)
        if self.is_compressed:
            return len(self.lengths) >= draft.number_of_frames
        return draft.number_of_frames == 1 or sum(self.lengths) >= draft.native_bytes > 0

    def shortage(self, draft: Draft) -> str | None:
        """Say how many frames came, if that is fewer than the dataset declares."""
        if not self.hole.is_pixels or self.is_complete(draft):
            return None
        count, frames = len(self.lengths), draft.number_of_frames
        if not self.is_compressed:
            if not draft.native_bytes:
                return None
            count = sum(self.lengths) * frames // draft.native_bytes
        return f"{count} of {frames} frames came."

    def close(self) -> Iterator[Content]:
        """Everything that goes into the hole, with what has to stand before and behind it."""
        if self.is_compressed:
            yield Held(frames_head(self.hole.tag, [length + length % 2 for length in self.lengths]))
            yield from self.contents
            yield Held(SEQUENCE_END)
            return
        total = sum(self.lengths)
        yield Held(value_head(self.hole.tag, self.hole.vr, total + total % 2))
        yield from self.contents
        if total % 2:
            yield Held(pad_of(self.hole.vr))


def choose_syntax(content_type: str | None, draft: Draft, head: bytes) -> str | None:
    """Decide which transfer syntax frames have; None if they cannot be stored as they are.

    The part's own word goes first, then what the metadata say of the object, as far as that fits the media
    type. A JPEG stream tells by itself; of other types the default of PS3.18 table 8.7.3-5 is left.

    Args:
        content_type: Of the part.
        draft: Says what the metadata say.
        head: The first bytes of the first frame.
    """
    media = parse_media_type(content_type or _OCTETS)
    fitting = syntaxes_of(media.name) if media else ()
    stated = (media.get("transfer-syntax") if media else None) or ""
    if not fitting:
        syntax = next(filter(is_uid, (stated, draft.named_syntax)), EXPLICIT_LITTLE)
        return None if syntax in _BIG_ENDIAN else EXPLICIT_LITTLE if syntax in NATIVE else syntax
    if is_uid(stated) and is_compressed(stated) and stated not in _BIG_ENDIAN:
        return stated
    said = next((each for each in (draft.named_syntax, draft.available_syntax) if each in fitting), None)
    seen = jpeg_syntax(head)
    return said or (seen if seen in fitting else None) or fitting[0]
