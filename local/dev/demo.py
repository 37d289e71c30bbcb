"""Shows the service at work: stores real files, finds them, gets them back and deletes them.

It starts an archive in memory on a free port and stops it in the end. Every answer is checked, so that the
demonstration fails when the service does not do what it shows.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from local.dev import azurite
from local.dev.azurite import free_port
from local.dev.service import start_service
from local.dev.steps import LOGS, ROOT, Failure, exit_with, say

FILES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "examples_overlay.dcm",
    "examples_palette.dcm",
    "examples_ybr_color.dcm",
    "waveform_ecg.dcm",
)
"""Files in pydicom's package, with the multi-frame one that is looked at more closely among them."""

LOOKED_AT = "examples_ybr_color.dcm"
FRAME = 7

PREAMBLE_BYTES = 128
"""Means nothing in DICOM and may hold anything, so an archive is free to clear it."""

Row = dict[str, dict[str, Any]]
"""A dataset in the DICOM JSON model."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file to store."""

    name: str
    content: bytes
    dataset: pydicom.Dataset

    @property
    def study_path(self) -> str:
        return f"/studies/{self.dataset.StudyInstanceUID}"

    @property
    def path(self) -> str:
        series, instance = self.dataset.SeriesInstanceUID, self.dataset.SOPInstanceUID
        return f"{self.study_path}/series/{series}/instances/{instance}"


def main() -> int:
    """Go through store, search, retrieve and delete."""
    say("Starting Azurite and the service ...")
    log = LOGS / "demo-service.log"
    log.unlink(missing_ok=True)
    with azurite.start() as storage:
        service = start_service(free_port(), storage.connection_string(), log=log)
        with service, httpx.Client(base_url=f"{service.url}/v2", timeout=60) as client:
            try:
                _show(client)
            except httpx.HTTPError as error:
                why = f"the service does not answer ({error})"
                raise Failure(f"{why}; see {log.relative_to(ROOT)}.") from error
    print(NEXT)
    return 0


def _show(client: httpx.Client) -> None:
    samples = [read_sample(name) for name in FILES]
    looked_at = next(sample for sample in samples if sample.name == LOOKED_AT)
    for step in (store, search, retrieve):
        step(client, samples)
    for look in (show_metadata, show_frame):
        look(client, looked_at)
    delete(client, samples)


def read_sample(name: str) -> Sample:
    """Read one of pydicom's own files."""
    found = get_testdata_file(name, download=False)
    if not isinstance(found, str):
        raise Failure(f"pydicom's package lacks {name}; make clean and try again.")
    content = Path(found).read_bytes()
    return Sample(name, content, pydicom.dcmread(found))


def store(client: httpx.Client, samples: Sequence[Sample]) -> None:
    """Store all files in one request."""
    _title("Store", f"POST /studies, {len(samples)} files in one request")
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join(head + sample.content + b"\r\n" for sample in samples) + f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
    response = _expect(client.post("/studies", content=body, headers=headers), 200)
    stored = len(response.json().get("00081199", {}).get("Value", []))
    if stored != len(samples):
        raise Failure(f"{len(samples)} files were sent, but {stored} are said to be stored.")
    _table(
        ("file", "modality", "frames", "bytes", "transfer syntax"),
        [
            (
                sample.name,
                sample.dataset.Modality,
                str(sample.dataset.get("NumberOfFrames", 1)),
                f"{len(sample.content):,}",
                sample.dataset.file_meta.TransferSyntaxUID.name,
            )
            for sample in samples
        ],
    )


def search(client: httpx.Client, samples: Sequence[Sample]) -> None:
    """Find the studies, all and by date."""
    everything = "/studies?includefield=NumberOfStudyRelatedInstances&includefield=ModalitiesInStudy"
    _title("Search", f"GET {everything}")
    rows: list[Row] = _expect(client.get(everything, headers=JSON), 200).json()
    found = {_value(row, "0020000D") for row in rows}
    missing = [sample.name for sample in samples if sample.dataset.StudyInstanceUID not in found]
    if missing:
        raise Failure(f"The search does not find {', '.join(missing)}.")
    tags = ("00080020", "00080061", "00100020", "00100010", "00201208")
    table = [tuple(_value(row, tag) for tag in tags) for row in rows]
    _table(("date", "modalities", "patient", "name", "instances"), table)
    by_date = "/studies?StudyDate=20040101-20041231"
    dated: list[Row] = _expect(client.get(by_date, headers=JSON), 200).json()
    if not dated or any(not _value(row, "00080020").startswith("2004") for row in dated):
        raise Failure("The search by date finds something else than the studies of 2004.")
    print(f"  GET {by_date}: {len(dated)} of them")


