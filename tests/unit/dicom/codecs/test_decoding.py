"""Decoding by the rules: order of bytes, signs, colours, sizes. Real files are in `test_real_files`."""

import struct
import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from shared.dicom.codecs import (
    DamagedPixels,
    PixelDescription,
    UnsupportedPixels,
    can_decode,
    check_frame,
    decode_frame,
    encode_frame,
)
from shared.dicom.codecs.syntaxes import (
    DEFLATED_FRAMES,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_XL,
    JPEG_XL_LOSSLESS,
    RLE,
)
from tests.unit.dicom.codecs.making import colour, grey, noise, smooth


def test_native_frames_stay_as_they_are() -> None:
    """Planes too: a client that reads the metadata expects what they say."""
    description = replace(colour(planar=1), transfer_syntax=IMPLICIT_LITTLE)
    content = noise(description)

    frame = decode_frame(content, description)

    assert frame.content == content
    assert frame.description == replace(description, transfer_syntax=EXPLICIT_LITTLE)


BIG_ENDIAN = [
    (grey(1, 2, 16), True, b"\1\2\3\4", b"\2\1\4\3"),
    (grey(1, 1, 32), True, b"\1\2\3\4", b"\4\3\2\1"),
    (grey(1, 4, 8), True, b"\1\2\3\4", b"\2\1\4\3"),
    (grey(1, 4, 8), False, b"\1\2\3\4", b"\1\2\3\4"),
    (grey(1, 3, 8), True, b"\2\1\0\3", b"\1\2\3"),
    (grey(1, 16, 1), True, b"\1\2", b"\2\1"),
]


@pytest.mark.parametrize(("description", "words", "stored", "native"), BIG_ENDIAN)
def test_big_endian_frames_are_turned(
    description: PixelDescription, words: bool, stored: bytes, native: bytes
) -> None:
    """PS3.5 section 7.3: by sample, and by word where bytes and bits are in words."""
    big = replace(description, transfer_syntax=EXPLICIT_BIG, words=words)

    assert decode_frame(stored, big).content == native


def test_a_big_endian_frame_that_ends_within_a_word_is_refused() -> None:
    """Its last byte is in the word after."""
    with pytest.raises(UnsupportedPixels, match="within a word"):
        decode_frame(b"\2\1\0", replace(grey(1, 3), transfer_syntax=EXPLICIT_BIG))


@pytest.mark.parametrize("length", [0, 23, 26, 240])
def test_a_native_frame_of_another_length_is_damaged(length: int) -> None:
    """One byte of padding is no damage."""
    assert decode_frame(bytes(25), grey()).content == bytes(24)
    with pytest.raises(DamagedPixels, match=f"has {length} bytes"):
        decode_frame(bytes(length), grey())


def test_half_chroma_keeps_its_native_form() -> None:
    """Explicit VR Little Endian has it too; a frame takes two thirds."""
    description = replace(colour(2, 4, colours="YBR_FULL_422"), transfer_syntax=IMPLICIT_LITTLE)

    frame = decode_frame(bytes(range(16)), description)

    assert frame.content == bytes(range(16))
    assert frame.description.photometric_interpretation == "YBR_FULL_422"


def _deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(content) + deflater.flush()


def test_deflated_frames_are_inflated_no_further_than_declared() -> None:
    """A bomb is damage."""
    description = replace(grey(), transfer_syntax=DEFLATED_FRAMES)

    assert decode_frame(_deflate(noise(grey())), description).content == noise(grey())
    with pytest.raises(DamagedPixels, match="has 26 bytes"):
        decode_frame(_deflate(bytes(10_000_000)), description)


@pytest.mark.parametrize("target", [JPEG_LS, JPEG_LOSSLESS])
@pytest.mark.parametrize("precision", [9, 12, 16])
def test_codecs_without_a_sign_give_signed_samples(target: str, precision: int) -> None:
    """The top bit of the stream's own precision is the sign (the trap of JPEG-LS and lossless JPEG)."""
    description = replace(grey(8, 8, 16, stored=precision, signed=True), transfer_syntax=target)
    values = np.frombuffer(noise(description), "<i2").reshape(8, 8)
    pattern = (values.astype(int) & (1 << precision) - 1).astype(np.uint16)
    if target == JPEG_LS:
        # The library writes 16 bits alone; a real file has 15.
        stream = bytes(imagecodecs.jpegls_encode(values.view(np.uint16)))
    else:
        stream = bytes(imagecodecs.jpeg8_encode(pattern, lossless=True, bitspersample=precision))

    assert decode_frame(stream, description).content == values.tobytes()


