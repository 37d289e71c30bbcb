"""Files with pixels, written anew as they are read: the elements around the pixels, and the pixels.

Native pixels that stay native are not looked at; only the bytes of big-endian numbers change their order. All
others are decoded and encoded frame by frame, several at once, and leave in their order. The offset table of
what is encapsulated stays empty, as it would have to be known before the first frame (PS3.5 A.4 allows it);
each frame is one fragment.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from shared.dicom.codecs import (
    DamagedPixels,
    Frame,
    FrameJoiner,
    PixelDescription,
    UnsupportedPixels,
    changed_elements,
    check_frame,
    joined_bytes,
    pixel_vr,
)
from shared.dicom.codecs.elements import TRANSFER_SYNTAX
from shared.dicom.encode import encode_values
from shared.dicom.frames import FrameIndex, FrameSpan, cut_frame
from shared.dicom.framing import SEQUENCE_END, UNDEFINED, file_head, item_head, value_head, write_element
from shared.dicom.headers import Coding
from shared.dicom.meta import Front
from shared.dicom.rewrite import NUMBER_BYTES, PixelHead, Rewritten, rewrite
from shared.storage.rows import InstanceRow
from shared.wado.content import literal
from shared.wado.converted.described import Described
from shared.wado.converted.rules import MAX_WHOLE_BYTES, bytes_needed, convert, depth_for, turns_words
from shared.wado.converted.workers import Job, Workers, given, in_order
from shared.wado.reading import Reading
from shared.web.offers import EXPLICIT_LITTLE

MAX_TAIL_BYTES: Final = 16 * 1024 * 1024
"""Elements behind the pixel data, where they have to be rewritten."""

MAX_NATIVE_BYTES: Final = UNDEFINED - 1
"""What a value with a length can have."""

REWRITING: Final = 4
"""Memory that a byte of elements takes while it is rewritten."""

_VR_FROM_END: Final = slice(-8, -6)
"""Where the VR stands in the twelve bytes before a native value."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stored file that is being read, and what is known of it."""

    workers: Workers
    reading: Reading
    row: InstanceRow
    described: Described
    index: FrameIndex | None
    wanted: str
    """The transfer syntax to convert to."""

    front: Front
    """Its group 0002, which was taken."""

    max_native_bytes: int
    """What its pixels may have when they are decompressed."""

    @property
    def head(self) -> bytes:
        """Preamble and group 0002 of the new file."""
        return file_head(self.described.sop_class, self.row.instance, self.wanted)

    def pixels(self, dataset: bytes) -> PixelDescription | None:
        """What its pixels are; in big endian the header before them tells what metadata do not."""
        found = self.described.pixels
        words = self.front.coding is not Coding.EXPLICIT_BIG or dataset[_VR_FROM_END] == b"OW"
        return found and replace(found, words=words)


@dataclass(frozen=True, slots=True)
class Begun:
    """A file whose writing has begun well."""

    about: int
    """How many bytes it will have, about."""

    pieces: AsyncIterator[bytes]
    length: int | None
    """How many it will have, if that is known."""


async def begin_native(source: Source, dataset: bytes) -> Begun:
    """Write a file whose pixels are native and stay so.

    Args:
        source: The file, read up to the value of its pixel data.
        dataset: What was read of its dataset.
    """
    rewritten = await rewrite_elements(source, dataset, {})
    pixels = _pixels_of(rewritten)
    if pixels.length is None:
        raise DamagedPixels("The pixel data are not where they were.")
    description = source.pixels(dataset)
    vr = pixels.vr
    if source.front.coding is not Coding.EXPLICIT_LITTLE and description:
        vr = pixel_vr(replace(description, transfer_syntax=EXPLICIT_LITTLE))
    size = pixels.length + pixels.length % 2
    front = source.head + rewritten.elements + value_head(pixels.tag, vr, size)
    if not source.front.coding.little:
        source.reading.turn(pixels.length, _unit_of(pixels.vr, description))
    length = _with_tail(source, len(front) + size, source.reading.position + pixels.length)
    return Begun(len(front) + size, _native(source, front, pixels.length), length)


