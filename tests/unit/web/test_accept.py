"""Accept headers as real clients send them, against what each resource offers."""

from collections.abc import Sequence

import pytest

from shared.errors import BadRequest, NotAcceptable
from shared.web.accept import Choice, Form, MediaRange, Offer, accept_parameter, choose, parse_accept
from shared.web.offers import (
    EXPLICIT_LITTLE,
    FRAME_OFFERS,
    INSTANCE_OFFERS,
    METADATA_OFFERS,
    SEARCH_OFFERS,
    SERIES_OFFERS,
    STORE_OFFERS,
    STUDY_OFFERS,
    ZIP,
    Way,
    choose_frames,
    frame_syntax,
    settle,
)

SINGLE, MULTIPART = Form.SINGLE, Form.MULTIPART


def nothing(stored: str, wanted: str) -> bool:
    """No codec is there."""
    return False


J2K, JPEG, JPEG_LOSSLESS, JPEG_LS = (f"1.2.840.10008.1.2.4.{last}" for last in (90, 50, 70, 80))
HEVC, MPEG2, RLE = "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.5"
OCTETS = "application/octet-stream"
DICOM = "application/dicom"

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
OHIF_JOINED = "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*"
OHIF_DOUBLED = OHIF_JOINED + "; transfer-syntax=*"

OPEN = [
    None,
    "",
    "*",
    "*/*",
    " * ; q=.5",
    "*/*;",
    "application/*",
    "multipart/*",
    "multipart/related",
    "multipart/related;",
    'multipart/related; type="*/*"',
    "multipart/related; type=*/*; transfer-syntax=*",
    "multipart/related; type=*",
    BROWSER,
    JAVA,
    "garbage",
    "garbage, ;;, /",
    'multipart/related; type="dicom"',
    "*/json",
]


@pytest.mark.parametrize("offers", [STORE_OFFERS, SEARCH_OFFERS, METADATA_OFFERS])
@pytest.mark.parametrize(
    "header",
    [
        *OPEN,
        "application/dicom+json",
        "Application/DICOM+JSON; charset=utf-8",
        "application/dicom+json, application/json",
        'application/dicom+json; transfer-syntax="*"',
        OHIF_JOINED,
        OHIF_DOUBLED,
        "multipart/related; type=application/octet-stream; transfer-syntax=*, application/dicom+json",
        'application/dicom+json, type="',
    ],
)
def test_json_is_given_to_everyone_who_can_take_it(offers: Sequence[Offer], header: str | None) -> None:
    """Clients checklist 1 and 4; API rules 3.1, with one malformed entry beside a good one."""
    assert choose(offers, parse_accept(header))[0] == Choice(SINGLE, "application/dicom+json")


def test_plain_json_is_named_as_such() -> None:
    assert choose(SEARCH_OFFERS, parse_accept("application/json")) == (Choice(SINGLE, "application/json"),)


@pytest.mark.parametrize(
    "header",
    [
        "application/dicom",
        "application/octet-stream",
        "image/*",
        "text/html",
        'multipart/related; type="application/dicom+json"',
        'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        "*/*;q=0",
    ],
)
@pytest.mark.parametrize("offers", [STORE_OFFERS, SEARCH_OFFERS, METADATA_OFFERS])
def test_json_is_refused_to_who_asks_for_something_else(offers: Sequence[Offer], header: str) -> None:
    with pytest.raises(NotAcceptable, match=r"application/dicom\+json"):
        choose(offers, parse_accept(header))


@pytest.mark.parametrize(
    "header", ["application/dicom+xml", "application/dicom+xml, application/dicom+json;q=0.5"]
)
def test_a_store_is_answered_in_xml_to_who_asks_for_it(header: str) -> None:
    """Matrix 1.2: Weasis and dcm4che."""
    assert choose(STORE_OFFERS, parse_accept(header))[0] == Choice(SINGLE, "application/dicom+xml")


def test_a_store_is_answered_with_one_part_of_xml_to_who_asks_for_parts() -> None:
    header = 'multipart/related; type="application/dicom+xml"'

    assert choose(STORE_OFFERS, parse_accept(header)) == (Choice(MULTIPART, "application/dicom+xml"),)


AS_STORED = Choice(MULTIPART, DICOM, ("*",))
BY_DEFAULT = Choice(MULTIPART, DICOM, ("*",), EXPLICIT_LITTLE)


@pytest.mark.parametrize("offers", [STUDY_OFFERS, SERIES_OFFERS, INSTANCE_OFFERS])
@pytest.mark.parametrize("header", OPEN)
def test_open_wishes_get_a_multipart_as_stored(offers: Sequence[Offer], header: str | None) -> None:
    """Clients checklist 4, API rules 4.1."""
    assert choose(offers, parse_accept(header))[0] == AS_STORED


