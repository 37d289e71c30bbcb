"""What the measurement of headers compares, and how it tells."""

import json
from collections import Counter

from bench.files import SMALL, Place, make_file
from bench.header import Line, read_as_stored, read_by_pydicom, read_unchecked, render, render_parts
from bench.sampler import Stack
from local.dev.steps import ROOT
from shared.dicom.part10 import Part10File
from tests.unit.dicom.making import json_of

CONTENT = make_file(Place(7, 0), SMALL)


def test_the_made_up_header_has_nothing_wrong() -> None:
    """Otherwise the closer look would be measured, and stores of the bench would be answered with 202."""
    file, unchecked = read_as_stored(CONTENT), read_unchecked(CONTENT)

    assert isinstance(file, Part10File)
    assert file.findings == ()
    assert file == unchecked


def test_pydicom_is_asked_for_the_same() -> None:
    """JSON of the same elements; pixels are referred to without being read."""
    file, theirs = read_as_stored(CONTENT), read_by_pydicom(CONTENT)

    assert isinstance(file, Part10File)
    assert isinstance(theirs, str)
    assert set(json_of(file)) - {"7FE00010"} == set(json.loads(theirs))


def test_the_table_tells_how_many_times_pydicom_takes() -> None:
    """One line for each file."""
    table = render([Line("a file", 100, 0.25, 0.2, 2.5)])

    assert table.splitlines()[-1] == "| a file | 100 | 0.250 | 0.200 | 2.50 | 10 |"


def test_time_is_told_by_the_innermost_function_that_is_ours() -> None:
    """What a library or C code takes counts for its caller."""
    folder = f"{ROOT}/shared/dicom"
    stacks: Counter[Stack] = Counter(
        {
            ("/lib/json.py:loads", f"{folder}/metadata.py:MetadataWriter.attributes"): 3,
            (f"{folder}/dataset.py:DatasetReader._take", f"{folder}/dataset.py:DatasetReader._read"): 1,
        }
    )

    assert render_parts("a file", stacks).splitlines() == [
        "| a file: function | share |",
        "|---|--:|",
        "| metadata.py attributes | 75% |",
        "| dataset.py _take | 25% |",
    ]