@pytest.mark.parametrize(("stream_signed", "signed"), [(False, True), (True, False), (True, True)])
@pytest.mark.parametrize("precision", [12, 16])
def test_the_dataset_says_whether_jpeg_2000_is_signed(
    stream_signed: bool, signed: bool, precision: int
) -> None:
    """Streams that disagree are read by the bits they hold."""
    description = replace(
        grey(16, 16, 16, stored=precision, signed=signed), transfer_syntax=JPEG_2000_LOSSLESS
    )
    wanted = np.frombuffer(noise(description), "<i2" if signed else "<u2").reshape(16, 16).astype(np.int64)
    pattern = wanted & (1 << precision) - 1
    if stream_signed:
        pattern = np.where(pattern >> precision - 1, pattern - (1 << precision), pattern)
    stream = imagecodecs.jpeg2k_encode(
        pattern.astype(np.int16 if stream_signed else np.uint16),
        level=0,
        codecformat="j2k",
        bitspersample=precision,
        reversible=True,
    )

    content = decode_frame(bytes(stream), description).content

    assert np.array_equal(np.frombuffer(content, "<i2" if signed else "<u2").reshape(16, 16), wanted)


PRIMARY = np.broadcast_to(np.array([200, 40, 90], np.uint8), (16, 16, 3))


def _jpeg(stored: str, subsampling: str | None = None) -> bytes:
    """A JPEG of one colour, with the markers that the library writes for it."""
    pixels = PRIMARY.copy()
    return bytes(imagecodecs.jpeg8_encode(pixels, level=100, outcolorspace=stored, subsampling=subsampling))


