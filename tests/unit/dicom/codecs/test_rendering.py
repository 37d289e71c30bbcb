"""Pictures: values by hand, and whole files against an independent renderer where it is installed."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import apply_color_lut

from shared.dicom.codecs import (
    Appearance,
    DamagedPixels,
    Frame,
    Picture,
    PixelDescription,
    Profile,
    RenderOptions,
    UnsupportedPixels,
    Viewport,
    Window,
    appearance_of,
    render_frame,
)
from shared.dicom.codecs.luts import Lut, make_lut
from shared.dicom.codecs.profiles import srgb
from shared.dicom.codecs.syntaxes import RLE
from tests import dcmtk
from tests.unit.dicom.codecs.files import NO_COLLECTION, by_name, distinct, image, manifest, read_image
from tests.unit.dicom.codecs.files import Image as Shown
from tests.unit.dicom.codecs.making import colour, grey, noise, smooth

PNG = RenderOptions(Picture.PNG)
PLAIN = Appearance()
EXACT = Window(127.5, 255, "LINEAR_EXACT")
"""Leaves values of 8 bits as they are."""


def _pixels(rendered: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(rendered)))


def _shades(
    values: list[float],
    appearance: Appearance = PLAIN,
    *,
    description: PixelDescription | None = None,
    window: Window | None = None,
) -> list[int]:
    """The shades of one row of stored values."""
    described = description or grey(1, len(values))
    described = replace(described, rows=1, columns=len(values))
    kind = "f" if described.floating else "i" if described.signed else "u"
    content = np.array(values).astype(f"<{kind}{described.bits_allocated // 8}").tobytes()
    rendered = render_frame(Frame(content, described), appearance, RenderOptions(Picture.PNG, window=window))
    return [int(shade) for shade in _pixels(rendered)[0]]


WINDOWS = [
    # The standard's own examples: PS3.3 C.11.2.1.2.1 notes for width 4096 and 1, and C.11.2.1.3.2.
    (Window(2048, 4096), [0, 2047, 2048, 4095], [0, 127, 128, 255]),
    (Window(2048, 1), [0, 2047, 2048, 4095], [0, 0, 255, 255]),
    (Window(0, 100), [0, 49, 50, 100], [129, 255, 255, 255]),
    (Window(2048, 4096, "LINEAR_EXACT"), [0, 2048, 4095], [0, 128, 255]),
    (Window(2048, 4096, "SIGMOID"), [0, 2048, 4095], [30, 128, 225]),
    (Window(2048, 4096, "UNHEARD_OF"), [0, 2047, 4095], [0, 127, 255]),
]


@pytest.mark.parametrize(("window", "values", "shades"), WINDOWS)
def test_windows_are_those_of_the_standard(window: Window, values: list[float], shades: list[int]) -> None:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    assert _shades(values, description=grey(bits=16), window=window) == shades


def test_the_clients_window_comes_before_the_datasets() -> None:
    """And the dataset's before what the pixels hold."""
    given = Appearance(window=Window(50, 100, "LINEAR_EXACT"))

    assert _shades([0, 50, 100, 200], given) == [0, 128, 255, 255]
    assert _shades([0, 50, 100, 200], given, window=Window(100, 200, "LINEAR_EXACT")) == [0, 64, 128, 255]
    assert _shades([0, 50, 100, 200]) == [0, 64, 128, 255]


def test_without_a_window_the_values_that_occur_fill_the_range() -> None:
    """API rules section 6, padding left out."""
    assert _shades([1000, 1500, 2000], description=grey(bits=16)) == [0, 128, 255]
    assert _shades([0, 1000, 1500, 2000], Appearance(padding=(0, 0)), description=grey(bits=16)) == [
        0,
        0,
        128,
        255,
    ]


def test_a_frame_of_one_value_is_not_stretched() -> None:
    """A full mask is white, and an empty one is black."""
    assert _shades([255, 255]) == [255, 255]
    assert _shades([0, 0]) == [0, 0]
    assert _shades([64, 64]) == [64, 64]
    for content, shade in ((b"\xff", 255), (b"\0", 0)):
        rendered = render_frame(Frame(content, grey(1, 8, 1)), PLAIN, PNG)
        assert set(_pixels(rendered).flat) == {shade}


