"""A dataset's DICOM JSON, compressed while it is made."""

import json
import zlib
from collections.abc import Iterator
from typing import Final, Required, TypedDict, Union

from shared.dicom.errors import NotDicom

JsonValue = Union[str, int, float, None, dict[str, "JsonValue"], list["JsonValue"]]  # noqa: UP007 - recursive
"""One item of an element's Value: text, a number, null, a person's name or a sequence item."""


class JsonElement(TypedDict, total=False):
    """One element in DICOM JSON (PS3.18 annex F)."""

    vr: Required[str]
    Value: list[JsonValue]


FLUSH_CHARACTERS: Final = 64 * 1024
"""Text held before it is compressed; also the most that an indexed sequence may have."""

MAX_METADATA_BYTES: Final = 16 * 1024 * 1024
"""Compressed. A header beyond it (some hundred MiB of elements) is refused."""

MAX_TEXT_BYTES: Final = 1024 * 1024 * 1024
"""The same before compression, which small elements without end would make small."""

MAX_SORTED_BYTES: Final = 2 * 1024 * 1024
"""Text of a dataset whose elements are out of order, as it must be held as values to be sorted. A longer one
keeps the order of the file."""

COMPRESSION_LEVEL: Final = 3

INFLATED_PIECE_BYTES: Final = 256 * 1024
"""Text given at once when it is inflated again."""


class MetadataWriter:
    """Takes the text of elements in file order and compresses it as it comes."""

    def __init__(self) -> None:
        self.unordered = False
        """Set when an element came out of order or twice: the object is then sorted at the end."""

        self._pieces: list[str] = ["{"]
        self._size = 0
        self._compressor = zlib.compressobj(COMPRESSION_LEVEL)
        self._compressed = bytearray()
        self._text_bytes = 0
        self._indexed: dict[str, str] = {}
        self._captured_from: int | None = None

    def add(self, piece: str) -> None:
        """Append a piece of JSON text."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > FLUSH_CHARACTERS:
            self._flush()

    def index(self, element: str) -> None:
        """Keep the text of a whole element, with or without the comma before it, for `attributes` too."""
        # By tag, so that an element that comes again and again is kept once. It may be too long to keep.
        element = element.removeprefix(",")
        tag = element[:10]
        self._indexed.pop(tag, None)
        if len(element) <= FLUSH_CHARACTERS:
            self._indexed[tag] = element

    def start_capture(self) -> None:
        """Index what is added from here to `end_capture`, unless it grows too large."""
        self._flush()
        self._captured_from = len(self._pieces)

    def end_capture(self) -> None:
        """The element that is captured is complete."""
        if self._captured_from is not None:
            self.index("".join(self._pieces[self._captured_from :]))
        self._captured_from = None

    def attributes(self) -> dict[str, JsonElement]:
        """The indexed elements as values, trimmed of NULs and trailing blanks, for comparison."""
        text = ",".join(self._indexed.values())
        found: dict[str, JsonElement] = json.loads(f"{{{text}}}")
        if "\\u0000" in text:
            for element in found.values():
                if "Value" in element:
                    element["Value"] = [_trimmed(value) for value in element["Value"]]
        return found

    def finish(self) -> bytes:
        """The whole object, compressed with zlib.

        Raises:
            NotDicom: It is larger than the limits allow.
        """
        self.add("}")
        self._flush()
        self._compressed += self._compressor.flush()
        return _sorted(self._compressed) if self.unordered else bytes(self._compressed)

    def _flush(self) -> None:
        # Wrong data in some two-byte character sets decode to half a surrogate pair, which UTF-8 cannot hold.
        text = "".join(self._pieces).encode("utf-8", "replace")
        self._compressed += self._compressor.compress(text)
        self._text_bytes += len(text)
        if len(self._compressed) > MAX_METADATA_BYTES or self._text_bytes > MAX_TEXT_BYTES:
            raise NotDicom("The elements beside the pixel data are too many or too long.")
        self._pieces.clear()
        self._size = 0
        self._captured_from = None


def _trimmed(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.rstrip("\0 ")
    if isinstance(value, list):
        return [_trimmed(item) for item in value]
    if isinstance(value, dict):
        return {key: _trimmed(item) for key, item in value.items()}
    return value


def _sorted(compressed: bytes | bytearray) -> bytes:
    """Put the keys of every level in ascending order; of an element that comes twice the last stays."""
    text = zlib.decompressobj().decompress(compressed, MAX_SORTED_BYTES + 1)
    if len(text) > MAX_SORTED_BYTES:
        return bytes(compressed)
    plain = json.dumps(_in_order(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(plain.encode("utf-8", "replace"), COMPRESSION_LEVEL)


def _in_order(dataset: dict[str, JsonElement]) -> dict[str, JsonElement]:
    """The elements of a dataset, and of the items in it, by their tags; the VR stays first in each."""
    for element in dataset.values():
        if element["vr"] == "SQ" and "Value" in element:
            element["Value"] = [_in_order(item) for item in element["Value"]]  # type: ignore[arg-type,misc]
    return dict(sorted(dataset.items()))


def inflate(compressed: bytes) -> Iterator[bytes]:
    """The DICOM JSON text of `Part10File.metadata`, a bounded piece at a time."""
    inflating = zlib.decompressobj()
    while not inflating.eof:
        piece = inflating.decompress(compressed, INFLATED_PIECE_BYTES)
        compressed = inflating.unconsumed_tail
        if not piece and not compressed:
            return
        yield piece
