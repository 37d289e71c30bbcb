"""What is found wrong with real files, checked against pydicom's own validators where their rules coincide.

Source: API rules sections 3.4 and 3.4.2.
"""

from collections.abc import Container, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.valuerep import VALIDATORS

from shared.dicom.validate import Checks, Problem
from tests.unit.dicom.making import json_of, read
from tests.unit.dicom.test_real_files import READABLE, UNREADABLE_BY_PYDICOM

pytestmark = pytest.mark.filterwarnings("ignore")

# VRs whose rule pydicom knows; of PN it does not count components.
RULED = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI"}
WITHOUT_NUMBER = {"LT", "ST", "UR", "UT", "SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"}

LAXER = {"00000000"}
"""A date that the API rules let pass (month at most 12, day at most 31) and pydicom does not."""


@pytest.mark.parametrize("path", READABLE, ids=lambda path: "/".join(path.parts[-3:]))
def test_what_is_found_wrong_is_what_pydicom_finds_wrong(path: Path) -> None:
    """At the top level; within sequences one at most for each of them, and one that pydicom finds too."""
    if path.name.rpartition("__")[2] in UNREADABLE_BY_PYDICOM:
        return

    file = read(path.read_bytes(), checks=Checks.ALL)

    oracle = pydicom.dcmread(path, force=True)
    found = [finding for finding in file.findings if finding.problem is not Problem.EMPTY]
    assert {finding.tag for finding in found if not finding.nested} == set(_wrong(oracle))
    sequences = {tag for tag, element in json_of(file).items() if element["vr"] == "SQ"}
    nested = set(_wrong_within(oracle, sequences))
    assert {finding.tag for finding in found if finding.nested} <= nested
    assert any(finding.nested for finding in found) == bool(nested)


@pytest.mark.parametrize("path", READABLE, ids=lambda path: "/".join(path.parts[-3:]))
def test_metadata_lack_what_was_found_wrong_and_nothing_else(path: Path) -> None:
    """Section 3.4 rows 1, 2 and 4."""
    data = path.read_bytes()
    file, unchecked = read(data, checks=Checks.ALL), read(data)

    wrong = {f"{finding.tag:08X}" for finding in file.findings if not finding.nested}
    all_of_it = json_of(unchecked)
    kept = {"00080018", "0020000D", "0020000E"}
    assert json_of(file) == {tag: all_of_it[tag] for tag in all_of_it if tag not in wrong - kept}


def test_hardly_any_element_of_real_files_is_wrong() -> None:
    """A rule that fires everywhere would be a wrong rule, and would empty the metadata."""
    elements = wrong = 0
    for path in READABLE:
        file = read(path.read_bytes(), checks=Checks.ALL)
        elements += len(json_of(file))
        wrong += sum(finding.problem is not Problem.EMPTY and not finding.nested for finding in file.findings)

    assert 0 < wrong < elements / 1000


def _wrong(dataset: pydicom.Dataset) -> Iterator[int]:
    return (int(element.tag) for element in _elements(dataset) if _is_wrong(element))


def _wrong_within(dataset: pydicom.Dataset, known: Container[str] | None = None) -> Iterator[int]:
    """In the sequences that were read: those that came as UN with a length are bytes to us."""
    for element in _elements(dataset):
        read_as_one = known is None or f"{int(element.tag):08X}" in known
        for item in element.value if element.VR == "SQ" and read_as_one else ():
            yield from _wrong(item)
            yield from _wrong_within(item)


def _elements(dataset: pydicom.Dataset) -> Iterator[DataElement]:
    """Every element that pydicom can convert."""
    for tag in list(dataset.keys()):
        try:
            yield dataset[tag]
        except (ValueError, TypeError, OverflowError, NotImplementedError):
            continue


def _is_wrong(element: DataElement) -> bool:
    if element.is_empty:
        return False
    several = element.value if isinstance(element.value, MultiValue | list) else [element.value]
    if element.VR in RULED and any(_is_invalid(element.VR, value) for value in several):
        return True
    if element.tag.is_private or element.VR in WITHOUT_NUMBER:
        return False
    try:
        low, _, high = dictionary_VM(element.tag).partition("-")
    except KeyError:
        return False
    number = len(several)
    if high.endswith("n"):
        return number < int(low) or number % int(high[:-1] or 1) != 0
    return not int(low) <= number <= int(high or low)


def _is_invalid(vr: str, value: object) -> bool:
    digits = getattr(value, "original_string", None)
    text = (digits if isinstance(digits, str) else str(value)).rstrip("\0 ")
    # Its table has lambdas without types.
    return bool(text) and text not in LAXER and not VALIDATORS[vr](vr, text)[0]  # type: ignore[no-untyped-call]