def _without(stream: bytes, *markers: int) -> bytes:
    """A JPEG stream without segments that may tell its colours."""
    kept, position = stream[:2], 2
    while stream[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        if stream[position + 1] not in markers:
            kept += stream[position:end]
        position = end
    return kept + stream[position:]


APPLICATION = (0xE0, 0xEE)
COLOURS = [
    # (stream, what the dataset says)
    (_jpeg("YCBCR"), "YBR_FULL_422"),
    (_jpeg("YCBCR"), "RGB"),
    (_jpeg("RGB"), "RGB"),
    (_jpeg("RGB"), "YBR_FULL_422"),
    (_without(_jpeg("YCBCR", subsampling="444"), *APPLICATION), "YBR_FULL"),
    (_without(_jpeg("YCBCR", subsampling="420"), *APPLICATION), "RGB"),
    (_without(_jpeg("RGB"), *APPLICATION), "YBR_FULL"),
    (_without(_jpeg("RGB"), *APPLICATION).replace(b"R\x11\0G\x11\0B\x11\0", b"\0\x11\0\1\x11\0\2\x11\0")
     .replace(b"\3R\0G\0B\0", b"\3\0\0\1\0\2\0"), "RGB"),
]  # fmt: skip


@pytest.mark.parametrize(("stream", "declared"), COLOURS)
def test_colour_jpeg_comes_out_as_rgb_whatever_the_dataset_says(stream: bytes, declared: str) -> None:
    """By Adobe's marker, JFIF's, the names and the sampling of components, and at last the dataset."""
    description = replace(colour(16, 16, colours=declared), transfer_syntax=JPEG_BASELINE)

    frame = decode_frame(stream, description)

    assert frame.description.photometric_interpretation == "RGB"
    assert np.abs(np.frombuffer(frame.content, np.uint8).reshape(16, 16, 3) - PRIMARY.astype(int)).max() <= 2


@pytest.mark.parametrize(
    ("target", "declared", "after"),
    [(RLE, "YBR_FULL", "YBR_FULL"), (JPEG_LS, "YBR_FULL", "YBR_FULL"), (JPEG_2000_LOSSLESS, "RGB", "RGB")],
)
def test_lossless_colour_stays_as_stored(target: str, declared: str, after: str) -> None:
    """Only a codec's own transform is undone."""
    description = colour(colours=declared)
    encoded = encode_frame(noise(description), description, target)

    frame = decode_frame(encoded.content, replace(encoded.description, planar_configuration=1))

    assert frame.content == noise(description)
    assert frame.description.photometric_interpretation == after
    assert frame.description.planar_configuration == 0


@pytest.mark.parametrize("declared", ["YBR_RCT", "YBR_ICT"])
def test_transforms_of_jpeg_2000_are_undone(declared: str) -> None:
    """They are the codec's, whichever the dataset names."""
    encoded = encode_frame(noise(colour()), colour(), JPEG_2000_LOSSLESS)

    frame = decode_frame(encoded.content, replace(encoded.description, photometric_interpretation=declared))

    assert frame.content == noise(colour())
    assert frame.description.photometric_interpretation == "RGB"


def test_boxes_around_a_codestream_are_passed_over() -> None:
    """Some writers put them there, and PS3.5 A.4.4 forbids it."""
    description = replace(grey(8, 8), transfer_syntax=JPEG_2000)
    samples = np.frombuffer(noise(description), np.uint8).reshape(8, 8)
    boxed = imagecodecs.jpeg2k_encode(samples, level=0, codecformat="jp2", reversible=True)

    assert boxed[4:8] == b"jP  "
    assert decode_frame(bytes(boxed), description).content == noise(description)


@pytest.mark.parametrize("description", [grey(9, 8), grey(9, 8, 16, stored=10), colour(9, 8, bits=16)])
@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl_is_read(description: PixelDescription, container: bool) -> None:
    """Bare or in a container, grey and colour, 8 bits and more."""
    kind = f"<u{description.bits_allocated // 8}"
    shape = (9, 8, 3) if description.samples_per_pixel == 3 else (9, 8)
    stream = imagecodecs.jpegxl_encode(
        np.frombuffer(noise(description), kind).reshape(shape),
        lossless=True,
        bitspersample=description.bits_stored,
        usecontainer=container,
    )

    frame = decode_frame(bytes(stream), replace(description, transfer_syntax=JPEG_XL_LOSSLESS))

    assert frame.content == noise(description)
    assert decode_frame(bytes(stream), replace(description, transfer_syntax=JPEG_XL)).content == frame.content


def test_bits_are_packed_again_when_jpeg_2000_held_them_as_samples() -> None:
    """Native pixels of one bit fill a byte from its low end."""
    encoded = encode_frame(b"\x01\x80\x0f", grey(3, 8, 1), JPEG_2000_LOSSLESS)

    assert decode_frame(encoded.content, encoded.description).content == b"\x01\x80\x0f"


VIDEO = ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107"]
OTHERS = ["1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.94", "1.2.3", ""]


@pytest.mark.parametrize("transfer_syntax", [*VIDEO, *OTHERS])
def test_what_nobody_decodes_is_refused_by_name(transfer_syntax: str) -> None:
    """Video, Part 2, JPIP and what is unknown."""
    assert not can_decode(transfer_syntax)
    with pytest.raises(UnsupportedPixels, match=f"transfer syntax {transfer_syntax} cannot"):
        decode_frame(b"", replace(grey(), transfer_syntax=transfer_syntax))


WRONG = [
    (replace(grey(), rows=0), "Rows and Columns"),
    (replace(grey(), columns=65536), "Rows and Columns"),
    (replace(grey(), rows=65535, columns=65535), "beyond the limit"),
    (replace(grey(), samples_per_pixel=2), "Samples per Pixel"),
    (replace(grey(), bits_allocated=12), "Bits Allocated"),
    (replace(grey(), bits_stored=0), "Bits Stored"),
    (replace(grey(), bits_stored=9), "Bits Stored"),
    (replace(grey(), high_bit=8), "High Bit"),
    (replace(grey(), high_bit=6), "High Bit"),
    (replace(colour(), bits_allocated=1, bits_stored=1, high_bit=0), "one sample"),
]


@pytest.mark.parametrize(("description", "reason"), WRONG)
def test_impossible_descriptions_are_refused_before_anything_is_decoded(
    description: PixelDescription, reason: str
) -> None:
    """And before anything is reserved."""
    with pytest.raises(UnsupportedPixels, match=reason):
        decode_frame(b"", replace(description, transfer_syntax=JPEG_2000))


def test_the_limit_is_the_callers() -> None:
    """Of bytes in a native frame."""
    assert decode_frame(bytes(24), grey(), max_bytes=24).content == bytes(24)
    with pytest.raises(UnsupportedPixels, match="24 bytes is beyond the limit of 23"):
        decode_frame(bytes(24), grey(), max_bytes=23)


MISMATCHES = [
    (JPEG_BASELINE, grey(5, 6), "6 x 4 pixels, but the dataset says 6 x 5"),
    (JPEG_LS, grey(4, 7), "6 x 4 pixels, but the dataset says 7 x 4"),
    (JPEG_2000_LOSSLESS, colour(4, 6), "1 samples per pixel, but the dataset says 3"),
    (RLE, grey(4, 6, 16), "1 segments where its pixels need 2"),
    (RLE, grey(4, 7), "shorter than its pixels"),
]


@pytest.mark.parametrize(("target", "declared", "reason"), MISMATCHES)
def test_a_frame_of_another_size_than_declared_is_damaged(
    target: str, declared: PixelDescription, reason: str
) -> None:
    """Whatever the codec; nothing is padded or cut."""
    stream = encode_frame(smooth(grey()), grey(), target).content

    with pytest.raises(DamagedPixels, match=reason):
        decode_frame(stream, replace(declared, transfer_syntax=target))


@pytest.mark.parametrize(("target", "declared", "reason"), MISMATCHES[:3])
def test_a_header_tells_so_before_a_frame_is_decoded(
    target: str, declared: PixelDescription, reason: str
) -> None:
    """A good one, and one that says nothing of its size, pass."""
    frame = encode_frame(smooth(grey()), grey(), target)

    check_frame(frame.content, frame.description)
    check_frame(b"", grey())
    with pytest.raises(DamagedPixels, match=reason):
        check_frame(frame.content, replace(declared, transfer_syntax=target))


def test_deeper_samples_than_allocated_are_damaged() -> None:
    """They would not fit."""
    stream = encode_frame(noise(grey(bits=16)), grey(bits=16), JPEG_LS).content

    with pytest.raises(DamagedPixels, match="16 bits, but the dataset allocates 8"):
        decode_frame(stream, replace(grey(), transfer_syntax=JPEG_LS))


def test_a_jpeg_cut_off_is_damaged_and_not_half_grey() -> None:
    """The library fills what is missing and says nothing."""
    stream = encode_frame(noise(grey(64, 64)), grey(64, 64), JPEG_BASELINE).content
    description = replace(grey(64, 64), transfer_syntax=JPEG_BASELINE)

    for length in (len(stream) - 1, len(stream) // 2, 30, 3, 0):
        with pytest.raises(DamagedPixels, match=r"cut off|not start|no header"):
            decode_frame(stream[:length], description)


def test_rle_segments_must_lie_in_order_within_the_frame() -> None:
    """Offsets lie."""
    description = replace(grey(1, 2, 16), transfer_syntax=RLE)
    body = b"\1\1\2\0" * 2
    for offsets in ((64, 60), (60, 64), (64, 999), (68, 64)):
        frame = struct.pack("<16I", 2, *offsets, *[0] * 13) + body

        with pytest.raises(DamagedPixels, match="overlap or are cut off"):
            decode_frame(frame, description)


def test_floating_point_is_native_alone() -> None:
    """PS3.5 has no compressed form of it."""
    description = replace(grey(2, 2, 32), floating=True)

    assert decode_frame(bytes(16), description).content == bytes(16)
    with pytest.raises(UnsupportedPixels, match="floating point"):
        decode_frame(bytes(16), replace(description, transfer_syntax=JPEG_LS))
