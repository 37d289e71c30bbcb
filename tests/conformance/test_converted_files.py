"""Every real file with pixels, converted by the service: frames and whole files.

Source: API rules sections 4.2 and 5.3.

Pixels are compared with the hashes of the collection's manifest, which several decoders agreed on: of every
file that has one. Files that no archive takes, as they name no study or the like, are completed first. Files
of which the service refuses the conversion are listed, each with the reason it must tell.
"""

import io
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset

from local.dev.service import Service
from shared.dicom.codecs import Frame
from tests.archive import Archive, parts_of
from tests.conformance.test_real_files import (
    BAD_UID,
    NO_CLASS,
    NO_PATIENT,
    NO_STUDY,
    REASONS,
    SEQUENCE_END,
    folders,
    frames_of,
    requests,
)
from tests.factories import EXPLICIT, JPEG_2000, SECONDARY_CAPTURE, Instance, as_instance, new_uid
from tests.unit.dicom.codecs.files import (
    NO_COLLECTION,
    WHEEL,
    Image,
    array_of,
    json_of,
    manifest,
    read_image,
)

pytestmark = pytest.mark.filterwarnings("ignore")

NATIVE_FRAMES = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}'
AS_FILE = "application/dicom; transfer-syntax={}"

# Files whose frames are not given without compression, and the reason that is told. As stored they are.
NO_FRAMES = {
    # A codestream whose header was overwritten.
    "JPEG2000-embedded-sequence-delimiter.dcm": "3722445056 x 1024",
    # Tiles at the right edge of a slide that are narrower than the dataset says.
    "multiframe.dcm": "55 x 240 pixels, but the dataset says 240 x 240",
    # Fragments of a few dummy bytes, made to try offset tables.
    **{
        f"generated_encapsulated_{table}_bot_{shape}.dcm": "no JPEG 2000 codestream"
        for table in ("defined", "empty")
        for shape in ("1_to_1", "2_to_1", "2_to_2")
    },
    # Video, which is kept and given back only.
    **dict.fromkeys(("h264-high-41.dcm", "hevc-main-51.dcm", "mpeg2-main-level.dcm"), "transfer syntaxes"),
}

LONG_SERIES = 100
"""Slices, which are all alike: of a folder that is one series of so many, one file in ten is converted."""

DEEPEST = 16
"""Bits of a sample that JPEG 2000 is written with at most."""

CHANGED = {"FFFCFFFC", "00280002", "00280004", "00280006", "00282110", "00282112", "00282114"}

IDENTITY = {
    "SOPClassUID": SECONDARY_CAPTURE,
    "PatientID": "P1",
    "PatientName": "Doe^Jane",
    "Modality": "OT",
}
"""What is put into files that lack it, beside UIDs."""


def name_of(path: Path) -> str:
    """A file's name without its source."""
    return path.name.split("__", 1)[-1]


@pytest.mark.parametrize("paths", folders())
def test_a_folder_of_real_files_without_compression(
    service: Service, http: httpx.Client, tmp_path: Path, paths: list[Path]
) -> None:
    """Sections 4.2 and 5.3: explicit VR little endian, by frames and as files, with the same pixels."""
    is_long = len(paths) >= LONG_SERIES and paths[0].parent.parent.name == "series"
    for group in requests(paths[:: 10 if is_long else 1]):
        archive = Archive.fresh(http, service.url)
        archive.store(*(file.path.read_bytes() for file in group))
        for file in group:
            if file.refusal is None:
                assert_converted(archive, file.path, file.dataset, tmp_path / "copy.dcm")


def without_identity() -> dict[str, Path]:
    """The files with pixels that lack nothing but what an archive files them under, by name."""
    files = (*sorted(WHEEL.rglob("*.dcm")), *manifest())
    lacking = (NO_CLASS, NO_STUDY, NO_PATIENT, BAD_UID)
    found = {name_of(path): path for path in files if REASONS.get(name_of(path)) in lacking}
    return {name: path for name, path in found.items() if read_image(path)}


@pytest.mark.parametrize("path", without_identity().values(), ids=name_of)
def test_a_file_that_no_archive_takes_once_it_is_completed(
    archive: Archive, tmp_path: Path, path: Path
) -> None:
    """The same for samples of pixel data that belong to no study or no patient."""
    instance = completed(path)

    archive.keep(instance)

    sent = pydicom.dcmread(io.BytesIO(instance.content))
    assert_converted(archive, path, sent, tmp_path / "copy.dcm")