def test_modality_comes_before_the_window() -> None:
    """Slope and intercept, or a table (PS3.3 C.11.1)."""
    rescaled = Appearance(slope=2, intercept=-100, window=EXACT)
    table = make_lut((3, 10, 16), b"\0\0\x64\0\xff\0")

    assert _shades([50, 100, 150], rescaled) == [0, 100, 200]
    assert _shades([0, 10, 11, 12, 99], Appearance(modality_lut=table, window=EXACT)) == [0, 0, 100, 255, 255]


def test_a_voi_table_serves_where_there_is_no_window() -> None:
    """White is the highest number its bits hold (PS3.3 C.11.2.1.1)."""
    table = make_lut((2, 5, 12), b"\0\0\xff\x0f")

    assert _shades([4, 5, 6, 7], Appearance(voi_lut=table)) == [0, 0, 255, 255]
    assert _shades([0, 255], Appearance(voi_lut=table, window=EXACT)) == [0, 255]


@pytest.mark.parametrize(
    ("photometric", "inverse", "shades"),
    [
        ("MONOCHROME2", False, [0, 255]),
        ("MONOCHROME1", False, [255, 0]),
        ("MONOCHROME2", True, [255, 0]),
        ("MONOCHROME1", True, [255, 0]),
    ],
)
def test_monochrome1_and_an_inverse_shape_are_turned_once(
    photometric: str, inverse: bool, shades: list[int]
) -> None:
    """DX images have both for the same thing (PS3.3 C.8.11.3)."""
    description = replace(grey(1, 2), photometric_interpretation=photometric)

    assert _shades([0, 255], Appearance(window=EXACT, inverse=inverse), description=description) == shades


def test_signed_values_and_bits_beyond_those_stored() -> None:
    """An overlay's bits are no part of a value, and the sign is the top one stored."""
    signed = grey(bits=16, stored=12, signed=True)
    window = Window(0, 4096)

    assert _shades([-2048, 0, 2047], description=signed, window=window) == [0, 128, 255]
    assert _shades([0x0800, 0xF000, 0x17FF], description=replace(signed, pixel_representation=0),
                   window=Window(2048, 4096)) == [128, 0, 127]  # fmt: skip
    assert _shades([0x0800, 0x10FF], description=signed, window=window) == [0, 143]


def test_wide_and_floating_values() -> None:
    """Too many to be looked up; what is no number is black."""
    assert _shades([0, 2**31, 2**32 - 1], description=grey(bits=32)) == [0, 128, 255]
    floating = replace(grey(bits=32), floating=True)
    assert _shades([-1.5, 0.0, 1.5], description=floating) == [0, 128, 255]
    assert _shades([float("nan"), 1.0, 3.0, float("inf")], description=floating) == [0, 0, 255, 255]
    assert _shades([float("nan"), float("nan")], description=floating) == [0, 0]
    assert _shades([1e300, -1e300], description=replace(floating, bits_allocated=64, high_bit=63)) == [255, 0]


def _palette(bits: int, *columns: tuple[int, ...]) -> tuple[Lut, ...]:
    return tuple(Lut(0, bits, np.array(column, "<u2").tobytes()) for column in columns)


@pytest.mark.parametrize("scale", [1, 256])
def test_palettes_of_8_and_16_bits_and_16_that_are_8(scale: int) -> None:
    """Values beyond the table get its last colour."""
    palette = _palette(16, *[tuple(value * scale for value in column) for column in ((1, 9), (2, 8), (3, 7))])
    description = replace(grey(1, 3), photometric_interpretation="PALETTE COLOR")

    rendered = render_frame(Frame(b"\0\1\2", description), Appearance(palette=palette), PNG)

    assert _pixels(rendered).tolist() == [[[1, 2, 3], [9, 8, 7], [9, 8, 7]]]


