"""What datasets say of their pixels, in DICOM JSON, and what they say wrongly."""

import base64
import struct

import pytest

from shared.dicom.codecs import (
    Appearance,
    PixelDescription,
    UnsupportedPixels,
    Window,
    appearance_of,
    describe,
)
from shared.dicom.codecs.luts import Lut
from shared.dicom.codecs.syntaxes import JPEG_LS
from tests.unit.dicom.codecs.making import grey


def _element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


def _binary(content: bytes) -> dict[str, object]:
    return {"vr": "OW", "InlineBinary": base64.b64encode(content).decode()}


def _sequence(*items: dict[str, object]) -> dict[str, object]:
    return _element("SQ", *items)


IMAGE = {
    "00280002": _element("US", 3),
    "00280004": _element("CS", "YBR_FULL_422 "),
    "00280006": _element("US", 1),
    "00280010": _element("US", 20),
    "00280011": _element("US", 30),
    "00280100": _element("US", 16),
    "00280101": _element("US", 12),
    "00280102": _element("US", 11),
    "00280103": _element("US", 1),
}


def test_a_description_is_what_the_dataset_says() -> None:
    """All of the Image Pixel module that a codec needs."""
    assert describe(IMAGE, JPEG_LS) == PixelDescription(JPEG_LS, 20, 30, 3, "YBR_FULL_422", 16, 12, 11, 1, 1)


def test_what_is_left_out_is_what_most_mean() -> None:
    """Rows, Columns and Bits Allocated cannot be guessed."""
    needed = {key: IMAGE[key] for key in ("00280010", "00280011", "00280100")}

    assert describe({**needed, "00280103": _element("US", 0)}, JPEG_LS) == PixelDescription(
        JPEG_LS, 20, 30, 1, "MONOCHROME2", 16, 16, 15
    )
    for key in needed:
        with pytest.raises(UnsupportedPixels, match="are missing"):
            describe({**needed, key: {"vr": "US"}}, JPEG_LS)


@pytest.mark.parametrize(
    ("bits", "integers", "floating"), [(32, False, True), (64, False, True), (32, True, False)]
)
def test_pixels_in_floating_point_say_neither_depth_nor_sign(
    bits: int, integers: bool, floating: bool
) -> None:
    """PS3.3 C.7.6.24: only integers have Bits Stored and Pixel Representation."""
    dataset = {**IMAGE, "00280002": _element("US", 1), "00280100": _element("US", bits)}
    for key in ("00280101", "00280102", "00280103"):
        dataset[key] = _element("US", {"00280101": bits, "00280102": bits - 1, "00280103": 0}[key])
        if not integers:
            del dataset[key]

    assert describe(dataset, JPEG_LS).floating is floating


PLAIN_VOI = {"00281050": _element("DS", 40, 300), "00281051": _element("DS", "400", 2000)}
RESCALE = {"00281052": _element("DS", -1024), "00281053": _element("DS", 2)}


def test_the_first_window_and_the_rescale_count() -> None:
    """Numbers may come as text."""
    appearance = appearance_of({**PLAIN_VOI, **RESCALE, "20500020": _element("CS", "INVERSE")}, 1)

    assert appearance == Appearance(2.0, -1024.0, window=Window(40, 400), inverse=True)


def test_functional_groups_come_first_the_frames_own_before_the_shared() -> None:
    """PS3.3 C.7.6.16.2.9 and C.7.6.16.2.10."""

    def voi(center: int) -> dict[str, object]:
        return {"00281050": _element("DS", center), "00281051": _element("DS", 10)}

    dataset = {
        **PLAIN_VOI,
        **RESCALE,
        "52009229": _sequence({"00289132": _sequence(voi(1)), "00289145": _sequence({
            "00281052": _element("DS", 7), "00281053": _element("DS", 3)})}),
        "52009230": _sequence({"00289132": _sequence(voi(2))}, {}),
    }  # fmt: skip

    windows = [appearance_of(dataset, frame).window for frame in (1, 2, 3)]

    assert windows == [Window(2, 10), Window(1, 10), Window(1, 10)]
    assert (appearance_of(dataset, 1).slope, appearance_of(dataset, 1).intercept) == (3.0, 7.0)


@pytest.mark.parametrize(
    ("width", "function", "window"),
    [
        (0, "LINEAR", None),
        (0.5, "LINEAR", None),
        (-5, "LINEAR_EXACT", None),
        (0.5, "LINEAR_EXACT", Window(40, 0.5, "LINEAR_EXACT")),
        (1, "SIGMOID", Window(40, 1, "SIGMOID")),
        ("wide", "LINEAR", None),
        (float("nan"), "LINEAR", None),
        (None, "LINEAR", None),
    ],
)
def test_windows_that_make_no_sense_are_passed_over(
    width: object, function: str, window: Window | None
) -> None:
    """The frame's own values serve then."""
    dataset = {
        "00281050": _element("DS", 40),
        "00281051": _element("DS", width),
        "00281056": _element("CS", function),
    }

    assert appearance_of(dataset, 1).window == window


def _lut(content: dict[str, object], *descriptor: int) -> dict[str, object]:
    return _sequence({"00283002": _element("US", *descriptor), "00283006": content})


WORDS = struct.pack("<3H", 1, 2, 3)


