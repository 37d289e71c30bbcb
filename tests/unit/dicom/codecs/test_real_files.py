"""Frames of real files, against the manifest's hashes, pydicom's decoders and files of the same picture."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from pydicom.pixels.utils import pixel_array

from shared.dicom.codecs import (
    ENCODABLE,
    DamagedPixels,
    PixelError,
    UnsupportedPixels,
    can_decode,
    decode_frame,
    encode_frame,
    is_lossy,
)
from shared.dicom.codecs.samples import from_bytes, stored_values
from shared.dicom.codecs.syntaxes import JPEG_2000, JPEG_2000_LOSSLESS, JPEG_BASELINE, NATIVE, RLE
from tests.unit.dicom.codecs.files import (
    NO_COLLECTION,
    Image,
    array_of,
    by_name,
    distinct,
    image,
    manifest,
    read_image,
)

pytestmark = pytest.mark.filterwarnings("ignore")

# What is refused, by file name, and why. All other files with pixels are decoded.
REFUSED: dict[str, tuple[type[PixelError], str]] = {
    "cut_in_the_middle_of_pixel_data.dcm": (DamagedPixels, "has 5330 bytes"),
    "MR_truncated.dcm": (DamagedPixels, "has 8130 bytes"),
    "JPEG2000-embedded-sequence-delimiter.dcm": (DamagedPixels, "3722445056 x 1024"),
    "multiframe.dcm": (DamagedPixels, "55 x 240 pixels, but the dataset says 240 x 240"),
    "h264-high-41.dcm": (UnsupportedPixels, "4.102 cannot be decoded"),
    "hevc-main-51.dcm": (UnsupportedPixels, "4.107 cannot be decoded"),
    "mpeg2-main-level.dcm": (UnsupportedPixels, "4.100 cannot be decoded"),
    **{
        f"generated_encapsulated_{table}_bot_{shape}.dcm": (DamagedPixels, "no JPEG 2000 codestream")
        for table in ("defined", "empty")
        for shape in ("1_to_1", "2_to_1", "2_to_2")
    },
}
"""The whole-slide file has narrow tiles at its right edge; the generated ones hold dummy bytes."""


def _name(path: Path) -> str:
    return path.name.split("__", 1)[-1]


FOUND = list(distinct())
ONE_OF_EACH = {
    replace(description, transfer_syntax=""): path
    for path, description in FOUND
    if _name(path) not in REFUSED and description.pixels < 600 * 600
}
"""One file for each kind and size of pixels, however compressed, but for the largest."""


def _image(path: Path) -> Image:
    found = read_image(path)
    assert found is not None
    return found


def test_the_collection_is_there() -> None:
    """Without it only the files in pydicom's wheel are decoded."""
    if not manifest():
        pytest.skip(NO_COLLECTION)

    hashed = [path for path in manifest() if "pixels_sha256" in manifest()[path]]

    assert len(hashed) > 500
    assert len(FOUND) > 200


@pytest.mark.parametrize(
    "path", [path for path, _ in FOUND if _name(path) in REFUSED], ids=lambda path: path.name
)
def test_what_cannot_be_decoded_is_refused_with_its_reason(path: Path) -> None:
    """Damage and unknown forms are told apart."""
    kind, message = REFUSED[_name(path)]
    shown = _image(path)

    with pytest.raises(kind, match=message):
        _hash(shown)


def _hash(shown: Image) -> str:
    """As the manifest takes it: stored values of all frames, colour by pixel, little endian."""
    found = sha256()
    for index in range(len(shown.frames)):
        found.update(array_of(shown.native(index)).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize(
    "path",
    [path for path in manifest() if "pixels_sha256" in manifest()[path]],
    ids=lambda path: path.name,
)
def test_pixels_are_those_of_the_manifest(path: Path) -> None:
    """Every file for which several decoders agreed on stored values."""
    assert _hash(_image(path)) == manifest()[path].get("pixels_sha256")


READ_BY_PYDICOM = NATIVE | {JPEG_BASELINE, JPEG_2000, JPEG_2000_LOSSLESS, RLE}
NOT_READ_BY_PYDICOM = {
    "badVR.dcm": "Number of Frames is no number",
    "liver_rle.dcm": "it has no one-bit RLE",
    "GDCMJ2K_TextGBR.dcm": "Pillow heeds the boxes around the codestream",
}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, description in FOUND
        if description.transfer_syntax in READ_BY_PYDICOM
        and _name(path) not in REFUSED.keys() | NOT_READ_BY_PYDICOM.keys()
    ],
    ids=lambda path: path.name,
)
def test_pixels_are_those_of_pydicom(path: Path) -> None:
    """Its native and RLE decoders, and Pillow's for JPEG of 8 bits and JPEG 2000."""
    shown = _image(path)

    frame = shown.native()

    # Colour is made RGB by pydicom unless asked not to; ours stays as stored where no lossy codec made it so.
    raw = frame.description.photometric_interpretation.startswith("YBR")
    expected = pixel_array(shown.dataset, index=0, raw=raw)
    samples = array_of(frame)
    assert samples.shape == expected.shape
    # Its own conversion of YCbCr rounds differently from the decoder's.
    slack = 1 if is_lossy(shown.description.transfer_syntax) else 0
    assert np.abs(samples.astype(np.float64) - expected.astype(np.float64)).max() <= slack


