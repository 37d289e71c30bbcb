"""What Accept, Range and the conditions make of an answer: API rules 4.1, 5.2; clients sections 3.5, 3.6, 4.

Which Accept headers of real clients are understood is in `test_retrieve` and `test_frames`.
"""

import re

import httpx
import pytest

from local.dev.service import Service
from tests.archive import ANY_FRAME, ANY_SYNTAX, Archive, parts_of
from tests.factories import (
    EXPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    MPEG_2,
    Instance,
    make,
    make_encapsulated,
    make_image,
    new_uid,
)

SINGLE = "application/dicom; transfer-syntax=*"
SINGLE_FRAME = "application/octet-stream; transfer-syntax=*"
NATIVE_FRAME = f"application/octet-stream; transfer-syntax={EXPLICIT}"
PARTS = 'multipart/related; type="application/dicom"'
JPEGS = [b"\xff\xd8" + bytes([number]) * (20 + 2 * number) + b"\xff\xd9" for number in range(4)]

STUDY = new_uid()
NATIVE = make_image(3, StudyInstanceUID=STUDY)
JPEG = make_encapsulated(JPEGS, fragments=2, StudyInstanceUID=STUDY)
VIDEO = make_encapsulated([b"abcd"], transfer_syntax=MPEG_2)


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds the instances above, for tests that only read them."""
    archive = Archive.fresh(http, service.url)
    archive.keep(NATIVE, JPEG, VIDEO)
    return archive


RANGED = [
    (NATIVE.path, SINGLE),
    (NATIVE.path, ANY_SYNTAX),
    (f"{NATIVE.path}/frames/2", SINGLE_FRAME),
    (f"{NATIVE.path}/frames/2", ANY_FRAME),
    (f"{NATIVE.path}/frames/3,1", ANY_FRAME),
    (f"{JPEG.path}/frames/2", SINGLE_FRAME),
    (f"{JPEG.path}/frames/4,2", ANY_FRAME),
    (f"{NATIVE.path}/frames/1", "image/jls"),
    (f"{NATIVE.path}/frames/1,2", 'multipart/related; type="image/jp2"'),
    (NATIVE.path, f"application/dicom; transfer-syntax={JPEG_2000}"),
]


@pytest.mark.parametrize(("path", "accept"), RANGED)
@pytest.mark.parametrize("step", [7, 64, 10_000])
def test_pieces_joined_are_the_whole(kept: Archive, path: str, accept: str, step: int) -> None:
    """Checklist 31 and 32: Cornerstone3D joins ranges of several answers, markers and all."""
    whole = kept.get(path, accept)
    total = len(whole.content)
    if total / step > 40:
        step = total // 40

    pieces = [
        kept.get(path, accept, Range=f"bytes={at}-{at + step - 1}", If_Range=whole.headers["ETag"])
        for at in range(0, total, step)
    ]

    assert b"".join(piece.content for piece in pieces) == whole.content
    assert {piece.status_code for piece in pieces} == {206}
    starts = [piece.headers["Content-Range"] for piece in pieces]
    assert starts[0] == f"bytes 0-{min(step, total) - 1}/{total}"
    assert {piece.headers["Content-Type"] for piece in pieces} == {whole.headers["Content-Type"]}
    assert all(piece.headers["Content-Length"] == str(len(piece.content)) for piece in pieces)


@pytest.mark.parametrize(("path", "accept"), RANGED)
def test_open_ranges_and_suffixes(kept: Archive, path: str, accept: str) -> None:
    """RFC 9110 section 14.1.2."""
    whole = kept.get(path, accept).content

    assert kept.get(path, accept, Range="bytes=5-").content == whole[5:]
    assert kept.get(path, accept, Range="bytes=-9").content == whole[-9:]
    assert kept.get(path, accept, Range=f"bytes=-{len(whole) + 5}").status_code == 206


@pytest.mark.parametrize(("path", "accept"), RANGED)
def test_a_range_behind_the_end_is_416(kept: Archive, path: str, accept: str) -> None:
    """Clients section 3.6: it says how long the whole is."""
    total = len(kept.get(path, accept).content)

    answer = kept.get(path, accept, Range=f"bytes={total}-")

    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{total}"


@pytest.mark.parametrize(
    "header", ["byte=0-3", "items=0-3", "bytes=3-1", "bytes=x", "bytes=0-1,3-4", "bytes="]
)
def test_a_range_that_makes_no_sense_is_ignored(kept: Archive, header: str) -> None:
    """Checklist 32: MONAI Deploy sends `byte=`. Several ranges get the whole (RFC 9110 section 14.2)."""
    answer = kept.get(NATIVE.path, SINGLE, Range=header)

    assert (answer.status_code, answer.content) == (200, NATIVE.content)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("if_range", ['"other"', "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_range_of_another_version_gets_the_whole(kept: Archive, if_range: str) -> None:
    """RFC 9110 section 13.1.5."""
    answer = kept.get(NATIVE.path, SINGLE, Range="bytes=0-3", If_Range=if_range)

    assert (answer.status_code, answer.content) == (200, NATIVE.content)


@pytest.mark.parametrize(("path", "accept"), [*RANGED, (f"studies/{STUDY}", ANY_SYNTAX)])
def test_who_has_it_already_gets_304(kept: Archive, path: str, accept: str) -> None:
    """Clients section 3.6; a range does not matter then (RFC 9110 section 13.2.2)."""
    etag = kept.get(path, accept).headers["ETag"]

    same = kept.get(path, accept, If_None_Match=f'"x", {etag}', Range="bytes=0-3")
    other = kept.get(path, accept, If_None_Match='"x"')

    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == etag
    assert other.status_code == 200


def test_every_representation_has_a_tag_of_its_own(kept: Archive) -> None:
    """RFC 9110 section 8.8.3: strong tags."""
    asked = [*RANGED, (f"studies/{STUDY}", ANY_SYNTAX), (NATIVE.series_path, ANY_SYNTAX)]

    tags = [kept.get(path, accept).headers["ETag"] for path, accept in asked]

    assert len(set(tags)) == len(tags)


def test_the_tag_changes_with_the_instance(archive: Archive) -> None:
    """Also where the bytes are the same, which nobody minds."""
    image = make_image()
    archive.keep(image)
    before = archive.get(image.path, SINGLE).headers["ETag"]
    archive.delete(image.path)

    archive.keep(image)

    assert archive.get(image.path, SINGLE).headers["ETag"] != before


@pytest.mark.parametrize(("path", "accept"), [*RANGED, (f"studies/{STUDY}", ANY_SYNTAX)])
def test_answers_tell_caches_what_they_depend_on(kept: Archive, path: str, accept: str) -> None:
    """Clients section 3.6."""
    answer = kept.get(path, accept)

    assert answer.headers["Vary"] == "Accept"
    assert answer.headers.get("Accept-Ranges") == (None if path == f"studies/{STUDY}" else "bytes")


@pytest.mark.parametrize(("path", "accept"), RANGED)
def test_head_tells_the_length_and_ignores_ranges(kept: Archive, path: str, accept: str) -> None:
    """RFC 9110 sections 9.3.2 and 14.2."""
    got = kept.get(path, accept)

    head = kept.ask("HEAD", path, accept, headers={"Range": "bytes=0-3"})

    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Accept-Ranges", "Vary"):
        assert head.headers[name] == got.headers[name]


def test_each_part_says_where_it_comes_from(kept: Archive) -> None:
    """Clients section 3.5 item 6: Content-Type first and spelt so, then location and length."""
    study, frames = kept.get(f"studies/{STUDY}", ANY_SYNTAX), kept.get(f"{JPEG.path}/frames/3,1", ANY_FRAME)

    heads = {part.head.split(b"\r\n")[1] for part in parts_of(study)}
    lines = [part.head.decode().split("\r\n") for part in parts_of(frames)]

    assert heads == {f"Content-Location: {kept.url(each.path)}".encode() for each in (NATIVE, JPEG)}
    assert lines == [
        [
            f"Content-Type: application/octet-stream; transfer-syntax={JPEG_BASELINE}",
            f"Content-Location: {kept.url(JPEG.path)}/frames/{number}",
            f"Content-Length: {len(JPEGS[number - 1])}",
        ]
        for number in (3, 1)
    ]


def test_another_address_of_the_service_is_another_body(kept: Archive) -> None:
    """The parts name it, so boundary and tag differ; no bytes are taken for others of the same tag."""
    here = kept.get(NATIVE.path, ANY_SYNTAX)
    there = kept.get(NATIVE.path, ANY_SYNTAX, X_Forwarded_Host="archive.example.org")

    assert b"//archive.example.org/" in there.content
    assert here.headers["ETag"] != there.headers["ETag"]


# (Accept, transfer syntax of the answer): the tables of sections 4.1 and 5.2, row by row.
FILE_ROWS = [
    (PARTS, EXPLICIT),
    (f"{PARTS}; transfer-syntax={EXPLICIT}", EXPLICIT),
    (f"{PARTS}; transfer-syntax={JPEG_2000}", JPEG_2000),
    (f"{PARTS}; transfer-syntax=*", EXPLICIT),
    ('multipart/related; type="*/*"', EXPLICIT),
    ("application/*", EXPLICIT),
    (f'multipart/related; type="*/*"; transfer-syntax={JPEG_2000}', JPEG_2000),
    (f"*/*; transfer-syntax={JPEG_2000}", JPEG_2000),
]


@pytest.mark.parametrize(("accept", "syntax"), FILE_ROWS)
@pytest.mark.parametrize("level", ["series", "instance"])
def test_files_by_the_table(kept: Archive, level: str, accept: str, syntax: str) -> None:
    """Section 4.1, multipart rows."""
    answer = kept.get({"series": NATIVE.series_path, "instance": NATIVE.path}[level], accept)

    assert answer.status_code == 200, answer.text
    assert [part.transfer_syntax for part in parts_of(answer)] == [syntax]


@pytest.mark.parametrize(
    ("accept", "syntax"),
    [
        ("application/dicom", EXPLICIT),
        (f"application/dicom; transfer-syntax={EXPLICIT}", EXPLICIT),
        (f'application/dicom; transfer-syntax="{JPEG_2000}"', JPEG_2000),
        (SINGLE, EXPLICIT),
    ],
)
def test_an_instance_in_a_single_part_by_the_table(kept: Archive, accept: str, syntax: str) -> None:
    """Section 4.1, single-part rows."""
    answer = kept.get(NATIVE.path, accept)

    assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={syntax}"
    assert answer.headers["Content-Length"] == str(len(answer.content))


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("application/octet-stream", NATIVE_FRAME),
        (NATIVE_FRAME, NATIVE_FRAME),
        (SINGLE_FRAME, NATIVE_FRAME),
        ("image/jp2", f"image/jp2; transfer-syntax={JPEG_2000}"),
        (f"image/jp2; transfer-syntax={JPEG_2000}", f"image/jp2; transfer-syntax={JPEG_2000}"),
        ("image/jls", "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"),
        ("image/jphc", "image/jphc; transfer-syntax=1.2.840.10008.1.2.4.201"),
        ("image/dicom-rle", "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"),
    ],
)
def test_frames_by_the_table(kept: Archive, accept: str, content_type: str) -> None:
    """Section 5.2; further image types as clients section 4.1 has them."""
    single = kept.get(f"{NATIVE.path}/frames/1", accept)
    media_type, _, rest = accept.partition(";")
    several = kept.get(f"{NATIVE.path}/frames/1,2", f'multipart/related; type="{media_type}";{rest}')

    assert single.headers["Content-Type"] == content_type
    assert {part.content_type for part in parts_of(several)} == {content_type}
    assert parts_of(several)[0].content == single.content


@pytest.mark.parametrize(
    "accept",
    [
        "application/octet-stream",
        f"{PARTS}; transfer-syntax={MPEG_2}",
        f"{PARTS}; transfer-syntax={JPEG_BASELINE}",
        "video/mp4",
        "application/dicom+json",
    ],
)
def test_files_are_refused_before_the_lookup(kept: Archive, accept: str) -> None:
    """Section 4.1: 406 in plain words, also for what does not exist (checklist 7)."""
    for path in (NATIVE.path, f"studies/{STUDY}", make().path, f"studies/{new_uid()}"):
        answer = kept.get(path, accept)
        assert answer.status_code == 406
        assert "Accept" in answer.text


@pytest.mark.parametrize(
    "accept",
    [
        f"application/octet-stream; transfer-syntax={JPEG_2000}",
        f'multipart/related; type="application/octet-stream"; transfer-syntax={JPEG_2000}',
        "image/jpeg",
        "image/jxl",
        "video/mp4",
    ],
)
def test_frames_are_refused_before_the_lookup(kept: Archive, accept: str) -> None:
    """Section 5.2; image/jpeg without a syntax means 4.70, which nothing encodes, never a lossy one."""
    for image in (NATIVE, VIDEO, make()):
        assert kept.get(f"{image.path}/frames/1", accept).status_code == 406


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG_2000])
def test_a_syntax_that_could_be_made_is_404_where_nothing_is(kept: Archive, syntax: str) -> None:
    """Section 4.4."""
    assert kept.get(make().path, f"application/dicom; transfer-syntax={syntax}").status_code == 404


@pytest.mark.parametrize("image", [NATIVE, JPEG, VIDEO], ids=["native", "jpeg", "video"])
def test_weights_and_the_asterisk(kept: Archive, image: Instance) -> None:
    """Section 4.1 steps 2 and 4: `*` of no lower weight wins, as stored; of a lower one it does not."""
    named = f"application/dicom; transfer-syntax={EXPLICIT}"

    same = kept.get(image.path, f"{named}, application/dicom; transfer-syntax=*")
    lower = kept.get(image.path, f"{named}; q=0.9, application/dicom; transfer-syntax=*; q=0.1")

    assert same.content == image.content
    # Neither the dummy JPEG nor video can be decoded, so the second best is given.
    assert lower.content == image.content
