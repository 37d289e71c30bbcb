"""Starts the service under the local host, as a process that does not outlive us."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.dev.azurite import is_free
from local.dev.leash import Command, Leash
from local.dev.steps import ROOT, Failure

READY = b"ready "
"""How the local host begins the line that tells its address."""

START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Service:
    """A running service that answers requests. Leaving it as a context stops it."""

    url: str
    leash: Leash
    printing: threading.Thread
    """Passes on what it prints."""

    def stop(self) -> None:
        """Let it finish its requests, stop it and wait. A second call does nothing."""
        self.leash.stop()
        self.printing.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def check_port(port: int) -> None:
    """Refuse a port that cannot be used.

    Raises:
        Failure: It is no port, or somebody listens on it.
    """
    if not 1 <= port <= 65535:
        raise Failure(f"PORT={port} is not a port; it is a number from 1 to 65535.")
    if not is_free(port):
        raise Failure(
            f"Port {port} is in use; stop what uses it or choose another: make run PORT={port + 1}."
        )


def start_service(
    port: int,
    storage: str,
    *,
    settings: Mapping[str, str] | None = None,
    log: Path | None = None,
    python: str = sys.executable,
) -> Service:
    """Start the service and wait until it answers.

    Args:
        port: Where it listens on the loopback interface.
        storage: Connection string of the archive and of the host's own state.
        settings: More settings. Like the storage they win over those of local.settings.json.
        log: The file for its log lines; our standard error when left out.
        python: The interpreter it runs under.

    Raises:
        Failure: It ended, or said nothing for too long, before it answered.
    """
    chosen = {**_sample_settings(), **os.environ, **(settings or {})}
    env = {**chosen, "DicomStorage": storage, "AzureWebJobsStorage": storage}
    argv = [python, "-m", "local", "--app", str(ROOT), "--port", str(port)]
    command = Command(argv, log=str(log) if log else None, prints=True)
    leash = Leash([command], env=env, stdout=subprocess.PIPE, cwd=ROOT)
    url = _wait_for_address(leash)
    if url is None:
        leash.stop()
        leash.stdout.close()
        raise Failure(f"The service does not start; {log or 'the lines above'} may tell why.")
    printing = threading.Thread(target=_pass_on, args=(leash,), daemon=True)
    printing.start()
    return Service(url, leash, printing)


def _sample_settings() -> dict[str, str]:
    """Read what the sample proposes, for a folder where nobody has made a local.settings.json yet."""
    if (ROOT / "local.settings.json").exists():
        return {}
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())
    return {name: str(value) for name, value in sample["Values"].items()}


def _wait_for_address(leash: Leash) -> str | None:
    timer = threading.Timer(START_SECONDS, leash.stop)
    timer.start()
    try:
        for line in leash.stdout:
            if line.startswith(READY):
                return line.removeprefix(READY).decode().strip()
        return None
    finally:
        timer.cancel()


def _pass_on(leash: Leash) -> None:
    """Read on, so that an app that prints does not stall on a full pipe."""
    with leash.stdout as lines:
        for line in lines:
            sys.stderr.write(line.decode(errors="replace"))
