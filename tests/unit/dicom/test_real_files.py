"""Real files, checked against pydicom: those in its wheel, and the collection beside the project if there."""

import json
import math
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, TypedDict, cast

import pydicom
import pytest
from pydicom import config
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.pixels.utils import get_expected_length

from shared.dicom.bulk import BulkCutter, BulkIndex
from shared.dicom.bulk_links import drop_bulk
from shared.dicom.frames import FrameIndex, SpanInflater, cut_frame
from shared.dicom.metadata import inflate
from shared.dicom.part10 import PREAMBLE, NotDicom, Part10File
from shared.dicom.window import Chunk
from tests.factories import unchecked
from tests.unit.dicom.making import ITEM_END, SEQUENCE_END, json_of, pieces, read, whole_json_of

COLLECTION = Path(__file__).parents[4] / "shared" / "data"
WHEEL = Path(pydicom.__file__).parent / "data"

pytestmark = pytest.mark.filterwarnings("ignore")

# What is refused, by file name, and why. All other files are read.
REFUSED = {
    "ExplVR_BigEndNoMeta.dcm": "no DICM marker",
    "ExplVR_LitEndNoMeta.dcm": "no DICM marker",
    "no_meta.dcm": "no DICM marker",
    "rtstruct.dcm": "no DICM marker",
    "not_dicom.dcm": "no DICM marker",
    "empty_file.dcm": "is empty",
    "meta_missing_tsyntax.dcm": "no transfer syntax",
    "MR_truncated.dcm": "ends within the dataset, at or behind \\(7fe0,0010\\)",
    "cut_in_the_middle_of_pixel_data.dcm": "ends within the dataset, at or behind \\(7fe0,0010\\)",
    "rtplan_truncated.dcm": "ends within the dataset, at or behind \\(300a,00b0\\)",
    "DICOMDIR-nooffset": "An item is longer than its sequence",
}
"""DICOMDIR-nooffset: a directory, never stored; pydicom reads past the end of its sequence."""


class Entry(TypedDict, total=False):
    """What the manifest says of a file."""

    file: str
    sha256: str
    transfer_syntax_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    frames: int | str
    pixel_element: str


def _files() -> Iterator[Path]:
    """Every file once, and of the long series every tenth."""
    seen = set()
    for path in sorted(WHEEL.rglob("*")):
        if path.is_file() and path.suffix in ("", ".dcm") and path.name != "README":
            seen.add(sha256(path.read_bytes()).hexdigest())
            yield path
    for index, entry in enumerate(_manifest()):
        long_series = entry["file"].startswith(("series/mr", "series/ct-head"))
        if entry["sha256"] not in seen and (index % 10 == 0 or not long_series):
            yield COLLECTION / entry["file"]


@cache
def _manifest() -> list[Entry]:
    if not COLLECTION.exists():
        return []
    return cast(list[Entry], json.loads((COLLECTION / "manifest.json").read_text())["entries"])


def _name(path: Path) -> str:
    """The name without the source that the collection puts before it."""
    return path.name.split("__", 1)[-1]


FILES = list(_files())
READABLE = [path for path in FILES if _name(path) not in REFUSED]
each_file = pytest.mark.parametrize("path", READABLE, ids=lambda path: "/".join(path.parts[-3:]))


@cache
def _read(path: Path) -> Part10File:
    return read(path.read_bytes())


@cache
def _oracle(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, force=True)


def test_the_collection_is_there() -> None:
    """Without it only pydicom's own files are read."""
    if not COLLECTION.exists():
        pytest.skip(
            f"NO COLLECTION of sample files at {COLLECTION}: only the {len(FILES)} of pydicom were read"
        )

    assert len(_manifest()) > 700


@pytest.mark.parametrize(
    "path", [path for path in FILES if _name(path) in REFUSED], ids=lambda path: path.name
)
def test_damaged_files_are_refused(path: Path) -> None:
    """Each for its own reason."""
    with pytest.raises(NotDicom, match=REFUSED[_name(path)]):
        _read(path)


