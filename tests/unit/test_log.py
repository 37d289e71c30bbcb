"""Faults are logged without what they happened on."""

import logging

import pytest

from shared.log import log_fault

LOG = logging.getLogger("tests.log")
NAME = "^".join(("Doe", "Jane"))


def convert(text: str) -> int:
    """Fail as a conversion does, which quotes the text."""
    return int(text)


def test_a_fault_is_logged_by_type_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """STYLE section 9: never a value of a dataset, not of the errors it came from either."""
    try:
        try:
            convert(NAME)
        except ValueError as error:
            raise RuntimeError(f"no number: {NAME}") from error
    except RuntimeError:
        log_fault(LOG, "files=%d could not be read", 1)

    assert "files=1 could not be read" in caplog.text
    assert "builtins.RuntimeError" in caplog.text
    assert "builtins.ValueError" in caplog.text
    assert "in convert" in caplog.text
    assert NAME not in caplog.text


def test_every_error_of_a_group_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ExceptionGroup("several", [KeyError(NAME), OSError(NAME)])
    except ExceptionGroup:
        log_fault(LOG, "not done")

    assert "builtins.KeyError" in caplog.text
    assert "builtins.OSError" in caplog.text
    assert NAME not in caplog.text