@pytest.mark.parametrize("offers", [STUDY_OFFERS, SERIES_OFFERS, INSTANCE_OFFERS])
@pytest.mark.parametrize(
    ("header", "choice"),
    [
        ('multipart/related; type="application/dicom"', BY_DEFAULT),
        ("multipart/related; type=application/dicom", BY_DEFAULT),
        ("multipart/related; type=application/dicom; boundary=**", BY_DEFAULT),
        ('multipart/related; type="application/dicom"; transfer-syntax=bad', BY_DEFAULT),
        ('multipart/related;type="application/dicom";transfer-syntax=*', AS_STORED),
        ('multipart/related; type="application/dicom";transfer-syntax="*"', AS_STORED),
        ('MULTIPART/related ;TYPE="Application/dicom"; Transfer-Syntax=* ; ', AS_STORED),
        (
            f'multipart/related; type="application/dicom"; transfer-syntax={J2K}',
            Choice(MULTIPART, DICOM, (J2K,)),
        ),
        (
            f"multipart/related; type=application/dicom; transfer-syntax={J2K}; transfer-syntax={RLE}",
            Choice(MULTIPART, DICOM, (J2K, RLE)),
        ),
        (
            'multipart/related; type="image/jpeg", '
            'multipart/related; type="application/dicom"; transfer-syntax=*',
            AS_STORED,
        ),
        # Azure: an entry that takes any syntax wins over one before it, unless it weighs less.
        (
            'multipart/related; type="application/dicom", '
            'multipart/related; type="application/dicom"; transfer-syntax=*',
            AS_STORED,
        ),
        (
            'multipart/related; type="application/dicom", '
            'multipart/related; type="application/dicom"; transfer-syntax=*; q=0.9',
            BY_DEFAULT,
        ),
        (
            f"multipart/related; type=application/dicom; transfer-syntax={J2K};q=.1,"
            f"multipart/related; type=application/dicom; transfer-syntax={RLE};q=0.2",
            Choice(MULTIPART, DICOM, (RLE,)),
        ),
    ],
)
def test_multipart_dicom_carries_the_syntax_wished_for(
    offers: Sequence[Offer], header: str, choice: Choice
) -> None:
    assert choose(offers, parse_accept(header))[0] == choice


@pytest.mark.parametrize("offers", [STUDY_OFFERS, SERIES_OFFERS])
@pytest.mark.parametrize("header", ["application/dicom", "application/dicom; transfer-syntax=*"])
def test_a_study_or_series_is_never_a_single_part(offers: Sequence[Offer], header: str) -> None:
    """API rules 4.1."""
    with pytest.raises(NotAcceptable, match="multipart/related"):
        choose(offers, parse_accept(header))


@pytest.mark.parametrize(
    ("header", "choice"),
    [
        ("application/dicom", Choice(SINGLE, DICOM, ("*",), EXPLICIT_LITTLE)),
        ("application/dicom; transfer-syntax=*", Choice(SINGLE, DICOM, ("*",))),
        ("application/dicom;transfer-syntax=*;", Choice(SINGLE, DICOM, ("*",))),
        (f'application/dicom; transfer-syntax="{J2K}"', Choice(SINGLE, DICOM, (J2K,))),
        ("application/dicom;q=0.1, */*", AS_STORED),
    ],
)
def test_an_instance_may_be_a_single_part(header: str, choice: Choice) -> None:
    assert choose(INSTANCE_OFFERS, parse_accept(header))[0] == choice


@pytest.mark.parametrize("offers", [STUDY_OFFERS, SERIES_OFFERS, INSTANCE_OFFERS])
@pytest.mark.parametrize(
    "header",
    [
        "application/octet-stream",
        'multipart/related; type="image/jpeg"',
        "image/*",
        "application/dicom+json",
        "multipart/mixed; type=application/dicom",
    ],
)
def test_what_can_never_match_is_refused_before_the_lookup(offers: Sequence[Offer], header: str) -> None:
    with pytest.raises(NotAcceptable):
        choose(offers, parse_accept(header))


@pytest.mark.parametrize("offers", [STUDY_OFFERS, SERIES_OFFERS, INSTANCE_OFFERS])
def test_octets_in_parts_are_the_bulk_data(offers: Sequence[Offer]) -> None:
    """PS3.18 section 10.4.4 note 2."""
    header = 'multipart/related; type="application/octet-stream"'

    assert choose(offers, parse_accept(header)) == (Choice(MULTIPART, OCTETS, ("*",)),)


