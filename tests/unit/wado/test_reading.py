"""A stored file taken apart as it comes, however its bytes are cut."""

import asyncio
import tracemalloc
import zlib
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import TypeVar

import pytest

from shared.dicom.errors import NotDicom
from shared.dicom.frames import FrameIndex
from shared.wado.reading import STEP_BYTES, Reading

T = TypeVar("T")

CONTENT = Random(1).randbytes(2000)


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    """Bytes in pieces."""
    for at in range(0, len(content), size):
        yield content[at : at + size]


def read(content: bytes, size: int, act: Callable[[Reading], Awaitable[T]]) -> T:
    """Do something with a file that comes in pieces of a size."""

    async def whole() -> T:
        reading = Reading(cut(content, size))
        try:
            return await act(reading)
        finally:
            await reading.aclose()

    return asyncio.run(whole())


SIZES = [1, 7, 100, 5000]


@pytest.mark.parametrize("size", SIZES)
def test_bytes_are_looked_at_taken_skipped_and_passed_on(size: int) -> None:
    async def act(reading: Reading) -> list[bytes]:
        looked = await reading.look(10)
        taken = await reading.take(300)
        await reading.skip(100)
        passed = b"".join([piece async for piece in reading.pass_on(600)])
        assert reading.position == 1000
        return [looked, taken, passed, await reading.take_rest(1000)]

    found = read(CONTENT, size, act)

    assert found == [CONTENT[:10], CONTENT[:300], CONTENT[400:1000], CONTENT[1000:]]


@pytest.mark.parametrize("size", SIZES)
def test_an_end_that_comes_too_early_is_told(size: int) -> None:
    async def take(reading: Reading) -> bytes:
        return await reading.take(2001)

    async def pass_on(reading: Reading) -> None:
        await reading.skip(2001)

    async def rest(reading: Reading) -> bytes:
        return await reading.take_rest(1999)

    for act in (take, pass_on, rest):
        with pytest.raises(NotDicom):
            read(CONTENT, size, act)


@pytest.mark.parametrize("takes_rest", [False, True])
def test_what_is_taken_is_held_once(takes_rest: bool) -> None:
    """It may be most of what a process may take."""
    size = 32 * 1024 * 1024
    piece = bytes(1024 * 1024)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // len(piece)):
            yield piece

    async def act() -> int:
        reading = Reading(pieces())
        tracemalloc.start()
        taken = await (reading.take_rest(size) if takes_rest else reading.take(size))
        assert len(taken) == size
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak_bytes

    assert asyncio.run(act()) < 1.3 * size


@pytest.mark.parametrize("size", SIZES)
def test_what_follows_is_inflated(size: int) -> None:
    """Positions count from there, as those of frames do."""
    deflate = zlib.compressobj(wbits=-15)
    plain = bytes(3 * STEP_BYTES) + CONTENT
    file = b"front" + deflate.compress(plain) + deflate.flush()

    async def act(reading: Reading) -> tuple[int, bytes]:
        await reading.take(5)
        reading.inflate()
        await reading.skip(3 * STEP_BYTES)
        return reading.position, await reading.take(2000)

    assert read(file, size, act) == (3 * STEP_BYTES, CONTENT)


def test_others_run_while_what_is_skipped_is_inflated() -> None:
    """A kilobyte may hold a megabyte."""
    size, turns = 64 * 1024 * 1024, 0
    deflated = zlib.compress(bytes(size), 9, -zlib.MAX_WBITS)

    async def run() -> int:
        nonlocal turns
        reading = Reading(cut(deflated, 1024 * 1024))
        reading.inflate()
        skipping = asyncio.ensure_future(reading.skip(size))
        while not skipping.done():
            await asyncio.sleep(0)
            turns += 1
        return reading.position

    assert asyncio.run(run()) == size
    assert turns > 30


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-9], lambda raw: b"\xff" + raw[1:]], ids=["cut", "wrong"]
)
def test_what_is_not_deflated_is_told(damage: Callable[[bytes], bytes]) -> None:
    deflate = zlib.compressobj(wbits=-15)
    file = damage(deflate.compress(CONTENT) + deflate.flush())

    async def act(reading: Reading) -> bytes:
        reading.inflate()
        return await reading.take_rest(10_000)

    with pytest.raises(NotDicom):
        read(file, 100, act)


@pytest.mark.parametrize("size", SIZES)
def test_numbers_are_turned_up_to_where_told(size: int) -> None:
    async def act(reading: Reading) -> bytes:
        await reading.take(3)
        reading.turn(6, 2)
        return await reading.take_rest(100)

    assert read(b"abc123456xyz", size, act) == b"214365xyz"


@pytest.mark.parametrize("size", SIZES)
def test_frames_come_without_item_headers(size: int) -> None:
    """Each in one piece, whatever its fragments."""
    fragments = [CONTENT[at : at + 50] for at in range(0, 300, 50)]
    content = b"head" + b"".join(b"HEADER 8" + each for each in fragments)
    index = FrameIndex(3, 12, fragments=array("I", [50] * 6), groups=array("I", [1, 3, 2]))

    async def act(reading: Reading) -> list[bytes]:
        return [frame async for frame in reading.frames(index)]

    expected = [b"".join(fragments[:1]), b"".join(fragments[1:4]), b"".join(fragments[4:])]
    assert read(content, size, act) == expected


@pytest.mark.parametrize("size", SIZES)
def test_frames_may_share_a_byte(size: int) -> None:
    """PS3.5 section 8.1.1: frames of nine bits."""
    frames = [0b101100111, 0b000111010, 0b111111111, 0b100000001]
    value = sum(frame << 9 * place for place, frame in enumerate(frames)).to_bytes(5, "little")
    index = FrameIndex(4, 2, frame_bits=9)

    async def act(reading: Reading) -> list[bytes]:
        return [frame async for frame in reading.frames(index)]

    assert [int.from_bytes(each, "little") for each in read(b"xx" + value, size, act)] == frames
