"""Starts Azurite, Microsoft's storage emulator: one process for each service, to use more than one core."""

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from local.dev.leash import Command, Leash
from local.dev.node import node_for_azurite
from local.dev.steps import LOGS, ROOT, Failure

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account and its key, which are public and the same everywhere."""

SERVICES = ("blob", "queue", "table")
USUAL_PORTS = (10000, 10001, 10002)

Ports = tuple[int, int, int]
"""Of blob, queue and table."""

START_SECONDS = 60
LOCK_SECONDS = 10
_POLL_SECONDS = 0.05
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Azurite:
    """A running Azurite. Leaving it as a context stops it."""

    ports: Ports

    accounts: Mapping[str, str]
    """Key of each account."""

    leash: Leash

    def connection_string(self, account: str = ACCOUNT) -> str:
        """Say how to reach one of the accounts."""
        return connection_string(account, self.accounts[account], self.ports)

    def stop(self) -> None:
        """Stop it and wait until its data are saved. A second call does nothing."""
        self.leash.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def start(
    location: Path | None = None,
    *,
    accounts: Mapping[str, str] | None = None,
    usual_ports: bool = False,
    logs: Path = LOGS,
) -> Azurite:
    """Start Azurite and wait until it answers. It stops when told to, or when this process ends in any way.

    Args:
        location: Folder to keep data in; in memory when absent.
        accounts: Key of each account it serves; `ACCOUNT` alone when left out.
        usual_ports: Take the ports that tools expect, where they are free.
        logs: Folder for what it prints.

    Raises:
        Failure: It is not installed, does not start, or another one uses the folder.
    """
    accounts = accounts or {ACCOUNT: KEY}
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(_locked(location)) if location else None
        for _ in range(_ATTEMPTS):
            ports = USUAL_PORTS if usual_ports and all(map(is_free, USUAL_PORTS)) else _free_ports()
            leash = _launch(location, ports, accounts, logs, lock)
            if _answers(leash, _logs(logs, ports)):
                return Azurite(ports, accounts, leash)
            leash.stop()
    # A port may be taken between our look and Azurite's start, but hardly three times in a row.
    told = " ".join(log.read_text(errors="replace").strip()[-200:] for log in _logs(logs, ports))
    raise Failure(f"Azurite does not start; it said: {told}")


def connection_string(account: str, key: str, ports: Ports) -> str:
    """Say how to reach an account of an Azurite on this machine."""
    endpoints = "".join(
        f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{account};"
        for service, port in zip(SERVICES, ports, strict=True)
    )
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};{endpoints}"


def is_free(port: int) -> bool:
    """Whether a port of the loopback interface can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Find a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free_ports() -> Ports:
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        for probe in (first, second, third):
            probe.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1], third.getsockname()[1]


@contextlib.contextmanager
def _locked(location: Path) -> Iterator[IO[str]]:
    """Take a data folder. Azurite inherits the lock, so that it holds until its last byte is saved."""
    location.mkdir(parents=True, exist_ok=True)
    with (location / "lock").open("w") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _take(lock):
            if time.monotonic() > deadline:
                raise Failure(f"Another Azurite uses {location}; stop it first, or use EPHEMERAL=1.")
            time.sleep(_POLL_SECONDS)
        yield lock


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _launch(
    location: Path | None, ports: Ports, accounts: Mapping[str, str], logs: Path, lock: IO[str] | None
) -> Leash:
    _remove_old_logs(logs)
    node = node_for_azurite()
    kept = ["--location", str(location)] if location else ["--inMemoryPersistence"]
    commands = []
    for service, port, log in zip(SERVICES, ports, _logs(logs, ports), strict=True):
        log.write_bytes(b"")
        script = ROOT / "node_modules" / "azurite" / "dist" / "src" / service / "main.js"
        switches = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", f"--{service}Port", str(port)]
        commands.append(Command([node, str(script), *kept, *switches], str(log)))
    known = ";".join(f"{name}:{key}" for name, key in accounts.items())
    env = {**os.environ, "AZURITE_ACCOUNTS": known}
    return Leash(commands, env=env, keep_open=[lock.fileno()] if lock else [])


def _answers(leash: Leash, logs: Sequence[Path]) -> bool:
    """Wait until every service has said that it listens. Its own word counts: a port may be another's."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not leash.ended:
        if all(b"successfully" in log.read_bytes() for log in logs):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _logs(folder: Path, ports: Ports) -> list[Path]:
    """Name the log of each service, different for every Azurite that runs."""
    names = zip(SERVICES, ports, strict=True)
    return [folder / f"azurite-{os.getpid()}-{service}-{port}.log" for service, port in names]


def _remove_old_logs(folder: Path) -> None:
    """Remove the logs of owners that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("azurite-*-*-*.log"):
        try:
            os.kill(int(log.name.split("-")[1]), 0)
        except (ProcessLookupError, ValueError):
            log.unlink(missing_ok=True)
        except PermissionError:
            continue
