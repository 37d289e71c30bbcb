"""Rendered resources: API rules section 6, PS3.18 sections 8.3.5 and 10.4, clients sections 4.1 and 6."""

import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from local.dev.service import Service
from shared.dicom.codecs.profiles import srgb
from tests import dcmtk
from tests.archive import Archive, parts_of
from tests.factories import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    JPEG_2000,
    MPEG_2,
    RLE,
    Instance,
    make,
    make_encapsulated,
    new_uid,
)
from tests.pictures import make_picture, picture_of, shades
from tests.unit.dicom.codecs import files

PNG = "image/png"
PARTS = 'multipart/related; type="image/png"'
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
HEVC, MPEG_4 = "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.102"

SLOPE = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
EXACT = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
"""Leaves values of 8 bits as they are."""

PLAIN = make_picture(SLOPE, **EXACT)
FRAMES = make_picture(np.stack([SLOPE + number for number in range(3)]), **EXACT)


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds `PLAIN` and `FRAMES`, for tests that only read them."""
    archive = Archive.fresh(http, service.url)
    archive.keep(PLAIN, FRAMES)
    return archive


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "*",
        "image/*",
        "image/jpeg",
        BROWSER,
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        "application/octet-stream",
        'multipart/related; type="application/octet-stream"',
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        'multipart/related; type="image/jpeg"',
        "multipart/related",
        "image/jpeg; transfer-syntax=*",
        "image/webp, image/jpeg, image/png",
        "image/png;q=0.5, image/jpeg",
        "garbage, image/jpeg",
    ],
)
@pytest.mark.parametrize("end", ["rendered", "frames/1/rendered"])
def test_one_picture_is_a_single_part_and_jpeg_by_default(
    kept: Archive, accept: str | None, end: str
) -> None:
    """Section 6, Q-11; OHIF asks for multipart octets (clients section 6, checklist 38)."""
    answer = kept.get(f"{PLAIN.path}/{end}", accept)

    image = picture_of(answer)
    assert (image.format, image.mode, image.size) == ("JPEG", "L", (6, 4))
    assert int(answer.headers["Content-Length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "PNG"),
        ("image/gif", "GIF"),
        ("image/jpeg;q=0.5, image/png", "PNG"),
        ("image/webp, image/gif;q=0.3, image/png;q=0.2", "GIF"),
        ("image/png, image/jpeg", "PNG"),
        ('multipart/related; type="image/png"', "PNG"),
        ("image/jpeg;q=0, */*", "PNG"),
    ],
)
def test_the_best_format_asked_for_is_made(kept: Archive, accept: str, kind: str) -> None:
    """Section 6, Q-11: several entries, of which the first that is offered counts."""
    assert picture_of(kept.get(f"{PLAIN.path}/rendered", accept)).format == kind


def test_the_accept_parameter_counts_first(kept: Archive) -> None:
    """PS3.18 section 8.3.3.1."""
    answer = kept.get(f"{PLAIN.path}/rendered?accept=image/png", "image/*")

    assert picture_of(answer).format == "PNG"


@pytest.mark.parametrize(
    "accept",
    [
        "application/dicom",
        "application/dicom+json",
        "image/webp",
        "text/html",
        'multipart/related; type="application/dicom"',
        "image/jpeg;q=0",
    ],
)
def test_what_is_not_offered_is_406_before_any_lookup(kept: Archive, accept: str) -> None:
    """Section 6."""
    for instance in (PLAIN, make()):
        assert kept.get(f"{instance.path}/rendered", accept).status_code == 406
        assert kept.get(f"{instance.path}/frames/1/rendered", accept).status_code == 406
        assert kept.get(f"studies/{instance.study}/rendered", accept).status_code == 406


@pytest.mark.parametrize("accept", ["video/mp4", "application/pdf"])
def test_a_still_picture_is_no_document(kept: Archive, accept: str) -> None:
    """Clients section 4.1: 406."""
    assert kept.get(f"{PLAIN.path}/rendered", accept).status_code == 406


def test_frames_are_rendered_by_number(kept: Archive) -> None:
    """Section 6; an instance is its first frame."""
    for number in (1, 2, 3):
        answer = kept.get(f"{FRAMES.path}/frames/{number}/rendered", PNG)
        assert shades(answer) == (SLOPE + number - 1).tolist()

    assert shades(kept.get(f"{FRAMES.path}/rendered", PNG)) == SLOPE.tolist()


@pytest.mark.parametrize(
    ("frames", "status"), [("0", 400), ("-1", 400), ("4", 404), ("x", 404), ("1,4", 404), ("1,0", 400)]
)
def test_frame_numbers_follow_the_rules_of_frames(kept: Archive, frames: str, status: int) -> None:
    """Section 6."""
    assert kept.get(f"{FRAMES.path}/frames/{frames}/rendered").status_code == status


@pytest.mark.parametrize("accept", [PARTS, "*/*", None, 'multipart/related; type="application/octet-stream"'])
def test_several_frames_are_a_part_each(kept: Archive, accept: str | None) -> None:
    """PS3.18 section 10.4: in the order asked."""
    parts = parts_of(kept.get(f"{FRAMES.path}/frames/3,1/rendered", accept))

    kinds = {part.content_type for part in parts}
    assert kinds == {"image/png" if accept == PARTS else "image/jpeg"}
    assert [int(np.asarray(Image.open(io.BytesIO(part.content)))[0, 0]) for part in parts] == [2, 0]
    assert [part.head.partition(b"/frames/")[2][:10] for part in parts] == [b"3/rendered", b"1/rendered"]


def test_several_frames_are_no_single_part(kept: Archive) -> None:
    """As with frames: 400 (API rules section 5.1)."""
    assert kept.get(f"{FRAMES.path}/frames/1,2/rendered", PNG).status_code == 400


def test_what_has_no_pixels_is_404(archive: Archive) -> None:
    """Section 6."""
    report = make(Modality="SR")
    archive.keep(report)

    for path in (report.path, make().path):
        assert archive.get(f"{path}/rendered").status_code == 404
        assert archive.get(f"{path}/frames/1/rendered").status_code == 404
    for path in (report.series_path, f"studies/{report.study}", f"studies/{new_uid()}"):
        assert archive.get(f"{path}/rendered").status_code == 404
        assert archive.get(f"{path}/rendered", PARTS).status_code == 404


WIDE = np.array([[0, 1000, 2000, 4000]], np.uint16)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [0, 64, 128, 255]),
        ("?window=1000,2000,linear-exact", [0, 128, 255, 255]),
        ("?window=1000,2000,LINEAR", [0, 128, 255, 255]),
        ("?window=1000,2001", [0, 128, 255, 255]),
        ("?window=2000,4000,sigmoid", [30, 69, 128, 225]),
        ("?window=2000%2C1%2Clinear", [0, 0, 255, 255]),
        ("?window=-100,.5e1,linear-exact", [255, 255, 255, 255]),
        ("?window=", [0, 64, 128, 255]),
        ("?unknown=1&_=2&quality=50", [0, 64, 128, 255]),
    ],
)
def test_the_window_of_the_query_goes_before_all(archive: Archive, query: str, expected: list[int]) -> None:
    """PS3.18 section 8.3.5.1.4; without one all values there are fill the range (section 6)."""
    image = make_picture(WIDE)
    archive.keep(image)

    (found,) = shades(archive.get(f"{image.path}/rendered{query}", PNG))

    assert found == expected


def test_the_first_window_of_the_dataset_is_used(archive: Archive) -> None:
    """Section 6, behind the modality transformation (PS3.3 C.11.1 and C.11.2)."""
    image = make_picture(
        WIDE, WindowCenter=[1000, 3], WindowWidth=[4001, 5], RescaleIntercept=-1000, RescaleSlope=1
    )
    archive.keep(image)

    assert shades(archive.get(f"{image.path}/rendered", PNG)) == [[0, 64, 128, 255]]


def test_functional_groups_say_how_each_frame_is_seen(archive: Archive) -> None:
    """PS3.3 C.7.6.16.2.9 and C.7.6.16.2.10: the frame's own window, the shared rescale."""
    frames = np.full((2, 1, 4), WIDE)
    groups = [_group(FrameVOILUTSequence=_item(WindowCenter=center, WindowWidth=width))
              for center, width in ((1000, 2001), (2000, 4001))]  # fmt: skip
    shared = _group(
        PixelValueTransformationSequence=_item(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")
    )
    image = make_picture(
        frames, SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=groups
    )
    archive.keep(image)

    found = [shades(archive.get(f"{image.path}/frames/{number}/rendered", PNG))[0] for number in (1, 2)]

    assert found == [[0, 128, 255, 255], [0, 64, 128, 255]]


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _group(**sequences: Dataset) -> Dataset:
    return _item(**{keyword: [item] for keyword, item in sequences.items()})


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN, DEFLATED])
def test_palettes_are_read_from_where_they_lie(archive: Archive, syntax: str) -> None:
    """PS3.3 C.7.9: metadata name them by reference alone."""
    indexes = np.array([[0, 1, 2, 3]], np.uint8)
    kind = ">u2" if syntax == BIG_ENDIAN else "<u2"
    columns = {"Red": (0, 255, 0, 9), "Green": (10, 20, 30, 40), "Blue": (255, 0, 7, 8)}
    palette: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, column in columns.items():
        palette[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        palette[f"{name}PaletteColorLookupTableData"] = (np.array(column) * 257).astype(kind).tobytes()
    image = make_picture(indexes, syntax, **palette)
    archive.keep(image)

    assert shades(archive.get(f"{image.path}/rendered", PNG)) == [
        [list(colour) for colour in zip(*columns.values(), strict=True)]
    ]


def test_tables_in_sequences_are_read_too(archive: Archive) -> None:
    """PS3.3 C.11.1 and C.11.2: a modality table as OW, a VOI table as US."""
    modality = _item(LUTDescriptor=[4, 0, 16], ModalityLUTType="US")
    modality.add_new("LUTData", "OW", np.array([3, 2, 1, 0], "<u2").tobytes())
    voi = _item(LUTDescriptor=[4, 0, 8])
    voi.add_new("LUTData", "US", [0, 50, 100, 255])
    image = make_picture(
        np.array([[0, 1, 2, 3]], np.uint8), ModalityLUTSequence=[modality], VOILUTSequence=[voi]
    )
    archive.keep(image)

    answer = archive.get(f"{image.path}/rendered", PNG)

    assert shades(answer) == [[255, 100, 50, 0]]
    assert answer.headers["x-storage-calls"].startswith("3;")


SHAPES = [
    (SLOPE, {"PhotometricInterpretation": "MONOCHROME1", **EXACT}, (255 - SLOPE).tolist()),
    (SLOPE, {"PresentationLUTShape": "INVERSE", **EXACT}, (255 - SLOPE).tolist()),
    (SLOPE.astype(np.int16) - 100, {"WindowCenter": 0, "WindowWidth": 201},
     np.rint(np.clip((SLOPE.astype(float) - 100 + .5) / 200 + .5, 0, 1) * 255).astype(int).tolist()),
    (np.array([[[1, 2, 3], [250, 0, 9]]], np.uint8), {}, [[[1, 2, 3], [250, 0, 9]]]),
    (np.array([[[0, 0xFFFF, 0x8000]]], np.uint16), {}, [[[0, 255, 127]]]),
    (np.array([[[100, 128, 128]]], np.uint8), {"PhotometricInterpretation": "YBR_FULL"}, [[[100] * 3]]),
    (np.array([[0, 2**31, 2**32 - 1]], np.uint32), {}, [[0, 128, 255]]),
]  # fmt: skip


@pytest.mark.parametrize(("pixels", "attributes", "expected"), SHAPES)
def test_every_form_of_pixels_is_seen_as_it_is_meant(
    archive: Archive, pixels: np.ndarray, attributes: dict[str, object], expected: list[object]
) -> None:
    """Section 6: photometric interpretation, sign and depth."""
    image = make_picture(pixels, **attributes)
    archive.keep(image)

    found = np.asarray(shades(archive.get(f"{image.path}/rendered", PNG)))

    assert np.abs(found - np.asarray(expected)).max() <= 1


def test_planes_of_colour_and_floating_point(archive: Archive) -> None:
    """PS3.3 C.7.6.3.1.3 and C.7.6.24."""
    pixels = np.array([[[1, 2, 3], [250, 0, 9]]], np.uint8)
    planes = make_picture(pixels, PlanarConfiguration=1)
    planar = planes.content.replace(pixels.tobytes(), np.moveaxis(pixels, -1, 0).tobytes())
    archive.store(planar)
    floats = make_picture(
        np.zeros((1, 3), np.uint32), BitsStored=None, HighBit=None, PixelRepresentation=None
    )
    values = np.array([-1.5, 0, 1.5], "<f4").tobytes()
    stored = bytes(12) + b""
    at = floats.content.rfind(b"\xe0\x7f\x10\x00OW")
    assert floats.content[at + 12 : at + 24] == stored
    archive.store(floats.content[:at] + b"\xe0\x7f\x08\x00OF" + floats.content[at + 6 : at + 12] + values)

    assert shades(archive.get(f"{planes.path}/rendered", PNG)) == pixels.tolist()
    assert shades(archive.get(f"{floats.path}/rendered", PNG)) == [[0, 128, 255]]


@pytest.mark.parametrize("syntax", [BIG_ENDIAN, DEFLATED, JPEG_2000, RLE, "1.2.840.10008.1.2.4.80"])
def test_any_transfer_syntax_that_is_decoded_is_rendered(archive: Archive, syntax: str) -> None:
    """Section 6; a single frame is read, whatever lies around it."""
    frames = np.stack([SLOPE, SLOPE[::-1]])
    content = frames.byteswap() if syntax == BIG_ENDIAN and frames.itemsize > 1 else frames
    image = make_picture(content, syntax, **EXACT)
    archive.keep(image)

    assert shades(archive.get(f"{image.path}/frames/2/rendered", PNG)) == SLOPE[::-1].tolist()


def test_frames_of_single_bits_need_not_begin_with_a_byte(archive: Archive) -> None:
    """PS3.5 section 8.1.1, as segmentations have them."""
    bits = np.array([[[0, 1, 0, 0, 1]], [[1, 0, 1, 1, 0]], [[1, 1, 0, 0, 0]]], np.uint8)
    image = make_picture(bits, BitsAllocated=1, BitsStored=1, HighBit=0)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    at = image.content.rfind(b"\xe0\x7f\x10\x00OB")
    archive.store(image.content[: at + 8] + len(packed).to_bytes(4, "little") + packed)

    found = [shades(archive.get(f"{image.path}/frames/{number}/rendered", PNG)) for number in (1, 2, 3)]

    assert found == (bits * 255).tolist()


@pytest.mark.parametrize(
    ("viewport", "expected"),
    [
        ("2,2,0,0,2,2", [[0, 10], [60, 70]]),
        ("2,2,4,2,2,2", [[160, 170], [220, 230]]),
        ("2,2,0,0,-2,2", [[10, 0], [70, 60]]),
        ("2,2,0,0,2,-2", [[60, 70], [0, 10]]),
        ("2,2,4,2,,", [[160, 170], [220, 230]]),
        ("6,4,,,-6,-4", SLOPE[::-1, ::-1].tolist()),
        ("6,100", SLOPE.tolist()),
        ("6%2C4", SLOPE.tolist()),
    ],
)
def test_viewports_crop_and_flip(kept: Archive, viewport: str, expected: list[list[int]]) -> None:
    """PS3.18 section 8.3.5.1.3."""
    assert shades(kept.get(f"{PLAIN.path}/rendered?viewport={viewport}", PNG)) == expected


@pytest.mark.parametrize(
    ("viewport", "size"), [("12,100", (12, 8)), ("3,3", (3, 2)), ("600,400", (600, 400))]
)
def test_viewports_scale_and_keep_proportions(kept: Archive, viewport: str, size: tuple[int, int]) -> None:
    """PS3.18 section 8.3.5.1.3."""
    assert picture_of(kept.get(f"{PLAIN.path}/rendered?viewport={viewport}")).size == size


def test_quality_counts_for_jpeg_alone(archive: Archive) -> None:
    """Section 6: 100 where nothing is said."""
    noise = make_picture(np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8))
    archive.keep(noise)

    def get(quality: str, accept: str) -> bytes:
        return archive.get(f"{noise.path}/rendered{quality}", accept).content

    jpegs = [get(f"?quality={number}", "image/jpeg") for number in (1, 50, 100)]
    assert len(jpegs[0]) < len(jpegs[1]) < len(jpegs[2])
    assert get("", "image/jpeg") == jpegs[2]
    assert get("?quality=1", PNG) == get("", PNG)