@each_file
def test_identity_and_transfer_syntax_are_those_of_pydicom(path: Path) -> None:
    """Trimmed as everywhere."""
    file, oracle = _read(path), _oracle(path)

    assert file.transfer_syntax == oracle.file_meta.TransferSyntaxUID
    assert file.length == path.stat().st_size + (0 if oracle.preamble else 132)
    if _name(path) not in UNREADABLE_BY_PYDICOM:
        assert file.identity.study == str(oracle.get("StudyInstanceUID", "")).rstrip(" \0")
        assert file.identity.series == str(oracle.get("SeriesInstanceUID", "")).rstrip(" \0")
        assert file.identity.instance == str(oracle.get("SOPInstanceUID", "")).rstrip(" \0")
        assert file.identity.sop_class == str(oracle.get("SOPClassUID", "")).rstrip(" \0")


@each_file
def test_a_file_in_pieces_is_the_same_file(path: Path) -> None:
    """Of any size, one byte each for small files."""
    data = path.read_bytes()
    random = Random(path.name)

    assert read(data, pieces(data, random, largest=100_000)) == _read(path)
    if len(data) < 300_000:
        assert read(data, pieces(data, random, largest=300)) == _read(path)
    if len(data) < 5_000:
        assert read(data, [data[index : index + 1] for index in range(len(data))]) == _read(path)


@each_file
def test_a_file_cut_short_is_refused_or_lacks_what_was_cut(path: Path) -> None:
    """A cut between two elements cannot be told from a shorter file; every other cut is noticed."""
    data = path.read_bytes()
    whole = _read(path)
    random = Random(path.name)

    for end in (*(random.randrange(len(data)) for _ in range(5)), len(data) - 1):
        try:
            cut = read(data[:end])
        except NotDicom:
            continue
        assert cut.length == whole.length - len(data) + end
        assert set(json_of(cut)) <= set(json_of(whole))
        assert cut.frames in (None, whole.frames)
        assert cut.frames is None or data[end:].strip(b"\0") == b"" or _name(path) in TRAILERS


@pytest.mark.parametrize("seed", range(20))
def test_damaged_bytes_are_read_or_refused_alike_in_any_pieces(seed: int) -> None:
    """Whatever is changed, the answer is a file or NotDicom, and the same one however the bytes come."""
    random = Random(seed)
    for path in random.sample([path for path in READABLE if 1000 < path.stat().st_size < 20_000], 20):
        data = bytearray(path.read_bytes())
        for _ in range(random.choice((1, 3, 10))):
            at = random.randrange(132, min(len(data), random.choice((400, 2000, 20_000))))
            data[at : at + random.choice((0, 1, 1, 1, 8))] = random.choice(DAMAGE)

        assert _outcome(data, [data]) == _outcome(data, pieces(bytes(data), random, largest=50))


DAMAGE = (b"\0", b"\xff", b"\\", b"", b"\xff\xff\xff\xff", ITEM_END, SEQUENCE_END, b"SQ\0\0\xff\xff\xff\xff")


def _outcome(data: bytearray, parts: Iterable[Chunk]) -> Part10File | None:
    try:
        file = read(bytes(data), parts)
    except NotDicom:
        return None
    assert json_of(file) is not None
    return file


TRAILERS = {"MR_small_padded.dcm", "emri_small_jpeg_2k_lossless_too_short.dcm"}
"""Elements follow the pixel data, or the last delimiter is missing."""

UNREADABLE_BY_PYDICOM = {"emri_small_jpeg_2k_lossless_too_short.dcm"}
"""The last delimiter is missing, and with it pydicom loses the dataset; all frames are there."""


Json = dict[str, Any]  # The oracle's own shape; what we make is typed.


def _expected(path: Path) -> tuple[Json, Json]:
    """pydicom's JSON with UN taken for what the dictionary says, and with UN as UN."""
    made = []
    # It cannot read a file whose character set is UN without the dictionary.
    for replaced in (True, _name(path) == "explicit_VR-UN.dcm"):
        config.replace_un_with_known_vr = replaced
        config.settings.reading_validation_mode = config.IGNORE
        try:
            made.append(_to_json(pydicom.dcmread(path, force=True)))
        finally:
            config.replace_un_with_known_vr = True
            config.settings.reading_validation_mode = config.WARN
    return made[0], made[1]


