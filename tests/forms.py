"""Takes files apart into metadata and bulk data, as clients that send them so do (PS3.18 section 10.5.1)."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from shared.dicom.xml_reader import parse_xml
from tests.archive import JSON

BOUNDARY = "b"
XML = "application/dicom+xml"
AS_JSON = f'multipart/related; type="{JSON}"; boundary={BOUNDARY}'
AS_XML = f'multipart/related; type="{XML}"; boundary={BOUNDARY}'
OCTETS = "application/octet-stream"
BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")

Metadata = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bulk:
    """A value in a part of its own."""

    address: str
    media_type: str
    value: bytes


@dataclass(slots=True)
class Apart:
    """An instance taken apart."""

    metadata: Metadata
    bulk: list[Bulk] = field(default_factory=list)


def take_apart(content: bytes, *, prefix: str = "bulk", inline: Iterable[str] = ()) -> Apart:
    """Take a file apart: everything binary goes into parts, each frame of compressed pixels into its own.

    Args:
        content: The file.
        prefix: What the addresses begin with.
        inline: Keys of elements that stay in the metadata nevertheless.
    """
    dataset = dcmread(io.BytesIO(content), force=True)
    apart = Apart({})
    _take_values(dataset, apart, apart.metadata, (prefix, frozenset(inline)))
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        address = apart.metadata["7FE00010"]["BulkDataURI"]
        apart.bulk = [bulk for bulk in apart.bulk if bulk.address != address]
        apart.bulk += [Bulk(address, _frame_type(dataset), frame) for frame in _frames(dataset)]
    return apart


def _take_values(dataset: Dataset, apart: Apart, found: Metadata, way: tuple[str, frozenset[str]]) -> None:
    prefix, inline = way
    for element in dataset:
        key = f"{int(element.tag):08X}"
        if element.VR == "SQ":
            items: list[Metadata] = [{} for _ in element.value]
            for item, taken in zip(element.value, items, strict=True):
                _take_values(item, apart, taken, way)
            found[key] = {"vr": "SQ", "Value": items}
        elif element.VR in BINARY and element.value and key not in inline:
            address = f"{prefix}{len(apart.bulk)}"
            apart.bulk.append(Bulk(address, OCTETS, element.value))
            found[key] = {"vr": element.VR, "BulkDataURI": address}
        else:
            found[key] = element.to_json_dict(None, 1 << 30)


def _frame_type(dataset: Dataset) -> str:
    return f"{OCTETS}; transfer-syntax={dataset.file_meta.TransferSyntaxUID}"


def _frames(dataset: Dataset) -> list[bytes]:
    video = ".4.10" in dataset.file_meta.TransferSyntaxUID
    number = 1 if video else int(dataset.get("NumberOfFrames") or 1)
    table = None
    if "ExtendedOffsetTable" in dataset:
        table = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    return list(generate_frames(dataset.PixelData, number_of_frames=number, extended_offsets=table))


def read_xml(document: bytes) -> dict[str, Any]:
    """The dataset of a document of the Native DICOM Model, with all values as text."""
    return {**parse_xml(document)}


def body_of(metadata: bytes | Sequence[bytes], bulk: Iterable[Bulk], kind: str = JSON) -> bytes:
    """A request's body: metadata first, then the bulk data."""
    documents = [metadata] if isinstance(metadata, bytes) else metadata
    pieces = [f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + text + b"\r\n" for text in documents]
    for each in bulk:
        head = f"--{BOUNDARY}\r\nContent-Type: {each.media_type}\r\nContent-Location: {each.address}\r\n\r\n"
        pieces.append(head.encode() + each.value + b"\r\n")
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()
