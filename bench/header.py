"""What reading one header costs in processor time: `python -m bench.header [FILE ...]`.

Reading means what a store does with it: parse, check every element (API rules section 3.4), make the DICOM
JSON and compress it. pydicom does the same beside it, but for the compression: it reads up to the pixels,
checks what it converts, and makes JSON. All take turns in short rounds, of which the quickest counts, as
other work on the machine only ever adds.
"""

import argparse
import io
import json
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.data import get_testdata_file

from bench.files import SMALL, Place, make_file
from bench.sampler import Sampler, Stack
from local.dev.steps import ROOT, exit_with
from shared.dicom.part10 import Part10Reader
from shared.dicom.validate import Checks

ROUNDS: Final = 40
TURNS: Final = 10
"""Headers read in one round."""

SAMPLED_SECONDS: Final = 4
SAMPLE_SECONDS: Final = 0.001
SHOWN: Final = 8

Read = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Line:
    """One file, and the milliseconds each way of reading it takes."""

    name: str
    elements: int
    ours: float
    unchecked: float
    """Ours, without the checks."""

    pydicom: float


def main() -> int:
    """Measure the headers of some files, and say what the time of ours goes to."""
    parser = argparse.ArgumentParser(prog="bench.header")
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="DICOM files to read too")
    files = {
        "made up, as the bench stores": make_file(Place(0, 0), SMALL),
        "CT_small.dcm of pydicom": Path(str(get_testdata_file("CT_small.dcm"))).read_bytes(),
        **{path.name: path.read_bytes() for path in parser.parse_args().files},
    }
    print(render([_measure(name, content) for name, content in files.items()]))
    for name, content in files.items():
        print(f"\n{render_parts(name, _sample(content))}")
    return 0


def render(lines: Sequence[Line]) -> str:
    """The table, as Markdown."""
    rows = [
        f"| {line.name} | {line.elements} | {line.ours:.3f} | {line.unchecked:.3f} "
        f"| {line.pydicom:.2f} | {line.pydicom / line.ours:.0f} |"
        for line in lines
    ]
    head = "| header | elements | ms | ms without checks | ms of pydicom | times pydicom |"
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|", *rows])


def render_parts(name: str, stacks: Counter[Stack]) -> str:
    """What the time of one header goes to, as Markdown; what C code takes counts for its caller."""
    parts: Counter[str] = Counter()
    for stack, number in stacks.items():
        parts[next(filter(None, map(_part, stack)), "else")] += number
    total = max(sum(parts.values()), 1)
    rows = [f"| {part} | {number / total:.0%} |" for part, number in parts.most_common(SHOWN)]
    return "\n".join([f"| {name}: function | share |", "|---|--:|", *rows])


def read_as_stored(content: bytes) -> object:
    """Read a file as a store of v2 does."""
    return _read(content, Checks.ALL)


def read_unchecked(content: bytes) -> object:
    """The same without looking whether its values are right."""
    return _read(content, Checks.NONE)


def read_by_pydicom(content: bytes) -> object:
    """The nearest that pydicom has: no bulk values, and what is wrong is told as a warning."""
    dataset = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return json.dumps(dataset.to_json_dict(bulk_data_element_handler=str, suppress_invalid_tags=True))


def _read(content: bytes, checks: Checks) -> object:
    reader = Part10Reader(checks=checks)
    reader.feed(content)
    return reader.finish()


def _measure(name: str, content: bytes) -> Line:
    ways: Sequence[Read] = (read_as_stored, read_unchecked, read_by_pydicom)
    best = [float("inf")] * len(ways)
    for _ in range(ROUNDS):
        for index, way in enumerate(ways):
            best[index] = min(best[index], _milliseconds(way, content))
    elements = len(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True))
    return Line(name, elements, *best)


def _milliseconds(way: Read, content: bytes) -> float:
    began = time.process_time()
    for _ in range(TURNS):
        way(content)
    return (time.process_time() - began) / TURNS * 1000


def _sample(content: bytes) -> Counter[Stack]:
    sampler = Sampler(Path())
    before = signal.signal(signal.SIGPROF, sampler.note)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    try:
        end = time.process_time() + SAMPLED_SECONDS
        while time.process_time() < end:
            read_as_stored(content)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return sampler.stacks


def _part(function: str) -> str | None:
    """A function of ours, by file and name."""
    file, _, name = function.rpartition(":")
    folder = f"{ROOT}/shared/dicom/"
    return f"{file.removeprefix(folder)} {name.split('.')[-1]}" if file.startswith(folder) else None


if __name__ == "__main__":
    exit_with(main)
