"""Conversion to another transfer syntax on retrieval: API rules sections 4.2 and 5.3."""

import io
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from local.dev.service import Service
from shared.dicom.codecs import PixelDescription, decode_frame, encode_frame
from tests.archive import Archive, parts_of
from tests.factories import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    MPEG_2,
    RLE,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_encapsulated,
    make_image,
    new_uid,
)
from tests.unit.dicom.codecs.making import colour, grey, noise

HTJ2K, HTJ2K_RPCL, JPEG_LS = (f"1.2.840.10008.1.2.4.{last}" for last in (201, 202, 80))
HEVC = "1.2.840.10008.1.2.4.107"
NO_LOSS = (JPEG_2000, HTJ2K, HTJ2K_RPCL, JPEG_LS, RLE)
SINGLE = "application/dicom; transfer-syntax={}"
PARTS = 'multipart/related; type="application/dicom"; transfer-syntax={}'
FRAME = "application/octet-stream; transfer-syntax={}"


def compressed(
    frames: Sequence[bytes], description: PixelDescription, syntax: str, **attributes: object
) -> Instance:
    """A file whose frames, given native, are compressed."""
    encoded = [encode_frame(frame, description, syntax) for frame in frames]
    even = [frame.content + b"\0" * (len(frame.content) % 2) for frame in encoded]
    colours = encoded[0].description.photometric_interpretation
    dataset = make_dataset(NumberOfFrames=len(frames), **attributes)
    describe(dataset, replace(description, photometric_interpretation=colours, planar_configuration=0))
    dataset.PixelData = encapsulate(even)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return as_instance(dataset, syntax, frames=frames)


def describe(dataset: Dataset, description: PixelDescription) -> None:
    """Put what is known of the pixels into a dataset."""
    dataset.Rows, dataset.Columns = description.rows, description.columns
    dataset.SamplesPerPixel = description.samples_per_pixel
    dataset.PhotometricInterpretation = description.photometric_interpretation
    dataset.BitsAllocated, dataset.BitsStored = description.bits_allocated, description.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = description.high_bit, description.pixel_representation
    if description.samples_per_pixel > 1:
        dataset.PlanarConfiguration = description.planar_configuration


def file_of(answer: httpx.Response) -> Dataset:
    """The file in an answer that must be good."""
    assert answer.status_code == 200, answer.text
    if answer.headers["Content-Type"].startswith("multipart"):
        (part,) = parts_of(answer)
        content = part.content
    else:
        content = answer.content
    found = pydicom.dcmread(io.BytesIO(content))
    assert found.file_meta.TransferSyntaxUID in answer.headers["Content-Type"] + str(content[:2000])
    return found


GREY, COLOUR = grey(8, 10, 16), colour(8, 10)
GREYS, COLOURS = ([noise(each, seed) for seed in range(3)] for each in (GREY, COLOUR))


@pytest.mark.parametrize("syntax", NO_LOSS)
@pytest.mark.parametrize(("description", "frames"), [(GREY, GREYS), (COLOUR, COLOURS)], ids=["grey", "rgb"])
def test_compressed_files_come_uncompressed(
    archive: Archive, syntax: str, description: PixelDescription, frames: list[bytes]
) -> None:
    """Section 4.2: single part and multipart, with Content-Length, nothing changed but the pixels' form."""
    image = compressed(frames, description, syntax)
    archive.keep(image)

    answer = archive.get(image.path, SINGLE.format(EXPLICIT))
    again = archive.get(image.path, PARTS.format(EXPLICIT))

    found = file_of(answer)
    assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert found.PixelData == b"".join(frames)
    assert found.PhotometricInterpretation == description.photometric_interpretation
    assert found.PatientName == "Doe^Jane"
    assert [part.content for part in parts_of(again)] == [answer.content]


