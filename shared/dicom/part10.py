"""Reading a Part 10 file as its bytes arrive (PS3.10 section 7).

A file is a preamble, a group 0002 in explicit VR little endian, and a dataset written as that group's
transfer syntax says. Everything retrieval and search need later is gathered in one pass; nothing of the file
is kept.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom import plans
from shared.dicom.bulk import BulkIndex, BulkSpan
from shared.dicom.dataset import DatasetReader
from shared.dicom.errors import NotDicom
from shared.dicom.frames import DEFLATED_STEP_BYTES, FrameIndex
from shared.dicom.levels import NO_INLINE, Limits
from shared.dicom.meta import PREAMBLE, Front, has_preamble, read_front
from shared.dicom.metadata import JsonElement
from shared.dicom.pixels import Geometry, encapsulated_index, native_index, read_geometry
from shared.dicom.uid import trim_uid
from shared.dicom.validate import Checks, Finding
from shared.dicom.window import Chunk

__all__ = [
    "PREAMBLE",
    "BulkIndex",
    "BulkSpan",
    "FrameIndex",
    "Identity",
    "JsonElement",
    "NotDicom",
    "Part10File",
    "Part10Reader",
]

MAX_INFLATED_BYTES: Final = 2 * 1024**3 - 1
"""Of a deflated dataset: as much as a file may have that is not deflated."""

FRONT_STEP_BYTES: Final = 1024
"""Looked at together until group 0002 is complete, which is mostly a few hundred bytes."""

INFLATE_STEP_BYTES: Final = 256 * 1024
"""Inflated at once."""

# Pixels of one colour shrink a thousandfold and are passed over at hardly any cost, so only elements count
# here. Those of real files shrink ten- to thirtyfold, and the first 8 MiB, more than most have, are free.
MAX_INFLATED_ELEMENTS_BYTES: Final = 64 * 1024**2
"""Elements of a deflated dataset, without the values that are passed over."""

FREE_INFLATED_ELEMENTS_BYTES: Final = 8 * 1024**2
MAX_ELEMENTS_RATIO: Final = 16
"""Bytes of elements beyond the free ones for each byte received."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of an instance, "" where the dataset has none. Padding is trimmed, nothing else is checked."""

    study: str
    series: str
    instance: str
    sop_class: str


@dataclass(frozen=True, slots=True)
class Part10File:
    """What is known of a file once all of it has gone by."""

    transfer_syntax: str
    identity: Identity
    attributes: Mapping[str, JsonElement]
    """Top-level elements among `tags.INDEXED_TAGS`, by key such as "00100010"; text is trimmed of NULs and
    trailing blanks. A sequence of more than 64 K characters is not among them. Of a searched attribute that
    should have one value and was found to have several, the first is here."""

    metadata: bytes
    """DICOM JSON object of the dataset, in UTF-8, compressed with zlib. Bulk values are in it by reference: a
    BulkDataURI is a path relative to the instance, for `bulk_links` to make absolute."""

    bulk: bytes
    """Where the values lie that `metadata` have by reference, for `BulkIndex`; nothing if there are none."""

    frames: FrameIndex | None
    """None when there are no pixel data, or not one whole frame of them."""

    number_of_frames: int
    """As declared; 1 where pixel data come without a sensible number, 0 without pixel data."""

    length: int
    """Bytes of the file as stored, with the preamble that the caller puts before it."""

    findings: tuple[Finding, ...] = ()
    """What is wrong with its elements, as far as they were checked; see `validate.MAX_FINDINGS`."""


