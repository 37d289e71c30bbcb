"""What the stored metadata say about an instance's pixels: read only where pixels are converted."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from shared.dicom.codecs import LossyHistory, PixelDescription, UnsupportedPixels, describe
from shared.dicom.frames import FrameIndex
from shared.storage import keys
from shared.storage.archive import read_metadata
from shared.storage.rows import InstanceRow
from shared.storage.storage import Storage
from shared.wado.converted.workers import Workers, given
from shared.wado.noted import BYTES_TO_NOTE, note_description


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of an instance before its file is opened."""

    pixels: PixelDescription | None
    """None where the dataset does not describe any."""

    number_of_frames: int | None
    """As declared; None when it is absent or makes no sense."""

    history: LossyHistory
    sop_class: str


async def read_described(storage: Storage, workers: Workers, row: InstanceRow) -> Described:
    """Read what an instance's metadata say of it; the row must have been read with them.

    Raises:
        UnsupportedPixels: They are too long to be looked through.
    """
    compressed = await read_metadata(storage, row)
    work = partial(_described, row.transfer_syntax)
    return await workers.run(partial(given, compressed), work, BYTES_TO_NOTE + len(compressed))


async def read_index(storage: Storage, row: InstanceRow) -> FrameIndex | None:
    """Where the frames of an instance lie; None when it has none. The row must have been read with it."""
    if not row.has_frames:
        return None
    if row.frames_blob:
        return FrameIndex.decode(await storage.blobs.read_all(keys.METADATA, row.frames_blob))
    return FrameIndex.decode(row.frames)


def _described(transfer_syntax: str, compressed: bytes) -> Described:
    attributes = note_description(compressed)
    try:
        pixels = describe(attributes, transfer_syntax)
    except UnsupportedPixels:
        pixels = None
    count = _texts(attributes, "00280008")[:1]
    lossy = _texts(attributes, "00282110")[:1]
    return Described(
        pixels,
        int(count[0]) or None if count and count[0].isdigit() else None,
        LossyHistory(
            ratios=tuple(_numbers(_texts(attributes, "00282112"))),
            methods=_texts(attributes, "00282114"),
            lossy=lossy[0] == "01" if lossy else None,
        ),
        next(iter(_texts(attributes, "00080016")), ""),
    )


def _numbers(texts: Iterable[str]) -> Iterator[float]:
    for text in texts:
        with suppress(ValueError):
            yield float(text)


def _texts(attributes: Mapping[str, object], key: str) -> tuple[str, ...]:
    """The values of an element that has plain ones, as text."""
    element = attributes.get(key)
    values = element.get("Value") if isinstance(element, Mapping) else None
    plain = values if isinstance(values, list) else []
    return tuple(str(value).strip("\0 ") for value in plain if isinstance(value, str | int | float))