WRONG = [
    *(f"quality={value}" for value in ("0", "101", "-1", "high", "1.5", "999999999999")),
    *(f"window={value}" for value in ("1", "1,2,3", "1,2,cubic", "a,2,linear", "1,0,linear", "1,.5,linear",
                                      "1,-5,sigmoid", "1,nan,linear", "1,2,linear,4", "1,inf,sigmoid")),
    *(f"viewport={value}" for value in ("1", "1,2,3", "0,5", "5,0", "-5,5", "1.5,2", "a,b", "5,5,0,0,0,1",
                                        "5,5,-1,0,1,1", "5,5,0,0,1", "1,1,1,1,1,1,1", "5,5,100,0,1,1",
                                        "99999,99999", "5,5,nan,0,1,1")),
    *(f"iccprofile={value}" for value in ("maybe", "adobergb", "rommrgb", "displayp3")),
    "quality=5&quality=6",
]  # fmt: skip


@pytest.mark.parametrize("query", WRONG)
def test_impossible_values_are_400(kept: Archive, query: str) -> None:
    """PS3.18 section 8.3: a parameter that is supported must be right, and the answer says what would be."""
    answer = kept.get(f"{PLAIN.path}/rendered?{query}")

    assert answer.status_code == 400
    name = query.partition("=")[0]
    assert name in answer.text


