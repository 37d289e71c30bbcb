"""Pixels that lie, are damaged or ask for too much: refused with 406, whatever a codec makes of them.

Source: API rules sections 4.2 and 5.3, checklist 36. Odd files as such are in `test_odd_files`.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import httpx
import pytest
from pydicom.encaps import encapsulate

from local.dev import azurite
from shared.dicom.codecs import ENCODABLE, PixelDescription, encode_frame
from tests.archive import Archive
from tests.conformance.test_large import Host
from tests.conformance.test_transcoding import JPEG_LS, describe
from tests.factories import (
    EXPLICIT,
    JPEG_2000,
    JPEG_BASELINE,
    RLE,
    Instance,
    as_instance,
    make_dataset,
    unchecked,
)
from tests.unit.dicom.codecs.making import colour, grey, smooth
from tests.unit.dicom.codecs.test_damage import damaged

FRAME = "application/octet-stream; transfer-syntax={}"
AS_FILE = "application/dicom; transfer-syntax={}"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"

ALLOWED_BYTES = 96 * 1024 * 1024
"""What the process may grow by beyond its size when it idles: the codecs' libraries and a few frames."""

SIDE = 65_535
TILES = 20_000
TILE = grey(64, 64)


def file_of(frames: Sequence[bytes], description: PixelDescription, **lies: object) -> Instance:
    """A file with frames as they are, and what its dataset says of them; None leaves an attribute out."""
    dataset = make_dataset(NumberOfFrames=len(frames))
    describe(dataset, description)
    native = description.transfer_syntax == EXPLICIT
    even = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    dataset.PixelData = b"".join(frames) if native else encapsulate(even)
    dataset["PixelData"].VR = "OW" if native else "OB"
    dataset["PixelData"].is_undefined_length = not native
    with unchecked():
        for keyword, value in lies.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return as_instance(dataset, description.transfer_syntax)


@pytest.mark.parametrize("syntax", ENCODABLE[1:])
@pytest.mark.parametrize("native", [grey(24, 40), colour(24, 40)], ids=["grey", "RGB"])
def test_damaged_frames_are_pixels_or_406(archive: Archive, syntax: str, native: PixelDescription) -> None:
    """Bits turned, bytes lost and put in: never 500, and a frame that is given is as long as its pixels."""
    random = Random(f"{syntax} {native.samples_per_pixel}")
    good = encode_frame(smooth(native), native, syntax)
    frames = [good.content, *(damaged(good.content, random) or b"\0" for _ in range(39))]
    image = file_of(frames, good.description)
    archive.keep(image)

    plain = [archive.get(f"{image.path}/frames/{n}", FRAME.format(EXPLICIT)) for n in range(1, 41)]
    made = [archive.get(f"{image.path}/frames/{n}", "image/jphc") for n in range(1, 11)]
    whole = [archive.get(image.path, AS_FILE.format(wanted)) for wanted in (EXPLICIT, JPEG_2000, RLE)]

    assert {answer.status_code for answer in (*plain, *made, *whole)} <= {200, 406}
    assert plain[0].status_code == 200
    assert {len(answer.content) for answer in plain if answer.status_code == 200} == {native.frame_bytes}
    assert 406 in {answer.status_code for answer in plain}
    assert archive.get(image.path, AS_FILE.format("*")).content == image.content


LIES: tuple[dict[str, object], ...] = (
    {"BitsAllocated": 12, "BitsStored": 12, "HighBit": 11},
    {"BitsStored": 17},
    {"BitsStored": 0},
    {"HighBit": 3},
    {"SamplesPerPixel": 4},
    {"SamplesPerPixel": 0},
    {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    {"Rows": None},
    {"Columns": 0},
    {"BitsAllocated": None},
    {"NumberOfFrames": 7},
    {"NumberOfFrames": 2_000_000_000},
    {"PhotometricInterpretation": "PURPLE"},
    {"PixelRepresentation": 9},
)


@pytest.mark.parametrize("lie", LIES, ids=str)
@pytest.mark.parametrize("syntax", [EXPLICIT, RLE])
def test_descriptions_that_lie(archive: Archive, lie: dict[str, object], syntax: str) -> None:
    """None of them is more than a refusal, and the file itself is always to be had."""
    native = grey(8, 10, 16)
    frame = encode_frame(smooth(native), native, syntax)
    image = file_of([frame.content], frame.description, **lie)
    archive.keep(image)

    for wanted in (EXPLICIT, JPEG_2000, RLE):
        for path, accept in ((f"{image.path}/frames/1", FRAME), (image.path, AS_FILE)):
            answer = archive.get(path, accept.format(wanted))
            assert answer.status_code in (200, 404, 406), (answer.status_code, answer.text)
    assert archive.get(image.path, AS_FILE.format("*")).content == image.content


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, JPEG_BASELINE])
def test_a_narrow_tile_is_told_before_a_long_answer_begins(archive: Archive, syntax: str) -> None:
    """Section 4.2: 406, as slides have at their right edge; who names no syntax gets the file as it is."""
    tile, narrow = grey(1024, 1024), grey(1024, 300)
    tiles = [encode_frame(smooth(each), each, syntax) for each in (*[tile] * 19, narrow)]
    slide = file_of([each.content for each in tiles], tiles[0].description)
    archive.keep(slide)
    parts = 'multipart/related; type="application/dicom"'
    octets = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}'
    numbers = ",".join(str(number) for number in range(1, len(tiles) + 1))

    refused = [
        archive.get(slide.path, AS_FILE.format(EXPLICIT)),
        archive.get(slide.path, AS_FILE.format(RLE)),
        archive.get(slide.series_path, f"{parts}; transfer-syntax={EXPLICIT}"),
        archive.get(f"{slide.path}/frames/{numbers}", octets),
    ]

    assert {answer.status_code for answer in refused} == {406}
    assert all("300 x 1024 pixels" in answer.text for answer in refused)
    assert archive.get(slide.path, "application/dicom").content == slide.content
    assert slide.content in archive.get(slide.series_path, parts).content
    assert archive.get(f"{slide.path}/frames/19", FRAME.format(EXPLICIT)).status_code == 200


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A service of its own, whose memory is watched."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux to see memory")
    with azurite.start(logs=tmp_path) as storage:
        host = Host(storage.connection_string(), tmp_path / "log")
        try:
            yield host
        finally:
            host.stop()


