"""Starts Orthanc with its DICOMweb plugin as the peer of a run, on data of its own that go when it ends."""

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from local.dev import azurite
from local.dev.leash import Command, Leash
from local.dev.steps import Failure

START_SECONDS: Final = 30
_PROGRAM: Final = "Orthanc"
_PLUGINS: Final = Path("/usr/share/orthanc/plugins")
_PLUGIN: Final = "libOrthancDicomWeb.so"


@contextmanager
def started() -> Iterator[str]:
    """Run it, and give the root of its DICOMweb server.

    Raises:
        Failure: It is not installed, or does not answer.
    """
    program, plugin = shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path="/usr/sbin"), _PLUGINS / _PLUGIN
    if program is None or not plugin.exists():
        raise Failure("Orthanc is not installed; the packages are orthanc and orthanc-dicomweb.")
    with TemporaryDirectory() as folder:
        settings, port = Path(folder) / "bench.json", azurite.free_port()
        settings.write_text(json.dumps(_settings(folder, port, str(plugin))))
        leash = Leash([Command([program, str(settings)], log=f"{folder}/log")])
        try:
            root = f"http://127.0.0.1:{port}/dicom-web"
            _wait(root)
            yield root
        finally:
            leash.stop()


def _settings(folder: str, port: int, plugin: str) -> dict[str, object]:
    return {
        "StorageDirectory": folder,
        "IndexDirectory": folder,
        "HttpPort": port,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": False,
        "Plugins": [plugin],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _wait(root: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{root}/studies", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure("Orthanc does not answer.") from error
            time.sleep(0.2)