@pytest.mark.parametrize("offers", [STUDY_OFFERS, SERIES_OFFERS])
def test_a_study_or_series_may_be_an_archive(offers: Sequence[Offer]) -> None:
    """PS3.18 section 8.7.3.6."""
    assert choose(offers, parse_accept("application/zip")) == (Choice(SINGLE, ZIP),)
    with pytest.raises(NotAcceptable):
        choose(INSTANCE_OFFERS, parse_accept("application/zip"))


FRAME_CASES = [
    # (Accept, stored syntax, form and media type of the answer)
    *((header, JPEG, (MULTIPART, OCTETS)) for header in OPEN if header != JAVA),
    *(
        (header, JPEG_LS, (MULTIPART, OCTETS))
        for header in [
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            'multipart/related; type="application/octet-stream"; transfer-syntax=*',
            'multipart/related; type="application/octet-stream"; transfer-syntax="*"',
            'multipart/related; type="application/octet-stream"',
            f"multipart/related; type={OCTETS}; transfer-syntax={JPEG_LS}",
        ]
    ),
    # OHIF with requestTransferSyntaxUID: the type it names where it is true, else plain bytes.
    (
        f'multipart/related; type="image/jls"; transfer-syntax="{JPEG_LS}"; transfer-syntax="*"',
        JPEG_LS,
        (MULTIPART, "image/jls"),
    ),
    (
        f'multipart/related; type="image/jls"; transfer-syntax="{JPEG_LS}"; transfer-syntax="*"',
        RLE,
        (MULTIPART, OCTETS),
    ),
    (
        f'multipart/related; type="image/dicom+jpeg"; transfer-syntax={JPEG[:-2]}51',
        JPEG[:-2] + "51",
        (MULTIPART, "image/dicom+jpeg"),
    ),
    (f"multipart/related; type=image/jpeg; transfer-syntax={JPEG_LS}", JPEG_LS, (MULTIPART, "image/jls")),
    (f"multipart/related; type=image/jpeg; transfer-syntax={HEVC}", HEVC, (MULTIPART, OCTETS)),
    ('multipart/related; type="image/jpeg"; ', JPEG, (MULTIPART, "image/jpeg")),
    ("image/jpeg", JPEG_LOSSLESS, (SINGLE, "image/jpeg")),
    ("image/*", RLE, (MULTIPART, "image/dicom-rle")),
    ('multipart/related; type="image/*"', J2K, (MULTIPART, "image/jp2")),
    ("multipart/related; type=image/x-dicom-rle", RLE, (MULTIPART, "image/x-dicom-rle")),
    ("image/jhc", "1.2.840.10008.1.2.4.202", (SINGLE, "image/jhc")),
    (OCTETS, EXPLICIT_LITTLE, (SINGLE, OCTETS)),
    ("application/octet-stream; transfer-syntax=*", J2K, (SINGLE, OCTETS)),
    # The next range serves where the first does not fit what is stored.
    (
        "multipart/related; type=image/jpeg, multipart/related; type=application/octet-stream",
        RLE,
        (MULTIPART, OCTETS),
    ),
    (JAVA, JPEG, (SINGLE, "image/jpeg")),
    (JAVA, EXPLICIT_LITTLE, (MULTIPART, OCTETS)),
]


@pytest.mark.parametrize(("header", "stored", "answer"), FRAME_CASES)
def test_a_frame_comes_as_stored_under_a_true_name(
    header: str | None, stored: str, answer: tuple[Form, str]
) -> None:
    choice = settle(choose_frames(parse_accept(header), 1), [stored], nothing)[0].choice

    assert (choice.form, choice.media_type) == answer


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        (f'multipart/related; type="application/octet-stream"; transfer-syntax={J2K}', HEVC),
        ("image/jp2", JPEG),
        ("image/*", EXPLICIT_LITTLE),
        (f"image/jls; transfer-syntax={JPEG_LS}", RLE),
    ],
)
def test_a_frame_that_would_have_to_be_converted_and_cannot_be_is_refused(header: str, stored: str) -> None:
    """API rules 5.2."""
    with pytest.raises(NotAcceptable):
        settle(choose_frames(parse_accept(header), 1), [stored], nothing)


@pytest.mark.parametrize(
    "header", ["application/dicom", "video/mp4", "text/*", "multipart/related; type=video/mp4"]
)
@pytest.mark.parametrize("count", [1, 2])
def test_frames_are_no_files_nor_videos(header: str, count: int) -> None:
    with pytest.raises(NotAcceptable):
        choose_frames(parse_accept(header), count)


