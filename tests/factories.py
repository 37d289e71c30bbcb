"""Makes the smallest DICOM files and request bodies that show a point."""

import io
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
MPEG_2 = "1.2.840.10008.1.2.4.100"
RLE = "1.2.840.10008.1.2.5"

DICOM_PART = "Content-Type: application/dicom"
BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
PREAMBLE_BYTES = 128

_SETTINGS = threading.RLock()


@dataclass(frozen=True, slots=True)
class Instance:
    """A DICOM file and the UIDs in it."""

    study: str
    series: str
    instance: str
    content: bytes
    frames: tuple[bytes, ...] = ()
    """The bytes of each frame, as they should come back."""

    @property
    def series_path(self) -> str:
        """Its series, as a path below the root."""
        return f"studies/{self.study}/series/{self.series}"

    @property
    def path(self) -> str:
        """Itself, as a path below the root."""
        return f"{self.series_path}/instances/{self.instance}"


def new_uid() -> str:
    """A UID that nothing else has, of dotted components as scanners make them."""
    return f"1.2.826.0.1.3680043.10.1337.{uuid4().int >> 64}"


def make_dataset(**attributes: object) -> Dataset:
    """A dataset with everything search knows, changed as told.

    Args:
        attributes: Values by keyword; None takes an attribute out.
    """
    dataset = Dataset()
    with unchecked():
        for keyword, value in {**_usual(), **attributes}.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


@contextmanager
def unchecked() -> Iterator[None]:
    """Let pydicom read and write values as they are, however wrong.

    One thread at a time, as all share its settings.
    """
    settings = config.settings
    with _SETTINGS:
        before = settings.reading_validation_mode, settings.writing_validation_mode
        settings.reading_validation_mode = settings.writing_validation_mode = config.IGNORE
        try:
            yield
        finally:
            settings.reading_validation_mode, settings.writing_validation_mode = before


def _usual() -> dict[str, object]:
    return {
        "SOPClassUID": SECONDARY_CAPTURE,
        "SOPInstanceUID": new_uid(),
        "StudyInstanceUID": new_uid(),
        "SeriesInstanceUID": new_uid(),
        "StudyDate": "20240131",
        "StudyTime": "101112",
        "AccessionNumber": "A1",
        "Modality": "OT",
        "ReferringPhysicianName": "Referrer^Rita",
        "StudyDescription": "A study",
        "SeriesDescription": "A series",
        "ManufacturerModelName": "Model 1",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "19800102",
        "PatientSex": "F",
        "StudyID": "S1",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "PerformedProcedureStepStartDate": "20240131",
    }


def make(transfer_syntax: str = EXPLICIT, /, **attributes: object) -> Instance:
    """A file without pixel data; `attributes` as for `make_dataset`."""
    return as_instance(make_dataset(**attributes), transfer_syntax)


def make_image(
    frames: int = 1, *, rows: int = 4, columns: int = 4, transfer_syntax: str = EXPLICIT, **attributes: object
) -> Instance:
    """A file with native 16-bit pixel data, every frame different."""
    dataset = make_dataset(**attributes)
    pixels = [random.Random(number).randbytes(rows * columns * 2) for number in range(frames)]
    _describe_pixels(dataset, frames, rows, columns, bits=16)
    dataset.PixelData = b"".join(pixels)
    dataset["PixelData"].VR = "OW"
    return as_instance(dataset, transfer_syntax, frames=pixels)


def make_encapsulated(
    frames: Sequence[bytes],
    *,
    fragments: int = 1,
    table: str = "basic",
    transfer_syntax: str = JPEG_BASELINE,
    **attributes: object,
) -> Instance:
    """A file with encapsulated pixel data.

    Args:
        frames: The bytes of each frame, of even length.
        fragments: Into how many each frame is cut.
        table: Which offsets the file has: `basic`, `empty` or `extended`.
        transfer_syntax: What the frames are said to be.
        attributes: As for `make_dataset`.
    """
    dataset = make_dataset(**attributes)
    _describe_pixels(dataset, len(frames), rows=8, columns=8, bits=8)
    if table == "extended":
        dataset.PixelData, offsets, lengths = encapsulate_extended(list(frames))
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    else:
        has_table = table == "basic"
        dataset.PixelData = encapsulate(list(frames), fragments_per_frame=fragments, has_bot=has_table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return as_instance(dataset, transfer_syntax, frames=frames)


def _describe_pixels(dataset: Dataset, frames: int, rows: int, columns: int, *, bits: int) -> None:
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    if frames != 1:
        dataset.NumberOfFrames = frames


def as_instance(
    dataset: Dataset, transfer_syntax: str = EXPLICIT, *, frames: Sequence[bytes] = ()
) -> Instance:
    """Write a dataset as a file."""
    uids = (
        str(dataset.get(name, "")) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    study, series, instance = (uid.rstrip(" \0") for uid in uids)
    return Instance(study, series, instance, write(dataset, transfer_syntax), tuple(frames))


def write(dataset: Dataset, transfer_syntax: str = EXPLICIT) -> bytes:
    """The bytes of a file."""
    meta = FileMetaDataset()
    out = io.BytesIO()
    with unchecked():
        meta.MediaStorageSOPClassUID = UID(SECONDARY_CAPTURE)
        meta.MediaStorageSOPInstanceUID = UID("1.2.3")
        meta.TransferSyntaxUID = UID(transfer_syntax)
        dataset.file_meta = meta
        dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def without_preamble(content: bytes) -> bytes:
    """A file as some senders cut it: nothing before group 0002."""
    return content[PREAMBLE_BYTES + 4 :]


def with_preamble(content: bytes, preamble: bytes) -> bytes:
    """A file with something in its preamble."""
    assert len(preamble) == PREAMBLE_BYTES
    return preamble + content[PREAMBLE_BYTES:]


def multipart(parts: Iterable[Instance | bytes], boundary: str = BOUNDARY) -> tuple[bytes, str]:
    """The body of a store request and its Content-Type, as PS3.18 section 8.6.1 has them."""
    body = b"".join(part(content, boundary) for content in parts) + f"--{boundary}--\r\n".encode()
    return body, f'multipart/related; type="application/dicom"; boundary={boundary}'


def part(
    content: Instance | bytes, boundary: str = BOUNDARY, headers: Sequence[str] = (DICOM_PART,)
) -> bytes:
    """One part of a store request, from its delimiter to its line end."""
    lines = [f"--{boundary}", *headers, "", ""]
    payload = content.content if isinstance(content, Instance) else content
    return "\r\n".join(lines).encode() + payload + b"\r\n"
