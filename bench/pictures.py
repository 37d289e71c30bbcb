"""Measures what takes work on pixels: frames in another transfer syntax, rendered frames and thumbnails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import imagecodecs
import numpy as np

from bench.files import CT, ELSEWHERE, EXPLICIT_LITTLE, Compressed, Place, Shape, make_file
from bench.reading import find_blobs, gets, read, turns
from bench.stage import Case, Stage

JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
SHAPE: Final = Shape(512, 512, 20)
JPEG_BEGINS: Final = b"\xff\xd8\xff"
_PARTS: Final = 'multipart/related; type="{}"; transfer-syntax={}'

Check = Callable[[int, bytes], bool]


@dataclass(frozen=True, slots=True)
class Work:
    """Something that is asked of an object, frame by frame."""

    name: str
    path: str
    """Below the object; `{}` stands for the frame."""

    accept: str
    is_right: Check
    shape: Shape = SHAPE
    compressed: Compressed | None = None


async def cases(stage: Stage) -> list[Case]:
    """Store what is needed, and prepare the measurements."""
    run = next(stage.runs)
    wanted = [(number, work) for number, work in enumerate(_works()) if stage.wants(work.name)]
    return [
        case for number, work in wanted for case in await _cases(stage, Place(run, ELSEWHERE + number), work)
    ]


def _works() -> Sequence[Work]:
    pixels = _slice()
    code = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="j2k"))
    octets = _PARTS.format("application/octet-stream", EXPLICIT_LITTLE)
    code_stream = _PARTS.format("image/jp2", JPEG_2000)
    coded = Compressed(JPEG_2000, [code] * SHAPE.frames)
    native = pixels.tobytes()
    return (
        Work("a frame of 0.5 MB from JPEG 2000", "frames/{}", octets, _has(native), compressed=coded),
        Work("a frame of 0.5 MB to JPEG 2000", "frames/{}", code_stream, _has(b"\xff\x4f")),
        Work("rendered: a frame of 512 x 512", "frames/{}/rendered", "image/jpeg", _has(JPEG_BEGINS)),
        Work("thumbnail: of an instance of 0.5 MB", "thumbnail", "image/jpeg", _has(JPEG_BEGINS), CT),
    )


async def _cases(stage: Stage, place: Place, work: Work) -> list[Case]:
    """Bare storage reads what the answer is made from."""
    await stage.store_everywhere([[make_file(place, work.shape, work.compressed)]])
    ((blob, length),) = await find_blobs(stage, place)
    size = len(work.compressed.frames[0]) if work.compressed else work.shape.frame_bytes
    raw = partial(turns, [partial(read, stage.raw, blob, span=(length - size, size))])
    paths = [f"{place.path}/{work.path.format(number)}" for number in range(1, work.shape.frames + 1)]
    web = partial(gets, paths, work.accept)
    return [Case(work.name, callers, web, raw, is_right=work.is_right) for callers in (1, 4)]


def _has(mark: bytes) -> Check:
    return lambda _, body: mark in body


def _slice() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]":
    """A slice as scanners make them, (row, column), 0 to 4095: smooth, with some noise."""
    ramp = np.add.outer(np.arange(512), np.arange(512)) * 3
    noise = np.random.default_rng(1).integers(0, 64, (512, 512))
    return (ramp + noise).astype(np.uint16)