def retrieve(client: httpx.Client, samples: Sequence[Sample]) -> None:
    """Get every file back and compare it."""
    _title("Retrieve", "GET /studies/{study}/series/{series}/instances/{instance}")
    as_stored = {"Accept": "application/dicom; transfer-syntax=*"}
    for sample in samples:
        content = _expect(client.get(sample.path, headers=as_stored), 200).content
        if content[PREAMBLE_BYTES:] != sample.content[PREAMBLE_BYTES:]:
            raise Failure(f"{sample.name} comes back with other bytes than were stored.")
        print(f"  {sample.name}: {len(content):,} bytes, the same as stored")


def show_metadata(client: httpx.Client, sample: Sample) -> None:
    """Read the attributes of an instance without its pixels."""
    _title("Metadata", f"GET .../metadata of {sample.name}")
    rows: list[Row] = _expect(client.get(f"{sample.path}/metadata", headers=JSON), 200).json()
    if len(rows) != 1 or _value(rows[0], "00080018") != sample.dataset.SOPInstanceUID:
        raise Failure("The metadata are not those of the instance.")
    columns, height, frames = (_value(rows[0], tag) for tag in ("00280011", "00280010", "00280008"))
    print(f"  {len(rows[0])} attributes; {frames} frames of {columns} x {height} pixels")


def show_frame(client: httpx.Client, sample: Sample) -> None:
    """Read one frame of many and compare it with the file."""
    _title("Frame", f"GET .../frames/{FRAME} of {sample.name}")
    count = int(sample.dataset.NumberOfFrames)
    wanted = list(generate_frames(sample.dataset.PixelData, number_of_frames=count))[FRAME - 1]
    as_stored = {"Accept": "application/octet-stream; transfer-syntax=*"}
    frame = _expect(client.get(f"{sample.path}/frames/{FRAME}", headers=as_stored), 200).content
    # A frame is padded to an even length; whether the padding belongs to it, readers see differently.
    if frame.rstrip(b"\0") != wanted.rstrip(b"\0"):
        raise Failure(f"Frame {FRAME} is not the one in the file.")
    print(f"  {len(frame):,} bytes of {sample.dataset.file_meta.TransferSyntaxUID.name}, as in the file")


def delete(client: httpx.Client, samples: Sequence[Sample]) -> None:
    """Delete the studies and see that they are gone."""
    _title("Delete", "DELETE /studies/{study}")
    for path in sorted({sample.study_path for sample in samples}):
        _expect(client.delete(path), 204)
    _expect(client.get(samples[0].path, headers={"Accept": "*/*"}), 404)
    _expect(client.get("/studies", headers=JSON), 204)
    print("  Each is answered with 204; retrieving one now gives 404, and a search 204 for nothing found.")


JSON = {"Accept": "application/dicom+json"}


def _expect(response: httpx.Response, status: int) -> httpx.Response:
    if response.status_code != status:
        request = f"{response.request.method} {response.request.url.path}"
        said = response.text[:200] if response.status_code >= 400 else "no error"
        raise Failure(f"{request} was answered with {response.status_code} instead of {status} ({said}).")
    return response


def _value(row: Row, tag: str) -> str:
    """Read an attribute as text for the table: names in their first form, several values joined."""
    values = row.get(tag, {}).get("Value", [])
    return "\\".join(str(value["Alphabetic"] if isinstance(value, dict) else value) for value in values)


def _title(name: str, request: str) -> None:
    print(f"\n{name}: {request}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    for line in (head, *rows):
        print("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


NEXT = """
It works. Try next:

  make run

and, in another terminal, with any DICOM file:

  curl -H 'Content-Type: application/dicom' -H 'Accept: application/dicom+json' \\
       --data-binary @file.dcm http://127.0.0.1:7071/v2/studies
  curl http://127.0.0.1:7071/v2/studies

or from Python, with the package dicomweb-client:

  from dicomweb_client.api import DICOMwebClient
  client = DICOMwebClient("http://127.0.0.1:7071/v2")
  client.search_for_studies()

README.md shows more."""


if __name__ == "__main__":
    exit_with(main)