def _to_json(dataset: pydicom.Dataset) -> Json:
    """As pydicom does, but so that an element it cannot convert does not lose the sequence around it."""
    found: Json = {}
    for tag in sorted(dataset.keys()):
        key = f"{tag:08X}"
        try:
            element = dataset[tag]
            if element.VR == "SQ":
                found[key] = {"vr": "SQ", "Value": [_to_json(item) for item in element.value]}
            else:
                found[key] = json.loads(json.dumps(element.to_json_dict(None, 0)))
        except (TypeError, ValueError, OverflowError, AttributeError, pydicom.errors.BytesLengthException):
            found[key] = {"vr": "?"}
    return found


ABSENT: Json = {"vr": "none"}
BULK = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


def _plain(value: Any) -> Any:
    """A value without what is stated to differ: padding, empty values and groups, non-finite numbers."""
    if isinstance(value, str):
        return value.rstrip("\0 ") or None
    if isinstance(value, dict):
        return {group: _plain(text) for group, text in value.items() if _plain(text)} or None
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _differences(ours: Json, known: Json, raw: Json, path: str = "") -> Iterator[str]:
    """Where our metadata are not pydicom's.

    Args:
        ours: Our metadata.
        known: pydicom's, with private and standard UN elements read by dictionary.
        raw: pydicom's, with UN as UN.
        path: Where in the dataset this is.
    """
    for key in sorted({*ours, *known}):
        mine, theirs, plain = ours.get(key), known.get(key, ABSENT), raw.get(key, ABSENT)
        if mine is None:
            if not _left_out(key, theirs, plain):
                yield f"{path}{key} is missing"
        elif mine["vr"] == theirs["vr"] == "SQ":
            yield from _different_items(mine, theirs, plain, f"{path}{key}")
        elif theirs["vr"] != "?" and (mine["vr"], _values(mine)) != (theirs["vr"], _values(theirs)):
            yield f"{path}{key} is {mine}, not {theirs}"


def _different_items(mine: Json, theirs: Json, plain: Json, path: str) -> Iterator[str]:
    ours, known, raw = (element.get("Value", []) for element in (mine, theirs, plain))
    if len(ours) != len(known):
        yield f"{path} has {len(ours)} items, not {len(known)}"
    for index, (a, b) in enumerate(zip(ours, known, strict=False)):
        yield from _differences(a, b, raw[index] if index < len(raw) else {}, f"{path}.{index}.")


def _left_out(key: str, theirs: Json, plain: Json) -> bool:
    """Bulk, group lengths, and what is UN in the file, unless the standard knows it and it is no sequence."""
    if theirs["vr"] in BULK or theirs["vr"] == "?" or key.endswith("0000"):
        return True
    private = int(key[:4], 16) % 2 == 1
    return bool(plain["vr"] == "UN" and (private or theirs["vr"] == "SQ"))


def _values(element: Json) -> list[Any]:
    """An element of nothing but padding is empty."""
    values = [_plain(value) for value in element.get("Value", [])]
    return [] if values == [None] else values


@each_file
def test_metadata_are_those_of_pydicom(path: Path) -> None:
    """But for what the API rules and the comments above say, where bulk data are left out."""
    if _name(path) in UNREADABLE_BY_PYDICOM:
        return

    known, raw = _expected(path)
    ours: Json = json.loads(b"".join(drop_bulk(inflate(_read(path).metadata))))

    assert ours.pop("00083002") == {"vr": "UI", "Value": [_read(path).transfer_syntax]}
    known.pop("00083002", None)
    assert list(_differences(ours, known, raw)) == []


@each_file
def test_every_reference_leads_to_the_bytes_that_pydicom_sees(path: Path) -> None:
    """Each BulkDataURI to its value, and each bulk value that is not empty has one (PS3.18 F.2.2)."""
    if _name(path) in UNREADABLE_BY_PYDICOM:
        return
    index = BulkIndex(_read(path).bulk)

    references = list(_references(cast(Json, whole_json_of(_read(path)))))

    assert sorted(span.path for span in index) == sorted(references)
    stored = _stored(path, index.inflated_from)
    with unchecked():
        dataset = pydicom.dcmread(path, force=True)
        for reference in references:
            span = index.find(reference)
            assert span is not None
            cutter = BulkCutter(span)
            value = cutter.feed(stored[span.start : span.start + span.length]) + cutter.finish()
            assert value == _seen(dataset, reference, span.unit), reference
            assert span.size == len(value)


