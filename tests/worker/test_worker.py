"""What only Azure's own runtime can prove: that it indexes the app, and serves it."""

import subprocess
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from local.dev.service import Service

pytestmark = pytest.mark.worker

ROOT = Path(__file__).parents[2]


def test_the_environment_holds_what_azure_installs_and_no_more(worker_python: str) -> None:
    """A package that only development needs would hide that requirements.txt lacks it."""
    listed = subprocess.run(
        [worker_python, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    ).stdout.lower()

    assert "azure-functions-runtime==" in listed
    assert "pytest" not in listed


def test_a_file_is_stored_found_and_given_back(worker: Service) -> None:
    """Store, search, retrieve and delete through the runtime that Azure runs (platform notes 4.1)."""
    path = str(get_testdata_file("CT_small.dcm"))
    stored = Path(path).read_bytes()
    study = str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    with httpx.Client(base_url=f"{worker.url}/v2", timeout=30) as client:
        store = client.post("/studies", content=stored, headers={"Content-Type": "application/dicom"})
        found = client.get("/studies", params={"PatientID": "1CT1"})
        series = client.get(f"/studies/{study}/instances").json()[0]
        address = f"/studies/{study}/series/{_uid(series, '0020000E')}/instances/{_uid(series, '00080018')}"
        given = client.get(address, headers={"Accept": "application/dicom; transfer-syntax=*"})
        deleted = client.delete(f"/studies/{study}")
        gone = client.get(address)

    assert store.status_code == 200
    assert [_uid(row, "0020000D") for row in found.json()] == [study]
    assert given.content[128:] == stored[128:]
    assert (deleted.status_code, gone.status_code) == (204, 404)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_requests(worker: Service) -> None:
    """The runtime keeps an object for every request for ever; the host removes it (platform notes 2.2)."""
    with httpx.Client(base_url=worker.url, timeout=30) as client:
        ask(client, 300)
        before = resident_bytes(worker)
        ask(client, 1500)
        after = resident_bytes(worker)

    # Left alone it would be 2.1 KB a request, more than 3 MB here.
    assert after - before < 2 * 1024 * 1024


def resident_bytes(service: Service) -> int:
    """How much memory the process that serves has now."""
    port = service.url.rpartition(":")[2].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        words = (folder / "cmdline").read_bytes().split(b"\0") if folder.exists() else []
        if b"local" in words and port in words:
            status = (folder / "status").read_text()
            return int(status.partition("VmRSS:")[2].split()[0]) * 1024
    raise AssertionError("the service does not run")


def ask(client: httpx.Client, times: int) -> None:
    """Send requests that cost nothing but the runtime."""
    for _ in range(times):
        assert client.get("/v9/studies").status_code == 404


def _uid(row: dict[str, dict[str, list[str]]], tag: str) -> str:
    return row[tag]["Value"][0]
