"""Whole files in every transfer syntax that is made, read by pydicom: nothing is lost where nothing may be.

Source: API rules section 4.2, PS3.5 section 8.2 and annex A.
"""

import io
from dataclasses import replace

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from local.dev.service import Service
from shared.dicom.codecs import PixelDescription, join_frames
from tests.archive import Archive, parts_of
from tests.conformance.test_transcoding import HTJ2K, HTJ2K_RPCL, JPEG_LS, describe
from tests.factories import (
    EXPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    RLE,
    Instance,
    as_instance,
    make_dataset,
    new_uid,
)
from tests.pydicom_codecs import add_to_pydicom
from tests.unit.dicom.codecs.making import colour, grey, noise, smooth

SINGLE = "application/dicom; transfer-syntax={}"
PARTS = 'multipart/related; type="application/dicom"; transfer-syntax={}'

LOSSLESS = (EXPLICIT, JPEG_2000, HTJ2K, HTJ2K_RPCL, JPEG_LS, RLE)
FRAMES = 3

FORMS = {
    "grey of 8 bits": grey(9, 14),
    "grey of 12 bits": grey(9, 14, 16, stored=12),
    "grey of 16 bits": grey(9, 14, 16),
    "signed grey": grey(9, 14, 16, signed=True),
    "signed grey of 12 bits": grey(9, 14, 16, stored=12, signed=True),
    "odd sides": grey(7, 9),
    "RGB": colour(9, 14),
    "RGB by plane": colour(9, 14, planar=1),
    "RGB of 16 bits": colour(9, 14, bits=16),
    "YBR_FULL": colour(9, 14, colours="YBR_FULL"),
    "bits": grey(9, 14, 1),
    "32 bits": grey(9, 14, 32),
}

NO_FORM = {
    **dict.fromkeys((("bits", syntax) for syntax in (HTJ2K, HTJ2K_RPCL, JPEG_LS)), "Samples of 1 bits"),
    **dict.fromkeys(
        (("32 bits", syntax) for syntax in (JPEG_2000, HTJ2K, HTJ2K_RPCL, JPEG_LS)), "Samples of 32 bits"
    ),
}
"""What a syntax has no form for, or none that anybody reads, and what the 406 says."""

NOT_READ = {("bits", RLE), ("bits", JPEG_2000), ("RGB of 16 bits", JPEG_2000)}
"""What pydicom has no decoder for; the way back is compared all the same."""


@pytest.fixture(scope="module", autouse=True)
def decoders() -> None:
    """Those that pydicom lacks."""
    add_to_pydicom()


def frames_of(description: PixelDescription) -> list[bytes]:
    """Frames of noise in all the bits that are stored."""
    return [noise(description, seed) for seed in range(FRAMES)]


def image_of(description: PixelDescription, study: str) -> Instance:
    """A file of such frames without compression."""
    dataset = make_dataset(NumberOfFrames=FRAMES, StudyInstanceUID=study)
    describe(dataset, description)
    dataset.PixelData = b"".join(join_frames(frames_of(description), description))
    dataset["PixelData"].VR = "OW" if description.bits_allocated > 8 else "OB"
    return as_instance(dataset)


STUDY = new_uid()
IMAGES = {name: image_of(description, STUDY) for name, description in FORMS.items()}


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Archive:
    """The archive that holds them, for tests that only read."""
    archive = Archive.fresh(http, service.url)
    archive.keep(*IMAGES.values())
    return archive


def read(content: bytes) -> Dataset:
    """A file as pydicom reads it."""
    return pydicom.dcmread(io.BytesIO(content))


