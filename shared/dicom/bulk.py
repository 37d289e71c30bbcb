"""Values that metadata name by reference: where each lies in a stored file, and how its bytes are sent.

What is noted of them is compressed while the file is read, so that it takes no memory however many there are.

Source: PS3.18 section F.2.2; PS3.5 sections 6.2.2 and 7.3 and annex A.4.
"""

import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom.rewrite import turned

REFERRED_VRS: Final = frozenset(
    {"DS", "FD", "FL", "IS", "LT", "OB", "OD", "OF", "OL", "OV", "OW"}
    | {"SL", "SS", "ST", "SV", "UC", "UL", "UN", "US", "UT", "UV"}
)
"""The VRs of which DICOM JSON may have a BulkDataURI (PS3.18 section F.2.2)."""

DOCUMENT: Final = "00420011"
"""Encapsulated Document, whose media type the dataset states."""

_PATH: Final = re.compile(r"[0-9A-F]{8}(/[0-9]{1,10}/[0-9A-F]{8})*")
_MEDIA_TYPE: Final = re.compile(r"[a-z]{1,32}/[a-z0-9.+_-]{1,64}")
_ITEM_HEADER_BYTES: Final = 8
_FLUSH_LINES: Final = 512
_INFLATED_BYTES: Final = 64 * 1024
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<Bq")
_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class BulkSpan:
    """A value that metadata name by reference, and where it lies."""

    path: str
    """Tags and item indexes from the top down, such as `00420011` or `54000100/0/54001010`."""

    vr: str
    start: int
    """First byte, counted as in `FrameSpan`."""

    length: int
    """Bytes in the file; of a value in fragments, those of all its items with their headers."""

    unit: int = 1
    """Bytes of each number that stands high byte first in the file; 1 where nothing has to be turned."""

    content: int | None = None
    """Bytes of the fragments alone; None where the value is not in fragments."""

    media_type: str = ""
    """What the value is, where the dataset says so in a way that can be passed on."""

    @property
    def size(self) -> int:
        """Bytes as they are sent."""
        return self.length if self.content is None else self.content

    def element(self, inline: bytes = b"") -> str:
        """The element in stored metadata; one without a value needs no reference.

        Args:
            inline: The value as it stands in the file, if it is to be in the element itself.
        """
        value = f',"BulkDataURI":"{self.path}"' if self.size else ""
        if inline:
            cutter = BulkCutter(self)
            encoded = b64encode(cutter.feed(inline) + cutter.finish()).decode("ascii")
            value = f',"InlineBinary":"{encoded}"'
        return f'"{self.path[-8:]}":{{"vr":"{self.vr}"{value}}}'


def parse_path(text: str) -> str | None:
    """Read the end of a BulkDataURI; None when no value can have it."""
    path = text.strip("/").upper()
    return path if _PATH.fullmatch(path) else None


def parse_media_type(raw: bytes) -> str:
    """Read MIME Type of Encapsulated Document; "" when it is none."""
    text = str(raw, "latin-1").strip("\0 ").lower()
    return text if _MEDIA_TYPE.fullmatch(text) else ""


