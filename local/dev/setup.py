"""Installs what the project needs into its own folder, once: `python -m local.dev.setup [--worker]`.

Every part has a stamp that sums up the files it was made from. The stamp is removed before the work and
written after it, so that an interrupted installation is done again, from nothing: a package manager does not
see that its own work was left half done.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.dev.node import NODE_PACKAGE, TOOLS, Node, find_node, remember_node, remembered_node
from local.dev.pythons import Python, ask, find_azure_python, pick_python
from local.dev.steps import LOCAL, ROOT, Failure, clean_environment, exit_with, python_of, run, say

VENV = ROOT / ".venv"
WORKER = ROOT / ".venv-worker"
MODULES = ROOT / "node_modules"

APP = ROOT / "requirements.txt"
DEV = ROOT / "requirements-dev.txt"

PIP = ("-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", "--retries", "5")


def main() -> int:
    """Set up the project's environment and Azurite, and the worker's environment when asked to."""
    parser = argparse.ArgumentParser(prog="setup")
    parser.add_argument("--worker", action="store_true", help="also what the tests of Azure's worker need")
    worker = parser.parse_args().worker
    with _only_one_setup():
        _set_up_project(os.environ.get("PYTHON"))
        _set_up_azurite()
        if worker:
            _set_up_worker()
    return 0


def _set_up_project(wanted: str | None) -> None:
    python = pick_python(wanted) if wanted else None
    if _is_current(VENV, APP, DEV) and (python is None or _was_made_by(VENV, python)):
        return
    python = python or pick_python(None)
    _make_environment(VENV, python, [APP, DEV], "Installing Python packages")


def _set_up_worker() -> None:
    if _is_current(WORKER, APP):
        return
    python = find_azure_python()
    if python is None:
        say("NOTE: no Python 3.13 was found, so the tests that need Azure's own runtime will be skipped.")
        return
    _make_environment(WORKER, python, [APP], "Installing what Azure installs")


def _make_environment(folder: Path, python: Python, requirements: list[Path], step: str) -> None:
    (folder / "stamp").unlink(missing_ok=True)
    version = f"{python.version[0]}.{python.version[1]}"
    env = clean_environment()
    make = [str(python.path), "-m", "venv", "--clear", str(folder)]
    run(f"Making {folder.name} with Python {version}", make, env=env)
    named = [argument for file in requirements for argument in ("-r", str(file))]
    run(step, [python_of(folder), *PIP, "install", *named], env=env, hint="about a minute")
    _write_stamp(folder, *requirements)


def _set_up_azurite() -> None:
    lock = ROOT / "package-lock.json"
    if _is_current(MODULES, lock) and remembered_node() is not None:
        return
    (MODULES / "stamp").unlink(missing_ok=True)
    node = find_node() or _install_node()
    install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run("Installing the storage emulator Azurite", [*node.npm, *install])
    remember_node(node)
    _write_stamp(MODULES, lock)


def _install_node() -> Node:
    """Bring Node from PyPI. It appears under its final name only when it is whole."""
    fresh = TOOLS / "node.new"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(TOOLS / "node", ignore_errors=True)
    install = ["install", "--no-deps", "--target", str(fresh), NODE_PACKAGE]
    run("Installing Node.js", [python_of(VENV), *PIP, *install], env=clean_environment())
    fresh.rename(TOOLS / "node")
    node = find_node()
    if node is None:
        raise Failure("There is no Node.js 20 or newer with npm, and the one from PyPI does not run here.")
    return node


def _is_current(folder: Path, *sources: Path) -> bool:
    stamp = folder / "stamp"
    if not stamp.is_file() or stamp.read_text() != _digest(folder, *sources):
        return False
    # The interpreter an environment was made from may have been uninstalled since.
    return folder == MODULES or ask(python_of(folder)) is not None


def _was_made_by(folder: Path, python: Python) -> bool:
    return python_of(folder).resolve() == python.path.resolve()


def _write_stamp(folder: Path, *sources: Path) -> None:
    fresh = folder / "stamp.new"
    fresh.write_text(_digest(folder, *sources))
    fresh.replace(folder / "stamp")


def _digest(folder: Path, *sources: Path) -> str:
    """Sum up what a part is made from. Its place counts too: an environment that was moved does not work."""
    digest = hashlib.sha256(str(folder).encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


@contextmanager
def _only_one_setup() -> Iterator[None]:
    """Keep a second setup of this folder waiting until the first is through."""
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another setup of this folder ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
        yield


if __name__ == "__main__":
    exit_with(main)