COLOURS = [
    (colour(1, 2), bytes((1, 2, 3, 250, 251, 252)), [[1, 2, 3], [250, 251, 252]]),
    (colour(1, 2, planar=1), bytes((1, 250, 2, 251, 3, 252)), [[1, 2, 3], [250, 251, 252]]),
    (colour(1, 2, bits=16), b"\0\0\xff\xff\0\x80\xff\xff\0\0\0\x40", [[0, 255, 127], [255, 0, 63]]),
    (colour(1, 2, colours="YBR_FULL"), bytes((100, 128, 128, 76, 85, 255)), [[100, 100, 100], [254, 0, 0]]),
    (colour(1, 2, colours="YBR_FULL_422"), bytes((100, 30, 128, 128)), [[100] * 3, [30] * 3]),
    (colour(1, 2, colours="YBR_PARTIAL_422"), bytes((16, 235, 128, 128)), [[0] * 3, [255] * 3]),
]


@pytest.mark.parametrize(("description", "content", "pixels"), COLOURS)
def test_colour_of_every_form_is_shown_as_rgb(
    description: PixelDescription, content: bytes, pixels: list[list[int]]
) -> None:
    """Windows are for grey alone."""
    options = RenderOptions(Picture.PNG, window=Window(1, 2))

    assert _pixels(render_frame(Frame(content, description), PLAIN, options)).tolist() == [pixels]


FORMATS = [(Picture.JPEG, b"\xff\xd8"), (Picture.PNG, b"\x89PNG"), (Picture.GIF, b"GIF8")]


@pytest.mark.parametrize(("picture", "start"), FORMATS)
@pytest.mark.parametrize("description", [grey(20, 30, 16), colour(20, 30)])
def test_pictures_come_in_the_format_asked(
    picture: Picture, start: bytes, description: PixelDescription
) -> None:
    """In the frame's own size."""
    rendered = render_frame(Frame(noise(description), description), PLAIN, RenderOptions(picture))

    assert rendered.startswith(start)
    assert Image.open(io.BytesIO(rendered)).size == (30, 20)


def test_quality_is_of_jpeg_alone() -> None:
    """Less of it, fewer bytes."""
    frame = Frame(noise(grey(64, 64)), grey(64, 64))
    sizes = [len(render_frame(frame, PLAIN, RenderOptions(quality=quality))) for quality in (1, 50, 100)]
    lossless = [
        render_frame(frame, PLAIN, RenderOptions(Picture.PNG, quality=quality)) for quality in (1, 100)
    ]

    assert sizes[0] < sizes[1] < sizes[2]
    assert lossless[0] == lossless[1]


def _info(
    appearance: Appearance, picture: Picture, profile: Profile, description: PixelDescription
) -> object:
    """The profile in a picture."""
    options = RenderOptions(picture, profile=profile)
    rendered = render_frame(Frame(noise(description), description), appearance, options)
    return Image.open(io.BytesIO(rendered)).info.get("icc_profile")


@pytest.mark.parametrize("picture", [Picture.JPEG, Picture.PNG])
def test_the_icc_profile_is_put_in_when_asked(picture: Picture) -> None:
    """PS3.18 8.3.5.1.5: the dataset's, or that of sRGB where it has none; of shades of grey there is none."""
    own = Appearance(icc_profile=b"profile")

    assert _info(own, picture, Profile.YES, colour()) == b"profile"
    assert _info(PLAIN, picture, Profile.YES, colour()) == srgb()
    assert _info(PLAIN, picture, Profile.SRGB, colour()) == srgb()
    assert _info(own, picture, Profile.NO, colour()) is None
    assert _info(own, picture, Profile.YES, grey()) is None


def test_colours_are_converted_to_srgb_when_asked() -> None:
    """From the dataset's profile; with one that is none there is no picture."""
    frame = Frame(bytes((200, 100, 50)) * 24, colour())
    options = RenderOptions(Picture.PNG, profile=Profile.SRGB)
    # The same colours, but red and blue have changed places.
    swapped = srgb().replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")

    same = _pixels(render_frame(frame, Appearance(icc_profile=srgb()), options))
    other = _pixels(render_frame(frame, Appearance(icc_profile=swapped), options))

    assert np.abs(same[0, 0].astype(int) - (200, 100, 50)).max() <= 1
    assert np.abs(other[0, 0].astype(int) - (50, 100, 200)).max() <= 2
    with pytest.raises(UnsupportedPixels, match="ICC profile"):
        render_frame(frame, Appearance(icc_profile=b"none"), options)


