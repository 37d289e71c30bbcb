"""Starts the table server for large archives, and puts it in the place of the emulator's tables."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.tableserver import TableFile
from local.dev import azurite
from local.dev.leash import Command, Leash
from local.dev.steps import ROOT, Failure

_START_SECONDS: Final = 30
_ENDPOINT: Final = "TableEndpoint="


@contextmanager
def serve(path: Path, connection: str) -> Iterator[str]:
    """Serve a file of tables, made where it is not there.

    Args:
        path: The file.
        connection: Connection string of an emulator, for all but tables.

    Returns:
        The connection string with these tables.
    """
    TableFile(path).close()
    port = azurite.free_port()
    leash = Leash([Command([sys.executable, "-m", "bench.tableserver", str(path), str(port)])], cwd=ROOT)
    try:
        _wait_for(port)
        rest = ";".join(each for each in connection.split(";") if not each.startswith(_ENDPOINT))
        yield f"{rest}{_ENDPOINT}http://127.0.0.1:{port}/{azurite.ACCOUNT};"
    finally:
        leash.stop()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure("The table server does not start.") from error
            time.sleep(0.05)
