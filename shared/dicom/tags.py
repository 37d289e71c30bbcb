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

    sequence: str = ""
    """The sequence in whose items it lies; "" at the top level."""

    @property
    def path(self) -> str:
        """How a search names it by digits: tags joined by a dot."""
        return f"{self.sequence}.{self.tag}" if self.sequence else self.tag

    @property
    def top(self) -> str:
        """The element of the top level that holds it."""
        return self.sequence or self.tag


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
"""What Azure searches without an extended query tag (table 8.3), and v1 refuses to store when it is wrong.
ModalitiesInStudy comes from the series."""

_REQUEST = "00400275"

MORE_SEARCH: Final[dict[SearchLevel, tuple[Attribute, ...]]] = {
    SearchLevel.STUDY: (
        Attribute("00080030", "StudyTime", "TM"),
        Attribute("00100021", "IssuerOfPatientID", "LO"),
        Attribute("00100040", "PatientSex", "CS"),
        Attribute("00200010", "StudyID", "SH"),
    ),
    SearchLevel.SERIES: (
        Attribute("00080021", "SeriesDate", "DA"),
        Attribute("00080031", "SeriesTime", "TM"),
        Attribute("0008103E", "SeriesDescription", "LO"),
        Attribute("00200011", "SeriesNumber", "IS"),
        Attribute("00400245", "PerformedProcedureStepStartTime", "TM"),
        Attribute("00400009", "ScheduledProcedureStepID", "SH", _REQUEST),
        Attribute("00401001", "RequestedProcedureID", "SH", _REQUEST),
    ),
    SearchLevel.INSTANCE: (
        Attribute("00080016", "SOPClassUID", "UI"),
        Attribute("0008002A", "AcquisitionDateTime", "DT"),
        Attribute("00200013", "InstanceNumber", "IS"),
    ),
}
"""What is searched besides: all that the standard requires (PS3.18 table 10.6.1-5) and what viewers send."""

SEARCHABLE: Final[dict[SearchLevel, tuple[Attribute, ...]]] = {
    level: (*CORE_SEARCH[level], *MORE_SEARCH[level]) for level in SearchLevel
}

TIMES_OF_DATES: Final = {"00080020": "00080030", "00080021": "00080031", "00400244": "00400245"}
"""The time that tells, with a date, one moment: ranges of both are one range (PS3.18 section 8.3.4.1.1)."""

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

ALWAYS_RETURNED: Final[dict[SearchLevel, dict[str, str]]] = {
    SearchLevel.STUDY: {
        "00080020": "DA",
        "00080030": "TM",
        "00080050": "SH",
        "00080061": "CS",
        "00080090": "PN",
        "00100010": "PN",
        "00100020": "LO",
        "00100030": "DA",
        "00100040": "CS",
        "0020000D": "UI",
        "00200010": "SH",
        "00201206": "IS",
        "00201208": "IS",
    },
    SearchLevel.SERIES: {
        "00080060": "CS",
        "0020000E": "UI",
        "00200011": "IS",
        "00201209": "IS",
    },
    SearchLevel.INSTANCE: {
        "00080016": "UI",
        "00080018": "UI",
        "00200013": "IS",
    },
}
"""What each row has by the standard, without a value if there is none, and its VR (PS3.18 tables 10.6.3-3 to
10.6.3-5). Azure leaves out what has no value, and viewers stumble over it."""

RETURNED_IF_KNOWN: Final[dict[SearchLevel, tuple[str, ...]]] = {
    SearchLevel.STUDY: ("00080056", "00080201", "00081190"),
    SearchLevel.SERIES: ("0008103E", "00080201", "00081190", "00400244", "00400245", "00400275"),
    SearchLevel.INSTANCE: (
        "00080056",
        "00080201",
        "00081190",
        "00280008",
        "00280010",
        "00280011",
        "00280100",
    ),
}
"""What the same tables have where it is known."""

_COMPUTED: Final = frozenset({"00080061", "00081190", "00201206", "00201208", "00201209"})

CARRIED: Final[dict[SearchLevel, tuple[str, ...]]] = {
    level: tuple(
        sorted(
            {
                *RETURNED_BY_ALL[level],
                *RETURNED_BY_DEFAULT_V1[level],
                *ALWAYS_RETURNED[level],
                *RETURNED_IF_KNOWN[level],
                *(attribute.top for attribute in SEARCHABLE[level]),
            }
            - _COMPUTED
        )
    )
    for level in SearchLevel
}
"""What the rows of each level hold of a file, so that a search needs no metadata for it."""

# Beside what rows carry: the time, number and description attributes viewers sort and label by.
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
    int(tag, 16) for tags in (*CARRIED.values(), _OTHERS) for tag in tags
)
"""Top-level attributes that the store index keeps beside the metadata."""
