"""Real files: what goes in comes back byte for byte, with its metadata and its frames.

pydicom's own test files always; the collection beside the project where it is there. Frames are compared with
what pydicom finds in the file.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from local.dev.service import Service
from tests.archive import ANY_FRAME, ANY_SYNTAX, Archive, comments, parts_of, stored, uids, values
from tests.factories import PREAMBLE_BYTES

FILES_AT_ONCE = 20
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"

PYDICOM = Path(pydicom.__file__).parent / "data"
BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"

NO_CLASS, NO_STUDY, NO_PATIENT, BAD_UID, UNREADABLE = (
    "The required tag '(0008,0016)' is missing.",
    "The required tag '(0020,000d)' is missing.",
    "The required tag '(0010,0020)' is missing.",
    "failed validation for VR 'UI'",
    "",
)

# Files that no archive can take, by name without the source in front of it.
REFUSED = {
    # Directories and fragments of datasets, which are no instances.
    NO_CLASS: """
        DICOMDIR DICOMDIR-bigEnd DICOMDIR-empty.dcm DICOMDIR-implicit DICOMDIR-nopatient DICOMDIR-reordered
        UN_sequence.dcm chrSQEncoding.dcm chrSQEncoding1.dcm empty_charset_LEI.dcm nested_priv_SQ.dcm
        no_meta_group_length.dcm priv_SQ.dcm generated_encapsulated_defined_bot_1_to_1.dcm
        generated_encapsulated_defined_bot_2_to_1.dcm generated_encapsulated_defined_bot_2_to_2.dcm
        generated_encapsulated_empty_bot_1_to_1.dcm generated_encapsulated_empty_bot_2_to_1.dcm
    """,
    # Samples of pixel data, a palette and a hanging protocol, which belong to no study.
    NO_STUDY: """
        HTJ2KLossless_08_RGB.dcm HTJ2K_08_RGB.dcm JLSL_08_07_0_1F.dcm JLSL_16_15_1_1F.dcm JLSL_RGB_ILV0.dcm
        JLSL_RGB_ILV1.dcm JLSL_RGB_ILV2.dcm JLSN_RGB_ILV0.dcm JPEGLSNearLossless_08.dcm
        JPEGLSNearLossless_16.dcm SC_rgb_jls_lossy_line.dcm SC_rgb_jls_lossy_sample.dcm hotiron.dcm
        NeurosurgeryPlan.dcm dataset.dcm no_study_instance_uid.dcm multiframe.dcm
    """,
    NO_PATIENT: """
        GDCMJ2K_TextGBR.dcm no-meta-length-test.dcm file.dcm test_wsi.dcm ExplVR_BigEnd.dcm
    """,
    BAD_UID: "uid_longer_than_64.dcm bad_sequence.dcm",
    # Without group 0002 or a transfer syntax in it, cut off, empty, or damaged within.
    UNREADABLE: """
        rtstruct.dcm ExplVR_BigEndNoMeta.dcm ExplVR_LitEndNoMeta.dcm no_meta.dcm meta_missing_tsyntax.dcm
        cut_in_the_middle_of_pixel_data.dcm rtplan_truncated.dcm MR_truncated.dcm empty_file.dcm not_dicom.dcm
        DICOMDIR-nooffset
    """,
}
REASONS = {name: reason for reason, names in REFUSED.items() for name in names.split()}


@dataclass(frozen=True, slots=True)
class RealFile:
    """A file of the collections."""

    path: Path
    dataset: Dataset
    content: bytes
    """As it should come back: with a blank preamble."""

    @property
    def refusal(self) -> str | None:
        """Why it should be refused, if it should."""
        return REASONS.get(self.path.name.rpartition("__")[2])

    @property
    def address(self) -> tuple[str, ...]:
        """Its UIDs, or its path where it should be refused."""
        if self.refusal is not None:
            return (str(self.path),)
        tags = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return tuple(str(self.dataset[tag].value) for tag in tags)


def folders() -> list[object]:
    """The folders of both collections, as parameters."""
    found: list[object] = [
        pytest.param(sorted_files(PYDICOM / name), id=f"pydicom/{name}")
        for name in ("test_files", "charset_files")
    ]
    manifest = BESIDE / "manifest.json"
    if not manifest.is_file():
        reason = f"THE COLLECTION OF REAL FILES IS NOT THERE: {BESIDE}"
        return [*found, pytest.param([], id="collection", marks=pytest.mark.skip(reason=reason))]
    by_folder: dict[str, list[Path]] = {}
    for entry in json.loads(manifest.read_text())["entries"]:
        by_folder.setdefault(str(Path(entry["file"]).parent), []).append(BESIDE / entry["file"])
    return [*found, *(pytest.param(paths, id=folder) for folder, paths in by_folder.items())]


def sorted_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder of pydicom's."""
    known = {"", ".dcm"}
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in known and p.name != "README")


