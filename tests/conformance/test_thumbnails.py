"""Thumbnails: PS3.18 section 10.4.1.1.4, clients sections 2.1 and 2.8, checklist 38 and 40."""

from typing import Any

import httpx
import numpy as np
import pytest

from local.dev.service import Service
from tests.archive import Archive
from tests.factories import Instance, make, make_encapsulated, new_uid
from tests.pictures import make_picture, picture_of, shades

PNG = "image/png"
EXACT = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
LEVELS = ("study", "series", "instance", "frame")

LARGE = make_picture(np.full((300, 200), 77, np.uint8), **EXACT)


def _path(image: Instance, level: str) -> str:
    paths = {
        "study": f"studies/{image.study}",
        "series": image.series_path,
        "instance": image.path,
        "frame": f"{image.path}/frames/1",
    }
    return f"{paths[level]}/thumbnail"


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds `LARGE`, for tests that only read it."""
    archive = Archive.fresh(http, service.url)
    archive.keep(LARGE)
    return archive


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "image/jpeg",
        'multipart/related; type="application/octet-stream"',
        'multipart/related; type="image/jpeg"',
        "image/avif,image/webp,*/*;q=0.5",
    ],
)
def test_it_is_one_small_jpeg_at_every_level(kept: Archive, level: str, accept: str | None) -> None:
    """Of 128 pixels on the longer side, whatever form is asked for (checklist 38)."""
    image = picture_of(kept.get(_path(LARGE, level), accept))

    assert (image.format, image.size) == ("JPEG", (85, 128))


@pytest.mark.parametrize("level", LEVELS)
def test_it_may_be_of_another_size_and_format(kept: Archive, level: str) -> None:
    """As Weasis asks for it (checklist 40); a viewport is filled."""
    path = _path(LARGE, level)

    assert picture_of(kept.get(f"{path}?viewport=256%2C256", "image/jpeg")).size == (171, 256)
    assert picture_of(kept.get(f"{path}?viewport=10,600")).size == (10, 15)
    assert shades(kept.get(f"{path}?viewport=2,3", PNG)) == [[77] * 2] * 3
    assert picture_of(kept.get(path, "image/gif")).format == "GIF"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("query", "accept", "status"),
    [
        ("viewport=0,0", None, 400),
        ("viewport=128", None, 400),
        ("quality=200", None, 400),
        ("", "application/dicom", 406),
        ("", "application/pdf", 406),
        ("", "video/mp4", 406),
    ],
)
def test_what_cannot_be_is_refused(
    kept: Archive, level: str, query: str, accept: str | None, status: int
) -> None:
    """As with rendered resources."""
    assert kept.get(f"{_path(LARGE, level)}?{query}", accept).status_code == status


def test_small_pictures_stay_as_they_are(archive: Archive) -> None:
    """Scaling up is left to who shows it."""
    image = make_picture(np.array([[0, 255, 9, 9]], np.uint8), **EXACT)
    archive.keep(image)

    assert shades(archive.get(_path(image, "instance"), PNG)) == [[0, 255, 9, 9]]


def test_quality_and_size_keep_it_small(archive: Archive) -> None:
    """A few kilobytes of a frame of a megabyte."""
    noise = make_picture(np.random.default_rng(1).integers(0, 4096, (800, 600), np.uint16))
    archive.keep(noise)
    path = _path(noise, "series")

    assert len(archive.get(path).content) < 16 * 1024
    assert len(archive.get(f"{path}?quality=5").content) < len(archive.get(path).content)


def test_of_many_frames_it_is_the_one_in_the_middle(archive: Archive) -> None:
    """The first and last slices mostly show little; a frame's own is its own."""
    image = make_picture(np.stack([np.full((2, 2), shade, np.uint8) for shade in (10, 20, 30, 40)]), **EXACT)
    archive.keep(image)

    for level in ("study", "series", "instance"):
        assert shades(archive.get(_path(image, level), PNG))[0][0] == 20
    assert shades(archive.get(f"{image.path}/frames/4/thumbnail", PNG))[0][0] == 40
    assert shades(archive.get(f"{image.path}/frames/1/thumbnail", PNG))[0][0] == 10


