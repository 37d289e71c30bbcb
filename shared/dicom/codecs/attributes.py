"""What a dataset says about its pixels, read from its DICOM JSON (PS3.18 annex F).

Values that JSON holds as `InlineBinary` are read, as lookup tables often are; what is only a `BulkDataURI` is
taken for absent. Datasets lie and leave out, so nothing here raises for an attribute that makes no sense.
"""

import base64
import binascii
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shared.dicom.codecs.errors import UnsupportedPixels
from shared.dicom.codecs.luts import Lut, expand_segments, make_lut
from shared.dicom.codecs.model import PixelDescription

Attributes = Mapping[str, object]
"""A dataset or sequence item as `json.loads` gives it."""

DESCRIBING: Final = frozenset(
    {"00280002", "00280004", "00280006", "00280010", "00280011"}
    | {"00280100", "00280101", "00280102", "00280103"}
)
"""The elements that `describe` reads."""

_SHARED, _PER_FRAME = "52009229", "52009230"
_TRANSFORMATION, _FRAME_VOI = "00289145", "00289132"
_OPTICAL_PATHS, _ICC_PROFILE = "00480105", "00282000"
_PALETTES: Final = (
    ("00281101", "00281201", "00281221"),
    ("00281102", "00281202", "00281222"),
    ("00281103", "00281203", "00281223"),
)
_FLOAT_BITS: Final = (32, 64)
_NOT_FOR_DISPLAY: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.12.{number}" for number in (1, 2, 3))
"""X-Ray Angiographic and Radiofluoroscopic images: their modality tables give values to measure with, and the
stored ones are what is shown (PS3.3 C.8.7.1.1.2)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window (PS3.3 C.11.2.1.2)."""

    center: float
    width: float
    function: str = "LINEAR"
    """LINEAR, LINEAR_EXACT or SIGMOID."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """How stored values become what is seen."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: Lut | None = None
    window: Window | None = None
    """The first of the dataset."""

    voi_lut: Lut | None = None
    """Used where there is no window."""

    inverse: bool = False
    """Presentation LUT Shape INVERSE."""

    palette: tuple[Lut, ...] = ()
    """Red, green and blue."""

    padding: tuple[int, int] | None = None
    """Lowest and highest stored value that is no part of the picture."""

    icc_profile: bytes = field(default=b"", repr=False)


def describe(attributes: Attributes, transfer_syntax: str, *, words: bool = True) -> PixelDescription:
    """What a dataset says about the pixels of its frames.

    Args:
        attributes: The dataset.
        transfer_syntax: Of the stored file.
        words: Whether Pixel Data is OW; it matters in big endian alone, and JSON does not tell.

    Raises:
        UnsupportedPixels: Rows, Columns or Bits Allocated are missing.
    """
    rows, columns, allocated = (_integer(attributes, key) for key in ("00280010", "00280011", "00280100"))
    if rows is None or columns is None or allocated is None:
        raise UnsupportedPixels("Rows, Columns or Bits Allocated are missing.")
    stored = _integer(attributes, "00280101") or allocated
    high = _integer(attributes, "00280102")
    samples = _integer(attributes, "00280002") or 1
    colours = _text(attributes, "00280004") or ("RGB" if samples == 3 else "MONOCHROME2")
    return PixelDescription(
        transfer_syntax=transfer_syntax,
        rows=rows,
        columns=columns,
        samples_per_pixel=samples,
        photometric_interpretation=colours,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=stored - 1 if high is None else high,
        pixel_representation=_integer(attributes, "00280103") or 0,
        planar_configuration=_integer(attributes, "00280006") or 0,
        # Neither is in the dataset of float pixels (PS3.3 C.7.6.24).
        floating=allocated in _FLOAT_BITS and "00280101" not in attributes and "00280103" not in attributes,
        words=words,
    )


def appearance_of(attributes: Attributes, frame: int, *, signed: bool = False) -> Appearance:
    """How a frame is meant to be seen.

    Args:
        attributes: The dataset.
        frame: Frame number, counted from 1.
        signed: Whether Pixel Representation is 1, which says how padding values and tables are meant.

    Source: PS3.3 C.11.1, C.11.2, C.11.6, C.7.6.16.2.9 and C.7.6.16.2.10.
    """
    groups = list(_groups(attributes, frame))
    modality = _first_with(("00281052", "00281053"), groups, _TRANSFORMATION) or {}
    voi = _first_with(("00281050", "00281051"), groups, _FRAME_VOI) or {}
    slope, intercept = _number(modality, "00281053"), _number(modality, "00281052")
    shown = _text(attributes, "00080016") not in _NOT_FOR_DISPLAY
    modality_lut = _lut_of(_items(attributes, "00283000"), signed=signed) if shown else None
    tabled = modality_lut is not None and slope is None
    return Appearance(
        # A slope of zero would make every picture one grey.
        slope=slope or 1.0,
        intercept=intercept or 0.0,
        modality_lut=modality_lut if tabled else None,
        window=_window(voi),
        voi_lut=_lut_of(_voi_tables(groups), signed=signed),
        inverse=_text(attributes, "20500020") == "INVERSE",
        palette=_palette(attributes, signed=signed),
        padding=_padding(attributes, signed=signed),
        icc_profile=_icc_profile(attributes),
    )


