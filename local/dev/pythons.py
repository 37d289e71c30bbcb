"""Finding a Python that works: a file in PATH may be a stub that only tells what is not installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.dev.steps import Failure, clean_environment

AZURE = (3, 13)
"""The version the app runs under in Azure, preferred here."""

OLDEST = (3, 11)

_ASK = "import sys, venv, ensurepip; print(*sys.version_info[:2], sys.executable)"


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter that answered, and can make virtual environments."""

    path: Path
    """The interpreter itself, not the stub that led to it."""

    version: tuple[int, int]
    """Major and minor number."""


def pick_python(wanted: str | None) -> Python:
    """Find the interpreter for the project: the wanted one, else Azure's version, else our own.

    Raises:
        Failure: The wanted interpreter is missing, too old or cannot make virtual environments, or none can.
    """
    if wanted:
        return _wanted(wanted)
    python = find_azure_python() or ask(sys.executable)
    if python is None:
        raise Failure(
            f"{sys.executable} cannot make virtual environments; install its venv package (python3-venv on "
            "Debian and Ubuntu), or name another interpreter with PYTHON=/path/to/python."
        )
    return python


def find_azure_python() -> Python | None:
    """Find an interpreter of Azure's version: ourselves, one in PATH, or one that pyenv installed."""
    for candidate in _candidates():
        python = ask(candidate)
        if python is not None and python.version == AZURE:
            return python
    return None


def ask(candidate: str | Path) -> Python | None:
    """Run an interpreter and take its own word for what it is; absent when it does not run."""
    try:
        command = [candidate, "-c", _ASK]
        env = clean_environment()
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=env)
        major, minor, path = ran.stdout.strip().split(" ", 2)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Python(Path(path), (int(major), int(minor)))


def _wanted(name: str) -> Python:
    found = shutil.which(name)
    python = ask(found) if found else None
    if python is None:
        raise Failure(f"PYTHON={name} does not run, or it cannot make virtual environments.")
    if python.version < OLDEST:
        version = ".".join(map(str, python.version))
        raise Failure(f"PYTHON={name} is Python {version}; 3.11 or newer is needed.")
    return python


def _candidates() -> Iterator[str | Path]:
    name = f"python{AZURE[0]}.{AZURE[1]}"
    if sys.version_info[:2] == AZURE:
        yield sys.executable
    for folder in os.get_exec_path():
        if (path := Path(folder) / name).is_file():
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{AZURE[0]}.{AZURE[1]}*/bin/{name}"), reverse=True)