@pytest.mark.parametrize("content", [_binary(WORDS), _element("US", 1, 2, 3), _binary(b"\1\2\3\0")])
def test_tables_may_be_words_or_numbers_or_bytes(content: dict[str, object]) -> None:
    """As OW, as US, and with two entries in a word."""
    appearance = appearance_of({"00283010": _lut(content, 3, 5, 8), "00283000": _lut(content, 3, 5, 8)}, 1)

    assert appearance.voi_lut == appearance.modality_lut == Lut(5, 8, WORDS)


def test_a_slope_comes_before_a_modality_table() -> None:
    """A dataset has one or the other."""
    assert appearance_of({**RESCALE, "00283000": _lut(_binary(WORDS), 3, 5, 8)}, 1).modality_lut is None


@pytest.mark.parametrize(
    "sequence",
    [
        _lut(_binary(WORDS), 4, 0, 16),
        _lut(_binary(WORDS), 3, 0, 17),
        _lut(_binary(WORDS), 3, 0),
        _lut({"vr": "OW", "BulkDataURI": "x"}, 3, 0, 16),
        _lut({"vr": "OW", "InlineBinary": "*"}, 3, 0, 16),
        {"vr": "SQ"},
        _element("SQ", "no item"),
    ],
)
def test_tables_that_are_none_are_passed_over(sequence: dict[str, object]) -> None:
    """Nothing is raised for them."""
    assert appearance_of({"00283010": sequence}, 1).voi_lut is None


def test_first_values_of_tables_and_padding_are_signed_with_the_pixels() -> None:
    """As US in a signed image, 65526 is -10."""
    dataset = {
        "00283010": _lut(_binary(WORDS), 3, 65526, 16),
        "00280120": _element("US", 63488),
        "00280121": _element("US", 63490),
    }

    signed, unsigned = appearance_of(dataset, 1, signed=True), appearance_of(dataset, 1)

    assert signed.voi_lut == Lut(-10, 16, WORDS)
    assert signed.padding == (-2048, -2046)
    assert unsigned.padding == (63488, 63490)
    assert appearance_of({"00280120": _element("SS", -2000)}, 1, signed=True).padding == (-2000, -2000)


def _palette(plain: dict[str, object], *, segmented: bool = False) -> dict[str, object]:
    base = 0x00281221 if segmented else 0x00281201
    dataset: dict[str, object] = {}
    for index in range(3):
        dataset[f"{0x00281101 + index:08X}"] = _element("US", 3, 0, 16)
        dataset[f"{base + index:08X}"] = plain
    return dataset


def test_palettes_are_read_plain_and_in_segments() -> None:
    """All three colours or none."""
    segments = struct.pack("<3H2H1H", 0, 1, 1, 1, 2, 3)

    plain = appearance_of(_palette(_binary(WORDS)), 1).palette
    segmented = appearance_of(_palette(_binary(segments), segmented=True), 1).palette
    incomplete = {key: value for key, value in _palette(_binary(WORDS)).items() if key != "00281203"}

    assert plain == segmented == (Lut(0, 16, WORDS),) * 3
    assert appearance_of(incomplete, 1).palette == ()


def test_the_icc_profile_may_be_in_the_optical_path() -> None:
    """As in whole-slide images (PS3.3 C.8.12.5)."""
    assert appearance_of({"00282000": _binary(b"top")}, 1).icc_profile == b"top"
    assert appearance_of({"00480105": _sequence({"00282000": _binary(b"path")})}, 1).icc_profile == b"path"
    assert "path" not in repr(appearance_of({"00282000": _binary(b"path")}, 1))


@pytest.mark.parametrize("wrong", [None, 3, "text", [], {}, {"vr": "DS"}, {"vr": "DS", "Value": {"a": 1}}])
def test_elements_of_any_shape_are_borne(wrong: object) -> None:
    """Nothing is raised for what makes no sense."""
    keys = ("00281050", "00281053", "00283000", "00280120", "52009229", "52009230", "00281101", "00282000")

    assert appearance_of(dict.fromkeys(keys, wrong), 1) == Appearance()
    assert describe({**IMAGE, "00280004": wrong, "00280103": wrong}, JPEG_LS).signed is False
    assert grey().signed is False


def test_angiography_is_shown_as_stored() -> None:
    """PS3.3 C.8.7.1.1.2: its modality table gives values to measure with."""
    dataset = {"00283000": _lut(_binary(WORDS), 3, 5, 8)}

    for number, shown in ((1, False), (2, False), (3, False), (4, True)):
        sop_class = {"00080016": _element("UI", f"1.2.840.10008.5.1.4.1.1.12.{number}")}
        assert bool(appearance_of({**dataset, **sop_class}, 1).modality_lut) is shown


def test_voi_tables_may_stand_in_functional_groups() -> None:
    """PS3.3 C.7.6.16.2.10b."""
    group: dict[str, object] = {"00289132": _sequence({"00283010": _lut(_binary(WORDS), 3, 5, 8)})}

    assert appearance_of({"52009230": _sequence({}, group)}, 2).voi_lut == Lut(5, 8, WORDS)
    assert appearance_of({"52009230": _sequence({}, group)}, 1).voi_lut is None
    assert appearance_of({"52009229": _sequence(group)}, 1).voi_lut == Lut(5, 8, WORDS)
