"""An object of 2 GB goes through a service that holds little of it (API rules sections 1.9 and 5.3)."""

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.dev import azurite
from local.dev.steps import ROOT
from tests.archive import ANY_FRAME, ANY_SYNTAX, JSON, Archive, parts_of, stored
from tests.factories import (
    BOUNDARY,
    DICOM_PART,
    Instance,
    as_instance,
    make,
    make_dataset,
    make_image,
    multipart,
)

FRAMES, ROWS, COLUMNS = 256, 2048, 2048
FRAME_BYTES = ROWS * COLUMNS * 2
ALLOWED_BYTES = 64 * 1024 * 1024
"""What the process may grow by beyond its size when it idles."""

USUAL_FILES = 60
"""Of 2.9 MB each."""

MARK = b"PIXELS COME HERE"
BETWEEN = (bytes(range(256)) * (FRAME_BYTES // 256))[8:-8]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux to see memory"
)


@dataclass(slots=True)
class LargeFile:
    """A file of 2 GiB of pixels that exists only while it is sent."""

    front: bytes
    """All that comes before the pixels."""

    path: str
    checksum: int = 0
    """CRC of what was sent, which is quicker than a digest and tells pieces out of place as well."""

    def chunks(self) -> Iterator[bytes]:
        """The file in pieces."""
        yield self.noted(self.front)
        for number in range(1, FRAMES + 1):
            for piece in frame(number):
                yield self.noted(piece)

    def noted(self, piece: bytes) -> bytes:
        """The same piece, once it is in the checksum."""
        self.checksum = zlib.crc32(piece, self.checksum)
        return piece


def frame(number: int) -> tuple[bytes, bytes, bytes]:
    """The pixels of one frame, counted from 1, in pieces; it differs from all others at both ends."""
    mark = number.to_bytes(8, "big")
    return mark, BETWEEN, mark


def make_large() -> LargeFile:
    """A file whose header says that 2 GiB follow."""
    dataset = make_dataset(
        Rows=ROWS, Columns=COLUMNS, BitsAllocated=16, SamplesPerPixel=1, NumberOfFrames=FRAMES
    )
    dataset.PixelData = MARK
    dataset["PixelData"].VR = "OW"
    small = as_instance(dataset)
    before = small.content[: -len(MARK) - 4]
    return LargeFile(before + (FRAMES * FRAME_BYTES).to_bytes(4, "little"), small.path)


class Host:
    """The service as a process whose memory can be watched."""

    def __init__(self, storage: str, log: Path) -> None:
        environment = {**os.environ, "DicomStorage": storage, "AzureWebJobsStorage": storage}
        environment["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"] = str(2**32)
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "local", "--app", str(ROOT), "--port", "0"],
                env=environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=out,
            )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().removeprefix("ready ").strip()

    def stop(self) -> None:
        """End it and wait."""
        self.process.send_signal(signal.SIGTERM)
        with self.process:
            self.process.wait(60)

    def memory(self, name: str) -> int:
        """A figure of its memory, in bytes: `VmRSS` now, `VmHWM` at its peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024

    def forget_peak(self) -> None:
        """Let the peak be counted from now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A service over storage of its own on disk, where 2 GB do not weigh on the other tests."""
    with azurite.start(tmp_path / "data", logs=tmp_path) as storage:
        host = Host(storage.connection_string(), tmp_path / "log")
        try:
            yield host
        finally:
            host.stop()


def test_two_gigabytes_pass_through_little_memory(host: Host, http: httpx.Client) -> None:
    """Upload without a length, retrieve, and one frame of it, within 64 MiB above idle."""
    archive = Archive.fresh(http, host.url)
    warm_up(archive)
    idle = host.memory("VmRSS")
    large = make_large()

    host.forget_peak()
    answer = upload(archive, large)
    grown = {"upload": host.memory("VmHWM") - idle}

    host.forget_peak()
    length, checksum = download(archive, large.path)
    grown["download"] = host.memory("VmHWM") - idle

    host.forget_peak()
    (part,) = parts_of(archive.get(f"{large.path}/frames/200", ANY_FRAME))
    grown["frame"] = host.memory("VmHWM") - idle

    assert answer.status_code == 200, answer.text
    assert len(stored(answer)) == 1
    assert length == len(large.front) + FRAMES * FRAME_BYTES
    assert checksum == large.checksum
    assert part.content == b"".join(frame(200))
    assert archive.get(f"{large.path}/frames/{FRAMES + 1}", ANY_FRAME).status_code == 404
    assert max(grown.values()) < ALLOWED_BYTES, grown


def test_a_request_of_many_files_passes_through_little_memory(host: Host, http: httpx.Client) -> None:
    """Files that wait in memory for others, far more than fit.

    `LARGE_FILES=600` makes it a request of 4 GB: so many, and one of 2 GiB before them.
    """
    files = int(os.environ.get("LARGE_FILES", "0"))
    archive = Archive.fresh(http, host.url)
    warm_up(archive)
    idle = host.memory("VmRSS")
    large = make_large()
    study = make_image().study

    def body() -> Iterator[bytes]:
        if files:
            yield from parted(large.chunks())
        for number in range(files or USUAL_FILES):
            yield from parted([one_of(study, number).content])
        yield f"--{BOUNDARY}--\r\n".encode()

    host.forget_peak()
    _, content_type = multipart([])
    answer = archive.ask("POST", "studies", JSON, content=body(), headers={"Content-Type": content_type})
    grown = host.memory("VmHWM") - idle

    assert answer.status_code == 200, answer.text
    assert len(stored(answer)) == (files + 1 if files else USUAL_FILES)
    assert len(archive.search(f"studies/{study}/instances?limit=5000")) == (files or USUAL_FILES)
    assert grown < ALLOWED_BYTES, grown


def one_of(study: str, number: int) -> Instance:
    """One of the files of a study."""
    series = f"{study}.1"
    uids: dict[str, Any] = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    return make_image(rows=1200, columns=1200, SOPInstanceUID=f"{series}.{number}", **uids)


def parted(content: Iterable[bytes]) -> Iterator[bytes]:
    """A part of a multipart body."""
    yield f"--{BOUNDARY}\r\n{DICOM_PART}\r\n\r\n".encode()
    yield from content
    yield b"\r\n"


def warm_up(archive: Archive) -> None:
    """Have the process import and connect what it needs for any request."""
    image = make_image(2, rows=64, columns=64)
    archive.keep(image, make())
    assert archive.get(image.path, ANY_SYNTAX).status_code == 200
    assert archive.get(f"{image.path}/frames/2", ANY_FRAME).status_code == 200
    archive.metadata(image.path)


def upload(archive: Archive, large: LargeFile) -> httpx.Response:
    """Send the file as the only part of a body of unknown length."""
    cut = b"THE FILE"
    envelope, content_type = multipart([cut])
    before, after = envelope.split(cut)

    def body() -> Iterator[bytes]:
        yield before
        yield from large.chunks()
        yield after

    return archive.ask("POST", "studies", JSON, content=body(), headers={"Content-Type": content_type})


def download(archive: Archive, path: str) -> tuple[int, int]:
    """Read the file back without holding it: its length and checksum."""
    length = checksum = 0
    headers = {"Accept": "application/dicom; transfer-syntax=*"}
    with archive.http.stream("GET", archive.url(path), headers=headers) as answer:
        assert answer.status_code == 200
        for chunk in answer.iter_raw(1024 * 1024):
            length += len(chunk)
            checksum = zlib.crc32(chunk, checksum)
    return length, checksum