class Part10Reader:
    """Reads a Part 10 file as its bytes arrive, in pieces of any size."""

    def __init__(
        self,
        *,
        checks: Checks = Checks.NONE,
        limits: Limits = NO_INLINE,
        max_inflated_bytes: int = MAX_INFLATED_BYTES,
    ) -> None:
        self.starts_with_preamble: bool | None = None
        """False for a file that begins with group 0002: the caller puts `PREAMBLE` before it, and every
        position reported counts it already. None until enough bytes have come to tell."""

        self._checks = checks
        self._limits = limits
        self._max_inflated_bytes = max_inflated_bytes
        self._received = 0
        self._head = bytearray()
        self._look_at_bytes = 0
        self._front: Front | None = None
        self._dataset: DatasetReader | None = None
        self._inflater: _Inflater | None = None
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity | None:
        """The UIDs, as soon as they have gone by; None before."""
        if self._identity is None and self._dataset is not None and self._dataset.past_identity:
            self._identity = _identity(self._dataset)
        return self._identity

    @property
    def seen(self) -> Identity | None:
        """The UIDs that have gone by so far, for the answer about a damaged file; None before the first."""
        return _identity(self._dataset) if self._dataset and self._dataset.values else None

    @property
    def stopped_at(self) -> str:
        """The last element of the top level that was begun, such as "00100010", to tell where damage lies."""
        return f"{self._dataset.last_tag if self._dataset else 0:08X}"

    @property
    def transfer_syntax(self) -> str | None:
        """The transfer syntax, as soon as group 0002 has gone by; None before."""
        return self._front.transfer_syntax if self._front else None

    def feed(self, chunk: Chunk) -> None:
        """Take the next bytes of the file.

        Raises:
            NotDicom: They cannot be part of a Part 10 file.
        """
        self._received += len(chunk)
        view = memoryview(chunk)
        while self._dataset is None and view:
            self._head += view[:FRONT_STEP_BYTES]
            view = view[FRONT_STEP_BYTES:]
            if len(self._head) >= self._look_at_bytes:
                self._read_front(complete=False)
        if self._dataset is not None:
            self._feed_dataset(self._dataset, view)

    def finish(self) -> Part10File:
        """Say that no byte follows.

        Raises:
            NotDicom: The file is empty or not complete.
        """
        if not self._received:
            raise NotDicom("The file is empty.")
        if self._dataset is None:
            self._read_front(complete=True)
        if self._dataset is None or self._front is None:
            raise NotDicom("The file ends within group 0002.")
        if self._inflater is not None and not self._inflater.done:
            raise NotDicom("The file ends within the deflated dataset.")
        self._dataset.finish()
        self._identity = _identity(self._dataset)
        return self._file(self._front, self._dataset, self._identity)

    def _read_front(self, *, complete: bool) -> None:
        head = bytes(self._head)
        # It is read from its start each time, so not for every byte of a sender that sends single ones.
        self._look_at_bytes = len(head) + len(head) // 16
        if self.starts_with_preamble is None:
            self.starts_with_preamble = has_preamble(head, complete=complete)
        front = read_front(head, complete=complete)
        if front is None:
            return
        self._front = front
        start = 0 if front.deflated else self._added + front.size
        self._dataset = DatasetReader(
            front.coding,
            start,
            front.transfer_syntax,
            limits=self._limits,
            checks=self._checks,
        )
        self._inflater = _Inflater(self._max_inflated_bytes) if front.deflated else None
        self._head.clear()
        self._feed_dataset(self._dataset, head[front.size :])

    def _feed_dataset(self, dataset: DatasetReader, chunk: Chunk) -> None:
        if self._inflater is None:
            dataset.feed(chunk)
        else:
            self._inflater.feed(chunk, dataset)

    @property
    def _added(self) -> int:
        """Bytes the caller puts before what was received."""
        return 0 if self.starts_with_preamble else len(PREAMBLE)

    def _file(self, front: Front, dataset: DatasetReader, identity: Identity) -> Part10File:
        geometry = read_geometry(dataset.values, little=front.coding.little)
        inflated_from = self._added + front.size if front.deflated else None
        return Part10File(
            transfer_syntax=front.transfer_syntax,
            identity=identity,
            attributes=_attributes(dataset),
            metadata=dataset.metadata.finish(),
            bulk=dataset.bulk.finish(inflated_from, dataset.values.get(plans.MIME_TYPE_OF_DOCUMENT, b"")),
            frames=self._frames(front, dataset, geometry),
            number_of_frames=(geometry.number_of_frames or 1) if dataset.pixels else 0,
            length=self._added + self._received,
            findings=dataset.findings.all(),
        )

    def _frames(self, front: Front, dataset: DatasetReader, geometry: Geometry) -> FrameIndex | None:
        pixels = dataset.pixels
        if pixels is None:
            return None
        if pixels.fragments is None:
            index = native_index(pixels.start, pixels.length, geometry)
        else:
            table = dataset.extended_offsets
            index = encapsulated_index(pixels.fragments, geometry, table, front.transfer_syntax)
        # Some writers leave out the delimiter after the last fragment, which loses nothing; a file that was
        # cut off just there has lost frames.
        if dataset.unterminated and (index.count if index else 0) < (geometry.number_of_frames or 1):
            raise NotDicom("The file ends within the encapsulated pixel data.")
        if index is None or not front.deflated:
            return index
        return replace(index, inflated_from=self._added + front.size)