def test_the_profile_of_srgb_is_always_the_same() -> None:
    """Or the same picture would have other bytes at each start."""
    assert srgb()[24:36] == bytes(12)
    assert srgb()[36:40] == b"acsp"


QUARTERS = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((50, 100), np.uint8))
VIEWPORTS = [
    (Viewport(200, 100), (200, 100), [0, 80, 160, 240]),
    (Viewport(100, 100), (100, 50), [0, 80, 160, 240]),
    (Viewport(800, 200), (400, 200), [0, 80, 160, 240]),
    (Viewport(50, 50, 0, 0, -200, 100), (50, 25), [80, 0, 240, 160]),
    (Viewport(50, 50, 0, 0, 200, -100), (50, 25), [160, 240, 0, 80]),
    (Viewport(64, 64, 110, 60, 20, 20), (64, 64), [240, 240, 240, 240]),
    (Viewport(10, 10, 100.5, 50.5, 99.5, 49.5), (10, 5), [240, 240, 240, 240]),
    (Viewport(60, 60, 110), (54, 60), [80, 80, 240, 240]),
    (Viewport(60, 60, 150, 75, 500, 500), (60, 30), [240, 240, 240, 240]),
    (Viewport(1, 1), (1, 1), [120, 120, 120, 120]),
    (Viewport(100, None), (100, 50), [0, 80, 160, 240]),
    (Viewport(None, 100), (200, 100), [0, 80, 160, 240]),
    (Viewport(None, None, 0.5, 0, 0.5, 0.5, relative=True), (100, 50), [80, 80, 80, 80]),
    (Viewport(50, 50, 0.5, 0.5, 0.5, 0.5, relative=True), (50, 25), [240, 240, 240, 240]),
    (Viewport(800, 800, enlarges=False), (200, 100), [0, 80, 160, 240]),
    (Viewport(20, 20, enlarges=False), (20, 10), [0, 80, 160, 240]),
]


@pytest.mark.parametrize(("viewport", "size", "corners"), VIEWPORTS)
def test_viewports_crop_scale_and_flip(viewport: Viewport, size: tuple[int, int], corners: list[int]) -> None:
    """PS3.18 8.3.5.1.2: in the region's own proportions; what lies outside the frame is left out."""
    description = grey(100, 200)
    options = RenderOptions(Picture.PNG, window=EXACT, viewport=viewport)

    pixels = _pixels(render_frame(Frame(QUARTERS.tobytes(), description), PLAIN, options))

    assert (pixels.shape[1], pixels.shape[0]) == size
    found = [int(pixels[row, column]) for row in (0, -1) for column in (0, -1)]
    assert np.abs(np.array(found) - corners).max() <= 1


@pytest.mark.parametrize(
    "viewport",
    [
        Viewport(0, 10),
        Viewport(100_000, 100_000),
        Viewport(100_000, None),
        Viewport(10, 10, 200, 0, 10, 10),
        Viewport(10, 10, 0, 0, 0, 10),
        Viewport(10, 10, -20, 0, 10, 10),
        Viewport(10, 10, float("nan")),
    ],
)
def test_viewports_of_nothing_and_of_too_much_are_refused(viewport: Viewport) -> None:
    """Before a picture of that size is made."""
    with pytest.raises(UnsupportedPixels, match=r"viewport"):
        render_frame(Frame(bytes(20_000), grey(100, 200)), PLAIN, RenderOptions(viewport=viewport))


