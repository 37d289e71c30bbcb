"""Real files for the codecs: those in pydicom's wheel, and the collection beside the project if there."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np
import pydicom
from pydicom.encaps import generate_frames

from shared.dicom.codecs import Frame, PixelDescription, decode_frame, describe
from shared.dicom.codecs.samples import Samples, from_bytes, stored_values

COLLECTION = Path(__file__).parents[5] / "shared" / "data"
WHEEL = Path(pydicom.__file__).parent / "data"
NO_COLLECTION = f"NO COLLECTION of sample files at {COLLECTION}: only those in pydicom's wheel were read"

Json = dict[str, Any]  # The oracle's own shape.


class Entry(TypedDict):
    """What the manifest says of a file."""

    file: str
    sha256: str
    pixel_element: NotRequired[str]
    pixels_sha256: NotRequired[str]
    rows: NotRequired[int]


@cache
def manifest() -> dict[Path, Entry]:
    """The collection, empty where it is not there."""
    if not COLLECTION.exists():
        return {}
    entries = cast(list[Entry], json.loads((COLLECTION / "manifest.json").read_text())["entries"])
    return {COLLECTION / entry["file"]: entry for entry in entries}


@cache
def by_name() -> dict[str, Path]:
    """Every file by its name, without the source that the collection puts before it."""
    found: dict[str, Path] = {}
    for path in (*sorted(WHEEL.rglob("*.dcm")), *manifest()):
        found.setdefault(path.name.split("__", 1)[-1], path)
    return found


def distinct() -> Iterator[tuple[Path, PixelDescription]]:
    """Every file with pixels once, and of the long series every tenth."""
    seen = set()
    for path in _candidates():
        content = sha256(path.read_bytes()).hexdigest()
        found = None if content in seen else read_image(path)
        seen.add(content)
        if found:
            yield path, found.description


def _candidates() -> Iterator[Path]:
    yield from sorted(WHEEL.rglob("*.dcm"))
    for index, (path, entry) in enumerate(manifest().items()):
        long_series = entry["file"].startswith(("series/mr", "series/ct-head", "studies/"))
        if "pixel_element" in entry and not (long_series and index % 10):
            yield path


@dataclass(frozen=True, slots=True)
class Image:
    """The pixels of a file as stored, cut into frames by pydicom."""

    path: Path
    dataset: pydicom.Dataset
    attributes: Json
    description: PixelDescription
    frames: tuple[bytes, ...]

    def native(self, index: int = 0) -> Frame:
        """One decoded frame."""
        return decode_frame(self.frames[index], self.description)


def read_image(path: Path) -> Image | None:
    """The pixels of a file; None where pydicom finds none."""
    with warnings.catch_warnings(action="ignore"):
        return _image(path, pydicom.dcmread(path, force=True))


def _image(path: Path, dataset: pydicom.Dataset) -> Image | None:
    element = next((dataset[name] for name in PIXELS if name in dataset), None)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if element is None or syntax is None or "Rows" not in dataset or not element.value:
        return None
    attributes = json_of(dataset)
    description = describe(attributes, str(syntax), words=element.VR == "OW")
    declared = str(dataset.get("NumberOfFrames", ""))
    count = int(declared) if declared.isdigit() and int(declared) else 1
    if element.is_undefined_length:
        frames = tuple(generate_frames(element.value, number_of_frames=count))
    else:
        frames = tuple(_native_frames(element.value, count, description))
    return Image(path, dataset, attributes, description, frames)


PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def _native_frames(value: bytes, count: int, description: PixelDescription) -> Iterator[bytes]:
    if count == 1:
        yield value[: description.frame_bytes + description.frame_bytes % 2]
    elif description.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")
        for index in range(count):
            frame = bits[index * description.pixels : (index + 1) * description.pixels]
            yield np.packbits(frame, bitorder="little").tobytes()
    else:
        size = description.frame_bytes
        yield from (value[index * size : (index + 1) * size] for index in range(count))


def json_of(dataset: pydicom.Dataset) -> Json:
    """DICOM JSON of all but the pixels, with every other value in it."""
    found: Json = {}
    for element in dataset:
        if element.tag.group == 0x7FE0:
            continue
        try:
            found[f"{element.tag:08X}"] = json.loads(json.dumps(element.to_json_dict(None, 0)))
        except (TypeError, ValueError, OverflowError):
            continue
    return found


def array_of(frame: Frame) -> Samples:
    """The stored values of a native frame."""
    return stored_values(from_bytes(frame.content, frame.description), frame.description)


def image(name: str) -> Image:
    """The pixels of a file by its name without its source."""
    found = read_image(by_name()[name])
    assert found is not None
    return found
