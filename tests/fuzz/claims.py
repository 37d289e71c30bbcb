"""What holds for every input of the reader, whatever its bytes."""

import json
import re
import time
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from random import Random
from typing import Any, Final

from shared.dicom.bulk import BulkIndex
from shared.dicom.bulk_links import drop_bulk
from shared.dicom.frames import FrameIndex
from shared.dicom.meta import DEFLATED
from shared.dicom.metadata import MAX_SORTED_BYTES, inflate
from shared.dicom.part10 import PREAMBLE, NotDicom, Part10File, Part10Reader
from shared.dicom.validate import Checks
from shared.dicom.window import Chunk
from tests.unit.dicom.making import pieces

MAX_SECONDS: Final = 2.0
"""Of processor time for one file of a seed's size; milliseconds are usual."""

MAX_FRAMES_LOOKED_AT: Final = 200

_KEY = re.compile(r"[0-9A-F]{8}")
_VR = re.compile(r"[A-Z]{2}")
_UID = re.compile(r"[0-9.]{1,64}")
_BULK: Final = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def examine(content: bytes, random: Random) -> Part10File | None:
    """Read a file and check what is told of it; None when it is refused.

    Raises:
        AssertionError: Something does not hold.
        Exception: The reader raised it, which it must not.
    """
    checks = random.choice(list(Checks))
    began = time.process_time()
    file = _outcome([content], checks)
    seconds = time.process_time() - began

    assert seconds < MAX_SECONDS, f"{seconds:.1f} s of processor time"
    for largest in (random.choice((1, 7, 40)) if len(content) < 20_000 else 3000, 70_000):
        again = _outcome(pieces(content, random, largest=largest), checks)
        assert again == file, f"differs in pieces up to {largest}"
    if file is not None:
        _check_file(content, file)
    return file


def _outcome(parts: Iterable[Chunk], checks: Checks) -> Part10File | None:
    reader = Part10Reader(checks=checks)
    try:
        for part in parts:
            reader.feed(part)
        return reader.finish()
    except NotDicom:
        return None


def as_stored(content: bytes) -> bytes:
    """A file as it should come back: with a blank preamble."""
    return PREAMBLE + (content[132:] if content[128:132] == b"DICM" else content)


def _check_file(content: bytes, file: Part10File) -> None:
    assert file.length == len(as_stored(content))
    assert _UID.fullmatch(file.transfer_syntax)
    text = b"".join(inflate(file.metadata))
    _check_dataset(json.loads(text, parse_constant=_refuse), is_sorted=len(text) < MAX_SORTED_BYTES)
    json.dumps(file.attributes, ensure_ascii=False).encode()
    assert file.number_of_frames >= 0
    if file.frames is not None:
        _check_frames(file, file.frames)
    plain = json.loads(b"".join(drop_bulk([text])), parse_constant=_refuse)
    assert not list(_references(plain))
    _check_bulk(file, list(_references(json.loads(text))))


def _check_bulk(file: Part10File, references: list[str]) -> None:
    """Every reference leads to a value within the file."""
    index = BulkIndex(file.bulk)
    spans = {span.path: span for span in index}
    # Of an element that comes twice the last one counts, in metadata and here.
    assert spans.keys() >= set(references)
    for span in spans.values():
        assert span.start >= 0
        assert span.size > 0
        assert _is_deflated(file) or span.start + span.length <= file.length
        assert index.find(span.path) == span


def _references(dataset: dict[str, Any], path: str = "") -> Iterator[str]:
    """The BulkDataURI of every element that has one, which is its place."""
    for key, element in dataset.items():
        if "BulkDataURI" in element:
            assert element["BulkDataURI"] == path + key
            yield path + key
        if element["vr"] == "SQ":
            for number, inner in enumerate(element.get("Value", [])):
                yield from _references(inner, f"{path}{key}/{number}/")


def _check_dataset(dataset: dict[str, Any], *, is_sorted: bool) -> None:
    """DICOM JSON as PS3.18 annex F and API rules section 7.2 have it."""
    if is_sorted:
        assert all(one < two for one, two in pairwise(dataset))
    for key, element in dataset.items():
        assert _KEY.fullmatch(key)
        assert not key.endswith("0000")
        assert not key.startswith("0002")
        assert set(element) in ({"vr"}, {"vr", "Value"}, {"vr", "BulkDataURI"})
        assert _VR.fullmatch(element["vr"])
        assert element["vr"] not in _BULK or "Value" not in element
        assert element.get("Value", [0]) != []
        if element["vr"] == "SQ":
            for inner in element.get("Value", []):
                _check_dataset(inner, is_sorted=is_sorted)


def _check_frames(file: Part10File, index: FrameIndex) -> None:
    """Every frame lies within the file, and the index survives being stored."""
    assert FrameIndex.decode(index.encode()) == index
    assert index.count >= 1
    spans = [*islice(index.spans(), MAX_FRAMES_LOOKED_AT), index.span(index.count)]
    for span in spans:
        assert span.length >= 0
        assert span.start >= (0 if index.inflated_from is not None else len(PREAMBLE))
        assert index.inflated_from is not None or span.start + span.length <= file.length
    assert index.inflated_from is None or len(PREAMBLE) < index.inflated_from <= file.length


def _is_deflated(file: Part10File) -> bool:
    return file.transfer_syntax in DEFLATED


def _refuse(literal: str) -> None:
    raise AssertionError(f"{literal} is no JSON")
