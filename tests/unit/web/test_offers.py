"""Which of a client's wishes fit what is stored, and what is converted for them (API rules 4.1, 4.2, 5.2)."""

import pytest

from shared.errors import NotAcceptable
from shared.wado.converted.rules import can_make_file, can_make_frame
from shared.web.accept import choose, parse_accept
from shared.web.offers import EXPLICIT_LITTLE, FILE, INSTANCE_OFFERS, STUDY_OFFERS, choose_frames, settle

IMPLICIT, BIG, RLE = (f"1.2.840.10008.1.2{end}" for end in ("", ".2", ".5"))
JPEG, JPEG_LOSSLESS, JPEG_LS, J2K, J2K_LOSSY, HTJ2K, HTJ2K_RPCL, HEVC, MPEG_2 = (
    f"1.2.840.10008.1.2.4.{last}" for last in (50, 70, 80, 90, 91, 201, 202, 107, 100)
)
OCTETS = "application/octet-stream"
PARTS = "multipart/related; type={}"
AS_IT_IS = None


def file_ways(header: str | None, *stored: str) -> list[str | None]:
    """Which files are made of an instance, or of a study with several; None as stored."""
    offers = INSTANCE_OFFERS if len(stored) < 2 else STUDY_OFFERS
    choices = [choice for choice in choose(offers, parse_accept(header)) if choice.media_type == FILE]
    return [way.makes for way in settle(choices, set(stored), can_make_file)]


def frame_ways(header: str | None, *stored: str) -> list[tuple[str, str | None]]:
    """The same of a frame, with the media type."""
    ways = settle(choose_frames(parse_accept(header), 1), set(stored), can_make_frame)
    return [(way.choice.media_type, way.makes) for way in ways]


@pytest.mark.parametrize(
    "header", [None, "*/*", "application/*", "multipart/related", "text/html, */*;q=0.1"]
)
@pytest.mark.parametrize("stored", [EXPLICIT_LITTLE, IMPLICIT, BIG, JPEG, HEVC])
def test_who_names_no_type_gets_what_is_stored(header: str | None, stored: str) -> None:
    """The default of `*/*` is `*`."""
    assert file_ways(header, stored) == [AS_IT_IS]
    assert frame_ways(header, stored)[0] == (OCTETS, AS_IT_IS)


@pytest.mark.parametrize("stored", [EXPLICIT_LITTLE, IMPLICIT, BIG, JPEG, HEVC])
@pytest.mark.parametrize("also", ["", f"{PARTS.format('application/dicom')}, "])
def test_an_asterisk_is_never_converted_for(stored: str, also: str) -> None:
    """Step 4 of section 4.1: it wins over an entry before it of the same weight."""
    assert file_ways(f"{also}multipart/related; type=application/dicom; transfer-syntax=*", stored)[0] is None
    assert frame_ways("application/octet-stream; transfer-syntax=*", stored) == [(OCTETS, AS_IT_IS)]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (EXPLICIT_LITTLE, [AS_IT_IS]),
        (IMPLICIT, [EXPLICIT_LITTLE, AS_IT_IS]),
        (BIG, [EXPLICIT_LITTLE, AS_IT_IS]),
        (JPEG, [EXPLICIT_LITTLE, AS_IT_IS]),
        (HTJ2K, [EXPLICIT_LITTLE, AS_IT_IS]),
        (HEVC, [AS_IT_IS]),
    ],
)
def test_a_type_without_a_syntax_means_explicit_little_endian_where_it_can_be_made(
    stored: str, expected: list[str | None]
) -> None:
    """The default of `application/dicom`; clients section 6: otherwise as stored."""
    assert file_ways("application/dicom", stored) == expected


def test_what_can_be_made_of_a_mixed_study_is_made_where_no_syntax_is_named() -> None:
    header = PARTS.format("application/dicom")

    assert file_ways(header, EXPLICIT_LITTLE, HEVC) == [AS_IT_IS]
    assert file_ways(header, JPEG, HEVC) == [EXPLICIT_LITTLE, AS_IT_IS]


@pytest.mark.parametrize("wanted", [EXPLICIT_LITTLE, J2K, HTJ2K, HTJ2K_RPCL, JPEG_LS, RLE])
@pytest.mark.parametrize("stored", [IMPLICIT, JPEG, JPEG_LOSSLESS, J2K_LOSSY])
def test_a_named_syntax_is_made(wanted: str, stored: str) -> None:
    assert file_ways(f"application/dicom; transfer-syntax={wanted}", stored) == [wanted]


def test_a_named_syntax_is_not_made_where_it_is_stored() -> None:
    assert file_ways(f"application/dicom; transfer-syntax={JPEG}", JPEG) == [AS_IT_IS]
    assert file_ways(f"{PARTS.format('application/dicom')}; transfer-syntax={MPEG_2}", MPEG_2) == [AS_IT_IS]


@pytest.mark.parametrize("wanted", [JPEG, J2K_LOSSY, MPEG_2, IMPLICIT, BIG, "1.2.3"])
def test_what_cannot_be_made_is_refused(wanted: str) -> None:
    """A lossy copy neither, as it would be another instance."""
    with pytest.raises(NotAcceptable):
        file_ways(f"application/dicom; transfer-syntax={wanted}", EXPLICIT_LITTLE)


