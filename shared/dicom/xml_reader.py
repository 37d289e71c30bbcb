"""Reading documents of the Native DICOM Model that a client sends (PS3.19 annex A.1), as DICOM JSON.

The document is read as a stream of elements, never as a tree; it may have no DTD and no entities. Writers
differ in whether they name the namespace, so names are compared without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

# Neither typed nor with stubs.
from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.sax import parseString  # type: ignore[import-untyped]

from shared.dicom.build import JsonDataset
from shared.dicom.json_reader import MAX_NODES
from shared.dicom.metadata import JsonValue
from shared.dicom.xml import NAME_COMPONENTS, NAME_GROUPS
from shared.errors import BadRequest

MAX_DEPTH: Final = 128
"""Elements within one another, two for each sequence."""

MAX_GAP: Final = 1024
"""Empty values of an attribute that are left out between numbered ones."""

_FIRST_BLOCK: Final = 0x10
_LAST_BLOCK: Final = 0xFF


def parse_xml(data: bytes) -> JsonDataset:
    """Read the dataset of a document.

    Raises:
        BadRequest: It is no Native DICOM Model, has a DTD or entities, or is larger than any real header.
    """
    reader = _Reader()
    try:
        parseString(data, reader, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadRequest("The XML may not have a DTD or entities.") from error
    except (SAXException, ValueError, LookupError) as error:
        raise BadRequest("The metadata are not well-formed XML.") from error
    return reader.dataset


@dataclass(slots=True)
class _Dataset:
    """A dataset or item while it is read."""

    elements: dict[str, dict[str, JsonValue]] = field(default_factory=dict)
    blocks: dict[tuple[int, str], int] = field(default_factory=dict)
    """Which block of a private group each creator has."""

    def place(self, tag: int, creator: str) -> int:
        """The tag of a private attribute, whose creator's block is reserved if it is not yet."""
        group = tag >> 16
        block = self.blocks.get((group, creator)) or self._reserve(group, creator, tag >> 8 & 0xFF)
        return group << 16 | block << 8 | tag & 0xFF

    def add(self, key: str, element: dict[str, JsonValue]) -> None:
        """Take an element that is complete."""
        if self.elements.setdefault(key, element) is not element and not self._is_reserved(key, element):
            raise BadRequest(f"The XML has the attribute {key} twice in one dataset.")
        values = element.get("Value")
        if _is_creator(int(key, 16)) and isinstance(values, list) and len(values) == 1:
            self.blocks[int(key[:4], 16), str(values[0])] = int(key[6:], 16)

    def _is_reserved(self, key: str, element: Mapping[str, JsonValue]) -> bool:
        """Whether this is the creator of a block that was reserved for it already."""
        return _is_creator(int(key, 16)) and element.get("Value") == self.elements[key].get("Value")

    def _reserve(self, group: int, creator: str, wanted: int) -> int:
        taken: set[int] = {block for (other, _), block in self.blocks.items() if other == group}
        free = (block for block in (wanted, *range(_FIRST_BLOCK, _LAST_BLOCK + 1)) if block >= _FIRST_BLOCK)
        block = next((each for each in free if each not in taken), 0)
        if not block:
            raise BadRequest("A private group of the XML has too many creators.")
        self.blocks[group, creator] = block
        self.elements[f"{group:04X}{block:04X}"] = {"vr": "LO", "Value": [creator]}
        return block


@dataclass(slots=True)
class _Open:
    """An attribute while it is read."""

    key: str
    element: dict[str, JsonValue]
    number: int = 0
    """Of the value that is being read, or was read last."""

    values: dict[int, JsonValue] = field(default_factory=dict)
    """By number, counted from 1; empty ones need not be written."""

    name: dict[str, str] = field(default_factory=dict)
    """The groups of the person's name that is being read."""

    parts: dict[str, str] = field(default_factory=dict)
    """The components of the group that is being read."""