def sized(stream: bytes, at: int, form: str) -> bytes:
    """A compressed frame whose header claims the largest sides there are."""
    return stream[:at] + struct.pack(form, SIDE, SIDE) + stream[at + struct.calcsize(form) :]


def bombs() -> Iterator[Instance]:
    """Small files that ask for gigabytes."""
    small = grey(16, 16)
    wavelet = encode_frame(smooth(small), small, JPEG_2000)
    cosine = encode_frame(smooth(small), small, JPEG_BASELINE)
    packed = encode_frame(smooth(small), small, RLE)
    huge: dict[str, object] = {"Rows": SIDE, "Columns": SIDE}
    wide = sized(wavelet.content, wavelet.content.index(b"\xff\x51") + 6, ">II")
    tall = sized(cosine.content, cosine.content.index(b"\xff\xc0") + 5, ">HH")
    yield file_of([wide], wavelet.description)
    yield file_of([wide], wavelet.description, **huge)
    yield file_of([tall], cosine.description)
    yield file_of([tall], cosine.description, **huge)
    yield file_of([packed.content], packed.description, **huge)
    # Just below the limit of a frame, of which there are many.
    most: dict[str, object] = {"Rows": 11_000, "Columns": 12_000}
    yield file_of([packed.content] * 50, packed.description, **most)
    inflating = zlib.compress(bytes(200 * 1024 * 1024), 9, -zlib.MAX_WBITS)
    yield deflated(file_of([inflating], wavelet.description))
    yield deflated(file_of([inflating], wavelet.description, **huge))


def deflated(image: Instance) -> Instance:
    """The same as Deflated Image Frame Compression, which pydicom does not write."""
    named = image.content.replace(JPEG_2000.encode(), DEFLATED_FRAMES.encode() + b"\0", 1)
    return replace(image, content=named)


def test_bombs_are_refused_before_they_take_memory(host: Host, http: httpx.Client) -> None:
    """Declared sizes are compared with each other and with a limit, whatever the codec would reserve."""
    archive = Archive.fresh(http, host.url)
    known = file_of([smooth(TILE)], TILE)
    images = list(bombs())
    for image in (known, *images):
        archive.keep(image)
    for accept in (
        "image/jp2",
        "image/jls",
        "image/dicom-rle",
        f"image/jpeg; transfer-syntax={JPEG_BASELINE}",
    ):
        assert archive.get(f"{known.path}/frames/1", accept).status_code == 200
    idle = host.memory("VmRSS")

    host.forget_peak()
    for image in images:
        for wanted in (EXPLICIT, JPEG_LS):
            assert archive.get(image.path, AS_FILE.format(wanted)).status_code == 406
        for accept in (FRAME.format(EXPLICIT), "image/jphc"):
            assert archive.get(f"{image.path}/frames/1", accept).status_code == 406

    assert host.memory("VmHWM") - idle < ALLOWED_BYTES


def test_a_storm_over_a_slide_of_20_000_tiles(host: Host, http: httpx.Client) -> None:
    """Checklist 36: 64 in parallel, as stored and decompressed; memory stays flat."""
    archive = Archive.fresh(http, host.url)
    tiles = [encode_frame(bytes([n]) * TILE.frame_bytes, TILE, RLE) for n in range(100)]
    slide = file_of([tile.content for tile in tiles] * (TILES // len(tiles)), tiles[0].description)
    archive.keep(slide)
    random = Random(1)

    def storm(count: int, syntax: str) -> None:
        def ask(number: int) -> None:
            answer = archive.get(f"{slide.path}/frames/{number}", FRAME.format(syntax))
            assert answer.status_code == 200, answer.text
            expected = tiles[(number - 1) % len(tiles)].content
            assert answer.content == (
                expected if syntax == "*" else bytes([(number - 1) % len(tiles)]) * 4096
            )

        with ThreadPoolExecutor(64) as pool:
            list(pool.map(ask, (random.randint(1, TILES) for _ in range(count))))

    for syntax in ("*", EXPLICIT):
        storm(64, syntax)
    idle = host.memory("VmRSS")
    host.forget_peak()
    for syntax in ("*", EXPLICIT):
        storm(256, syntax)

    assert host.memory("VmHWM") - idle < ALLOWED_BYTES / 3