@pytest.mark.parametrize("stored", [HEVC, MPEG_2, "1.2.840.10008.1.2.4.92", "1.2.3"])
def test_what_cannot_be_read_is_refused_in_any_syntax_but_its_own(stored: str) -> None:
    for wanted in (EXPLICIT_LITTLE, J2K):
        with pytest.raises(NotAcceptable):
            file_ways(f"application/dicom; transfer-syntax={wanted}", stored)
        with pytest.raises(NotAcceptable):
            file_ways(f"{PARTS.format('application/dicom')}; transfer-syntax={wanted}", stored, wanted)


def test_several_named_syntaxes_are_tried_by_their_weight() -> None:
    header = (
        f"application/dicom; transfer-syntax={MPEG_2}, application/dicom; transfer-syntax={JPEG_LS};q=0.5"
    )

    assert file_ways(f"{header}, application/dicom; transfer-syntax={J2K}", EXPLICIT_LITTLE) == [J2K, JPEG_LS]


@pytest.mark.parametrize("wanted", [MPEG_2, JPEG, J2K_LOSSY])
def test_what_cannot_be_made_is_refused_also_where_nothing_is(wanted: str) -> None:
    """Section 4.1, asserted by Azure's tests; the others are left to be not found."""
    with pytest.raises(NotAcceptable):
        file_ways(f"application/dicom; transfer-syntax={wanted}")
    assert file_ways(f"application/dicom; transfer-syntax={J2K}") == [J2K]
    assert file_ways(f"*/*; transfer-syntax={EXPLICIT_LITTLE}") == [EXPLICIT_LITTLE]


@pytest.mark.parametrize("stored", [JPEG, RLE, HTJ2K, BIG])
def test_plain_bytes_without_a_syntax_are_uncompressed_pixels(stored: str) -> None:
    """Section 5.2: the default of octet-stream."""
    assert frame_ways(OCTETS, stored) == [(OCTETS, EXPLICIT_LITTLE), (OCTETS, AS_IT_IS)]
    assert frame_ways(f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}", stored) == [(OCTETS, EXPLICIT_LITTLE)]


@pytest.mark.parametrize("stored", [EXPLICIT_LITTLE, HEVC, ""])
@pytest.mark.parametrize("wanted", [J2K, HTJ2K, JPEG_LS, RLE, JPEG])
def test_plain_bytes_are_not_compressed_for_anyone(stored: str, wanted: str) -> None:
    """Section 5.2: octet-stream with 4.90 is 406, whether the instance exists or not."""
    with pytest.raises(NotAcceptable):
        frame_ways(PARTS.format(f"{OCTETS}; transfer-syntax={wanted}"), *([stored] if stored else []))


@pytest.mark.parametrize(
    ("media_type", "made"),
    [
        ("image/jp2", J2K),
        ("image/dicom+jp2", J2K),
        ("image/jls", JPEG_LS),
        ("image/x-jls", JPEG_LS),
        ("image/jphc", HTJ2K),
        ("image/jhc", HTJ2K),
        ("image/dicom-rle", RLE),
        ("image/x-dicom-rle", RLE),
        (f"image/jphc; transfer-syntax={HTJ2K_RPCL}", HTJ2K_RPCL),
        (f"image/jpeg; transfer-syntax={JPEG}", JPEG),
    ],
)
def test_an_image_type_is_made_in_its_default_or_the_syntax_named(media_type: str, made: str) -> None:
    """Clients section 4.1, PS3.18 table 8.7.3-5; JPEG Baseline loses something and must be named."""
    expected = [(media_type.partition(";")[0], made)]

    assert frame_ways(media_type, EXPLICIT_LITTLE) == expected
    assert frame_ways(PARTS.format(media_type), EXPLICIT_LITTLE) == expected


def test_jpeg_without_a_syntax_is_not_made() -> None:
    """It would be 4.70, for which there is no encoder, or lossy; the next range is looked at."""
    with pytest.raises(NotAcceptable):
        frame_ways("image/jpeg", EXPLICIT_LITTLE)
    assert frame_ways(f"image/jpeg, {OCTETS}", EXPLICIT_LITTLE) == [(OCTETS, AS_IT_IS)]


def test_an_image_type_that_fits_is_not_made_anew() -> None:
    assert frame_ways("image/jp2", J2K_LOSSY) == [("image/jp2", AS_IT_IS)]
    assert frame_ways("image/jpeg", JPEG) == [("image/jpeg", AS_IT_IS)]
    assert frame_ways("image/*", RLE)[0] == ("image/dicom-rle", AS_IT_IS)


def test_any_image_will_do() -> None:
    assert frame_ways("image/*", EXPLICIT_LITTLE)[0] == ("image/jls", JPEG_LS)


def test_ohif_prefers_a_syntax_and_takes_any() -> None:
    """Clients section 2.1: stored bytes under a true name, not a conversion."""
    header = f'multipart/related; type="image/jls"; transfer-syntax="{JPEG_LS}"; transfer-syntax="*"'

    assert frame_ways(header, JPEG_LS) == [("image/jls", AS_IT_IS), (OCTETS, AS_IT_IS)]
    assert frame_ways(header, RLE) == [(OCTETS, AS_IT_IS)]


def test_a_mismatched_pair_is_served_under_the_type_of_its_syntax() -> None:
    """Clients section 2.1: OHIF's own table pairs types and syntaxes."""
    header = f"multipart/related; type=image/dicom+jpeg; transfer-syntax={J2K}"

    assert frame_ways(header, EXPLICIT_LITTLE) == [("image/jp2", J2K)]