async def begin_coded(source: Source, index: FrameIndex, dataset: bytes) -> Begun:
    """Write a file whose frames are converted; the first of them is, before this returns.

    Args:
        source: The file, read up to its first frame.
        index: Where its frames are.
        dataset: What was read of its dataset.

    Raises:
        PixelError: They cannot be converted, or are too many.
    """
    before = source.pixels(dataset)
    if before is None:
        raise UnsupportedPixels("Rows, Columns or Bits Allocated are missing.")
    if turns_words(before):
        # Frames of odd length share a word with the next.
        source.reading.turn(int.from_bytes(dataset[-4:], "big"), 2)
        before = replace(before, words=False)
    if index.count * before.decoded_bytes > source.max_native_bytes:
        raise UnsupportedPixels(f"Without compression there are more than {source.max_native_bytes} bytes.")
    if source.described.number_of_frames not in (None, index.count):
        raise DamagedPixels(f"The pixel data hold {index.count} frames, but the dataset says otherwise.")
    await _look_over(source, index, before)
    frames = in_order(_jobs(source, index, before), depth_for(source.workers, before.decoded_bytes))
    first = await anext(frames)
    try:
        changes = _changes(source, index, before, first)
        return _framed(source, index, await rewrite_elements(source, dataset, changes), first, frames)
    except BaseException:
        await frames.aclose()
        raise


async def _look_over(source: Source, index: FrameIndex, description: PixelDescription) -> None:
    """Compare the frames with the dataset where that would otherwise show in the middle of an answer.

    It is done for files that can be held meanwhile.

    Raises:
        PixelError: A frame is not what the dataset says.
    """
    length, reading = source.row.location.length, source.reading
    is_short = index.count * description.decoded_bytes <= MAX_WHOLE_BYTES
    if is_short or length > MAX_WHOLE_BYTES or not index.fragments:
        return

    def work(content: bytes) -> None:
        for span in index.spans():
            start = span.start - reading.position
            check_frame(cut_frame(span, content[start : start + span.length]), description)

    await source.workers.run(partial(reading.look, length), work, 2 * length)


async def rewrite_elements(source: Source, dataset: bytes, changes: Mapping[int, bytes | None]) -> Rewritten:
    """Rewrite elements in a thread; there must be room for it.

    Raises:
        NotDicom: They cannot be followed.
    """

    work = partial(_rewritten, source.front.coding, changes)
    return await source.workers.run(partial(given, dataset), work, 0)


def _rewritten(coding: Coding, changes: Mapping[int, bytes | None], content: bytes) -> Rewritten:
    return rewrite(content, coding, changes)


@dataclass(frozen=True, slots=True)
class _Frames:
    """Converted frames, and what goes around them."""

    front: bytes
    first: Frame
    rest: AsyncGenerator[Frame, None]
    framing: "FrameJoiner | _Fragments"
    value_end: int | None
    """Where the stored value ends, of native pixels; a delimiter ends fragments."""


def _framed(
    source: Source,
    index: FrameIndex,
    rewritten: Rewritten,
    first: Frame,
    rest: AsyncGenerator[Frame, None],
) -> Begun:
    """Put the frames behind the elements, and say how much that will be."""
    pixels, after = _pixels_of(rewritten), first.description
    front = source.head + rewritten.elements
    end = None if pixels.length is None else index.start + pixels.length
    if source.wanted != EXPLICIT_LITTLE:
        front += value_head(pixels.tag, "OB", UNDEFINED) + item_head(0)
        pieces = _coded(source, _Frames(front, first, rest, _Fragments(), end))
        return Begun(len(front) + index.count * after.frame_bytes, pieces, None)
    size = joined_bytes(index.count, after)
    if size > MAX_NATIVE_BYTES:
        raise UnsupportedPixels("Without compression the pixel data would be longer than a file can hold.")
    front += value_head(pixels.tag, pixel_vr(after), size)
    pieces = _coded(source, _Frames(front, first, rest, FrameJoiner(after), end))
    length = _with_tail(source, len(front) + size, _end_of(index) if end is None else end)
    return Begun(len(front) + size, pieces, length)


async def sliced(*contents: bytes) -> AsyncGenerator[bytes, None]:
    """What is in memory as a stream, in pieces that are passed on one by one."""
    for content in contents:
        async for piece in literal(content)(0, len(content)):
            yield piece


