"""The rows of table `archive` as values, and back.

What would make a row too large is cut: a binary property holds 64 KiB, so metadata and frame
indexes are spread over several, and what is larger still lies in a blob of container `metadata`.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.storage.entities import utf16_bytes
from shared.storage.tables import Row, Value

Values = Mapping[str, Mapping[str, object]]
"""DICOM JSON elements by tag: what a study, series or instance says of itself in searches."""

MAX_PROPERTY_BYTES = 65_536
MAX_CHUNKS = 6
MAX_INLINE_BYTES = MAX_CHUNKS * MAX_PROPERTY_BYTES
MAX_BULK_BYTES = MAX_PROPERTY_BYTES
MAX_VALUES_BYTES = 60_000
"""What a row's values may take in UTF-16. Beyond it the longest elements are left out of searches;
metadata has them whole."""


@dataclass(frozen=True, slots=True)
class LevelRow:
    """A study or a series, as searches see it."""

    revision: int
    """Version of the change that wrote this row."""

    created: int
    """Version of the change that made the study or series."""

    values: Values
    etag: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes of a stored file lie."""

    blob: str
    start: int
    """First byte, counted from the start of the blob."""

    length: int


@dataclass(frozen=True, slots=True)
class NewInstance:
    """An instance whose bytes are uploaded and that no row names yet."""

    series: str
    instance: str
    version: int
    location: Location
    transfer_syntax: str
    study_values: Values
    series_values: Values
    values: Values
    metadata: bytes
    """Compressed DICOM JSON of the dataset."""

    frames: bytes | None
    """Encoded index of frames; None without pixel data."""

    metadata_blob: str = ""
    """Blob of container `metadata` that holds `metadata` instead of the row, or empty."""

    frames_blob: str = ""
    """The same for `frames`."""

    bulk: bytes = b""
    """Encoded index of bulk values; nothing if there are none."""

    bulk_blob: str = ""
    """The same for `bulk`."""

    @property
    def details(self) -> tuple[str, ...]:
        """The blobs of container `metadata` that belong to it."""
        return tuple(name for name in (self.metadata_blob, self.frames_blob, self.bulk_blob) if name)


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A stored instance, as far as its row was read."""

    study: str
    series: str
    instance: str
    version: int
    location: Location
    transfer_syntax: str
    values: Values
    metadata: bytes
    metadata_blob: str
    frames: bytes
    frames_blob: str
    has_frames: bool
    etag: str
    bulk: bytes = b""
    bulk_blob: str = ""

    @property
    def details(self) -> tuple[str, ...]:
        """The blobs of container `metadata` that belong to it."""
        return tuple(name for name in (self.metadata_blob, self.frames_blob, self.bulk_blob) if name)


@dataclass(frozen=True, slots=True)
class Change:
    """One instance that a committed change made or removed."""

    series: str
    instance: str
    version: int
    location: Location
    details: tuple[str, ...] = ()
    """Blobs in container `metadata` that belong to the instance."""


LOCATION = ("version", "blob", "start", "length", "transferSyntax")
DETAILS = ("metadataBlob", "framesBlob", "bulkBlob")
FRAMES = (*(f"frames{number}" for number in range(MAX_CHUNKS)), "framesBlob", "hasFrames")
METADATA = (*(f"metadata{number}" for number in range(MAX_CHUNKS)), "metadataBlob")
BULK = ("bulk0", "bulkBlob")
SEARCHED = ("version", "values", "transferSyntax")


def render_level(values: Values, *, revision: int, created: int) -> dict[str, Value]:
    """The properties of a study or series row."""
    return {"revision": revision, "created": created, "values": render_values(values)}


def parse_level(row: Row) -> LevelRow:
    """A study or series row as it was read."""
    return LevelRow(
        revision=_int(row, "revision"),
        created=_int(row, "created"),
        values=parse_values(str(row.values["values"])),
        etag=row.etag,
    )


def render_values(values: Values) -> str:
    """Elements as one compact text."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def parse_values(text: str) -> Values:
    """Elements from the text of a row."""
    values: Values = json.loads(text) if text else {}
    return values


def indexable(values: Values) -> Values:
    """The elements that fit a row together; the longest are left out first."""
    sizes = {tag: utf16_bytes(json.dumps(value, ensure_ascii=False)) + 24 for tag, value in values.items()}
    total = sum(sizes.values())
    left_out = set()
    for tag in sorted(sizes, key=lambda tag: -sizes[tag]):
        if total <= MAX_VALUES_BYTES:
            break
        left_out.add(tag)
        total -= sizes[tag]
    return {tag: value for tag, value in values.items() if tag not in left_out} if left_out else values