def completed(path: Path) -> Instance:
    """A file with UIDs of its own, and with a patient."""
    dataset = pydicom.dcmread(path, force=True)
    for keyword, value in IDENTITY.items():
        if not dataset.get(keyword):
            setattr(dataset, keyword, value)
    for level in ("Study", "Series", "SOP"):
        setattr(dataset, f"{level}InstanceUID", new_uid())
    return as_instance(dataset, dataset.file_meta.TransferSyntaxUID)


def test_no_file_with_a_hash_is_left_out() -> None:
    """Each is stored as it is or completed, and none may be refused a conversion."""
    if not manifest():
        pytest.skip(NO_COLLECTION)
    hashed = {path for path, entry in manifest().items() if "pixels_sha256" in entry}

    left_out = {path for path in hashed if name_of(path) in REASONS} - {*without_identity().values()}

    assert left_out == set()
    assert not {name_of(path) for path in hashed} & NO_FRAMES.keys()


def assert_converted(archive: Archive, source: Path, dataset: Dataset, copy: Path) -> None:
    """A file comes without compression, or is refused for the reason known."""
    uids = (str(dataset[f"{level}InstanceUID"].value) for level in ("Study", "Series", "SOP"))
    path = "studies/{}/series/{}/instances/{}".format(*uids)
    count = len(frames_of(dataset))
    answer = archive.get(path, AS_FILE.format(EXPLICIT))
    if reason := NO_FRAMES.get(name_of(source)):
        frames = archive.get(f"{path}/frames/{numbers(count)}", NATIVE_FRAMES)
        assert {answer.status_code, frames.status_code} == {406}, source
        assert all(reason in refused.text for refused in (answer, frames)), (source, answer.text, frames.text)
        return
    assert answer.status_code == 200, (source, answer.text)
    copy.write_bytes(answer.content)
    assert_same_elements(source, dataset, pydicom.dcmread(copy))
    if count:
        found = read_image(copy)
        assert found is not None, source
        assert len(found.frames) == count, source
        entry = manifest().get(source)
        assert_frames(archive, path, found, entry.get("pixels_sha256") if entry else None)
        if source.parts[-3] not in ("series", "studies"):
            assert_compressed(archive, path, found, copy)


def numbers(count: int) -> str:
    """The numbers of all frames."""
    return ",".join(str(number) for number in range(1, count + 1))


def assert_same_elements(source: Path, dataset: Dataset, copy: Dataset) -> None:
    """Nothing changed but what describes the pixels."""
    before, after = json_of(dataset), json_of(copy)
    differing = {key for key in {*before, *after} if before.get(key) != after.get(key) and key[4:] != "0000"}
    assert differing <= CHANGED, (source, differing)


def assert_compressed(archive: Archive, path: str, native: Image, copy: Path) -> None:
    """The same pixels come out of JPEG 2000, unless it has no form for them."""
    answer = archive.get(path, AS_FILE.format(JPEG_2000))
    if native.description.bits_allocated > DEEPEST:
        assert answer.status_code == 406, path
        return
    assert answer.status_code == 200, (path, answer.text)
    copy.write_bytes(answer.content)
    if not pydicom.dcmread(copy):
        # pydicom gives a file up whose last delimiter is missing, as in one that is stored so.
        copy.write_bytes(answer.content + SEQUENCE_END)
    found = read_image(copy)
    assert found is not None, path
    assert pixels_of(found) == pixels_of(native)


def pixels_of(image: Image) -> str:
    """The hash of all its pixels."""
    return hash_of(image.native(index) for index in range(len(image.frames)))


def assert_frames(archive: Archive, path: str, found: Image, expected: str | None) -> None:
    """The frames are those of the converted file, and the pixels those of the manifest."""
    answer = archive.get(f"{path}/frames/{numbers(len(found.frames))}", NATIVE_FRAMES)
    assert answer.status_code == 200, (path, answer.text)
    parts = parts_of(answer)
    assert {part.transfer_syntax for part in parts} == {EXPLICIT}
    contents = [found.native(index).content for index in range(len(found.frames))]
    assert [part.content for part in parts] == contents
    if expected is not None:
        assert hash_of(Frame(part.content, found.description) for part in parts) == expected, path


def hash_of(frames: Iterable[Frame]) -> str:
    """As the manifest takes it: stored values of all frames, colour by pixel, little endian."""
    found = sha256()
    for frame in frames:
        found.update(array_of(frame).tobytes())
    return found.hexdigest()
