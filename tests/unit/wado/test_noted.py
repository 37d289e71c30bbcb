"""What is noted of metadata says as much of pixels as the whole of them, and takes no more than allowed."""

import json
import tracemalloc
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.dicom.codecs import UnsupportedPixels, appearance_of, describe, presentation_of, references
from shared.dicom.metadata import inflate
from shared.wado.noted import MAX_NOTED_BYTES, Noted, note_description, note_showing
from tests.unit.dicom.making import read
from tests.unit.dicom.test_real_files import READABLE

GROUPS = "52009230"
IMAGE = {"00280010": {"vr": "US", "Value": [4]}}


def compressed(dataset: Mapping[str, object]) -> bytes:
    """Metadata as they are stored."""
    return zlib.compress(json.dumps(dataset, separators=(",", ":")).encode())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.name)
def test_real_files_are_described_and_seen_alike(path: Path) -> None:
    """Whether the metadata are read whole or in part."""
    file = read(path.read_bytes())
    whole = json.loads(b"".join(inflate(file.metadata)))
    numbers = sorted({1, 2, max(file.number_of_frames, 1)})

    noted, description = note_showing(numbers, file.metadata), note_description(file.metadata)

    try:
        described = describe(whole, file.transfer_syntax)
    except UnsupportedPixels:
        return
    assert describe(noted.attributes, file.transfer_syntax) == described
    assert describe(description, file.transfer_syntax) == described
    for number in numbers:
        expected = presentation_of(whole, number, profile=True)
        found = noted.presentation(number, profile=True)
        assert appearance_of(found, 1) == appearance_of(expected, 1)
        assert noted.paths([number], profile=True) == set(references(expected))


def test_frames_that_were_not_looked_for_are_not_known() -> None:
    metadata = compressed({**IMAGE, GROUPS: {"vr": "SQ", "Value": [{}] * 5}})

    noted = note_showing([2, 3], metadata)

    assert noted.knows([2, 3])
    assert not noted.knows([1])
    assert note_showing([2], compressed(IMAGE)).knows([1, 2, 900])


def test_paths_are_those_of_the_frames_asked_for() -> None:
    """Tables of the frames between would be read in vain."""

    def table(path: str) -> dict[str, object]:
        return {"00283006": {"vr": "OW", "BulkDataURI": path}}

    metadata = compressed(
        {
            "00282000": {"vr": "OB", "BulkDataURI": "profile"},
            "00283010": {"vr": "SQ", "Value": [table("shared")]},
            GROUPS: {"vr": "SQ", "Value": [table("first"), table("second")]},
        }
    )

    noted = note_showing([1, 2], metadata)

    assert noted.paths([1], profile=False) == {"shared", "first"}
    assert noted.paths([2], profile=True) == {"shared", "second", "profile"}


def noted_bytes(metadata: bytes) -> tuple[Noted, int]:
    """What is noted, and the memory that it took meanwhile."""
    tracemalloc.start()
    noted = note_showing([1], metadata)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return noted, peak_bytes


def test_what_says_nothing_of_pixels_takes_no_room() -> None:
    """A million items, which are two gigabytes as values."""
    note_showing([1], compressed(IMAGE))
    item = {"00540081": {"vr": "US", "Value": [1]}}
    text = json.dumps({**IMAGE, "00540016": {"vr": "SQ", "Value": ["?"]}}, separators=(",", ":")).encode()
    items = b",".join([json.dumps(item, separators=(",", ":")).encode()] * 1_000_000)

    noted, peak_bytes = noted_bytes(zlib.compress(text.replace(b'"?"', items)))

    assert noted.attributes == IMAGE
    assert peak_bytes < 16 * 1024 * 1024


@pytest.mark.parametrize("key", ["00283010", GROUPS])
def test_what_says_too_much_of_pixels_is_refused(key: str) -> None:
    """Not a gigabyte of values, whatever is wanted of it."""
    items = [{"00283010": {"vr": "SQ", "Value": [{}] * (MAX_NOTED_BYTES // 3)}}]
    metadata = compressed({**IMAGE, key: {"vr": "SQ", "Value": items}})

    with pytest.raises(UnsupportedPixels):
        note_showing([1], metadata)


def test_as_much_as_is_allowed_takes_the_room_it_is_charged_with() -> None:
    """The smallest items, which take the most as values."""
    count = (MAX_NOTED_BYTES - 200) // 3
    metadata = compressed({**IMAGE, "00283010": {"vr": "SQ", "Value": [{}] * count}})

    noted, peak_bytes = noted_bytes(metadata)

    assert peak_bytes < 48 * 1024 * 1024
    assert noted.weight > peak_bytes / 2
