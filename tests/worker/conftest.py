"""The service under Azure's own runtime, in an environment that holds requirements.txt and nothing else."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.dev import azurite
from local.dev.service import Service, start_service
from local.dev.setup import WORKER
from local.dev.steps import python_of


@pytest.fixture(scope="session")
def worker_python() -> str:
    """The interpreter of `.venv-worker`, which is made where a Python 3.13 is found."""
    python = Path(python_of(WORKER))
    if not python.exists():
        reason = "SKIPPED: no Python 3.13 was found, so Azure's own runtime is not tested (make setup tells)."
        warnings.warn(pytest.PytestWarning(reason), stacklevel=1)
        pytest.skip(reason)
    return str(python)


@pytest.fixture(scope="session")
def worker(worker_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The running service."""
    folder = tmp_path_factory.mktemp("worker")
    with azurite.start(logs=folder) as storage:
        settings = {"DICOM_SHOW_STORAGE_CALLS": "true"}
        with start_service(
            azurite.free_port(),
            storage.connection_string(),
            settings=settings,
            log=folder / "service.log",
            python=worker_python,
        ) as service:
            yield service
