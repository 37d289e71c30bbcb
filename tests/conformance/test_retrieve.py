"""Retrieve of studies, series and instances as stored (WADO-RS): API rules section 4, clients section 4."""

import httpx
import pytest

from local.dev.service import Service
from tests.archive import ANY_SYNTAX, Archive, parts_of
from tests.factories import (
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    MPEG_2,
    Instance,
    make,
    make_encapsulated,
    make_image,
    new_uid,
)

SINGLE = "application/dicom; transfer-syntax=*"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> tuple[Archive, Instance]:
    """A stored image, for tests that only read it."""
    archive, image = Archive.fresh(http, service.url), make_image()
    archive.keep(image)
    return archive, image


def series_of_three(archive: Archive) -> list[Instance]:
    """Two instances in one series and one in another, stored by different requests."""
    study, series = new_uid(), new_uid()
    images = [
        make_image(StudyInstanceUID=study, SeriesInstanceUID=series),
        make_encapsulated([b"one!", b"two!"], StudyInstanceUID=study, SeriesInstanceUID=series),
        make_image(StudyInstanceUID=study),
    ]
    archive.keep(*images[:2])
    archive.keep(images[2])
    return images


def test_an_instance_comes_back_byte_for_byte(archive: Archive) -> None:
    """Section 4.3: single part, with its length and transfer syntax."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(image.path, SINGLE)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert answer.headers["Content-Length"] == str(len(image.content))
    assert answer.content == image.content


def test_an_instance_comes_as_one_part(archive: Archive) -> None:
    """Section 4.3: the part names the syntax of its bytes; the whole has a length (clients section 4.2)."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(image.path, ANY_SYNTAX)

    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str(len(answer.content))
    (part,) = parts_of(answer)
    assert part.content_type == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert part.content == image.content


def test_a_study_comes_with_all_its_instances(archive: Archive) -> None:
    """Section 4.3: each part tells its own transfer syntax."""
    images = series_of_three(archive)

    answer = archive.get(f"studies/{images[0].study}", ANY_SYNTAX)

    assert answer.headers["Content-Length"] == str(len(answer.content))
    found = {part.content: part.transfer_syntax for part in parts_of(answer)}
    syntaxes = (EXPLICIT, JPEG_BASELINE, EXPLICIT)
    assert found == {image.content: syntax for image, syntax in zip(images, syntaxes, strict=True)}


def test_a_series_comes_with_its_instances_only(archive: Archive) -> None:
    """Section 4.3."""
    images = series_of_three(archive)

    answer = archive.get(images[0].series_path, ANY_SYNTAX)

    assert {part.content for part in parts_of(answer)} == {image.content for image in images[:2]}


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "*",
        "*/*; transfer-syntax=*",
        'multipart/related; type="*/*"',
        "multipart/related",
        'multipart/related; type="application/dicom"; transfer-syntax=*',
        "multipart/related; type=application/dicom; transfer-syntax=*",
        'multipart/related;type="application/dicom";transfer-syntax=*',
        'MULTIPART/RELATED; TYPE="Application/DICOM"; Transfer-Syntax="*"',
        'multipart/related; type="application/dicom"; transfer-syntax=*; boundary=**',
        'multipart/related; type="application/dicom"; transfer-syntax=*;',
        'multipart/related; type="application/dicom"',
        f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}',
        f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}; transfer-syntax=*',
        f'multipart/related; type="image/jpeg", {ANY_SYNTAX}',
        f"garbage; ;, {ANY_SYNTAX}",
        BROWSER,
        JAVA,
    ],
)
def test_every_accept_header_of_real_clients_gives_the_same_bytes(
    kept: tuple[Archive, Instance], accept: str | None, level: str
) -> None:
    """Section 4.1 read leniently; checklist 2 to 6 and 8."""
    archive, image = kept
    path = {"study": f"studies/{image.study}", "series": image.series_path, "instance": image.path}[level]

    answer = archive.get(path, accept)

    assert answer.status_code == 200, answer.text
    assert [part.content for part in parts_of(answer)] == [image.content]