def _pixels_of(rewritten: Rewritten) -> PixelHead:
    if rewritten.pixels is None:
        raise DamagedPixels("The pixel data are not where they were.")
    return rewritten.pixels


def _unit_of(vr: str, description: PixelDescription | None) -> int:
    """How many bytes of big-endian pixels are turned together (PS3.5 section 7.3)."""
    sample = description.bits_allocated // 8 if description else 0
    return max(sample, NUMBER_BYTES.get(vr, 1))


def _end_of(index: FrameIndex) -> int:
    """Where encapsulated pixel data end."""
    headers = len(item_head(0)) * (len(index.fragments) - 1)
    return index.start + sum(index.fragments) + headers + len(SEQUENCE_END)


def _with_tail(source: Source, length: int, end: int) -> int | None:
    """The length of the new file, if it is known what will come of the elements behind its pixels."""
    left = max(source.row.location.length - end, 0)
    if source.front.deflated or (left and source.front.coding is not Coding.EXPLICIT_LITTLE):
        return None
    return length + left


def _changes(
    source: Source, index: FrameIndex, before: PixelDescription, first: Frame
) -> dict[int, bytes | None]:
    """The elements that change with the pixels, as bytes."""
    native = index.count * first.description.frame_bytes
    ratio = native / max(sum(index.fragments), 1)
    if first.description.transfer_syntax != EXPLICIT_LITTLE:
        ratio = first.description.frame_bytes / max(len(first.content), 1)
    changed = changed_elements(before, first.description, source.described.history, ratio)
    del changed[TRANSFER_SYNTAX]
    return {
        int(key, 16): element
        and write_element(
            int(key, 16), element["vr"], encode_values(element["vr"], element["Value"], str.encode)
        )
        for key, element in changed.items()
    }


async def _jobs(
    source: Source, index: FrameIndex, description: PixelDescription
) -> AsyncGenerator[Job[Frame], None]:
    work, turn = partial(convert, description, source.wanted), asyncio.Lock()

    async def read(span: FrameSpan) -> bytes:
        # Room is given in the order of asking, so frames are read in theirs.
        async with turn:
            return await source.reading.frame(span)

    # What frames take is known before the first is read.
    needed = [bytes_needed(span.length, description, source.wanted) for span in index.spans()]
    for span, each in zip(index.spans(), needed, strict=True):
        yield partial(source.workers.run, partial(read, span), work, each)


class _Fragments:
    """Puts each frame into an item."""

    def feed(self, frame: bytes) -> bytes:
        padding = b"\0" * (len(frame) % 2)
        return item_head(len(frame) + len(padding)) + frame + padding

    def finish(self) -> bytes:
        return SEQUENCE_END


async def _coded(source: Source, frames: _Frames) -> AsyncGenerator[bytes, None]:
    first, framing, reading = frames.first, frames.framing, source.reading
    async with aclosing(frames.rest) as rest:
        async for piece in sliced(frames.front):
            yield piece
        yield framing.feed(first.content)
        async for frame in rest:
            # One header tells of all of them.
            if frame.description != first.description:
                raise DamagedPixels("The frames are not all of one kind.")
            yield framing.feed(frame.content)
    yield framing.finish()
    if frames.value_end is not None:
        await reading.skip(max(frames.value_end - reading.position, 0))
    elif await reading.look(len(SEQUENCE_END)) == SEQUENCE_END:
        await reading.take(len(SEQUENCE_END))
    async for piece in _tail(source):
        yield piece


async def _native(source: Source, front: bytes, length: int) -> AsyncGenerator[bytes, None]:
    async for piece in sliced(front):
        yield piece
    async for piece in source.reading.pass_on(length):
        yield piece
    if length % 2:
        yield b"\0"
    async for piece in _tail(source):
        yield piece


async def _tail(source: Source) -> AsyncGenerator[bytes, None]:
    """The elements behind the pixels."""
    if source.front.coding is Coding.EXPLICIT_LITTLE:
        async for piece in source.reading.pass_on():
            yield piece
        return
    work = partial(_rewritten, source.front.coding, {})
    read = partial(source.reading.take_rest, MAX_TAIL_BYTES)
    rewritten = await source.workers.run(read, work, REWRITING * MAX_TAIL_BYTES)
    async for piece in sliced(rewritten.elements):
        yield piece