@pytest.mark.parametrize("syntax", NO_LOSS)
@pytest.mark.parametrize(("description", "frames"), [(GREY, GREYS), (COLOUR, COLOURS)], ids=["grey", "rgb"])
def test_uncompressed_files_come_compressed(
    archive: Archive, syntax: str, description: PixelDescription, frames: list[bytes]
) -> None:
    """Section 4.2: each frame one fragment, an empty offset table (PS3.5 A.4), and the same pixels in it."""
    dataset = make_dataset(NumberOfFrames=3)
    describe(dataset, description)
    dataset.PixelData = b"".join(frames)
    dataset["PixelData"].VR = "OW"
    image = as_instance(dataset)
    archive.keep(image)

    found = file_of(archive.get(image.path, SINGLE.format(syntax)))

    assert found.file_meta.TransferSyntaxUID == syntax
    stored = list(generate_frames(found.PixelData, number_of_frames=3))
    colours = found.PhotometricInterpretation
    known = replace(description, transfer_syntax=syntax, photometric_interpretation=colours)
    assert [decode_frame(frame, known).content for frame in stored] == frames
    assert found["PixelData"].VR == "OB"
    assert all(len(frame) % 2 == 0 for frame in stored)


@pytest.mark.parametrize("wanted", [EXPLICIT, JPEG_2000])
@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED, EXPLICIT])
def test_native_files_in_any_form(archive: Archive, syntax: str, wanted: str) -> None:
    """Section 4.2: every element in explicit VR little endian; sequences and private elements stay."""
    description = grey(5, 7, 16)
    frames = [noise(description, seed) for seed in range(2)]
    dataset = make_dataset(NumberOfFrames=2, PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 100")
    describe(dataset, description)
    dataset.ReferencedImageSequence = [make_dataset(InstanceNumber=7), Dataset()]
    dataset.add_new(0x00090010, "LO", "SOMEBODY")
    dataset.add_new(0x00091001, "UN", b"\1\2\3\4")
    dataset.SliceThickness = "1.50"
    dataset.FrameIncrementPointer = 0x00181063
    pixels = b"".join(frames)
    dataset.PixelData = swapped(pixels) if syntax == BIG_ENDIAN else pixels
    dataset["PixelData"].VR = "OW"
    dataset.add_new(0xFFFAFFFA, "SQ", [make_dataset(InstanceNumber=9)])
    image = as_instance(dataset, syntax, frames=frames)
    archive.keep(image)

    found = file_of(archive.get(image.path, SINGLE.format(wanted)))

    if wanted == EXPLICIT:
        assert found.PixelData == pixels
    else:
        known = replace(description, transfer_syntax=wanted)
        given = generate_frames(found.PixelData, number_of_frames=2)
        assert [decode_frame(frame, known).content for frame in given] == frames
    assert str(found.PatientName) == "Müller^Änne"
    assert [item.get("InstanceNumber") for item in found.ReferencedImageSequence] == [7, None]
    assert found[0x00091001].value == b"\1\2\3\4"
    assert (found.SliceThickness.original_string, found.FrameIncrementPointer) == ("1.50", 0x00181063)
    assert found[0xFFFAFFFA].value[0].InstanceNumber == 9


def swapped(pixels: bytes) -> bytes:
    """Words in the other order."""
    turned = bytearray(pixels)
    turned[::2], turned[1::2] = pixels[1::2], pixels[::2]
    return bytes(turned)


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("wanted", [EXPLICIT, JPEG_2000])
def test_an_instance_without_pixels_is_written_anew(archive: Archive, syntax: str, wanted: str) -> None:
    """Section 4.2, last row."""
    instance = make(syntax, SliceThickness="2")
    archive.keep(instance)

    found = file_of(archive.get(instance.path, SINGLE.format(wanted)))

    assert found.file_meta.TransferSyntaxUID == wanted
    assert found.file_meta.MediaStorageSOPInstanceUID == instance.instance
    assert (str(found.PatientName), found.SliceThickness) == ("Doe^Jane", 2)


def test_a_type_without_a_syntax_means_explicit_little_endian(archive: Archive) -> None:
    """Section 4.1, column of defaults, for an instance, a series, a study and a frame."""
    image = compressed(GREYS, GREY, JPEG_LS)
    archive.keep(image)
    parts = 'multipart/related; type="application/dicom"'

    answers = [
        archive.get(image.path, "application/dicom"),
        *(archive.get(path, parts) for path in (image.path, image.series_path, f"studies/{image.study}")),
    ]
    frame = archive.get(f"{image.path}/frames/2", "application/octet-stream")

    assert {file_of(answer).PixelData for answer in answers} == {b"".join(GREYS)}
    assert frame.headers["Content-Type"] == FRAME.format(EXPLICIT)
    assert frame.content == GREYS[1]


@pytest.mark.parametrize("accept", [SINGLE.format("*"), "*/*", None])
@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_who_takes_anything_gets_what_is_stored(archive: Archive, syntax: str, accept: str | None) -> None:
    """Section 4.2: `*` is never converted."""
    image = make_image(transfer_syntax=syntax)
    archive.keep(image)

    answer = archive.get(image.path, accept)

    assert image.content in answer.content


@pytest.mark.parametrize("syntax", [MPEG_2, HEVC, "1.2.840.10008.1.2.4.92"])
def test_what_nothing_decodes_comes_as_stored_or_not_at_all(archive: Archive, syntax: str) -> None:
    """Section 4.2, Q-09: 406 for who names a syntax; who names none gets the file that there is."""
    image = make_encapsulated([b"abcd"], transfer_syntax=syntax)
    archive.keep(image)
    frame = f"{image.path}/frames/1"

    for wanted in (EXPLICIT, JPEG_2000):
        assert archive.get(image.path, SINGLE.format(wanted)).status_code == 406
        assert archive.get(f"studies/{image.study}", PARTS.format(wanted)).status_code == 406
    assert archive.get(frame, FRAME.format(EXPLICIT)).status_code == 406
    assert archive.get(frame, "image/jp2").status_code == 406
    assert archive.get(image.path, "application/dicom").content == image.content
    assert archive.get(frame, "application/octet-stream").content == b"abcd"


def test_damaged_pixels_are_406(archive: Archive) -> None:
    """Section 4.2: codec failure; in a study too, while little has been sent. Others come as stored."""
    study = new_uid()
    damaged = make_encapsulated([b"\xff\xd8no\xff\xd9"], StudyInstanceUID=study)
    archive.keep(make_image(StudyInstanceUID=study), damaged)

    for path in (damaged.path, damaged.series_path, f"studies/{study}"):
        answer = archive.get(path, PARTS.format(EXPLICIT))
        assert answer.status_code == 406, path
        assert "header" in answer.text
    assert archive.get(f"{damaged.path}/frames/1", FRAME.format(EXPLICIT)).status_code == 406
    assert archive.get(damaged.path, "application/dicom").content == damaged.content
    unnamed = archive.get(f"studies/{study}", 'multipart/related; type="application/dicom"')
    assert {part.transfer_syntax for part in parts_of(unnamed)} == {EXPLICIT, JPEG_BASELINE}


def test_a_mixed_study_is_converted_instance_by_instance(archive: Archive) -> None:
    """Q-09: what is stored so is given byte for byte, in one answer whose parts all say the same syntax."""
    study = new_uid()
    images = [
        make_image(StudyInstanceUID=study),
        compressed(GREYS, GREY, JPEG_2000, StudyInstanceUID=study),
        make_image(StudyInstanceUID=study, transfer_syntax=IMPLICIT),
        make(StudyInstanceUID=study),
        compressed(COLOURS, COLOUR, RLE, StudyInstanceUID=study),
    ]
    archive.keep(*images)

    answer = archive.get(f"studies/{study}", PARTS.format(EXPLICIT))
    again = archive.get(f"studies/{study}", PARTS.format(EXPLICIT))

    parts = parts_of(answer)
    assert {part.transfer_syntax for part in parts} == {EXPLICIT}
    found = {
        str(each.SOPInstanceUID): each for each in (pydicom.dcmread(io.BytesIO(p.content)) for p in parts)
    }
    assert found.keys() == {image.instance for image in images}
    for image in images:
        assert found[image.instance].get("PixelData", b"") == b"".join(image.frames)
    assert images[0].content in [part.content for part in parts]
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert (again.content, again.headers["ETag"]) == (answer.content, answer.headers["ETag"])


def test_a_study_with_video_is_refused_before_the_first_byte(archive: Archive) -> None:
    """Section 4.2: explicit little endian and MPEG-2 cannot both be given as the first."""
    study = new_uid()
    archive.keep(
        compressed(GREYS, GREY, RLE, StudyInstanceUID=study),
        make_encapsulated([b"abcd"], transfer_syntax=MPEG_2, StudyInstanceUID=study),
    )

    assert archive.get(f"studies/{study}", PARTS.format(EXPLICIT)).status_code == 406
    assert archive.get(f"studies/{study}", PARTS.format(JPEG_2000)).status_code == 406


@pytest.mark.parametrize("syntax", NO_LOSS)
def test_frames_come_uncompressed_in_the_order_asked(archive: Archive, syntax: str) -> None:
    """Section 5.3: decoded alone, repeats allowed."""
    image = compressed(GREYS, GREY, syntax)
    archive.keep(image)
    accept = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}'

    parts = parts_of(archive.get(f"{image.path}/frames/3,1,3", accept))

    assert [part.content for part in parts] == [GREYS[2], GREYS[0], GREYS[2]]
    assert {part.content_type for part in parts} == {FRAME.format(EXPLICIT)}