@pytest.mark.parametrize(
    "accept",
    [
        "application/dicom",
        "application/dicom;transfer-syntax=*;",
        f"application/dicom; transfer-syntax={EXPLICIT}",
    ],
)
def test_single_part_is_given_to_who_asks_for_it(kept: tuple[Archive, Instance], accept: str) -> None:
    """Section 4.1, table of one instance."""
    archive, image = kept

    answer = archive.get(image.path, accept)

    assert answer.headers["Content-Type"].startswith("application/dicom;")
    assert answer.content == image.content


def test_a_parameter_of_the_query_goes_before_the_header(archive: Archive) -> None:
    """PS3.18 section 8.7.8.1; checklist 5: never 400."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(f"{image.path}?accept=application/dicom;%20transfer-syntax=*", ANY_SYNTAX)
    odd = archive.get(f"{image.path}?accept=image/jhc", ANY_SYNTAX)

    assert answer.content == image.content
    assert [part.content for part in parts_of(odd)] == [image.content]


@pytest.mark.parametrize(
    "accept",
    [
        "application/octet-stream",
        "image/jpeg",
        "application/dicom+json",
        f'multipart/related; type="application/dicom"; transfer-syntax={MPEG_2}',
        f"application/dicom; transfer-syntax={JPEG_BASELINE}",
        "application/dicom; q=0",
    ],
)
def test_what_cannot_be_given_is_406_before_404(kept: tuple[Archive, Instance], accept: str) -> None:
    """Section 4.1: Accept is judged before lookup, so also for what does not exist."""
    archive, image = kept

    assert archive.get(image.path, accept).status_code == 406
    assert archive.get(make().path, accept).status_code == 406


def test_a_study_is_not_offered_in_a_single_part(archive: Archive) -> None:
    """Section 4.1, table of study and series."""
    image = make_image()
    archive.keep(image)

    assert archive.get(f"studies/{image.study}", SINGLE).status_code == 406
    assert archive.get(image.series_path, SINGLE).status_code == 406


def test_a_syntax_that_was_asked_for_and_is_stored_is_given(archive: Archive) -> None:
    """Section 4.2: the requested UID equals the stored one."""
    image = make_encapsulated([b"abcd"])
    archive.keep(image)

    single = archive.get(image.path, f"application/dicom; transfer-syntax={JPEG_BASELINE}")
    several = archive.get(
        f"studies/{image.study}",
        f'multipart/related; type="application/dicom"; transfer-syntax={JPEG_BASELINE}',
    )

    assert single.content == image.content
    assert [part.content for part in parts_of(several)] == [image.content]


def test_several_instances_of_the_syntax_asked_for_are_given(archive: Archive) -> None:
    """Q-09: Azure answers 406 even then."""
    study = new_uid()
    images = [make_image(StudyInstanceUID=study) for _ in range(3)]
    archive.keep(*images)

    answer = archive.get(f"studies/{study}", 'multipart/related; type="application/dicom"')

    assert {part.content for part in parts_of(answer)} == {image.content for image in images}


def test_a_mixed_study_in_a_named_syntax_is_406(archive: Archive) -> None:
    """Section 4.2: explicit little endian and MPEG-2 cannot both be given as the first."""
    study = new_uid()
    archive.keep(
        make_image(StudyInstanceUID=study),
        make_encapsulated([b"abcd"], transfer_syntax=MPEG_2, StudyInstanceUID=study),
    )
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT}'

    assert archive.get(f"studies/{study}", accept).status_code == 406


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, DEFLATED, MPEG_2])
def test_any_transfer_syntax_is_kept(archive: Archive, syntax: str) -> None:
    """Section 3.8: anything readable is stored and comes back as it was."""
    if syntax == MPEG_2:
        image = make_encapsulated([b"abcd"], transfer_syntax=syntax)
    else:
        image = make_image(transfer_syntax=syntax)
    archive.keep(image)

    answer = archive.get(image.path, SINGLE)

    assert answer.headers["Content-Type"].endswith(syntax)
    assert answer.content == image.content


@pytest.mark.parametrize("accept", [ANY_SYNTAX, None])
def test_what_does_not_exist_is_404(archive: Archive, accept: str | None) -> None:
    """Section 4.4, at each level, beside something that does exist."""
    image = make_image()
    archive.keep(image)
    other = make(StudyInstanceUID=image.study, SeriesInstanceUID=image.series)

    for path in (other.path, f"studies/{image.study}/series/{new_uid()}", f"studies/{new_uid()}"):
        answer = archive.get(path, accept)
        assert answer.status_code == 404
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert "not found" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "studies/nonsense",
        "studies/1.2/series/x",
        "studies/1.2/series/3/instances/1.",
        f"studies/{'1' * 65}",
        "studies/1.2/series/3/instances/x/metadata",
        "studies/x/metadata",
        "studies/1.2/series/x/metadata",
        "studies/1.2/series/3/instances/x/frames/1",
    ],
)
def test_a_malformed_uid_is_400(kept: tuple[Archive, Instance], path: str) -> None:
    """Section 1.5: before any lookup."""
    answer = kept[0].get(path)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_uid_with_trailing_blanks_is_the_same_uid(archive: Archive) -> None:
    """Section 1.5."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(
        f"studies/{image.study}%20/series/{image.series}%00/instances/{image.instance}%20", SINGLE
    )

    assert answer.content == image.content


