"""The setup takes an interpreter that works, and says which one it wants."""

import sys
from pathlib import Path

import pytest

from local.dev.pythons import ask, pick_python
from local.dev.steps import Failure


def executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_stub_without_a_version_behind_it_is_no_python(tmp_path: Path) -> None:
    """pyenv's stubs are in PATH for versions that are not switched on."""
    stub = executable(tmp_path / "python3.13", 'echo "pyenv: python3.13: command not found" >&2; exit 127')

    assert ask(stub) is None


def test_an_interpreter_tells_its_version_and_place() -> None:
    python = ask(sys.executable)

    assert python is not None
    assert python.version == sys.version_info[:2]


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("exit 1", "does not run"),
        ("echo nonsense", "does not run"),
        ("echo 3 10 /usr/bin/python3.10", "is Python 3.10; 3.11 or newer is needed"),
    ],
)
def test_a_wanted_interpreter_that_cannot_be_used_is_named(
    tmp_path: Path, script: str, complaint: str
) -> None:
    python = executable(tmp_path / "python", script)

    with pytest.raises(Failure, match=complaint):
        pick_python(str(python))