def test_annotations_are_left_out_and_that_is_told(kept: Archive) -> None:
    """Section 6: Azure ignores them. Names in a picture would be more than its reader may see."""
    plain = kept.get(f"{PLAIN.path}/rendered", PNG)

    answer = kept.get(f"{PLAIN.path}/rendered?annotation=patient,technique", PNG)

    assert answer.content == plain.content
    assert "not burned" in answer.headers["Warning"]
    assert "Warning" not in plain.headers


def test_profiles_are_put_in_when_asked(archive: Archive) -> None:
    """PS3.18 section 8.3.5.1.5: `no` by default; colours without a profile are those of sRGB."""
    profile = srgb()
    profile = profile[:24] + bytes([7, 0xE8, 0, 1, 0, 1]) + profile[30:]
    own = make_picture(np.full((2, 2, 3), 99, np.uint8), ICCProfile=profile)
    plain = make_picture(np.full((2, 2, 3), 99, np.uint8))
    archive.keep(own, plain)

    def profile_of(image: Instance, query: str) -> object:
        return picture_of(archive.get(f"{image.path}/rendered{query}", PNG)).info.get("icc_profile")

    assert profile_of(own, "") is profile_of(own, "?iccprofile=no") is None
    assert profile_of(own, "?iccprofile=yes") == profile
    assert profile_of(own, "?iccprofile=sRGB") == profile_of(plain, "?iccprofile=yes") == srgb()
    assert archive.get(f"{own.path}/rendered?iccprofile=yes", "image/gif").status_code == 400