@pytest.mark.parametrize("accept", [SINGLE, ANY_SYNTAX, None])
def test_head_gives_the_headers_and_no_body(kept: tuple[Archive, Instance], accept: str | None) -> None:
    """Clients section 2.15: as GET, without the bytes."""
    archive, image = kept

    head, got = archive.ask("HEAD", image.path, accept), archive.get(image.path, accept)

    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == got.headers[name]
    assert archive.ask("HEAD", make().path, accept).status_code == 404


@pytest.mark.parametrize("tail", ["", "/", "?", "/?_=123", "?&x=y", "/?"])
def test_trailing_slashes_and_stray_parameters_change_nothing(
    kept: tuple[Archive, Instance], tail: str
) -> None:
    """Checklist 8b; MONAI Deploy ends every path in a slash."""
    archive, image = kept

    for path in (f"studies/{image.study}", image.series_path, image.path, f"{image.path}/frames/1"):
        assert archive.get(path + tail).status_code == 200
    assert archive.get(f"{image.path}/metadata{tail}").status_code == 200


def test_the_same_question_gives_the_same_bytes(archive: Archive) -> None:
    """Clients section 4.2, checklist 31: Cornerstone3D joins ranges of several answers."""
    images = series_of_three(archive)

    for path in (f"studies/{images[0].study}", images[0].series_path, images[0].path):
        first, second = archive.get(path, ANY_SYNTAX), archive.get(path, ANY_SYNTAX)
        assert first.headers["Content-Type"] == second.headers["Content-Type"]
        assert first.content == second.content


def test_another_content_has_another_boundary(archive: Archive) -> None:
    """Clients section 4.2: the boundary stands for the bytes, so it changes with them."""
    image = make_image()
    archive.keep(image)
    before = archive.get(f"studies/{image.study}").headers["Content-Type"]

    archive.keep(make(StudyInstanceUID=image.study))

    assert archive.get(f"studies/{image.study}").headers["Content-Type"] != before


def test_paths_are_matched_without_case(archive: Archive) -> None:
    """Section 1.1."""
    image = make_image()
    archive.keep(image)

    answer = archive.get(f"Studies/{image.study}/SERIES/{image.series}/Instances/{image.instance}", SINGLE)

    assert answer.content == image.content


def test_what_is_not_offered_is_404(archive: Archive) -> None:
    """Section 1.2, last paragraph."""
    image = make_image()
    archive.keep(image)

    for path in (f"studies/{image.study}/pixeldata", f"{image.path}/frames", "patients", "workitems/1.2"):
        assert archive.get(path).status_code == 404