CT = "CTImage.dcm_{}TransferSyntax_1.2.840.10008.1.2.{}.dcm"
TWELVE_BITS = CT.format("JPEGProcess2_4", "4.51")
TWINS = [
    # (a file, another of the same picture, how far any sample may be off, and all on average)
    (CT.format("JPEGLSLossy", "4.81"), CT.format("RLELossless", "5"), 1, 1.0),
    (CT.format("JPEGProcess6_8", "4.53"), TWELVE_BITS, 0, 0.0),
    (CT.format("JPEGProcess10_12", "4.55"), TWELVE_BITS, 0, 0.0),
    ("JPGExtended.dcm", "JPEG-LL.dcm", 40, 3.0),
    ("JPEG-lossy.dcm", "JPEG-LL.dcm", 40, 3.0),
    ("CT0012.fragmented_no_bot_jpeg_ls.81.dcm", "CT0012.not_fragmented_bot_rle.dcm", 2, 1.0),
    ("CT_small_htj2k_lossy.dcm", "CT_small.dcm", 200, 25.0),
    ("HTJ2K_08_RGB.dcm", "HTJ2KLossless_08_RGB.dcm", 4, 0.5),
    ("TestPattern_JPEG-LS-NearLossless.dcm", "TestPattern_RGB.dcm", 2, 1.1),
    ("SC_rgb_jls_lossy_line.dcm", "SC_rgb.dcm", 2, 1.0),
    ("SC_rgb_jls_lossy_sample.dcm", "SC_rgb.dcm", 2, 1.0),
    ("SC_rgb_jxl.dcm", "SC_rgb.dcm", 0, 0.0),
    ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb.dcm", 2, 0.5),
    ("SC_rgb_dcmtk_+eb+cy+s4.dcm", "SC_rgb.dcm", 6, 1.0),
    ("SC_rgb_dcmtk_+eb+cy+s2.dcm", "SC_rgb.dcm", 6, 1.0),
    ("SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb.dcm", 80, 3.0),
    ("SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb.dcm", 80, 3.0),
    ("SC_rgb_jpeg.dcm", "SC_rgb_jpeg_dcmd.dcm", 0, 0.0),
    ("SC_jpeg_no_color_transform.dcm", "SC_rgb_jpeg_dcmd.dcm", 0, 0.0),
    ("JPEGProcess1.dcm", "ExplicitVRLittleEndian.dcm", 1, 0.1),
    ("JPEGProcess2_4.dcm", "ExplicitVRLittleEndian.dcm", 160, 2.0),
    ("liver_deflate.dcm", "liver.dcm", 0, 0.0),
    ("liver_nonbyte_aligned_deflate.dcm", "liver_nonbyte_aligned.dcm", 0, 0.0),
    ("liver_rle.dcm", "liver.dcm", 0, 0.0),
    ("emri_small_encapsulated_uncompressed.dcm", "emri_small.dcm", 0, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "twin", "most", "mean"), TWINS, ids=[row[0] for row in TWINS])
def test_the_same_picture_in_another_form_is_the_same(name: str, twin: str, most: int, mean: float) -> None:
    """What no second decoder reads, and colours that a dataset tells wrongly."""
    if not {name, twin} <= by_name().keys():
        assert not manifest()
        pytest.skip(NO_COLLECTION)
    one, other = image(name), image(twin)

    for index in range(len(one.frames)):
        apart = np.abs(array_of(one.native(index)).astype(int) - array_of(other.native(index)).astype(int))
        assert apart.max() <= most
        assert apart.mean() <= mean


@pytest.mark.parametrize("path", ONE_OF_EACH.values(), ids=lambda path: path.name)
@pytest.mark.parametrize("target", [syntax for syntax in ENCODABLE if not is_lossy(syntax)])
def test_encoded_frames_decode_to_the_same_values(path: Path, target: str) -> None:
    """The first frame of every kind of file, in every lossless transfer syntax that takes its depth."""
    native = _image(path).native()
    depth = native.description.bits_allocated
    try:
        encoded = encode_frame(native.content, native.description, target)
    except UnsupportedPixels:
        assert native.description.floating or depth > 16 or depth == 1
        return

    decoded = decode_frame(encoded.content, encoded.description)

    before, after = (
        stored_values(from_bytes(each.content, each.description), each.description)
        for each in (native, decoded)
    )
    assert np.array_equal(before, after)
    assert can_decode(encoded.description.transfer_syntax)
