"""Attributes by tag and keyword, and which of them search uses (API rules sections 8.3 and 8.7)."""

import re
from enum import Enum
from typing import Final, NamedTuple

from shared.dicom import dictionary

_HEX_TAG: Final = re.compile(r"[0-9a-fA-F]{8}")


class SearchLevel(Enum):
    """Which resource an attribute describes."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


class Attribute(NamedTuple):
    """An attribute as search knows it."""

    tag: str
    keyword: str
    vr: str


def parse_tag(text: str) -> str | None:
    """Read `00100010`, `0010001f` or `PatientName` as an upper-case tag; None when it is neither.

    Private tags are accepted as digits; a keyword must be in the dictionary.
    """
    if _HEX_TAG.fullmatch(text):
        return text.upper()
    tag = dictionary.tag_of(text)
    return None if tag is None else f"{tag:08X}"


def keyword_of(tag: str) -> str | None:
    """The keyword of a standard attribute, such as PatientName for 00100010."""
    entry = dictionary.entry_of(int(tag, 16))
    return entry.keyword if entry else None


def vr_of(tag: str) -> str | None:
    """The VR of a standard attribute; a choice is given as in the dictionary, such as "US or SS"."""
    entry = dictionary.entry_of(int(tag, 16))
    return entry.vr if entry else None


CORE_SEARCH: Final[dict[SearchLevel, tuple[Attribute, ...]]] = {
    SearchLevel.STUDY: (
        Attribute("0020000D", "StudyInstanceUID", "UI"),
        Attribute("00080020", "StudyDate", "DA"),
        Attribute("00080050", "AccessionNumber", "SH"),
        Attribute("00080061", "ModalitiesInStudy", "CS"),
        Attribute("00080090", "ReferringPhysicianName", "PN"),
        Attribute("00081030", "StudyDescription", "LO"),
        Attribute("00100010", "PatientName", "PN"),
        Attribute("00100020", "PatientID", "LO"),
        Attribute("00100030", "PatientBirthDate", "DA"),
    ),
    SearchLevel.SERIES: (
        Attribute("0020000E", "SeriesInstanceUID", "UI"),
        Attribute("00080060", "Modality", "CS"),
        Attribute("00081090", "ManufacturerModelName", "LO"),
        Attribute("00400244", "PerformedProcedureStepStartDate", "DA"),
    ),
    SearchLevel.INSTANCE: (Attribute("00080018", "SOPInstanceUID", "UI"),),
}
"""What can be searched without an extended query tag (table 8.3). ModalitiesInStudy comes from the series."""

RETURNED_BY_DEFAULT_V2: Final[dict[SearchLevel, tuple[str, ...]]] = {
    SearchLevel.STUDY: (
        "00080020",
        "00080050",
        "00080090",
        "00081030",
        "00100010",
        "00100020",
        "00100030",
        "0020000D",
    ),
    SearchLevel.SERIES: ("00080060", "00081090", "0020000E", "00400244"),
    SearchLevel.INSTANCE: ("00080018",),
}
"""The v2 default column of table 8.7."""

RETURNED_BY_DEFAULT_V1: Final[dict[SearchLevel, tuple[str, ...]]] = {
    SearchLevel.STUDY: (
        "00080005",
        "00080020",
        "00080030",
        "00080050",
        "00080056",
        "00080090",
        "00080201",
        "00100010",
        "00100020",
        "00100030",
        "00100040",
        "0020000D",
        "00200010",
    ),
    SearchLevel.SERIES: (
        "00080005",
        "00080060",
        "00080201",
        "0008103E",
        "0020000E",
        "00400244",
        "00400245",
        "00400275",
    ),
    SearchLevel.INSTANCE: (
        "00080005",
        "00080016",
        "00080018",
        "00080056",
        "00080201",
        "00200013",
        "00280008",
        "00280010",
        "00280011",
        "00280100",
    ),
}
"""The v1 default column of table 8.7."""

RETURNED_BY_ALL: Final[dict[SearchLevel, tuple[str, ...]]] = {
    SearchLevel.STUDY: (
        "00080005",
        "00080020",
        "00080030",
        "00080050",
        "00080056",
        "00080063",
        "00080090",
        "00080201",
        "00081030",
        "00081032",
        "00081060",
        "00081080",
        "00081110",
        "00100010",
        "00100020",
        "00100030",
        "00100040",
        "00101010",
        "00101020",
        "00101030",
        "00102180",
        "001021B0",
        "0020000D",
        "00200010",
    ),
    SearchLevel.SERIES: (
        "00080005",
        "00080021",
        "00080031",
        "00080060",
        "00080201",
        "0008103E",
        "00081090",
        "0020000E",
        "00200011",
        "00200060",
        "00400244",
        "00400245",
        "00400275",
    ),
    SearchLevel.INSTANCE: (
        "00080005",
        "00080016",
        "00080018",
        "00080056",
        "00080201",
        "00200013",
        "00280008",
        "00280010",
        "00280011",
        "00280100",
    ),
}
"""The `includefield=all` column of table 8.7. Computed attributes are not among it."""

# Beside what searches return: the time, number and description attributes viewers sort and label by.
_OTHERS: Final = (
    "00080022",
    "00080023",
    "00080032",
    "00080033",
    "00080070",
    "00180015",
    "00181030",
    "00280103",
)

INDEXED_TAGS: Final[frozenset[int]] = frozenset(
    int(tag, 16)
    for tags in (*RETURNED_BY_ALL.values(), *RETURNED_BY_DEFAULT_V1.values(), _OTHERS)
    for tag in tags
)
"""Top-level attributes that the store index keeps beside the metadata."""
