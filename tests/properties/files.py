"""Files of the made-up archives: as bytes to store, and as what the service must find of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.factories import SECONDARY_CAPTURE, Instance, as_instance, make_dataset
from tests.properties import samples
from tests.properties.reference import ITEMS, UID_OF, VRS, File

# Beginnings of each other, and as long as allowed. Series and instances of two studies may share a UID.
STUDIES: Final = ("1.2.3", "1.2.30", "2.25.329800735698586629295641978511506172918")
SERIES: Final = ("1.9", "1.90", "2.25.100000000000000000000000000000000000001")
INSTANCES: Final = ("1.5.1", "1.5.10", "2.25.200000000000000000000000000000000000002")
CLASSES: Final = (SECONDARY_CAPTURE, "1.2.840.10008.5.1.4.1.1.2")

Texts = dict[str, str]
"""Values as in a file, by keyword."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file by the texts in it."""

    uids: tuple[str, str, str]
    texts: tuple[tuple[str, str], ...]
    items: tuple[tuple[tuple[str, str], ...], ...] | None
    """Of Request Attributes Sequence."""

    @property
    def content(self) -> Instance:
        """The bytes of the file."""
        wanted: dict[str, object] = dict.fromkeys(_USUAL)
        wanted |= {name: text.split("\\") if "\\" in text else text for name, text in self.texts}
        wanted |= dict(zip(UID_OF, self.uids, strict=True))
        if self.items is not None:
            wanted["RequestAttributesSequence"] = [_item(item) for item in self.items]
        return as_instance(make_dataset(SpecificCharacterSet="ISO_IR 192", **wanted))

    @property
    def file(self) -> File:
        """What the service must find of it."""
        values: dict[str, list[Any]] = {}
        for name, text in self.texts:
            values[name] = [text] if name == "SOPClassUID" else samples.indexed(VRS[name], text)
        if self.items:
            values["RequestAttributesSequence"] = [
                {ITEMS[name]: {"vr": "SH", "Value": [text]} for name, text in item if text.strip(" \0")}
                for item in self.items
            ]
        return File(*self.uids, {name: found for name, found in values.items() if found})


def _item(texts: Sequence[tuple[str, str]]) -> Any:
    blank = dict.fromkeys(_USUAL)
    return make_dataset(**{**blank, "SOPClassUID": None, **dict.fromkeys(UID_OF), **dict(texts)})


_USUAL: Final = (
    "StudyDate", "StudyTime", "AccessionNumber", "Modality", "ReferringPhysicianName", "StudyDescription",
    "SeriesDescription", "ManufacturerModelName", "PatientName", "PatientID", "PatientBirthDate",
    "PatientSex", "StudyID", "SeriesNumber", "InstanceNumber", "PerformedProcedureStepStartDate",
)  # fmt: skip