class _Inflater:
    """Inflates a dataset a bounded number of bytes at a time."""

    def __init__(self, max_bytes: int) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = max_bytes
        self._received = 0

    @property
    def done(self) -> bool:
        """Whether the end of the deflated bytes has come."""
        return self._inflate.eof

    def feed(self, chunk: Chunk, dataset: DatasetReader) -> None:
        """Inflate the next bytes into the dataset; what follows their end is padding."""
        view = memoryview(chunk)
        while view and not self.done:
            # Cut at the same places however the file comes, so that the same is allowed of it.
            end = DEFLATED_STEP_BYTES - self._received % DEFLATED_STEP_BYTES
            self._take(view[:end], dataset)
            view = view[end:]

    def _take(self, piece: Chunk, dataset: DatasetReader) -> None:
        self._received += len(piece)
        while not self._inflate.eof:
            try:
                plain = self._inflate.decompress(piece, INFLATE_STEP_BYTES)
            except zlib.error as error:
                raise NotDicom("The dataset is not deflated as its transfer syntax says.") from error
            self._left -= len(plain)
            dataset.feed(plain)
            if self._left < 0 or dataset.element_bytes > self._allowed:
                raise NotDicom("The dataset is larger than allowed once it is inflated.")
            piece = self._inflate.unconsumed_tail
            if not plain and not piece:
                return

    @property
    def _allowed(self) -> int:
        """How many bytes of elements may have come out of what was received."""
        steps = -(-self._received // DEFLATED_STEP_BYTES)
        allowed = FREE_INFLATED_ELEMENTS_BYTES + MAX_ELEMENTS_RATIO * DEFLATED_STEP_BYTES * steps
        return min(allowed, MAX_INFLATED_ELEMENTS_BYTES)


def _attributes(dataset: DatasetReader) -> dict[str, JsonElement]:
    found = dataset.metadata.attributes()
    for key in (f"{tag:08X}" for tag in dataset.findings.several()):
        if key in found:
            found[key] = _with_first_value(found[key])
    return found


def _with_first_value(element: JsonElement) -> JsonElement:
    """An element without its further values; none at all where the first is empty."""
    first = element.get("Value", [])[:1]
    return {"vr": element["vr"], "Value": first} if first and first[0] else {"vr": element["vr"]}


def _identity(dataset: DatasetReader) -> Identity:
    study, series, instance, sop_class = (
        trim_uid(str(dataset.values.get(tag, b""), "latin-1"))
        for tag in (plans.STUDY_INSTANCE, plans.SERIES_INSTANCE, plans.SOP_INSTANCE, plans.SOP_CLASS)
    )
    return Identity(study, series, instance, sop_class)
