"""The bytes of frames as they lie in a stored file."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from shared.dicom.frames import FrameCutter, FrameIndex, FrameSpan
from shared.storage import keys
from shared.storage.keys import Scope
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.cutting import between, check_reach, cut, inflated
from shared.web.links import Links
from shared.web.multipart import boundary_for, part_head


@dataclass(frozen=True, slots=True)
class Chosen:
    """Frames of an instance that a client asks for."""

    scope: Scope
    row: InstanceRow
    index: FrameIndex
    numbers: Sequence[int]
    """Frame numbers, counted from 1."""

    spans: Sequence[FrameSpan]
    """Where they lie, in the same order."""

    @classmethod
    def of(cls, scope: Scope, row: InstanceRow, index: FrameIndex, numbers: Sequence[int]) -> Self:
        """Find the frames with these numbers.

        Raises:
            NotFound: One of them does not exist.
            NotAcceptable: One lies too deep in a deflated dataset.
        """
        spans = [index.span(number) for number in numbers]
        if index.inflated_from is not None:
            check_reach(row.location.length, max(span.start + span.length for span in spans))
        return cls(scope, row, index, numbers, spans)

    @property
    def counts(self) -> Mapping[str, int]:
        """For the log."""
        return {"frames": len(self.numbers)}

    def identity(self, content_type: str, links: Links) -> tuple[str, ...]:
        """What tells an answer with these frames from all others."""
        numbers = ",".join(map(str, self.numbers))
        place = (self.scope.key.archive, self.row.series, self.row.instance, str(self.row.version))
        return (*place, numbers, content_type, links.root)

    def boundary(self, content_type: str, links: Links) -> str:
        """The boundary of a multipart answer whose parts have this type."""
        return boundary_for(*self.identity(content_type, links))

    def heads(
        self, content_type: str, links: Links, lengths: Sequence[int | None]
    ) -> tuple[str, list[bytes]]:
        """The boundary of a multipart answer, and the head of each part."""
        boundary = self.boundary(content_type, links)
        base = links.instance(self.row.study, self.row.series, self.row.instance)
        heads = [
            part_head(
                boundary, content_type, first=at == 0, location=f"{base}/frames/{number}", length=length
            )
            for at, (number, length) in enumerate(zip(self.numbers, lengths, strict=True))
        ]
        return boundary, heads


def frame_bytes(span: FrameSpan) -> int:
    """Bytes of a frame as it is sent."""
    if span.fragments:
        return sum(span.fragments)
    return (span.bits + 7) // 8 if span.bits else span.length


def read_frame(
    storage: Storage, chosen: Chosen, span: FrameSpan, start: int, end: int
) -> AsyncIterator[bytes]:
    """Read a frame, or bytes of it, without item headers.

    It raises `BlobMissing` when the file is not there.
    """
    place, index = chosen.row.location, chosen.index
    read = partial(storage.blobs.read, keys.DICOM, place.blob)
    if index.inflated_from is not None:
        deflated = read(place.start + index.inflated_from, place.length - index.inflated_from)
        whole = inflated(deflated, span.start, span.length)
    elif span.fragments or span.bits:
        whole = read(place.start + span.start, span.length)
    else:
        return read(place.start + span.start + start, end - start)
    return between(cut(whole, FrameCutter(span)), start, end)