def render_instance(new: NewInstance) -> dict[str, Value]:
    """The properties of an instance row."""
    properties: dict[str, Value] = {
        "version": new.version,
        "blob": new.location.blob,
        "start": new.location.start,
        "length": new.location.length,
        "transferSyntax": new.transfer_syntax,
        "values": render_values(indexable(new.values)),
        "hasFrames": new.frames is not None,
    }
    if new.metadata_blob:
        properties["metadataBlob"] = new.metadata_blob
    else:
        properties |= cut_bytes("metadata", new.metadata)
    if new.frames_blob:
        properties["framesBlob"] = new.frames_blob
    elif new.frames is not None:
        properties |= cut_bytes("frames", new.frames)
    if new.bulk_blob:
        properties["bulkBlob"] = new.bulk_blob
    elif new.bulk:
        properties |= cut_bytes("bulk", new.bulk)
    return properties


def row_bytes(new: NewInstance) -> int:
    """About how many bytes the instance's row adds to a transaction."""
    inline = 0 if new.metadata_blob else len(new.metadata)
    inline += 0 if new.frames_blob or new.frames is None else len(new.frames)
    inline += 0 if new.bulk_blob else len(new.bulk)
    return inline * 4 // 3 + 2 * len(json.dumps(render_values(new.values))) + 2_048


def parse_instance(row: Row, study: str) -> InstanceRow:
    """An instance row as it was read; what was not selected is empty."""
    _, series, instance = row.row.split("|")
    return InstanceRow(
        study=study,
        series=series,
        instance=instance,
        version=_int(row, "version"),
        location=Location(_text(row, "blob"), _int(row, "start"), _int(row, "length")),
        transfer_syntax=_text(row, "transferSyntax"),
        values=parse_values(_text(row, "values")),
        metadata=joined_bytes(row, "metadata"),
        metadata_blob=_text(row, "metadataBlob"),
        frames=joined_bytes(row, "frames"),
        frames_blob=_text(row, "framesBlob"),
        has_frames=bool(row.values.get("hasFrames", False)),
        etag=row.etag,
        bulk=joined_bytes(row, "bulk"),
        bulk_blob=_text(row, "bulkBlob"),
    )


def render_changes(changes: Sequence[Change]) -> str:
    """The instances of a pending or purge row as one compact text."""
    return json.dumps([_flat(change) for change in changes], separators=(",", ":"))


def parse_changes(text: str) -> tuple[Change, ...]:
    """The instances of a pending or purge row."""
    return tuple(
        Change(series, instance, version, Location(blob, start, length), tuple(details))
        for series, instance, version, blob, start, length, *details in json.loads(text)
    )


def _flat(change: Change) -> list[str | int]:
    location = change.location
    where: list[str | int] = [location.blob, location.start, location.length]
    return [change.series, change.instance, change.version, *where, *change.details]


def cut_text(name: str, text: str, *, characters: int = 30_000) -> dict[str, Value]:
    """A long text as several properties, each within the 64 KiB of UTF-16 of a property."""
    pieces = range(0, len(text), characters)
    return {f"{name}{number}": text[at : at + characters] for number, at in enumerate(pieces)}


def joined_text(row: Row, name: str) -> str:
    """The text that `cut_text` cut."""
    return "".join(str(piece) for piece in _pieces(row, name))


def squeeze_text(name: str, text: str) -> dict[str, Value]:
    """A long text whose lines have much in common as several properties, compressed; nothing of none."""
    return cut_bytes(name, zlib.compress(text.encode())) if text else {}


def squeezed_text(row: Row, name: str) -> str:
    """The text that `squeeze_text` made small."""
    content = joined_bytes(row, name)
    return zlib.decompress(content).decode() if content else ""


def cut_bytes(name: str, content: bytes) -> dict[str, Value]:
    """Many bytes as several properties."""
    pieces = range(0, len(content), MAX_PROPERTY_BYTES)
    return {f"{name}{number}": content[at : at + MAX_PROPERTY_BYTES] for number, at in enumerate(pieces)}


def joined_bytes(row: Row, name: str) -> bytes:
    """The bytes that `cut_bytes` cut."""
    if f"{name}0" not in row.values:
        return b""  # At once, as a study has many rows, of which little is read.
    return b"".join(piece for piece in _pieces(row, name) if isinstance(piece, bytes))


def _pieces(row: Row, name: str) -> Iterator[Value]:
    number = 0
    while (piece := row.values.get(f"{name}{number}")) is not None:
        yield piece
        number += 1


def _int(row: Row, name: str) -> int:
    value = row.values.get(name, 0)
    return int(value) if isinstance(value, int | str) else 0


def _text(row: Row, name: str) -> str:
    return str(row.values.get(name, ""))