def shown(dataset: Dataset) -> np.ndarray:
    """All pixels as stored: (frame, row, column, sample), colours not converted."""
    dataset.pixel_array_options(raw=True)
    return dataset.pixel_array


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("name", FORMS)
def test_a_file_in_another_syntax_has_the_same_pixels(
    kept: Archive, archive: Archive, name: str, syntax: str
) -> None:
    """Section 4.2: there, as pydicom reads it, and back again, byte for byte."""
    image = IMAGES[name]
    before = read(image.content)

    answer = kept.get(image.path, SINGLE.format(syntax))

    if reason := NO_FORM.get((name, syntax)):
        assert (answer.status_code, reason in answer.text) == (406, True), answer.text
        return
    assert answer.status_code == 200, answer.text
    found = read(answer.content)
    assert found.file_meta.TransferSyntaxUID == syntax
    if (name, syntax) not in NOT_READ:
        assert np.array_equal(shown(found), shown(before))
    archive.store(answer.content)
    back = read(archive.get(image.path, SINGLE.format(EXPLICIT)).content)
    assert back.PixelData == by_pixel(name, syntax)


def by_pixel(name: str, syntax: str) -> bytes:
    """The pixel data that come back: samples by pixel, once they were compressed."""
    value = bytes(read(IMAGES[name].content).PixelData)
    description = FORMS[name]
    if syntax == EXPLICIT or not description.planar_configuration:
        return value
    planes = np.frombuffer(value, np.uint8).reshape(FRAMES, 3, description.pixels)
    return planes.transpose(0, 2, 1).tobytes()


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("level", ["study", "series"])
def test_a_study_or_series_in_a_named_syntax(archive: Archive, level: str, syntax: str) -> None:
    """Q-09: instance by instance, each part in the syntax named, whatever it is stored in."""
    study, series = new_uid(), new_uid()
    names = ("grey of 16 bits", "signed grey of 12 bits", "RGB", "YBR_FULL")
    images = {}
    for name, stored in zip(names, (EXPLICIT, JPEG_2000, RLE, JPEG_LS), strict=True):
        image = renamed(archive, name, stored, StudyInstanceUID=study, SeriesInstanceUID=series)
        images[image.instance] = name
        archive.keep(image)
    path = {"study": f"studies/{study}", "series": f"studies/{study}/series/{series}"}[level]

    parts = parts_of(archive.get(path, PARTS.format(syntax)))

    assert {part.transfer_syntax for part in parts} == {syntax}
    found = {str(each.SOPInstanceUID): each for each in (read(part.content) for part in parts)}
    assert found.keys() == images.keys()
    for instance, name in images.items():
        assert np.array_equal(shown(found[instance]), shown(read(IMAGES[name].content))), name


def renamed(archive: Archive, name: str, syntax: str, **uids: str) -> Instance:
    """One of the images in a syntax, under other UIDs."""
    other = Archive.fresh(archive.http, archive.host)
    other.keep(IMAGES[name])
    dataset = read(other.get(IMAGES[name].path, SINGLE.format(syntax)).content)
    for keyword, uid in {**uids, "SOPInstanceUID": new_uid()}.items():
        setattr(dataset, keyword, uid)
    return as_instance(dataset, syntax)


@pytest.mark.parametrize("description", [grey(64, 96), colour(64, 96)], ids=["grey", "RGB"])
def test_jpeg_baseline_is_near(archive: Archive, description: PixelDescription) -> None:
    """Clients section 4.1: by name, and frames only; of a smooth picture no sample is off by more than 12
    of 255, and all of them by less than 2 on average."""
    dataset = make_dataset()
    describe(dataset, description)
    dataset.PixelData = smooth(description)
    dataset["PixelData"].VR = "OB"
    image = as_instance(dataset)
    archive.keep(image)

    answer = archive.get(f"{image.path}/frames/1", f"image/jpeg; transfer-syntax={JPEG_BASELINE}")

    colours = "YBR_FULL_422" if description.samples_per_pixel == 3 else "MONOCHROME2"
    copy = make_dataset()
    describe(copy, replace(description, photometric_interpretation=colours))
    copy.PixelData = encapsulate([answer.content + b"\0" * (len(answer.content) % 2)])
    copy["PixelData"].VR = "OB"
    copy["PixelData"].is_undefined_length = True
    # pydicom turns it into RGB.
    given = read(as_instance(copy, JPEGBaseline8Bit).content).pixel_array
    apart = np.abs(given.astype(int) - shown(read(image.content)).astype(int))
    assert apart.max() <= 12
    assert apart.mean() < 2
