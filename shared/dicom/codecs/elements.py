"""Which elements of a dataset change when its pixels are transcoded (PS3.5 section 8, PS3.3 C.7.6.1.1.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.dicom.codecs.model import PixelDescription
from shared.dicom.codecs.syntaxes import NATIVE, SYNTAXES
from shared.dicom.metadata import JsonElement, JsonValue

TRANSFER_SYNTAX: Final = "00020010"
PHOTOMETRIC_INTERPRETATION: Final = "00280004"
PLANAR_CONFIGURATION: Final = "00280006"
BITS: Final = ("00280100", "00280101", "00280102", "00280103")
LOSSY: Final = "00282110"
LOSSY_RATIO: Final = "00282112"
LOSSY_METHOD: Final = "00282114"
_ALWAYS_LOSSY: Final = "ISO_10918_1"
OFFSET_TABLES: Final = ("7FE00001", "7FE00002", "7FE00003")
"""Extended Offset Table, its lengths, and Encapsulated Pixel Data Value Total Length."""


@dataclass(frozen=True, slots=True)
class LossyHistory:
    """What the dataset says of lossy compression before."""

    ratios: tuple[float, ...] = ()
    methods: tuple[str, ...] = ()
    lossy: bool | None = None
    """Lossy Image Compression: True for 01, False for 00, None when it is absent."""


def changed_elements(
    before: PixelDescription,
    after: PixelDescription,
    history: LossyHistory,
    ratio: float | None = None,
) -> dict[str, JsonElement | None]:
    """The elements to overwrite or add, and those to remove, when every frame was transcoded.

    A lossy source stays lossy when it is decompressed, so its flag, ratio and method are completed where the
    dataset lacks them. A lossy target adds its own step. SOP Instance UID is the caller's affair: PS3.3
    wants a new one for a lossy copy that is kept.

    Args:
        before: What the dataset said.
        after: What holds of the frames now.
        history: Lossy compression so far, as the dataset says.
        ratio: Native bytes by compressed bytes, of the lossy step that source or target took.

    Returns:
        Elements by key as in DICOM JSON; None where the element must go.
    """
    changes: dict[str, JsonElement | None] = {TRANSFER_SYNTAX: _element("UI", after.transfer_syntax)}
    if before.photometric_interpretation != after.photometric_interpretation:
        changes[PHOTOMETRIC_INTERPRETATION] = _element("CS", after.photometric_interpretation)
    if after.samples_per_pixel > 1:
        changes[PLANAR_CONFIGURATION] = _element("US", after.planar_configuration)
    changes |= _bits(before, after)
    changes |= _lossy(before, after, history, ratio)
    # Offsets are of the old fragments.
    return changes | dict.fromkeys(OFFSET_TABLES)


def pixel_vr(description: PixelDescription) -> str:
    """The VR of Pixel Data in explicit VR little endian or in fragments (PS3.5 A.2 and A.4)."""
    if description.floating:
        return "OF" if description.bits_allocated == 32 else "OD"
    native = description.transfer_syntax in NATIVE
    return "OW" if native and description.bits_allocated > 8 else "OB"


def _bits(before: PixelDescription, after: PixelDescription) -> Mapping[str, JsonElement]:
    def bits(description: PixelDescription) -> tuple[int, ...]:
        return (
            description.bits_allocated,
            description.bits_stored,
            description.high_bit,
            description.pixel_representation,
        )

    pairs = zip(BITS, bits(before), bits(after), strict=True)
    return {key: _element("US", new) for key, old, new in pairs if old != new}


def _lossy(
    before: PixelDescription, after: PixelDescription, history: LossyHistory, ratio: float | None
) -> Mapping[str, JsonElement]:
    old, new = (SYNTAXES[each.transfer_syntax].lossy_method for each in (before, after))
    if not old and not new:
        return {}
    method = new or old
    if not new and history.lossy is False and method != _ALWAYS_LOSSY:
        # These syntaxes may also carry streams that lost nothing.
        return {}
    changes: dict[str, JsonElement] = {LOSSY: _element("CS", "01")}
    # What the source lost is mostly told already.
    if not new and history.lossy and history.methods:
        return changes
    methods = (*history.methods, method) if new or method not in history.methods else history.methods
    changes[LOSSY_METHOD] = _element("CS", *methods)
    if ratio is not None and (new or not history.ratios):
        changes[LOSSY_RATIO] = _element("DS", *history.ratios, round(ratio, 2))
    return changes


def _element(vr: str, *values: JsonValue) -> JsonElement:
    return {"vr": vr, "Value": list(values)}