def _groups(attributes: Attributes, frame: int) -> Iterator[Attributes]:
    """Where a frame's attributes may stand, the nearest first."""
    per_frame = _items(attributes, _PER_FRAME)
    if 0 < frame <= len(per_frame):
        yield per_frame[frame - 1]
    yield from _items(attributes, _SHARED)[:1]
    yield attributes


def _first_with(keys: Sequence[str], groups: Sequence[Attributes], sequence: str) -> Attributes | None:
    for group in groups:
        for item in (*_items(group, sequence)[:1], group):
            if all(_number(item, key) is not None for key in keys):
                return item
    return None


def _voi_tables(groups: Sequence[Attributes]) -> list[Attributes]:
    places = (place for group in groups for place in (*_items(group, _FRAME_VOI)[:1], group))
    return [item for place in places for item in _items(place, "00283010")]


def _window(voi: Attributes) -> Window | None:
    center, width = _number(voi, "00281050"), _number(voi, "00281051")
    function = _text(voi, "00281056") or "LINEAR"
    if center is None or width is None or width < (1 if function == "LINEAR" else 0) or width == 0:
        return None
    return Window(center, width, function)


def _lut_of(items: Sequence[Attributes], *, signed: bool) -> Lut | None:
    """The first lookup table of a sequence that is complete."""
    for item in items:
        lut = _lut(item, "00283002", "00283006", signed=signed)
        if lut:
            return lut
    return None


def _lut(item: Attributes, descriptor_key: str, content_key: str, *, signed: bool) -> Lut | None:
    descriptor, content = _descriptor(item, descriptor_key, signed=signed), _binary(item, content_key)
    if descriptor is None or not content:
        return None
    try:
        return make_lut(descriptor, content)
    except ValueError:
        return None


def _descriptor(item: Attributes, key: str, *, signed: bool) -> tuple[int, int, int] | None:
    values = [value for value in _values(item, key) if isinstance(value, int)]
    if len(values) != 3:
        return None
    count, first, bits = values
    # As SS, tables of more than 32767 entries have a negative count; as US, low first values are high ones.
    return count % 65536, first - 65536 if signed and first > 32767 else first, bits


def _palette(attributes: Attributes, *, signed: bool) -> tuple[Lut, ...]:
    luts = []
    for descriptor_key, plain_key, segmented_key in _PALETTES:
        descriptor = _descriptor(attributes, descriptor_key, signed=signed)
        plain, segmented = _binary(attributes, plain_key), _binary(attributes, segmented_key)
        if descriptor is None or not (plain or segmented):
            return ()
        try:
            luts.append(make_lut(descriptor, plain or expand_segments(descriptor, segmented)))
        except ValueError:
            return ()
    return tuple(luts)


def _padding(attributes: Attributes, *, signed: bool) -> tuple[int, int] | None:
    value = _integer(attributes, "00280120")
    if value is None:
        return None
    limit = _integer(attributes, "00280121")
    bounds = [value, value if limit is None else limit]
    if signed:
        bounds = [bound - 65536 if bound > 32767 else bound for bound in bounds]
    return min(bounds), max(bounds)


def _icc_profile(attributes: Attributes) -> bytes:
    for item in (attributes, *_items(attributes, _OPTICAL_PATHS)):
        profile = _binary(item, _ICC_PROFILE)
        if profile:
            return profile
    return b""


def _element(attributes: Attributes, key: str) -> Attributes:
    element = attributes.get(key)
    return element if isinstance(element, Mapping) else {}


def _values(attributes: Attributes, key: str) -> Sequence[object]:
    values = _element(attributes, key).get("Value")
    return values if isinstance(values, list) else []


def _items(attributes: Attributes, key: str) -> list[Attributes]:
    return [item for item in _values(attributes, key) if isinstance(item, Mapping)]


def _number(attributes: Attributes, key: str) -> float | None:
    """The first value as a number; JSON may hold decimals as text."""
    value = next(iter(_values(attributes, key)), None)
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _integer(attributes: Attributes, key: str) -> int | None:
    number = _number(attributes, key)
    return None if number is None else int(number)


def _text(attributes: Attributes, key: str) -> str:
    value = next(iter(_values(attributes, key)), "")
    return value.strip(" \0") if isinstance(value, str) else ""


def _binary(attributes: Attributes, key: str) -> bytes:
    """The bytes of an element, or its numbers as words."""
    inline = _element(attributes, key).get("InlineBinary")
    if isinstance(inline, str):
        try:
            return base64.b64decode(inline)
        except binascii.Error:
            return b""
    words = [value & 0xFFFF for value in _values(attributes, key) if isinstance(value, int)]
    return b"".join(word.to_bytes(2, "little") for word in words)