class BulkWriter:
    """Notes the values of a file as they go by."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._compressor = zlib.compressobj()
        self._compressed = bytearray()
        self._is_empty = True
        self._document: BulkSpan | None = None
        """Waits for its media type, which stands behind it."""

    def note(self, span: BulkSpan) -> None:
        """Note one value, unless it is empty."""
        if span.path == DOCUMENT:
            self._document = span
        elif span.size:
            self._write(span)

    def finish(self, inflated_from: int | None, mime_type: bytes = b"") -> bytes:
        """All of them, for `BulkIndex`; nothing if there were none.

        Args:
            inflated_from: Where a deflated dataset begins in the file.
            mime_type: Value of MIME Type of Encapsulated Document.
        """
        if self._document and self._document.size:
            self._write(replace(self._document, media_type=parse_media_type(mime_type)))
        if self._is_empty:
            return b""
        self._flush()
        header = _HEADER.pack(_FORMAT, _NONE if inflated_from is None else inflated_from)
        return header + bytes(self._compressed) + self._compressor.flush()

    def _write(self, span: BulkSpan) -> None:
        content = "" if span.content is None else span.content
        self._lines.append(
            f"{span.path}\t{span.vr}\t{span.start}\t{span.length}\t{span.unit}\t{content}\t{span.media_type}\n"
        )
        self._is_empty = False
        if len(self._lines) >= _FLUSH_LINES:
            self._flush()

    def _flush(self) -> None:
        self._compressed += self._compressor.compress("".join(self._lines).encode())
        self._lines.clear()


class BulkIndex:
    """The values of one file, read from what `BulkWriter` made."""

    def __init__(self, encoded: bytes) -> None:
        """Prepare to read; nothing at all means no values.

        Raises:
            ValueError: `BulkWriter` did not make this.
        """
        version, start = _HEADER.unpack_from(encoded) if encoded else (_FORMAT, _NONE)
        if version != _FORMAT:
            raise ValueError("Not an index of bulk values of this version.")
        self.inflated_from: int | None = None if start == _NONE else start
        """First byte of a deflated dataset in the file; spans count from the start of the inflated one."""

        self._compressed = encoded[_HEADER.size :]

    def __iter__(self) -> Iterator[BulkSpan]:
        """Every value, in no order that means anything."""
        return (_parse(line) for line in self._lines())

    def find(self, path: str) -> BulkSpan | None:
        """The value with this path; of an element that comes twice the last, as in metadata."""
        begin = path.encode() + b"\t"
        found = None
        for line in self._lines():
            if line.startswith(begin):
                found = line
        return _parse(found) if found else None

    def _lines(self) -> Iterator[bytes]:
        inflate, rest, compressed = zlib.decompressobj(), b"", self._compressed
        while compressed and not inflate.eof:
            lines = (rest + inflate.decompress(compressed, _INFLATED_BYTES)).split(b"\n")
            compressed = inflate.unconsumed_tail
            rest = lines.pop()
            yield from lines


def _parse(line: bytes) -> BulkSpan:
    path, vr, start, length, unit, content, media_type = line.decode().split("\t")
    return BulkSpan(
        path, vr, int(start), int(length), int(unit), int(content) if content else None, media_type
    )


class BulkCutter:
    """Makes the bytes of a value as they are sent from those of its span, as they arrive.

    Numbers come low byte first (PS3.18 section 8.7.3.3), fragments joined, without offset table and headers.
    """

    def __init__(self, span: BulkSpan) -> None:
        self._in_fragments = span.content is not None
        self._unit = span.unit
        self._carry = b""
        self._items = 0
        self._left = 0

    def feed(self, raw: bytes) -> bytes:
        """The value's bytes within the next piece of the span."""
        if self._in_fragments:
            return b"".join(self._contents(raw))
        return self._turned(raw) if self._unit > 1 else raw

    def finish(self) -> bytes:
        """What is left when the whole span was fed: the end of a value that is no whole number."""
        return b"" if self._in_fragments else self._carry

    def _contents(self, raw: bytes) -> Iterator[bytes]:
        data, at = self._carry + raw, 0
        self._carry = b""
        while at < len(data):
            if not self._left:
                header = data[at : at + _ITEM_HEADER_BYTES]
                if len(header) < _ITEM_HEADER_BYTES:
                    self._carry = header
                    return
                self._left = int.from_bytes(header[4:], "little" if header[0] == 0xFE else "big")
                self._items += 1
                at += _ITEM_HEADER_BYTES
            taken = data[at : at + self._left]
            # The first item is the offset table.
            if self._items > 1:
                yield taken
            at += len(taken)
            self._left -= len(taken)

    def _turned(self, raw: bytes) -> bytes:
        data = self._carry + raw
        whole = len(data) - len(data) % self._unit
        self._carry = data[whole:]
        return turned(data[:whole], self._unit)