REFUSED = [
    (replace(grey(), photometric_interpretation="PALETTE COLOR"), UnsupportedPixels, "no palette"),
    (replace(grey(), transfer_syntax=RLE), UnsupportedPixels, "Only native"),
    (colour(colours="HSV"), UnsupportedPixels, "not rendered"),
    (replace(grey(), rows=0), UnsupportedPixels, "Rows"),
    (replace(grey(), rows=5), DamagedPixels, "fewer bytes"),
]


@pytest.mark.parametrize(("description", "kind", "reason"), REFUSED)
def test_what_cannot_be_shown_is_refused(
    description: PixelDescription, kind: type[Exception], reason: str
) -> None:
    """With its reason."""
    with pytest.raises(kind, match=reason):
        render_frame(Frame(bytes(24 * description.samples_per_pixel), description), PLAIN, PNG)


# What dcmtk draws otherwise, and why ours is kept.
OTHERWISE = {
    "CT1_UNC.explicit_little_endian.dcm": "it counts padding among the values",
    "CT1_UNC.explicit_big_endian.dcm": "it counts padding among the values",
    "CT1_UNC.implicit_little_endian.dcm": "it counts padding among the values",
    "seg_image_sm_control_labelmap.dcm": "it counts padding among the values",
    "rtdose_expb.dcm": "it reads big-endian samples of 32 bits by words; the manifest's hash is ours",
    "rtdose_expb_1frame.dcm": "it reads big-endian samples of 32 bits by words; the manifest's hash is ours",
    "JPEGProcess2_4.dcm": "the dataset says RGB and holds YCbCr",
    "example-mg.dcm": "the dataset says RGB and holds YCbCr",
    "layer1.dcm": "the dataset says RGB and holds YCbCr",
    "SC_ybr_full_uncompressed.dcm": "its YCbCr is two shades off",
    "examples_overlay.dcm": "it draws the overlay",
}


@pytest.mark.filterwarnings("ignore")
def test_whole_files_look_as_dcmtk_draws_them(tmp_path: Path) -> None:
    """Of all sample files those that it reads."""
    if dcmtk.PROGRAM is None:
        pytest.skip(dcmtk.MISSING)
    compared, off = 0, []
    for path, _ in distinct():
        shown = read_image(path)
        assert shown is not None
        drawn = None if _short(path) in OTHERWISE else dcmtk.draw(shown, tmp_path / "drawn.pnm")
        ours = None if drawn is None else _rendered(shown)
        if drawn is None or ours is None:
            continue
        compared += 1
        if ours.shape != drawn.shape or np.abs(ours.astype(int) - drawn).max() > dcmtk.MAX_OFF:
            off.append(_short(path))

    assert off == []
    assert compared >= (150 if manifest() else 25)


def _short(path: Path) -> str:
    """A file's name without the source that the collection puts before it."""
    return path.name.split("__", 1)[-1]


def _rendered(shown: Shown) -> NDArray[np.uint8] | None:
    """The first frame as we draw it; None where it is damaged."""
    appearance = appearance_of(shown.attributes, 1, signed=shown.description.signed)
    try:
        return _pixels(render_frame(shown.native(), appearance, PNG))
    except DamagedPixels:
        return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["gdcm-US-ALOKA-16.dcm", "examples_palette.dcm", "TestPattern_Palette.dcm"])
def test_real_palettes_are_those_of_pydicom(name: str) -> None:
    """One of them in segments."""
    if name not in by_name():
        pytest.skip(NO_COLLECTION)
    shown = image(name)
    expected = np.asarray(apply_color_lut(shown.dataset.pixel_array, shown.dataset))
    if expected.dtype.itemsize == 2:
        expected = expected >> 8

    ours = _rendered(shown)

    assert ours is not None
    assert np.array_equal(ours, expected)


def test_a_smooth_slope_stays_smooth_in_jpeg() -> None:
    """At full quality nothing is off by more than a shade."""
    description = grey(64, 64)
    content = smooth(description)

    rendered = render_frame(Frame(content, description), Appearance(window=EXACT), RenderOptions(quality=100))

    wanted = np.frombuffer(content, np.uint8).reshape(64, 64).astype(int)
    assert np.abs(_pixels(rendered) - wanted).max() <= 1