@pytest.mark.parametrize(
    ("media_type", "syntax"),
    [
        ("image/jp2", JPEG_2000),
        ("image/jphc", HTJ2K),
        (f"image/jphc; transfer-syntax={HTJ2K_RPCL}", HTJ2K_RPCL),
        ("image/jls", JPEG_LS),
        ("image/dicom-rle", RLE),
    ],
)
@pytest.mark.parametrize("stored", [EXPLICIT, RLE, JPEG_LS])
def test_frames_come_compressed_without_loss(
    archive: Archive, media_type: str, syntax: str, stored: str
) -> None:
    """Section 5.3: to 4.90 lossless; the others as clients section 4.1 has them."""
    image = native(GREYS) if stored == EXPLICIT else compressed(GREYS, GREY, stored)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/2", media_type)

    assert answer.headers["Content-Type"] == f"{media_type.partition(';')[0]}; transfer-syntax={syntax}"
    assert answer.headers["Content-Length"] == str(len(answer.content))
    known = replace(GREY, transfer_syntax=syntax)
    assert decode_frame(answer.content, known).content == GREYS[1]


def native(frames: Sequence[bytes]) -> Instance:
    """A file with grey frames that are not compressed."""
    dataset = make_dataset(NumberOfFrames=len(frames))
    describe(dataset, GREY)
    dataset.PixelData = b"".join(frames)
    dataset["PixelData"].VR = "OW"
    return as_instance(dataset, frames=frames)


