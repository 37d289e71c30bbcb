"""The part of a dataset that says how a frame is shown, and what of it lies elsewhere.

Stored metadata name lookup tables and profiles by reference. They are read for the frame at hand alone, and
put in their places, so that `appearance_of` finds them.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Final

from shared.dicom.codecs.attributes import Attributes

_SHARED: Final = "52009229"
PER_FRAME: Final = "52009230"
"""The sequence with an item for each frame."""

_OPTICAL_PATHS: Final = "00480105"
_ICC_PROFILE: Final = "00282000"
_TABLES: Final = frozenset(
    {"00281201", "00281202", "00281203", "00281221", "00281222", "00281223", "00283006", _ICC_PROFILE}
)
_KEPT: Final = frozenset(
    {"00080016", "00280120", "00280121", "00281050", "00281051", "00281052", "00281053", "00281056"}
    | {"00281101", "00281102", "00281103", "00283000", "00283010", "20500020", _SHARED}
    | _TABLES - {_ICC_PROFILE}
)
SHOWING: Final = _KEPT | {_ICC_PROFILE, _OPTICAL_PATHS}
"""The elements that `presentation_of` keeps at most, beside the sequence with an item for each frame."""


def presentation_of(attributes: Attributes, frame: int, *, profile: bool = False) -> Attributes:
    """What `appearance_of` reads for one frame; in it, that frame is number 1.

    Args:
        attributes: The dataset.
        frame: Frame number, counted from 1.
        profile: Whether the ICC profile is wanted.
    """
    kept = {*_KEPT, *((_ICC_PROFILE, _OPTICAL_PATHS) if profile else ())}
    found = {key: attributes[key] for key in attributes.keys() & kept}
    own = attributes.get(PER_FRAME)
    groups = own.get("Value") if isinstance(own, Mapping) else None
    if isinstance(groups, list) and 0 < frame <= len(groups):
        found[PER_FRAME] = {"vr": "SQ", "Value": [groups[frame - 1]]}
    return found


def references(attributes: Attributes) -> Iterator[str]:
    """The BulkDataURI of each table or profile that is not in the dataset itself."""
    for key, element in attributes.items():
        if not isinstance(element, Mapping):
            continue
        reference = element.get("BulkDataURI")
        if key in _TABLES and isinstance(reference, str):
            yield reference
        for item in _items(element):
            yield from references(item)


def with_values(attributes: Attributes, values: Mapping[str, bytes]) -> Attributes:
    """The same dataset with values in place of the references that are known."""
    return {key: _filled(element, values) for key, element in attributes.items()}


def _filled(element: object, values: Mapping[str, bytes]) -> object:
    if not isinstance(element, Mapping):
        return element
    value = values.get(str(element.get("BulkDataURI", "")))
    if value is not None:
        return {"vr": element.get("vr"), "InlineBinary": b64encode(value).decode("ascii")}
    items = _items(element)
    return {**element, "Value": [with_values(item, values) for item in items]} if items else element


def _items(element: Attributes) -> list[Attributes]:
    values = element.get("Value")
    if element.get("vr") != "SQ" or not isinstance(values, list):
        return []
    return [item for item in values if isinstance(item, Mapping)]
