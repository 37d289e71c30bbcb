"""Frames as stored: API rules section 5, PS3.5 annex A.4."""

import httpx
import pytest

from local.dev.service import Service
from tests.archive import ANY_FRAME, Archive, parts_of
from tests.factories import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    RLE,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_encapsulated,
    make_image,
)

SINGLE = "application/octet-stream; transfer-syntax=*"

JPEGS = [b"\xff\xd8" + bytes([number]) * (20 + 2 * number) + b"\xff\xd9" for number in range(6)]
NATIVE, JPEG = make_image(2), make_encapsulated(JPEGS[:2])


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds `NATIVE` and `JPEG`, for tests that only read them."""
    archive = Archive.fresh(http, service.url)
    archive.keep(NATIVE, JPEG)
    return archive


def ask(archive: Archive, image: Instance, frames: str, accept: str | None = ANY_FRAME) -> list[bytes]:
    """The frames of an answer that must be good."""
    answer = archive.get(f"{image.path}/frames/{frames}", accept)
    assert answer.status_code == 200, answer.text
    return [part.content for part in parts_of(answer)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_native_frames_are_slices_of_the_pixel_data(archive: Archive, syntax: str) -> None:
    """Section 5.3: a frame of these leaves as Explicit VR Little Endian, whose bytes it has."""
    image = make_image(5, transfer_syntax=syntax)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/1,2,3,4,5", ANY_FRAME)

    parts = parts_of(answer)
    assert tuple(part.content for part in parts) == image.frames
    assert {part.content_type for part in parts} == {f"application/octet-stream; transfer-syntax={EXPLICIT}"}


@pytest.mark.parametrize("table", ["basic", "empty", "extended"])
def test_encapsulated_frames_are_found_by_any_table(archive: Archive, table: str) -> None:
    """Section 5.3: no item headers; basic, empty and extended offset tables (checklist 34)."""
    image = make_encapsulated(JPEGS, table=table)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/6,1,3", ANY_FRAME)

    parts = parts_of(answer)
    assert [part.content for part in parts] == [JPEGS[5], JPEGS[0], JPEGS[2]]
    assert {part.transfer_syntax for part in parts} == {JPEG_BASELINE}


def test_the_fragments_of_a_frame_are_joined(archive: Archive) -> None:
    """Section 5.3: several fragments a frame, told apart by the basic offset table."""
    image = make_encapsulated(JPEGS, fragments=3)
    archive.keep(image)

    assert ask(archive, image, "2,6") == [JPEGS[1], JPEGS[5]]


def test_one_frame_of_many_fragments_needs_no_table(archive: Archive) -> None:
    """PS3.5 A.4: with one frame all fragments are its."""
    image = make_encapsulated(JPEGS[5:], fragments=4, table="empty")
    archive.keep(image)

    assert ask(archive, image, "1") == JPEGS[5:]


def test_frames_come_in_the_order_asked_and_may_repeat(archive: Archive) -> None:
    """Section 5.1."""
    image = make_image(4)
    archive.keep(image)

    assert ask(archive, image, "3,1,3") == [image.frames[2], image.frames[0], image.frames[2]]


@pytest.mark.parametrize("frames", ["2%2C1", "2%2c1", "2,%201", " 2 , 1 "])
def test_the_comma_may_be_encoded(kept: Archive, frames: str) -> None:
    """Section 5.1."""
    assert ask(kept, NATIVE, frames) == [NATIVE.frames[1], NATIVE.frames[0]]


@pytest.mark.parametrize("frames", ["0", "-1", "1,0", "2,-2"])
def test_numbers_below_one_are_refused_before_the_lookup(kept: Archive, frames: str) -> None:
    """Section 5.1: 400, also for an instance that does not exist."""
    assert kept.get(f"{NATIVE.path}/frames/{frames}", ANY_FRAME).status_code == 400
    assert kept.get(f"{make().path}/frames/{frames}", ANY_FRAME).status_code == 400


@pytest.mark.parametrize("frames", ["one", "1;2", "1.5", "1,x", "1,,2", "1,"])
def test_what_is_no_number_is_no_resource(kept: Archive, frames: str) -> None:
    """Section 5.1: 404."""
    assert kept.get(f"{NATIVE.path}/frames/{frames}", ANY_FRAME).status_code == 404


@pytest.mark.parametrize("frames", ["3", "1,3", "999999999", "1,99999999999999999999"])
def test_a_number_beyond_the_last_frame_is_404(kept: Archive, frames: str) -> None:
    """Section 5.1."""
    for image in (NATIVE, JPEG):
        assert kept.get(f"{image.path}/frames/{frames}", ANY_FRAME).status_code == 404


def test_an_instance_without_pixels_has_no_frames(archive: Archive) -> None:
    """Section 5.1: 404, as for an instance that does not exist."""
    instance = make()
    archive.keep(instance)

    assert archive.get(f"{instance.path}/frames/1", ANY_FRAME).status_code == 404
    assert archive.get(f"{make().path}/frames/1", ANY_FRAME).status_code == 404


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "*",
        'multipart/related; type="*/*"',
        "multipart/related",
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
        'multipart/related;type="application/octet-stream";transfer-syntax=*;',
        "multipart/related; type=application/octet-stream; transfer-syntax=*; transfer-syntax=*",
        'multipart/related; type="image/jls"; transfer-syntax="1.2.840.10008.1.2.4.80"; transfer-syntax="*"',
        'multipart/related; type="application/octet-stream"; transfer-syntax=*; boundary=**',
        f'multipart/related; type="image/jpx", {ANY_FRAME}',
        "garbage, multipart/related; type=application/octet-stream; transfer-syntax=*",
    ],
)
@pytest.mark.parametrize("image", [NATIVE, JPEG], ids=["native", "encapsulated"])
def test_every_accept_header_of_real_clients_gives_the_same_frame(
    kept: Archive, accept: str | None, image: Instance
) -> None:
    """Section 5.2, clients sections 2.1, 2.2 and 4.1; checklist 2 to 4 and 6."""
    assert ask(kept, image, "1", accept) == [image.frames[0]]


def test_one_frame_may_come_in_a_single_part(archive: Archive) -> None:
    """Section 5.4."""
    image = make_encapsulated(JPEGS, fragments=2)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/4", SINGLE)

    assert answer.headers["Content-Type"] == f"application/octet-stream; transfer-syntax={JPEG_BASELINE}"
    assert answer.headers["Content-Length"] == str(len(JPEGS[3]))
    assert answer.content == JPEGS[3]


def test_several_frames_do_not_fit_a_single_part(archive: Archive) -> None:
    """Section 5.1: 400."""
    image = make_image(2)
    archive.keep(image)

    assert archive.get(f"{image.path}/frames/1,2", SINGLE).status_code == 400


@pytest.mark.parametrize(
    "accept",
    [
        f'multipart/related; type="application/octet-stream"; transfer-syntax={JPEG_2000}',
        "video/mp4",
        "application/dicom",
        "application/dicom+json",
    ],
)
def test_what_cannot_be_given_is_406(kept: Archive, accept: str) -> None:
    """Section 5.2."""
    assert kept.get(f"{NATIVE.path}/frames/1", accept).status_code == 406


@pytest.mark.parametrize("accept", ["video/mp4", "application/dicom"])
def test_a_wrong_type_is_406_before_404(kept: Archive, accept: str) -> None:
    """Section 4.1: Accept is judged before lookup."""
    assert kept.get(f"{make().path}/frames/1", accept).status_code == 406


@pytest.mark.parametrize(
    ("media_type", "syntax"),
    [("image/jpeg", JPEG_BASELINE), ("image/jp2", JPEG_2000), ("image/dicom-rle", RLE)],
)
def test_an_image_type_fits_its_transfer_syntaxes(archive: Archive, media_type: str, syntax: str) -> None:
    """PS3.18 table 8.7.3-5."""
    image = make_encapsulated(JPEGS[:1], transfer_syntax=syntax)
    archive.keep(image)

    single = archive.get(f"{image.path}/frames/1", f"{media_type}; transfer-syntax=*")
    multiple = archive.get(
        f"{image.path}/frames/1", f'multipart/related; type="{media_type}"; transfer-syntax={syntax}'
    )

    assert single.headers["Content-Type"] == f"{media_type}; transfer-syntax={syntax}"
    assert single.content == JPEGS[0]
    assert [part.content_type for part in parts_of(multiple)] == [f"{media_type}; transfer-syntax={syntax}"]


def test_a_big_endian_frame_tells_that_it_is_one(archive: Archive) -> None:
    """Section 5.3: as stored, with the syntax that its bytes have."""
    dataset = make_dataset(Rows=1, Columns=2, BitsAllocated=16, SamplesPerPixel=1)
    dataset.PixelData = b"\x00\x01\x00\x02"
    dataset["PixelData"].VR = "OW"
    image = as_instance(dataset, BIG_ENDIAN)
    archive.keep(image)

    (part,) = parts_of(archive.get(f"{image.path}/frames/1", ANY_FRAME))

    assert part.transfer_syntax == BIG_ENDIAN
    assert part.content == b"\x00\x01\x00\x02"


def test_one_bit_frames_need_not_end_with_a_byte(archive: Archive) -> None:
    """PS3.5 section 8.1.1, checklist 35: frames of 3 x 3 bits lie side by side in the bytes."""
    bits = [int(bit) for bit in "101100101011011001111000111"]
    dataset = make_dataset(Rows=3, Columns=3, BitsAllocated=1, SamplesPerPixel=1, NumberOfFrames=3)
    dataset.PixelData = pack(bits)
    dataset["PixelData"].VR = "OB"
    image = as_instance(dataset)
    archive.keep(image)

    frames = ask(archive, image, "1,2,3")

    assert frames == [pack(bits[:9]), pack(bits[9:18]), pack(bits[18:])]


def pack(bits: list[int]) -> bytes:
    """Bits as bytes, the first in the lowest place, padded to whole bytes."""
    padded = bits + [0] * (-len(bits) % 8)
    return bytes(
        sum(bit << place for place, bit in enumerate(padded[at : at + 8])) for at in range(0, len(padded), 8)
    )


def test_frames_of_odd_length_lie_side_by_side(archive: Archive) -> None:
    """Checklist 35: only the whole of native pixel data is padded."""
    dataset = make_dataset(Rows=3, Columns=3, BitsAllocated=8, SamplesPerPixel=1, NumberOfFrames=3)
    dataset.PixelData = bytes(range(27)) + b"\0"
    dataset["PixelData"].VR = "OB"
    image = as_instance(dataset)
    archive.keep(image)

    assert ask(archive, image, "2,3") == [bytes(range(9, 18)), bytes(range(18, 27))]


def test_the_same_question_gives_the_same_bytes(archive: Archive) -> None:
    """Clients section 2.2: Cornerstone3D joins byte ranges of several answers."""
    image = make_encapsulated(JPEGS, fragments=2)
    archive.keep(image)

    first, second = (archive.get(f"{image.path}/frames/2,1", ANY_FRAME) for _ in range(2))

    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert first.headers["Content-Length"] == str(len(first.content))
    assert first.content == second.content


def test_frames_in_a_pack_of_files_are_found(archive: Archive) -> None:
    """Small files of one request share a blob; each keeps its own positions."""
    study = make().study
    images = [make_image(3, StudyInstanceUID=study) for _ in range(5)]
    archive.keep(*images)

    for image in images:
        assert ask(archive, image, "3,2") == [image.frames[2], image.frames[1]]