def _references(dataset: Json, path: str = "") -> Iterator[str]:
    for key, element in dataset.items():
        if "BulkDataURI" in element:
            assert element["BulkDataURI"] == path + key
            yield path + key
        if element["vr"] == "SQ":
            for number, item in enumerate(element.get("Value", [])):
                yield from _references(item, f"{path}{key}/{number}/")


def _stored(path: Path, inflated_from: int | None) -> bytes:
    """What spans count in: the file with a preamble, or the dataset that was deflated."""
    stored = (b"" if _oracle(path).preamble else PREAMBLE) + path.read_bytes()
    return stored if inflated_from is None else zlib.decompressobj(-15).decompress(stored[inflated_from:])


def _seen(dataset: pydicom.Dataset, reference: str, unit: int) -> bytes:
    """The bytes of a value as pydicom reads them, low byte first, fragments joined."""
    *way, last = reference.split("/")
    for key, number in zip(way[::2], way[1::2], strict=True):
        dataset = dataset[int(key, 16)].value[int(number)]
    element = dataset.get_item(int(last, 16))
    value = element.value or b""
    if getattr(element, "length", 0) == 0xFFFFFFFF or getattr(element, "is_undefined_length", False):
        return b"".join([*generate_fragments(value)][1:])
    assert isinstance(value, bytes)
    return b"".join(value[at : at + unit][::-1] for at in range(0, len(value), unit)) if unit > 1 else value


def _frames(path: Path, index: FrameIndex) -> Iterator[bytes]:
    """Every frame as retrieval gets it: by its span alone."""
    data = (b"" if _oracle(path).preamble else PREAMBLE) + path.read_bytes()
    for span in FrameIndex.decode(index.encode()).spans():
        if index.inflated_from is None:
            yield cut_frame(span, data[span.start : span.start + span.length])
        else:
            inflater = SpanInflater(span.start, span.length)
            yield cut_frame(span, b"".join(inflater.feed(data[index.inflated_from :])))


VIDEO = ("mpeg2-main-level.dcm", "h264-high-41.dcm", "hevc-main-51.dcm")


def _expected_frames(path: Path) -> list[bytes]:
    """The frames as pydicom finds them."""
    dataset = _oracle(path)
    name = next(name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in dataset)
    value = dataset[name].value
    number = dataset.get("NumberOfFrames") or 1
    if dataset[name].is_undefined_length:
        return list(generate_frames(value, number_of_frames=number))
    if dataset.BitsAllocated == 1:
        bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
        packed = int.from_bytes(value, "little")
        mask = (1 << bits) - 1
        return [
            ((packed >> bits * index) & mask).to_bytes((bits + 7) // 8, "little") for index in range(number)
        ]
    size = get_expected_length(dataset, "bytes") // number
    return [value[size * index : size * (index + 1)] for index in range(number)]


WITHOUT_FRAMES_IN_PYDICOM = {"badVR.dcm", "nested_priv_SQ.dcm", *UNREADABLE_BY_PYDICOM, *VIDEO}
"""A number of frames that is none, pixels without a size, and videos."""


@each_file
def test_frames_are_those_of_pydicom(path: Path) -> None:
    """Native and encapsulated, by spans from a stored index."""
    file = _read(path)
    if _name(path) in WITHOUT_FRAMES_IN_PYDICOM:
        assert file.frames is not None
    elif file.frames is None:
        assert not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(_oracle(path).dir())
    else:
        assert list(_frames(path, file.frames)) == _expected_frames(path)


@pytest.mark.parametrize("entry", _manifest(), ids=lambda entry: entry["file"])
def test_the_manifest_agrees(entry: Entry) -> None:
    """UIDs, transfer syntax and frames of every file that is read."""
    path = COLLECTION / entry["file"]
    if _name(path) in REFUSED.keys() | UNREADABLE_BY_PYDICOM:
        return
    file = _read(path)

    assert file.transfer_syntax == entry["transfer_syntax_uid"]
    assert file.identity.instance == (entry["sop_instance_uid"] or "")
    assert file.identity.study == entry.get("study_instance_uid", "")
    assert file.identity.series == entry.get("series_instance_uid", "")
    if "PixelData" in entry.get("pixel_element", ""):
        frames = entry.get("frames", 1)
        assert file.number_of_frames == (1 if frames == "1A" else frames)
        assert file.frames is not None
        assert file.frames.count == (1 if _name(path) in VIDEO else file.number_of_frames)