def test_a_lossy_frame_is_made_where_it_is_named(archive: Archive) -> None:
    """Clients section 4.1: JPEG Baseline by name, never unasked; of a whole file never."""
    description = grey(16, 16, 8)
    flat = bytes(range(256))
    dataset = make_dataset()
    describe(dataset, description)
    dataset.PixelData = flat
    dataset["PixelData"].VR = "OB"
    image = as_instance(dataset)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/1", f"image/jpeg; transfer-syntax={JPEG_BASELINE}")

    found = decode_frame(answer.content, replace(description, transfer_syntax=JPEG_BASELINE)).content
    assert max(abs(one - other) for one, other in zip(found, flat, strict=True)) < 8
    assert archive.get(f"{image.path}/frames/1", "image/jpeg").status_code == 406
    assert archive.get(image.path, SINGLE.format(JPEG_BASELINE)).status_code == 406


def test_decompressed_lossy_colour_is_rgb_and_stays_marked(archive: Archive) -> None:
    """PS3.5 section 8.2, PS3.3 C.7.6.1.1.5: what was lost once stays lost."""
    image = compressed([bytes([200, 30, 60]) * 256], colour(16, 16), JPEG_BASELINE)
    archive.keep(image)

    found = file_of(archive.get(image.path, SINGLE.format(EXPLICIT)))

    assert (found.PhotometricInterpretation, found.PlanarConfiguration) == ("RGB", 0)
    assert (found.LossyImageCompression, found.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert float(found.LossyImageCompressionRatio) > 1
    assert all(abs(one - other) < 6 for one, other in zip(found.PixelData[:3], (200, 30, 60), strict=True))


@pytest.mark.parametrize("depth", [32, 64])
def test_what_a_syntax_has_no_form_for_is_406(archive: Archive, depth: int) -> None:
    """Section 4.2: samples too deep for JPEG 2000 come without compression."""
    description = grey(4, 4, depth)
    image = compressed([noise(description, 1)], description, RLE)
    archive.keep(image)

    refused = archive.get(image.path, SINGLE.format(JPEG_2000))

    assert refused.status_code == 406
    assert str(depth) in refused.text
    assert archive.get(f"{image.path}/frames/1", "image/jp2").status_code == 406
    assert file_of(archive.get(image.path, SINGLE.format(EXPLICIT))).PixelData == noise(description, 1)


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("bits", [1, 8])
def test_big_endian_frames_of_odd_length(archive: Archive, vr: str, bits: int) -> None:
    """Checklist 35, PS3.5 section 8.1.1: in words, frames share their first and last with the next."""
    description = grey(3, 3, bits)
    frames = [noise(description, seed) for seed in range(3)]
    value = joined(frames, bits)
    dataset = make_dataset(NumberOfFrames=3)
    describe(dataset, description)
    dataset.PixelData = swapped(value) if vr == "OW" else value
    dataset["PixelData"].VR = vr
    image = as_instance(dataset, BIG_ENDIAN)
    archive.keep(image)

    parts = parts_of(archive.get(f"{image.path}/frames/1,2,3", 'multipart/related; type="image/dicom-rle"'))
    plain = [archive.get(f"{image.path}/frames/{n}", FRAME.format(EXPLICIT)).content for n in (3, 2, 1)]
    whole = file_of(archive.get(image.path, SINGLE.format(EXPLICIT)))
    packed = file_of(archive.get(image.path, SINGLE.format(RLE)))

    known = replace(description, transfer_syntax=RLE)
    assert [decode_frame(part.content, known).content for part in parts] == frames
    assert plain == frames[::-1]
    assert whole.PixelData == value
    given = generate_frames(packed.PixelData, number_of_frames=3)
    assert [decode_frame(frame, known).content for frame in given] == frames


def joined(frames: Sequence[bytes], bits: int) -> bytes:
    """Frames of nine pixels in a row, of even length."""
    if bits == 8:
        value = b"".join(frames)
    else:
        number = sum(int.from_bytes(frame, "little") << 9 * index for index, frame in enumerate(frames))
        value = number.to_bytes((9 * len(frames) + 7) // 8, "little")
    return value + b"\0" * (len(value) % 2)


def test_elements_behind_the_pixels_stay(archive: Archive) -> None:
    """A digital signature or the like, whatever is done with the pixels."""
    for syntax in (RLE, EXPLICIT, DEFLATED):
        dataset = pydicom.dcmread(
            io.BytesIO((compressed(GREYS, GREY, RLE) if syntax == RLE else native(GREYS)).content)
        )
        dataset.SOPInstanceUID = new_uid()
        dataset.add_new(0xFFFAFFFA, "SQ", [make_dataset(InstanceNumber=9)])
        image = as_instance(dataset, syntax)
        archive.keep(image)
        for wanted in {EXPLICIT, JPEG_2000} - {syntax}:
            found = file_of(archive.get(image.path, SINGLE.format(wanted)))
            assert found[0xFFFAFFFA].value[0].InstanceNumber == 9


def test_offset_tables_of_the_old_fragments_go(archive: Archive) -> None:
    """Extended offsets would point nowhere."""
    encoded = [encode_frame(frame, GREY, RLE).content for frame in GREYS]
    dataset = make_dataset(NumberOfFrames=3)
    describe(dataset, GREY)
    value, offsets, lengths = pydicom.encaps.encapsulate_extended(
        [frame + b"\0" * (len(frame) % 2) for frame in encoded]
    )
    dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = (
        value,
        offsets,
        lengths,
    )
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    image = as_instance(dataset, RLE)
    archive.keep(image)

    for wanted in (EXPLICIT, JPEG_LS):
        found = file_of(archive.get(image.path, SINGLE.format(wanted)))
        assert "ExtendedOffsetTable" not in found
        assert "ExtendedOffsetTableLengths" not in found


@pytest.fixture(scope="module")
def large(service: Service, http: httpx.Client) -> tuple[Archive, Instance, list[bytes]]:
    """A compressed file that is too large to be converted before its answer begins."""
    description = grey(1024, 1024, 16)
    tile = Random(1).randbytes(64) * 32768
    frames = [number.to_bytes(2, "big") * 524288 + tile[: 1024 * 1024] for number in range(24)]
    archive = Archive.fresh(http, service.url)
    image = compressed(frames, description, RLE)
    archive.keep(image)
    return archive, image, frames


def test_a_large_file_is_streamed(large: tuple[Archive, Instance, list[bytes]]) -> None:
    """Frame by frame; of uncompressed pixels the length is known before they are."""
    archive, image, frames = large

    native = archive.get(image.path, SINGLE.format(EXPLICIT))
    packed = archive.get(image.path, SINGLE.format(JPEG_LS))

    assert native.headers["Content-Length"] == str(len(native.content))
    assert file_of(native).PixelData == b"".join(frames)
    assert "Content-Length" not in packed.headers
    known = replace(grey(1024, 1024, 16), transfer_syntax=JPEG_LS)
    given = list(generate_frames(file_of(packed).PixelData, number_of_frames=len(frames)))
    assert len(given) == len(frames)
    assert decode_frame(given[-1], known).content == frames[-1]


def test_many_frames_are_streamed(large: tuple[Archive, Instance, list[bytes]]) -> None:
    """In the order asked, whichever is converted first."""
    archive, image, frames = large
    numbers = [*range(len(frames), 0, -1), 1]
    accept = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}'

    answer = archive.get(f"{image.path}/frames/{','.join(map(str, numbers))}", accept)

    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert [part.content for part in parts_of(answer)] == [frames[number - 1] for number in numbers]


def test_a_file_beyond_the_limit_is_406(archive: Archive) -> None:
    """Section 4.2: more than 100 MB are not coded as a whole; but elements are rewritten."""
    description = grey(8192, 8000, 16)
    pixels = bytes(description.frame_bytes)
    dataset = make_dataset()
    describe(dataset, description)
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    image = as_instance(dataset, IMPLICIT)
    archive.keep(image)

    refused = archive.get(image.path, SINGLE.format(JPEG_LS))
    rewritten = archive.get(image.path, SINGLE.format(EXPLICIT))

    assert refused.status_code == 406
    assert "104857600" in refused.text
    assert rewritten.headers["Content-Length"] == str(len(rewritten.content))
    assert rewritten.content.endswith(pixels)


def test_who_names_no_syntax_is_not_sent_far_more_than_is_stored(archive: Archive) -> None:
    """PS3.18 section 8.7.3.4: what would be too long comes compressed; by name, the whole is to be had."""
    description = grey(1024, 1024, 16)
    image = compressed([bytes(description.frame_bytes)] * 51, description, RLE)
    archive.keep(image)

    unnamed = archive.get(image.path, "application/dicom")
    named = archive.ask("HEAD", image.path, SINGLE.format(EXPLICIT))

    assert unnamed.content == image.content
    assert named.headers["Content-Type"].endswith(EXPLICIT)
    assert int(named.headers["Content-Length"]) > 100 * 1024 * 1024
    # Other bytes have another tag and another boundary (RFC 9110 section 8.8.3).
    study = f"studies/{image.study}"
    all_unnamed = archive.get(study, 'multipart/related; type="application/dicom"')
    known = {"If-None-Match": all_unnamed.headers["ETag"]}
    all_named = archive.ask("HEAD", study, PARTS.format(EXPLICIT), headers=known)
    assert image.content in all_unnamed.content
    assert all_named.status_code == 200
    assert all_named.headers["Content-Type"] != all_unnamed.headers["Content-Type"]


def calls_of(answer: httpx.Response) -> str:
    """How often storage was asked for an answer."""
    return answer.headers["x-storage-calls"].partition(";")[0]


def test_a_frame_costs_one_row_and_one_range(archive: Archive) -> None:
    """Section 5.3; what the pixels are is read once for all frames of an instance that are converted."""
    image = compressed(GREYS, GREY, JPEG_LS)
    archive.keep(image)
    frame = f"{image.path}/frames/{{}}"

    stored = archive.get(frame.format(1), FRAME.format("*"))
    first = archive.get(frame.format(1), FRAME.format(EXPLICIT))
    later = archive.get(frame.format(2), FRAME.format(EXPLICIT))
    part = archive.get(frame.format(2), FRAME.format("*"), Range="bytes=2-5")
    head = archive.ask("HEAD", frame.format(2), FRAME.format("*"))

    assert [calls_of(answer) for answer in (stored, first, later, part, head)] == ["2", "3", "2", "2", "1"]


def test_an_instance_is_read_once_to_be_converted(archive: Archive) -> None:
    """Its row, the row with all it takes, and the file from its first byte to its last."""
    image = compressed(GREYS, GREY, JPEG_LS)
    archive.keep(image)

    stored = archive.get(image.path, SINGLE.format("*"))
    made = archive.get(image.path, SINGLE.format(EXPLICIT))

    assert [calls_of(answer) for answer in (stored, made)] == ["2", "3"]