@pytest.mark.parametrize("header", [OCTETS, "image/jpeg", "application/octet-stream; transfer-syntax=*"])
def test_several_frames_in_one_part_are_a_bad_request(header: str) -> None:
    """API rules 5.1."""
    with pytest.raises(BadRequest):
        choose_frames(parse_accept(header), 2)


@pytest.mark.parametrize(
    "header", [*OPEN, "application/octet-stream, */*;q=0.1", "multipart/related; type=image/*"]
)
def test_several_frames_come_as_multipart(header: str | None) -> None:
    assert settle(choose_frames(parse_accept(header), 2), [JPEG], nothing)[0].choice.form is MULTIPART


def test_frames_of_implicit_and_deflated_files_are_explicit() -> None:
    stored = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", JPEG]

    assert [frame_syntax(uid) for uid in stored] == [
        EXPLICIT_LITTLE,
        EXPLICIT_LITTLE,
        "1.2.840.10008.1.2.2",
        JPEG,
    ]


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("application/dicom+json;q=0.1, application/json", "application/json"),
        ("application/json;q=0.1, application/dicom+json;q=.2", "application/dicom+json"),
        ("*/*, application/dicom+json;q=0", "application/json"),
        ("application/json, */*;q=0.1", "application/json"),
        ("application/*;q=0.5, application/dicom+json;q=0.2", "application/json"),
        ("application/json;q=0.000, */*;q=0.1", "application/dicom+json"),
        ("application/json;q=high, application/dicom+json;q=0.9", "application/json"),
    ],
)
def test_weights_decide_and_the_most_specific_entry_gives_the_weight(header: str, media_type: str) -> None:
    """PS3.18 section 8.7.8.1."""
    assert choose(SEARCH_OFFERS, parse_accept(header))[0].media_type == media_type


def test_a_named_syntax_with_a_low_weight_does_not_spoil_an_open_wish() -> None:
    header = f"multipart/related; type=application/dicom; transfer-syntax={J2K}; q=0.5, */*"

    assert settle(choose(INSTANCE_OFFERS, parse_accept(header)), [JPEG], nothing)[0] == Way(AS_STORED)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", None),
        ("accept", ""),
        ("x=1&Accept=*", "*"),
        ("accept=application/dicom%2Bjson", "application/dicom+json"),
        ("accept=application/dicom+json", "application/dicom+json"),
        (
            "accept=multipart/related;%20type=image/jpeg;+transfer-syntax=*",
            "multipart/related; type=image/jpeg; transfer-syntax=*",
        ),
        ("accept=a/b&accept=c/d", "a/b"),
    ],
)
def test_the_accept_parameter_is_found_in_the_query(query: str, parameter: str | None) -> None:
    assert accept_parameter(query) == parameter


@pytest.mark.parametrize(
    ("parameter", "header", "choice"),
    [
        ("*", JAVA, AS_STORED),
        ("application/dicom", "*/*;q=1", Choice(SINGLE, DICOM, ("*",), EXPLICIT_LITTLE)),
        ("application/dicom;q=0.1", "*/*", Choice(SINGLE, DICOM, ("*",), EXPLICIT_LITTLE)),
        ("garbage", "application/dicom; transfer-syntax=*", Choice(SINGLE, DICOM, ("*",))),
        ("image/jhc", "*/*", AS_STORED),
        ("garbage", None, AS_STORED),
    ],
)
def test_the_accept_parameter_goes_before_the_header(
    parameter: str, header: str | None, choice: Choice
) -> None:
    """Clients checklist 5: dcm4che's `accept=*`, Cornerstone3D's `accept=image/jhc`."""
    assert choose(INSTANCE_OFFERS, parse_accept(header, parameter))[0] == choice


def test_a_parameter_nobody_can_meet_is_refused_when_the_header_is_absent() -> None:
    with pytest.raises(NotAcceptable):
        choose(INSTANCE_OFFERS, parse_accept(None, "image/jhc"))


def test_ranges_are_read_with_their_weights_and_syntaxes() -> None:
    ranges = parse_accept(
        'image/jls; transfer-syntax="1.2"; transfer-syntax=1.3;q=0.5, multipart/related;type=a/b'
    )

    assert ranges == (MediaRange("a/b", MULTIPART), MediaRange("image/jls", SINGLE, ("1.2", "1.3"), 0.5))


def test_every_image_type_has_its_own_syntaxes() -> None:
    syntaxes = [uid for offer in FRAME_OFFERS for uid in offer.transfer_syntaxes]

    assert len(syntaxes) == len(set(syntaxes))