def test_pictures_have_tags_and_ranges(kept: Archive) -> None:
    """RFC 9110: the same request gives the same bytes; other options another tag."""
    path = f"{PLAIN.path}/rendered"
    whole = kept.get(path)
    etag = whole.headers["ETag"]

    assert kept.get(path).content == whole.content
    assert kept.get(path, If_None_Match=etag).status_code == 304
    part = kept.get(path, Range="bytes=2-9")
    assert (part.status_code, part.content) == (206, whole.content[2:10])
    head = kept.ask("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))
    others = [kept.get(f"{path}?{query}").headers["ETag"] for query in ("quality=50", "viewport=5,5")]
    others.append(kept.get(path, PNG).headers["ETag"])
    assert len({etag, *others}) == 4


def test_a_picture_takes_two_storage_calls_and_none_to_say_that_it_is_known(kept: Archive) -> None:
    """Promise 4: the row and the frame."""
    answer = kept.get(f"{FRAMES.path}/frames/2/rendered")
    known = kept.get(f"{FRAMES.path}/frames/2/rendered", If_None_Match=answer.headers["ETag"])

    assert answer.headers["x-storage-calls"] == "2; rows=1"
    assert known.headers["x-storage-calls"] == "1; rows=1"


def test_what_cannot_be_rendered_is_406(archive: Archive) -> None:
    """Section 6: damaged frames, frames beyond the limits, sizes that are none."""
    damaged = make_encapsulated([b"no real jpeg"])
    compressed = make_encapsulated([b"\xff\xd8\xff\xd9"], transfer_syntax=JPEG_2000)
    strange = make_picture(np.zeros((2, 2, 3), np.uint8), PhotometricInterpretation="HSV")
    pale = make_picture(SLOPE, PhotometricInterpretation="PALETTE COLOR")
    archive.keep(damaged, compressed, strange, pale)

    for image in (damaged, compressed, strange, pale):
        answer = archive.get(f"{image.path}/rendered")
        assert answer.status_code == 406, answer.text
        assert "cannot be rendered" in answer.text
        assert archive.get(f"{image.path}/thumbnail").status_code == 406


def test_a_frame_too_large_is_refused_before_it_is_decoded(archive: Archive) -> None:
    """A few bytes that claim to be gigabytes."""
    image = make_encapsulated([bytes(range(200))], transfer_syntax=JPEG_2000)
    huge = image.content.replace(
        b"\x28\x00\x10\x00US\x02\x00\x08\x00", b"\x28\x00\x10\x00US\x02\x00\x60\xea"
    ).replace(b"\x28\x00\x11\x00US\x02\x00\x08\x00", b"\x28\x00\x11\x00US\x02\x00\x60\xea")
    assert huge != image.content
    archive.store(huge)

    answer = archive.get(f"{image.path}/rendered")

    assert answer.status_code == 406
    assert "beyond the limit" in answer.text


PDF = b"%PDF-1.4 " + bytes(range(256)) * 40


def _document(mime: str, content: bytes) -> Instance:
    return make(EncapsulatedDocument=content, MIMETypeOfEncapsulatedDocument=mime, Modality="DOC")


@pytest.mark.parametrize(
    "accept", [None, "*/*", BROWSER, "application/pdf", "image/png, application/pdf;q=0.1"]
)
def test_a_pdf_answers_in_its_own_type(archive: Archive, accept: str | None) -> None:
    """PS3.18 section 8.7.4, checklist 39: as stored, with Range, for pages of other sites."""
    document = _document("application/pdf", PDF)
    archive.keep(document)
    path = f"{document.path}/rendered"

    answer = archive.get(path, accept)

    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content == PDF + b"\0" * (len(PDF) % 2)
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    part = archive.get(path, accept, Range="bytes=9-18")
    assert (part.status_code, part.content) == (206, PDF[9:19])
    assert archive.get(path, accept, If_None_Match=answer.headers["ETag"]).status_code == 304
    assert archive.ask("HEAD", path, accept).headers["Content-Length"] == str(len(answer.content))
    assert archive.get(path, "image/jpeg").status_code == 406
    assert archive.get(f"{document.path}/frames/1/rendered").status_code == 404


def test_a_clinical_document_is_text_and_runs_nothing(archive: Archive) -> None:
    """PS3.3 annex A.45.2: what a sender put into it is no page of this site."""
    document = _document("text/XML", b"<ClinicalDocument/>!")
    archive.keep(document)

    answer = archive.get(f"{document.path}/rendered", "*/*")

    assert answer.headers["Content-Type"] == "text/xml"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.content == b"<ClinicalDocument/>!"


def test_documents_of_other_types_are_404(archive: Archive) -> None:
    """They are bulk data."""
    document = _document("model/stl", b"solid x\n")
    archive.keep(document)

    assert archive.get(f"{document.path}/rendered").status_code == 404


@pytest.mark.parametrize(
    ("syntax", "media_type"), [(MPEG_2, "video/mpeg"), (MPEG_4, "video/mp4"), (HEVC, "video/mp4")]
)
@pytest.mark.parametrize("fragments", [1, 3])
def test_a_video_answers_in_its_own_type(
    archive: Archive, syntax: str, media_type: str, fragments: int
) -> None:
    """PS3.18 section 8.7.4: the stream of all fragments, any range of it."""
    stream = bytes(range(256)) * 4
    video = make_encapsulated([stream], fragments=fragments, transfer_syntax=syntax, NumberOfFrames=30)
    archive.keep(video)
    path = f"{video.path}/rendered"

    answer = archive.get(path, BROWSER)

    assert (answer.headers["Content-Type"], answer.content) == (media_type, stream)
    part = archive.get(path, media_type, Range="bytes=300-900")
    assert (part.status_code, part.content) == (206, stream[300:901])
    assert archive.get(path, "image/jpeg").status_code == 406
    assert archive.get(f"{video.path}/frames/1/rendered").status_code == 406
    assert archive.get(f"{video.path}/thumbnail").status_code == 406


STUDY, FIRST, SECOND = (new_uid() for _ in range(3))


def _slice(series: str, number: int, **attributes: object) -> Instance:
    """An image of one shade; UIDs sort by number."""
    return make_picture(
        np.full((4, 4), number, np.uint8),
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=f"{series}.{1 if series == FIRST else 2}",
        SOPInstanceUID=f"1.2.3.{1000 + number}",
        **{**EXACT, **attributes},
    )


@pytest.fixture(scope="module")
def study(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds a series of five images and one of three, with a report among each."""
    archive = Archive.fresh(http, service.url)
    of_study = {"StudyInstanceUID": STUDY, "SOPInstanceUID": "1.2.3.1"}
    for series, numbers in ((FIRST, range(10, 15)), (SECOND, range(20, 23))):
        images = [_slice(series, number) for number in numbers]
        uid = images[0].series
        archive.keep(*images, make(SeriesInstanceUID=uid, **of_study))
    return archive


def _shade(content: bytes) -> int:
    return int(np.asarray(Image.open(io.BytesIO(content)))[0, 0])


def _series(number: int) -> str:
    image = _slice(FIRST if number == 1 else SECOND, 10 if number == 1 else 20)
    return image.series_path


@pytest.mark.parametrize(
    "accept", [None, "*/*", PNG, 'multipart/related; type="application/octet-stream"', BROWSER]
)
def test_a_study_or_series_is_one_picture_from_its_middle(study: Archive, accept: str | None) -> None:
    """PS3.18 would have parts; viewers want something to show (clients checklist 38)."""
    middles = {12: _series(1), 21: _series(2)}
    for shade, path in middles.items():
        answer = study.get(f"{path}/rendered", accept)
        picture_of(answer)
        assert abs(_shade(answer.content) - shade) <= 1

    whole = study.get(f"studies/{STUDY}/rendered", accept)
    first = 12 if _series(1) < _series(2) else 21
    assert abs(_shade(whole.content) - first) <= 1


def test_parts_are_the_first_frame_of_each_image(study: Archive) -> None:
    """PS3.18 section 10.4.1.1.3; what has no pixels is left out."""
    answer = study.get(f"{_series(1)}/rendered?viewport=2,2", PARTS)
    whole = study.get(f"studies/{STUDY}/rendered", PARTS)

    parts = parts_of(answer)
    assert [_shade(part.content) for part in parts] == [10, 11, 12, 13, 14]
    assert {Image.open(io.BytesIO(part.content)).size for part in parts} == {(2, 2)}
    assert parts[0].head.strip().endswith(b"1.2.3.1010/rendered") or b"1.2.3.1010/rendered" in parts[0].head
    assert sorted(_shade(part.content) for part in parts_of(whole)) == [10, 11, 12, 13, 14, 20, 21, 22]
    etag = whole.headers["ETag"]
    assert study.get(f"studies/{STUDY}/rendered", PARTS, If_None_Match=etag).status_code == 304


def test_what_cannot_be_rendered_is_left_out_of_parts(archive: Archive) -> None:
    """And where nothing can, the answer is 406; one picture is then another one's."""
    uids: dict[str, Any] = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid()}
    damaged = make_encapsulated([b"no real jpeg"], SOPInstanceUID="1.2.3.5", **uids)
    archive.keep(damaged)
    path = f"{damaged.series_path}/rendered"

    assert archive.get(path, PARTS).status_code == 406
    assert archive.get(path).status_code == 406

    archive.keep(make_picture(SLOPE, SOPInstanceUID="1.2.3.4", **uids, **EXACT))
    (part,) = parts_of(archive.get(path, PARTS))
    assert part.content_type == "image/png"
    assert shades(archive.get(path, PNG)) == SLOPE.tolist()


REAL = [
    "CT_small.dcm",
    "JPEG-lossy.dcm",
    "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "eCT_Supplemental.dcm",
    "examples_palette.dcm",
    "image_dfl.dcm",
    "liver_expb_1frame.dcm",
    "mlut_18.dcm",
    "rtdose.dcm",
    "vlut_04.dcm",
]


@pytest.mark.parametrize("name", REAL)
def test_real_files_look_as_dcmtk_draws_them(archive: Archive, tmp_path: Path, name: str) -> None:
    """An independent renderer, with the same choice of window; no shade is off by more than one."""
    if dcmtk.PROGRAM is None:
        pytest.skip(dcmtk.MISSING)
    if name not in files.by_name():
        pytest.skip(files.NO_COLLECTION)
    shown = files.image(name)
    archive.store(shown.path.read_bytes())
    uids = (shown.dataset[tag].value for tag in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
    study, series, instance = uids

    answer = archive.get(f"studies/{study}/series/{series}/instances/{instance}/rendered", PNG)

    drawn = dcmtk.draw(shown, tmp_path / "drawn.pnm")
    assert drawn is not None
    assert np.abs(np.asarray(shades(answer)) - drawn).max() <= dcmtk.MAX_OFF


def test_version_1_and_the_default_partition_answer_alike(service: Service, http: httpx.Client) -> None:
    """Section 6: a route under each."""
    archive = Archive(http, service.url, None)
    archive.keep(PLAIN)

    found = {archive.as_version(version).get(f"{PLAIN.path}/rendered").content for version in ("v1", "v2")}

    assert len(found) == 1


def test_wado_uri_gives_pictures_unless_a_file_is_asked_for(kept: Archive) -> None:
    """PS3.18 sections 9.3 and 9.4."""
    uids = f"studyUID={FRAMES.study}&seriesUID={FRAMES.series}&objectUID={FRAMES.instance}"

    def ask(rest: str, accept: str | None = None) -> httpx.Response:
        return kept.get(f"wado?requestType=WADO&{uids}{rest}", accept)

    assert picture_of(ask("")).format == "JPEG"
    assert picture_of(ask("&contentType=image/gif")).format == "GIF"
    assert picture_of(ask("", "image/png")).format == "PNG"
    png = f"&contentType={quote('image/png', safe='')}"
    assert shades(ask(f"{png}&frameNumber=2")) == (SLOPE + 1).tolist()
    assert picture_of(ask(f"{png}&columns=12")).size == (12, 8)
    assert picture_of(ask(f"{png}&rows=2&columns=100")).size == (3, 2)
    assert shades(ask(f"{png}&region=0.5,0.5,1,1")) == SLOPE[2:, 3:].tolist()
    assert shades(ask(f"{png}&windowCenter=0.5&windowWidth=1"))[0] == [0, 255, 255, 255, 255, 255]
    assert len(ask("&imageQuality=1").content) < len(ask("").content)
    assert "Warning" in ask("&annotation=patient").headers


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("&rows=0", 400),
        ("&columns=x", 400),
        ("&region=0,0,1", 400),
        ("&region=0.5,0,0.5,1", 400),
        ("&region=0,0,2,1", 400),
        ("&windowCenter=5", 400),
        ("&windowCenter=5&windowWidth=0", 400),
        ("&imageQuality=0", 400),
        ("&frameNumber=0", 400),
        ("&frameNumber=x", 400),
        ("&frameNumber=4", 404),
        ("&presentationUID=1.2.3", 406),
        ("&contentType=image/webp", 406),
        ("&contentType=video/mpeg", 406),
    ],
)
def test_wado_uri_refuses_what_it_cannot_do(kept: Archive, rest: str, status: int) -> None:
    """PS3.18 section 9.4.1.2."""
    uids = f"studyUID={FRAMES.study}&seriesUID={FRAMES.series}&objectUID={FRAMES.instance}"

    assert kept.get(f"wado?requestType=WADO&{uids}{rest}").status_code == status