@pytest.mark.parametrize(("frames", "status"), [("1,1", 400), ("0", 400), ("2", 404), ("x", 404)])
def test_a_frame_must_be_one_that_is(kept: Archive, frames: str, status: int) -> None:
    """A thumbnail is one picture."""
    assert kept.get(f"{LARGE.path}/frames/{frames}/thumbnail").status_code == status


def _stack(count: int, *, series: str, study: str) -> list[Instance]:
    return [
        make_picture(
            np.full((2, 2), number, np.uint8),
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            SOPInstanceUID=f"1.2.3.{1000 + number}",
            **EXACT,
        )
        for number in range(count)
    ]


def test_of_many_instances_it_is_the_one_in_the_middle(archive: Archive) -> None:
    """In the order of their UIDs; reports and documents are passed over."""
    study = new_uid()
    first, second = f"{study}.1", f"{study}.2"
    report = make(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.0")
    archive.keep(*_stack(9, series=first, study=study), *_stack(3, series=second, study=study), report)

    for path, shade in ((f"series/{first}/", 4), (f"series/{second}/", 1), ("", 4)):
        assert shades(archive.get(f"studies/{study}/{path}thumbnail", PNG))[0][0] == shade
    assert archive.get(f"{report.series_path}/thumbnail").status_code == 404


def test_when_the_middle_cannot_be_rendered_another_one_is(archive: Archive) -> None:
    """Damaged files do not hide those around them."""
    uids: dict[str, Any] = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid()}
    good = [
        make_picture(np.full((2, 2), 50, np.uint8), SOPInstanceUID=f"1.2.3.{number}", **uids, **EXACT)
        for number in (1, 3)
    ]
    archive.keep(*good, make_encapsulated([b"no real jpeg"], SOPInstanceUID="1.2.3.2", **uids))

    assert shades(archive.get(_path(good[0], "series"), PNG))[0][0] == 50
    assert shades(archive.get(_path(good[0], "study"), PNG))[0][0] == 50


@pytest.mark.parametrize("level", LEVELS[:3])
def test_what_is_no_picture_has_none(archive: Archive, level: str) -> None:
    """404 for what has no pixels or is not there."""
    document = make(EncapsulatedDocument=b"%PDF", MIMETypeOfEncapsulatedDocument="application/pdf")
    archive.keep(document)

    assert archive.get(_path(document, level)).status_code == 404
    assert archive.get(_path(make(), level)).status_code == 404


def test_it_costs_little_however_much_there_is(archive: Archive) -> None:
    """Promise 4: row and frame of an instance; of a study or series a page of rows before."""
    study = new_uid()
    stack = _stack(200, series=f"{study}.1", study=study)
    archive.keep(*stack)
    calls = {level: archive.get(_path(stack[0], level)).headers["x-storage-calls"] for level in LEVELS}

    assert calls == {
        "study": "3; rows=201",
        "series": "3; rows=201",
        "instance": "2; rows=1",
        "frame": "2; rows=1",
    }


@pytest.mark.parametrize("level", LEVELS)
def test_who_has_it_is_told_so(kept: Archive, level: str) -> None:
    """RFC 9110 section 13.1.2: without anything being drawn."""
    path = _path(LARGE, level)
    etag = kept.get(path).headers["ETag"]

    known = kept.get(path, If_None_Match=etag)

    assert (known.status_code, known.content) == (304, b"")
    head = kept.ask("HEAD", path)
    assert (head.status_code, head.headers["ETag"], head.content) == (200, etag, b"")


def test_frames_that_are_too_much_work_are_refused(archive: Archive) -> None:
    """A thumbnail's limit is lower than that of a rendered frame."""
    frame = b"\xff\xd8\xff\xd9"
    image = make_encapsulated([frame])
    sides = [(b"\x10\x00US\x02\x00\x08\x00", b"\x10\x00US\x02\x00\x00\x24")]
    sides.append((b"\x11\x00US\x02\x00\x08\x00", b"\x11\x00US\x02\x00\x00\x24"))
    content = image.content
    for old, new in sides:
        assert content.count(b"\x28\x00" + old) == 1
        content = content.replace(b"\x28\x00" + old, b"\x28\x00" + new)
    archive.store(content)

    small, large = (archive.get(f"{image.path}/{end}") for end in ("thumbnail", "rendered"))

    assert (small.status_code, large.status_code) == (406, 406)
    assert "beyond the limit" in small.text
    assert "beyond the limit" not in large.text
