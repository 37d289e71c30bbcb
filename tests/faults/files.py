"""Small files that the fault tests store, told apart by their UIDs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from shared.dicom.build import EXPLICIT_LITTLE
from shared.dicom.framing import file_head
from tests.forms import body_of, take_apart
from tests.unit.dicom.making import explicit, image

Address = tuple[str, str, str, str]
"""Data partition, study, series, instance."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
LARGE_SIDE = 2_100
"""Rows and columns of an image that is too large to wait in memory."""

OVERSIZE_CHARACTERS = 800_000
"""A text whose metadata, compressed, are too large for a row."""

MANY_VALUES = 11_000
"""Bulk values whose index is too large for a row; to read them takes ten times as long as all the rest."""


@dataclass(frozen=True, slots=True)
class File:
    """One DICOM file. Two that differ in `variant` alone are different bytes at the same address."""

    study: str
    series: str
    instance: str
    modality: str = "CT"
    patient: str = "P-1"
    description: str = ""
    """Every attribute that is searched by costs each store another call; so by default there are few."""

    variant: int = 0
    is_large: bool = False
    is_oversize: bool = False
    has_many_values: bool = False

    def address(self, partition: str) -> Address:
        """Where it goes."""
        return partition, self.study, self.series, self.instance

    def content(self) -> bytes:
        """The file, written as the service writes those that it makes of metadata and bulk data."""
        return _content(self)


@lru_cache(maxsize=256)
def _content(file: File) -> bytes:
    elements = [
        _text(0x00080016, "UI", CT_IMAGE),
        _text(0x00080018, "UI", file.instance),
        _text(0x00080020, "DA", "20240229"),
        _text(0x00080060, "CS", file.modality),
        _text(0x00100020, "LO", file.patient),
        _text(0x0020000D, "UI", file.study),
        _text(0x0020000E, "UI", file.series),
        _text(0x00200013, "IS", str(file.variant)),
    ]
    if file.description:
        elements.insert(4, _text(0x00081030, "LO", file.description))
    random = Random(file.variant)
    if file.is_oversize:
        text = random.randbytes(OVERSIZE_CHARACTERS // 2).hex()
        elements.append(explicit(0x00204000, "UT", text.encode()))
    if file.has_many_values:
        values = (bytes(2 * random.randint(1, 40)) for _ in range(MANY_VALUES))
        elements += [explicit(0x00211000 + number, "OB", value) for number, value in enumerate(values)]
    side = LARGE_SIDE if file.is_large else 8
    elements.append(image(side, side))
    elements.append(explicit(0x7FE00010, "OW", bytes([file.variant]) * (side * side)))
    return file_head(CT_IMAGE, file.instance, EXPLICIT_LITTLE) + b"".join(elements)


def body_apart(files: Sequence[File]) -> bytes:
    """The body of a request that brings files as metadata and, in parts of their own, bulk data."""
    taken = [take_apart(file.content(), prefix=f"{number}-") for number, file in enumerate(files)]
    metadata = json.dumps([apart.metadata for apart in taken]).encode()
    return body_of(metadata, [bulk for apart in taken for bulk in apart.bulk])


def _text(tag: int, vr: str, text: str) -> bytes:
    encoded = text.encode()
    padding = b"\0" if vr == "UI" else b" "
    return explicit(tag, vr, encoded + padding * (len(encoded) % 2))
