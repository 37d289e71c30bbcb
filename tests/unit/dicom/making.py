"""The smallest Part 10 files that show a point, byte by byte."""

import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from random import Random

from shared.dicom.part10 import JsonElement, Part10File, Part10Reader
from shared.dicom.validate import Checks
from shared.dicom.window import Chunk

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
WIDE = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNDEFINED = 0xFFFFFFFF

ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"


def explicit(tag: int, vr: str, value: bytes = b"", *, length: int | None = None, order: str = "<") -> bytes:
    """An element in explicit VR."""
    size = len(value) if length is None else length
    start = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    form = f"{order}2xI" if vr in WIDE else f"{order}H"
    return start + struct.pack(form, size) + value


def implicit(tag: int, value: bytes = b"", *, length: int | None = None) -> bytes:
    """An element in implicit VR."""
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes, *, length: int | None = None) -> bytes:
    """A sequence item or a fragment."""
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(content) if length is None else length) + content


def open_item(content: bytes) -> bytes:
    """An item that a delimiter ends."""
    return item(content, length=UNDEFINED) + ITEM_END


def encapsulated(fragments: Iterable[bytes], table: bytes = b"") -> bytes:
    """Pixel data in fragments."""
    items = b"".join(item(fragment) for fragment in (table, *fragments))
    return explicit(0x7FE00010, "OB", items + SEQUENCE_END, length=UNDEFINED)


def image(
    rows: int = 2,
    columns: int = 2,
    *,
    frames: int | bytes | None = None,
    bits: int = 8,
    colours: bytes = b"MONOCHROME2 ",
) -> bytes:
    """The elements that say how large a frame is; colours other than grey have three samples."""
    samples = 1 if colours.startswith(b"MONO") else 3
    number = b"%d" % frames if isinstance(frames, int) else frames
    parts = [
        explicit(0x00280002, "US", struct.pack("<H", samples)),
        explicit(0x00280004, "CS", colours),
        b"" if number is None else explicit(0x00280008, "IS", number),
        explicit(0x00280010, "US", struct.pack("<H", rows)),
        explicit(0x00280011, "US", struct.pack("<H", columns)),
        explicit(0x00280100, "US", struct.pack("<H", bits)),
    ]
    return b"".join(parts)


def meta(transfer_syntax: str = EXPLICIT) -> bytes:
    """Group 0002."""
    uid = transfer_syntax.encode()
    rest = explicit(0x00020010, "UI", uid + b"\0" * (len(uid) % 2))
    return explicit(0x00020000, "UL", struct.pack("<I", len(rest))) + rest


def file_of(dataset: bytes, transfer_syntax: str = EXPLICIT) -> bytes:
    """A whole file."""
    return bytes(128) + b"DICM" + meta(transfer_syntax) + dataset


def pieces(data: bytes, random: Random, *, largest: int) -> Iterator[bytes]:
    """The same bytes in pieces of random sizes."""
    at = 0
    while at < len(data):
        size = random.randint(1, largest)
        yield data[at : at + size]
        at += size


def read(data: bytes, parts: Iterable[Chunk] | None = None, *, checks: Checks = Checks.NONE) -> Part10File:
    """Read a file whole or in parts."""
    reader = Part10Reader(checks=checks)
    for part in (data,) if parts is None else parts:
        reader.feed(part)
    return reader.finish()


def json_of(file: Part10File) -> dict[str, JsonElement]:
    """The metadata without Available Transfer Syntax UID, which all have."""
    found = whole_json_of(file)
    assert found.pop("00083002") == {"vr": "UI", "Value": [file.transfer_syntax]}
    return found


def whole_json_of(file: Part10File) -> dict[str, JsonElement]:
    """The metadata as they are stored."""

    def refuse(literal: str) -> None:
        raise AssertionError(f"{literal} is no JSON")

    found: dict[str, JsonElement] = json.loads(
        zlib.decompress(file.metadata).decode("utf-8"), parse_constant=refuse
    )
    return found


def metadata_of(dataset: bytes, transfer_syntax: str = EXPLICIT) -> dict[str, JsonElement]:
    """The metadata of a dataset."""
    return json_of(read(file_of(dataset, transfer_syntax)))