def read(path: Path) -> RealFile:
    """Read a file as pydicom does."""
    content = path.read_bytes()
    if content[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] == b"DICM":
        content = bytes(PREAMBLE_BYTES) + content[PREAMBLE_BYTES:]
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    if not dataset:
        # pydicom gives a file up whose last delimiter is missing.
        dataset = pydicom.dcmread(io.BytesIO(content + SEQUENCE_END), force=True)
    return RealFile(path, dataset, content)


def requests(paths: Sequence[Path]) -> Iterator[list[RealFile]]:
    """Files in groups for one request each; several files share their UIDs and cannot be stored together."""
    left = [read(path) for path in paths]
    while left:
        distinct: dict[tuple[str, ...], RealFile] = {}
        for file in left:
            distinct.setdefault(file.address, file)
        group = list(islice(distinct.values(), FILES_AT_ONCE))
        left = [file for file in left if file not in group]
        yield group


# pydicom remarks on every oddity of these files.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("paths", folders())
def test_a_folder_of_real_files(service: Service, http: httpx.Client, paths: list[Path]) -> None:
    """API rules sections 3.8, 4.3, 5.3 and 7.2."""
    for group in requests(paths):
        archive = Archive.fresh(http, service.url)
        kept = [file for file in group if file.refusal is None]

        assert_answer(archive.store(*(file.path.read_bytes() for file in group)), group)
        for study in dict.fromkeys(file.address[0] for file in kept):
            of_study = [file for file in kept if file.address[0] == study]
            parts = parts_of(archive.get(f"studies/{study}", ANY_SYNTAX))
            metadata = archive.metadata(f"studies/{study}")

            assert {part.content for part in parts} == {file.content for file in of_study}
            assert sorted(uids(metadata, "00080018")) == sorted(file.address[2] for file in of_study)
        for file in kept:
            assert_frames(archive, file)


def assert_answer(answer: httpx.Response, group: Sequence[RealFile]) -> None:
    """Everything is stored but what cannot be, which is refused for the reason known."""
    refused = [file for file in group if file.refusal is not None]
    assert stored(answer) == [file.address[2] for file in group if file.refusal is None], answer.text
    items = values(answer.json(), "00081198") if refused else []
    for item, file in zip(items, refused, strict=True):
        assert values(item, "00081197") == [43264]
        told = comments(item)[0] if "00741048" in item else UNREADABLE
        assert told.endswith(file.refusal or "") if file.refusal != BAD_UID else BAD_UID in told, file.path


def assert_frames(archive: Archive, file: RealFile) -> None:
    """The frames that pydicom finds are those the service gives."""
    path = "studies/{}/series/{}/instances/{}/frames/".format(*file.address)
    expected = frames_of(file.dataset)
    if not expected:
        assert archive.get(f"{path}1", ANY_FRAME).status_code == 404
        return
    numbers = ",".join(str(number) for number in range(1, len(expected) + 1))
    answer = archive.get(path + numbers, ANY_FRAME)
    assert answer.status_code == 200, (file.path, answer.text)
    assert [part.content for part in parts_of(answer)] == expected, file.path
    assert archive.get(f"{path}{len(expected) + 1}", ANY_FRAME).status_code == 404, file.path


def frames_of(dataset: Dataset) -> list[bytes]:
    """The bytes of each frame, found by pydicom or, in native data, by arithmetic."""
    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in dataset), None)
    if keyword is None:
        return []
    element = dataset[keyword]
    declared = str(dataset.get("NumberOfFrames") or 1)
    count = int(declared) if declared.isdigit() else 1
    if not element.is_undefined_length:
        return native(element.value, count, frame_bits(dataset))
    if UID(dataset.file_meta.TransferSyntaxUID).name.startswith(("MPEG", "HEVC")):
        count = 1
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    return list(generate_frames(element.value, number_of_frames=count, extended_offsets=offsets))


def frame_bits(dataset: Dataset) -> int:
    """Bits of a native frame."""
    samples = dataset.get("SamplesPerPixel", 1)
    # Two pixels share their chroma samples (PS3.3 C.7.6.3.1.2).
    shared = samples == 3 and dataset.get("PhotometricInterpretation") == "YBR_FULL_422"
    return int(dataset.Rows * dataset.Columns * dataset.BitsAllocated * (2 if shared else samples))


def native(value: bytes, count: int, bits: int) -> list[bytes]:
    """Cut native pixel data into frames; pixels of one bit fill a byte from its low end (PS3.5 8.1.1)."""
    if bits % 8 == 0:
        return [value[bits // 8 * number : bits // 8 * (number + 1)] for number in range(count)]
    whole = int.from_bytes(value, "little")
    mask = (1 << bits) - 1
    return [(whole >> (bits * number) & mask).to_bytes((bits + 7) // 8, "little") for number in range(count)]
