"""DICOM JSON as XML: the Native DICOM Model (PS3.19 annex A.1)."""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from shared.dicom import plans
from shared.dicom.tags import keyword_of

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
NAME_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")

_HEAD: Final = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
)
_TAIL: Final = "</NativeDicomModel>"
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document can hold, not even escaped."""

Element = Mapping[str, object]


def render_xml(dataset: Mapping[str, Element]) -> bytes:
    """Write a dataset in DICOM JSON as a document of the Native DICOM Model, in UTF-8.

    Characters that XML cannot hold become U+FFFD.
    """
    return "".join((_HEAD, *_attributes(dataset), _TAIL)).encode()


def _attributes(dataset: Mapping[str, Element]) -> Iterator[str]:
    for key in sorted(dataset):
        creator = _creator_of(key, dataset)
        # A private attribute names its creator, and its tag leaves out the number of the block.
        tag = key if creator is None else f"{key[:4]}00{key[6:]}"
        yield from _attribute(tag, creator, dataset[key])


def _attribute(tag: str, creator: str | None, element: Element) -> Iterator[str]:
    keyword = None if creator else keyword_of(tag)
    named = f" keyword={_quoted(keyword)}" if keyword else ""
    private = f" privateCreator={_quoted(creator)}" if creator else ""
    yield f"<DicomAttribute{named} tag={_quoted(tag)} vr={_quoted(element.get('vr', 'UN'))}{private}>"
    if "InlineBinary" in element:
        yield f"<InlineBinary>{_escaped(element['InlineBinary'])}</InlineBinary>"
    elif "BulkDataURI" in element:
        yield f"<BulkData uri={_quoted(element['BulkDataURI'])}/>"
    values = element.get("Value")
    for number, value in enumerate(values if isinstance(values, list) else [], 1):
        yield from _value(str(element.get("vr")), number, value)
    yield "</DicomAttribute>"


def _value(vr: str, number: int, value: object) -> Iterator[str]:
    if vr == "SQ":
        yield f'<Item number="{number}">'
        yield from _attributes(value if isinstance(value, dict) else {})
        yield "</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">'
        for group in NAME_GROUPS:
            yield from _name_group(group, value.get(group) if isinstance(value, dict) else None)
        yield "</PersonName>"
    else:
        yield f'<Value number="{number}">{"" if value is None else _escaped(value)}</Value>'


def _name_group(group: str, text: object) -> Iterator[str]:
    if not text:
        return
    yield f"<{group}>"
    parts = str(text).split("^", len(NAME_COMPONENTS) - 1)
    for component, part in zip(NAME_COMPONENTS, parts, strict=False):
        # The last one tells how many there are, even if it is empty.
        if part or component == NAME_COMPONENTS[len(parts) - 1]:
            yield f"<{component}>{_escaped(part)}</{component}>"
    yield f"</{group}>"


def _creator_of(key: str, dataset: Mapping[str, Element]) -> str | None:
    """Who reserved the block that a private attribute lies in."""
    tag = int(key, 16)
    if not plans.is_private(tag) or tag & 0xFFFF < 0x1000:
        return None
    return _only_text(dataset.get(f"{key[:4]}00{key[4:6]}"))


def _only_text(element: Element | None) -> str | None:
    values = element.get("Value") if element else None
    only = values[0] if isinstance(values, list) and len(values) == 1 else None
    return only if isinstance(only, str) and only else None


def _escaped(value: object) -> str:
    # A bare carriage return would be read as a line feed.
    return escape(_FORBIDDEN.sub("\ufffd", str(value)), {"\r": "&#13;"})


def _quoted(value: object) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", str(value)))
