"""`docs/settings.md` and the code tell of the same settings."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from shared.config import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("functions", "local", "shared")

READERS = {"environ", "environment", "self", "settings", "values"}
"""What settings are looked up in, by the name of the variable."""

MIN_LETTERS = 5
"""A name of which fewer letters stand in the code, as of any function's connection, tells nothing."""

ONLY_THE_PLATFORM_READS = {"FUNCTIONS_WORKER_RUNTIME", "PYTHON_ENABLE_INIT_INDEXING"}
ONLY_MAKE_READS = {"PORT", "EPHEMERAL", "ARGS", "PYTHON", "OPERATION"}


def documented() -> dict[str, str]:
    """The settings of the tables, with what the second column says."""
    rows = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", page(), re.MULTILINE)
    return {name: default.strip() for name, default in rows}


def page() -> str:
    """The text of the page."""
    return (ROOT / "docs" / "settings.md").read_text()


def read_by_code() -> set[str]:
    """The names that the code looks up; a part that is put in when it runs is written `*`."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    trees = [ast.parse(file.read_text()) for file in files]
    return {name for tree in trees for node in ast.walk(tree) for name in names_in(node)}


def names_in(node: ast.AST) -> Iterator[str]:
    """The names that a piece of code looks up, if it is a look-up."""
    if isinstance(node, ast.Call) and is_look_up(node.func):
        names = (text_of(argument) or "" for argument in node.args)
        yield from (name for name in names if len(name.replace("*", "")) >= MIN_LETTERS)


def is_look_up(called: ast.expr) -> bool:
    """Whether a call is `environ.get(...)`, `self.settings.get(...)`, `read_seconds(...)` and the like."""
    if isinstance(called, ast.Name):
        return called.id in ("read", "read_seconds")
    if not isinstance(called, ast.Attribute) or called.attr not in ("get", "setdefault"):
        return False
    place = called.value
    name = place.attr if isinstance(place, ast.Attribute) else place.id if isinstance(place, ast.Name) else ""
    return name in READERS


def text_of(argument: ast.expr) -> str | None:
    """The name an argument spells, if it looks like that of a setting."""
    if isinstance(argument, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "*" for part in argument.values)
        return "".join(map(str, parts))
    is_name = isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    text = str(argument.value) if isinstance(argument, ast.Constant) and is_name else ""
    return text if re.fullmatch(r"[A-Za-z]+_\w+|[Aa]zure[Ww]eb[Jj]obs\w+|PYTHON", text) else None


def fits(name: str, pattern: str) -> bool:
    """Whether a documented name is one that the code looks up; case does not count, as in Azure."""
    expression = ".+".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(expression, name, re.IGNORECASE) is not None


def test_the_scan_of_the_code_finds_what_is_known() -> None:
    """Else the tests below would prove nothing."""
    found = read_by_code()

    assert {"DICOM_PUBLIC_URL", "LOCAL_HOST_GRACE_SECONDS", "PYENV_ROOT", "*__credential"} <= found
    assert "AzureWebJobs.*.Disabled" in found
    assert len(documented()) > 15


def test_every_setting_that_is_read_is_documented() -> None:
    """By its full name, in a table or in the text of one."""
    names = {*documented(), *re.findall(r"`(\w+__\w+)(?:=\w+)?`", page())}

    missing = [pattern for pattern in read_by_code() if not any(fits(name, pattern) for name in names)]

    assert missing == []


def test_every_setting_that_is_documented_is_read() -> None:
    """By the code, by make, or by the platform alone."""
    known = {*read_by_code(), *ONLY_MAKE_READS, *ONLY_THE_PLATFORM_READS}
    # Prefixes and names that reach the code by a constant.
    known |= {"DicomStorage", "AzureWebJobsStorage", "AzureFunctionsJobHost__section__key"}

    extra = [name for name in documented() if not any(fits(name, pattern) for pattern in known)]

    assert extra == []


def test_the_sample_holds_only_documented_settings() -> None:
    """`local.settings.sample.json` is copied by everyone."""
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())

    assert set(sample["Values"]) <= set(documented())


def test_make_knows_what_is_said_of_it() -> None:
    """Its variables stand in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()

    assert all(re.search(rf"\b{name}\b", makefile) for name in ONLY_MAKE_READS)


def test_the_defaults_are_those_of_the_code() -> None:
    """Setting everything to its documented default changes nothing."""
    stated = {
        name: found[1]
        for name, default in documented().items()
        if name.startswith(("DICOM_", "EVENTS_")) and (found := re.match(r"`([^`]+)`", default))
    }

    # The base of URLs has none, and of those on events only some have one.
    assert len(stated) >= len(fields(Settings)) - 2
    assert read_settings(stated) == read_settings({})
