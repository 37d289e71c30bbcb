"""An account for the tests of storage, and emulators with options of their own."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from shared.storage.connection import Connection, resolve

START_SECONDS = 60
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def connection_string(new_account: Callable[[], str]) -> str:
    """How a client of any kind reaches an account of the session's emulator."""
    return new_account()


@pytest.fixture(scope="session")
def connection(connection_string: str) -> Connection:
    return resolve("STORAGE", {"STORAGE": connection_string})


@pytest.fixture
def fresh() -> str:
    """A name no other test uses, good for a table, a container and a queue."""
    return f"t{uuid4().hex}"


@contextmanager
def running_azurite(options: Sequence[str] = ()) -> Iterator[tuple[int, int, int]]:
    """Run Azurite and give the ports of blob, queue and table."""
    ports = _free_ports()
    places = [
        part
        for service, port in zip(("blob", "queue", "table"), ports, strict=True)
        for part in (f"--{service}Port", str(port))
    ]
    command = [_azurite(), "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    process = subprocess.Popen(
        [*command, *places, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for port in ports:
            _wait_for(port, process)
        yield ports
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def _azurite() -> str:
    places = (os.environ.get("AZURITE"), str(ROOT / "node_modules/.bin/azurite"), shutil.which("azurite"))
    found = next((place for place in places if place and Path(place).exists()), None)
    if found is None:
        pytest.fail("Azurite is not installed: run 'make setup', or name it in AZURITE.")
    return found


def _free_ports() -> tuple[int, int, int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    blob, queue, table = (each.getsockname()[1] for each in sockets)
    for each in sockets:
        each.close()
    return blob, queue, table


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        assert process.poll() is None, "Azurite ended at once."
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"Azurite did not answer within {START_SECONDS} seconds.")