class _Reader(ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self._datasets = [_Dataset()]
        self._open: list[_Open] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._nodes = 0

    @property
    def dataset(self) -> JsonDataset:
        return self._datasets[0].elements

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        local = name.rpartition(":")[2]
        parent = self._path[-1] if self._path else ""
        if local not in _INSIDE or parent not in _INSIDE[local]:
            raise BadRequest("The XML holds an element where the Native DICOM Model has none such.")
        self._count(1)
        if len(self._path) >= MAX_DEPTH:
            raise BadRequest("The elements of the XML are nested too deep.")
        self._path.append(local)
        self._text = []
        if start := _STARTS.get(local):
            start(self, attrs)

    def endElement(self, name: str) -> None:  # noqa: ARG002 - the name is that of the start
        local = self._path.pop()
        if end := _ENDS.get(local):
            end(self, local, "".join(self._text))
        self._text = []

    def characters(self, content: str) -> None:
        self._text.append(content)

    def _count(self, nodes: int) -> None:
        """Count elements, and values that are left out: each takes room once it is read."""
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise BadRequest(f"The XML has more than {MAX_NODES} elements.")

    def _start_attribute(self, attrs: AttributesImpl) -> None:
        text = attrs.get("tag", "")
        if len(text) != 8 or not all(character in "0123456789abcdefABCDEF" for character in text):
            raise BadRequest("A DicomAttribute of the XML has no tag of eight hexadecimal digits.")
        tag = int(text, 16)
        creator = attrs.get("privateCreator")
        if creator and tag & 0x10000:
            tag = self._datasets[-1].place(tag, creator)
        vr = attrs.get("vr")
        self._open.append(_Open(f"{tag:08X}", {"vr": vr} if vr else {}))

    def _start_value(self, attrs: AttributesImpl) -> None:
        """Find the place of a value: that of its number, or else behind the one before it."""
        opened = self._open[-1]
        text = attrs.get("number") or f"{opened.number + 1}"
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
        if not number or number in opened.values:
            raise BadRequest("The values of a DicomAttribute are numbered wrongly.")
        opened.number = number

    def _start_item(self, attrs: AttributesImpl) -> None:
        self._start_value(attrs)
        self._datasets.append(_Dataset())

    def _start_name(self, attrs: AttributesImpl) -> None:
        self._start_value(attrs)
        self._open[-1].name = {}

    def _start_group(self, _: AttributesImpl) -> None:
        self._open[-1].parts = {}

    def _start_bulk(self, attrs: AttributesImpl) -> None:
        uri = attrs.get("uri") or attrs.get("uuid")
        if not uri:
            raise BadRequest("A BulkData of the XML has neither uri nor uuid.")
        self._open[-1].element["BulkDataURI"] = uri

    def _end_attribute(self, _: str, __: str) -> None:
        done = self._open.pop()
        if done.values:
            done.element["Value"] = self._in_order(done.values)
        self._datasets[-1].add(done.key, done.element)

    def _in_order(self, values: Mapping[int, JsonValue]) -> list[JsonValue]:
        """The values by their numbers, and nothing where one is left out."""
        last = max(values)
        gaps = last - len(values)
        if gaps > MAX_GAP:
            raise BadRequest("The values of a DicomAttribute are numbered wrongly.")
        self._count(gaps)
        return [values.get(number) for number in range(1, last + 1)]

    def _end_value(self, _: str, text: str) -> None:
        self._take(text or None)

    def _take(self, value: JsonValue) -> None:
        self._open[-1].values[self._open[-1].number] = value

    def _end_item(self, _: str, __: str) -> None:
        item = self._datasets.pop().elements
        self._take({**item})

    def _end_name(self, _: str, __: str) -> None:
        groups = self._open[-1].name
        self._take({**groups} if groups else None)

    def _end_group(self, local: str, _: str) -> None:
        parts = self._open[-1].parts
        count = max((NAME_COMPONENTS.index(component) + 1 for component in parts), default=0)
        text = "^".join(parts.get(component, "") for component in NAME_COMPONENTS[:count])
        if text:
            self._open[-1].name[local] = text

    def _end_component(self, local: str, text: str) -> None:
        self._open[-1].parts[local] = text

    def _end_inline(self, _: str, text: str) -> None:
        self._open[-1].element["InlineBinary"] = text


def _is_creator(tag: int) -> bool:
    return bool(tag & 0x10000) and _FIRST_BLOCK <= tag & 0xFFFF <= _LAST_BLOCK


_INSIDE: Final[dict[str, frozenset[str]]] = {
    "NativeDicomModel": frozenset({""}),
    "DicomAttribute": frozenset({"NativeDicomModel", "Item"}),
    **dict.fromkeys(
        ("Value", "Item", "PersonName", "InlineBinary", "BulkData"), frozenset({"DicomAttribute"})
    ),
    **dict.fromkeys(NAME_GROUPS, frozenset({"PersonName"})),
    **dict.fromkeys(NAME_COMPONENTS, frozenset(NAME_GROUPS)),
}
"""What each element may stand in."""

_STARTS: Final[dict[str, Callable[[_Reader, AttributesImpl], None]]] = {
    "DicomAttribute": _Reader._start_attribute,
    "Value": _Reader._start_value,
    "Item": _Reader._start_item,
    "PersonName": _Reader._start_name,
    "BulkData": _Reader._start_bulk,
    **dict.fromkeys(NAME_GROUPS, _Reader._start_group),
}
_ENDS: Final[dict[str, Callable[[_Reader, str, str], None]]] = {
    "DicomAttribute": _Reader._end_attribute,
    "Value": _Reader._end_value,
    "Item": _Reader._end_item,
    "PersonName": _Reader._end_name,
    "InlineBinary": _Reader._end_inline,
    **dict.fromkeys(NAME_GROUPS, _Reader._end_group),
    **dict.fromkeys(NAME_COMPONENTS, _Reader._end_component),
}
