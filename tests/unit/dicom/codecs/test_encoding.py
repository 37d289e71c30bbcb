"""Frames encoded: nothing lost where nothing may be, and streams as PS3.5 wants them."""

from dataclasses import replace
from itertools import product

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from shared.dicom.codecs import PixelDescription, UnsupportedPixels, decode_frame, encode_frame
from shared.dicom.codecs.samples import from_bytes, stored_values
from shared.dicom.codecs.streams import read_jpeg_2000
from shared.dicom.codecs.syntaxes import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    RLE,
)
from tests.unit.dicom.codecs.making import colour, grey, noise, smooth

LOSSLESS = (JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, JPEG_LS, RLE)
SIZES = ((1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (4, 4), (4, 300), (300, 3), (65, 130))

GREY = [
    grey(rows, columns, bits, stored=stored, signed=signed)
    for (rows, columns), (bits, stored), signed in product(
        SIZES, ((8, 8), (8, 5), (16, 16), (16, 12), (16, 9)), (False, True)
    )
]
COLOUR = [
    colour(rows, columns, colours=colours, bits=bits, planar=planar)
    for (rows, columns), bits, planar, colours in product(SIZES, (8, 16), (0, 1), ("RGB", "YBR_FULL"))
]
HALF_CHROMA = [colour(rows, 2 * columns, colours="YBR_FULL_422") for rows, columns in SIZES]


def _survives(description: PixelDescription, target: str, content: bytes) -> bool:
    encoded = encode_frame(content, description, target)
    decoded = decode_frame(encoded.content, encoded.description)
    before, after = from_bytes(content, description), from_bytes(decoded.content, decoded.description)
    return np.array_equal(before, after)


@pytest.mark.parametrize("target", LOSSLESS)
def test_no_bit_is_lost(target: str) -> None:
    """Noise of every size, depth, sign and order of samples."""
    lost = [
        description
        for seed, description in enumerate((*GREY, *COLOUR, *HALF_CHROMA))
        if not _survives(description, target, noise(description, seed))
    ]

    assert lost == []


@pytest.mark.parametrize(("bits", "target"), [(1, JPEG_2000_LOSSLESS), (1, RLE), (32, RLE), (64, RLE)])
def test_depths_that_few_syntaxes_take_survive_there(bits: int, target: str) -> None:
    """Bits are packed in RLE, and samples of one bit in JPEG 2000."""
    for rows, columns in SIZES:
        description = grey(rows, columns, bits)

        assert _survives(description, target, noise(description))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high_bit", [11, 13, 15])
@pytest.mark.parametrize("target", LOSSLESS)
def test_unused_bits_are_not_encoded(target: str, high_bit: int, signed: bool) -> None:
    """PS3.5 section 8.2: streams hold values alone, whatever old writers left around them."""
    description = replace(grey(16, 16, 16, stored=12, signed=signed), high_bit=high_bit)
    content = noise(replace(description, bits_stored=16))

    encoded = encode_frame(content, description, target)

    decoded = decode_frame(encoded.content, encoded.description)
    expected = stored_values(from_bytes(content, description), description)
    assert np.array_equal(from_bytes(decoded.content, decoded.description), expected)
    assert (encoded.description.bits_stored, encoded.description.high_bit) == (12, 11)


@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_2000_has_the_precision_of_the_dataset(signed: bool) -> None:
    """PS3.5 section 8.2.4: Bits Stored, also where unused bits hold something."""
    description = grey(16, 16, 16, stored=12, signed=signed)
    content = noise(replace(description, bits_stored=16))

    encoded = encode_frame(content, description, JPEG_2000_LOSSLESS)

    assert read_jpeg_2000(encoded.content).precision == 12


@pytest.mark.parametrize("target", LOSSLESS)
def test_a_picture_becomes_smaller(target: str) -> None:
    """Or there would be no point."""
    description = grey(128, 128, 16, stored=12)
    content = (np.mgrid[:128, :128][1] // 32).astype("<u2").tobytes()

    assert len(encode_frame(content, description, target).content) < len(content) // 2


PHOTOMETRIC = [
    (colour(), JPEG_2000_LOSSLESS, "YBR_RCT"),
    (colour(), HTJ2K_LOSSLESS, "YBR_RCT"),
    (colour(), HTJ2K_LOSSLESS_RPCL, "YBR_RCT"),
    (colour(), JPEG_LS, "RGB"),
    (colour(), RLE, "RGB"),
    (colour(), JPEG_BASELINE, "YBR_FULL_422"),
    (colour(colours="YBR_FULL"), JPEG_2000_LOSSLESS, "YBR_FULL"),
    (colour(colours="YBR_FULL_422"), JPEG_2000_LOSSLESS, "YBR_FULL"),
    (colour(colours="YBR_FULL_422"), RLE, "YBR_FULL"),
    (colour(colours="YBR_FULL"), JPEG_BASELINE, "YBR_FULL_422"),
    (replace(grey(), photometric_interpretation="PALETTE COLOR"), JPEG_LS, "PALETTE COLOR"),
    (replace(grey(), photometric_interpretation="MONOCHROME1"), JPEG_BASELINE, "MONOCHROME1"),
]


@pytest.mark.parametrize(("description", "target", "colours"), PHOTOMETRIC)
def test_photometric_interpretation_says_what_was_encoded(
    description: PixelDescription, target: str, colours: str
) -> None:
    """PS3.5 section 8.2; planar configuration is 0 in every stream."""
    encoded = encode_frame(noise(description), description, target)

    assert encoded.description.photometric_interpretation == colours
    assert encoded.description.planar_configuration == 0
    assert encoded.description.transfer_syntax == target


REFUSED = [
    (grey(bits=16), JPEG_BASELINE, "8 bits|16 bits"),
    (grey(stored=7), JPEG_BASELINE, "8 bits alone"),
    (grey(signed=True), JPEG_BASELINE, "unsigned"),
    (replace(grey(), photometric_interpretation="PALETTE COLOR"), JPEG_BASELINE, "grey, RGB and YBR_FULL"),
    (grey(bits=32), JPEG_2000_LOSSLESS, "32 bits"),
    (grey(bits=1), JPEG_LS, "1 bits"),
    (replace(grey(bits=32), floating=True), RLE, "floating point"),
    (colour(colours="YBR_PARTIAL_422"), RLE, "YBR_PARTIAL_422"),
    (colour(columns=5, colours="YBR_FULL_422"), RLE, "even number of columns"),
    (replace(grey(), transfer_syntax=EXPLICIT_BIG), RLE, "little endian"),
    (grey(), JPEG_2000, "cannot be encoded"),
    (replace(grey(), rows=0), RLE, "Rows"),
]


@pytest.mark.parametrize(("description", "target", "reason"), REFUSED)
def test_what_has_no_form_is_refused_with_its_reason(
    description: PixelDescription, target: str, reason: str
) -> None:
    """Rather than encoded to something that nobody reads rightly."""
    with pytest.raises(UnsupportedPixels, match=reason):
        encode_frame(bytes(description.frame_bytes), description, target)


def test_native_frames_stay_as_they_are() -> None:
    """Explicit VR Little Endian is what they are in."""
    description = colour(planar=1)
    content = noise(description)

    encoded = encode_frame(content, description, EXPLICIT_LITTLE)

    assert (encoded.content, encoded.description) == (content, description)


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL"])
def test_jpeg_baseline_is_close(colours: str) -> None:
    """Lossy, and with half the chroma."""
    description = colour(64, 64, colours=colours)
    # YBR_FULL comes back as RGB, in which equal samples are grey only when chroma is 128.
    content = smooth(description) if colours == "RGB" else bytes((90, 128, 128)) * 64 * 64

    encoded = encode_frame(content, description, JPEG_BASELINE)
    decoded = decode_frame(encoded.content, encoded.description)

    assert decoded.description.photometric_interpretation == "RGB"
    expected = np.frombuffer(content, np.uint8) if colours == "RGB" else np.full(64 * 64 * 3, 90)
    assert np.abs(np.frombuffer(decoded.content, np.uint8).astype(int) - expected).max() <= 3


def test_another_decoder_reads_our_htj2k() -> None:
    """OpenJPH, where our own decoding is by OpenJPEG."""
    for description in (grey(64, 48, 16), colour(64, 48)):
        content = noise(description)
        for target in (HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL):
            encoded = encode_frame(content, description, target).content

            assert imagecodecs.htj2k_decode(encoded, planar=False).tobytes() == content


@pytest.mark.parametrize("description", [grey(30, 200, 16), colour(31, 7), grey(5, 6, 32), grey(64, 300)])
def test_another_decoder_reads_our_rle(description: PixelDescription) -> None:
    """pydicom's own, in Python."""
    content = noise(description)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(RLE)
    dataset.Rows, dataset.Columns = description.rows, description.columns
    dataset.SamplesPerPixel = description.samples_per_pixel
    dataset.PhotometricInterpretation = description.photometric_interpretation
    dataset.BitsAllocated = dataset.BitsStored = description.bits_allocated
    dataset.PixelRepresentation = dataset.PlanarConfiguration = 0
    dataset.PixelData = encapsulate([encode_frame(content, description, RLE).content])
    dataset["PixelData"].is_undefined_length = True

    assert dataset.pixel_array.tobytes() == content


def test_rle_rows_are_packed_by_themselves() -> None:
    """PS3.5 annex G.3.1: no run crosses the end of a row."""
    description = grey(2, 4)

    encoded = encode_frame(b"\7" * 8, description, RLE).content

    assert encoded[64:] == b"\xfd\7\xfd\7"


def test_rle_segments_are_even() -> None:
    """PS3.5 annex G.5."""
    encoded = encode_frame(b"\1\2", grey(1, 2, 8), RLE).content

    assert encoded[64:] == b"\1\1\2\0"


def test_rpcl_streams_tell_their_parts_first() -> None:
    """PS3.5 A.4.8: resolution by resolution, TLM in the main header, the lowest at most 64 x 64."""
    encoded = encode_frame(bytes(300 * 5000), grey(300, 5000), HTJ2K_LOSSLESS_RPCL).content

    header = encoded[: encoded.index(b"\xff\x90")]
    coding = header[header.index(b"\xff\x52") + 4 :]
    assert b"\xff\x55" in header
    assert coding[1] == 2
    assert 5000 / 2 ** coding[5] <= 64


def test_jpeg_ls_carries_no_foreign_header() -> None:
    """The library's says RGB whatever there is."""
    encoded = encode_frame(noise(grey()), grey(), JPEG_LS).content

    assert encoded[:4] == b"\xff\xd8\xff\xf7"


def test_jpeg_2000_is_a_bare_codestream_of_the_stored_depth() -> None:
    """No boxes (PS3.5 A.4.4), and twelve bits where twelve are stored."""
    description = grey(16, 16, 16, stored=12)

    encoded = encode_frame(noise(description), description, JPEG_2000_LOSSLESS).content

    assert encoded[:4] == b"\xff\x4f\xff\x51"
    assert encoded[42] == 11
