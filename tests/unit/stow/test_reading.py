"""Files are read without holding up whatever else happens."""

import asyncio
import time
from collections.abc import Iterable
from random import Random

import pytest
from pydicom.dataset import Dataset

from shared.dicom.errors import NotDicom
from shared.dicom.part10 import Part10File, Part10Reader
from shared.stow.checks import Rules
from shared.stow.reading import Reading
from tests.factories import DEFLATED, make, make_dataset, make_image, write

RULES = Rules(None, is_v1=False)


def read(chunks: Iterable[bytes]) -> Part10File:
    """A file that arrives in these chunks."""

    async def arrive() -> Part10File:
        reading = Reading(RULES)
        for chunk in chunks:
            await reading.feed(chunk)
        return await reading.finish()

    return asyncio.run(arrive())


def heavy(elements: int, transfer_syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """A file with a very long header."""
    dataset = make_dataset()
    for number in range(elements):
        dataset.add_new((0x0011 + 2 * (number // 200) << 16) + 0x1000 + number % 200, "SH", f"value {number}")
    return write(dataset, transfer_syntax)


@pytest.mark.parametrize("content", [make_image().content, heavy(20_000), heavy(20_000, DEFLATED)])
@pytest.mark.parametrize("size", [1000, 65536, 10_000_000])
def test_a_file_is_read_as_by_the_reader_alone(content: bytes, size: int) -> None:
    """However it is cut, in a thread or not."""
    reader = Part10Reader(checks=RULES.checks)
    reader.feed(content)

    assert read(content[at : at + size] for at in range(0, len(content), size)) == reader.finish()


def test_a_damaged_file_is_refused_from_a_thread_too() -> None:
    content = heavy(20_000)

    with pytest.raises(NotDicom):
        read([content[:-3]])
    with pytest.raises(NotDicom):
        read([content + b"\xff" * 1000])
    with pytest.raises(NotDicom):
        read([make().content[200:]])


def test_a_long_header_holds_up_nobody_for_long() -> None:
    """Whoever else runs has many turns between two pieces of it."""
    content = heavy(150_000)

    turns = turns_of(content, 65536)

    assert len(content) > 2_500_000
    assert turns > 4 * len(content) / 65536


@pytest.mark.parametrize("quick_bytes", [0, 20_000])
def test_a_deflated_header_holds_up_nobody_from_its_first_byte_on(quick_bytes: int) -> None:
    """A few kilobytes may stand for megabytes of elements, also behind others that are read quickly."""
    content = bomb(quick_bytes)
    turns_of(make().content, 1000)

    turns = turns_of(content, len(content))

    assert len(content) < 50_000
    assert turns > 4 * len(content) / 4096


def bomb(quick_bytes: int) -> bytes:
    """A deflated file of some kilobytes whose elements take megabytes."""
    dataset = make_dataset()
    dataset.add_new(0x00111000, "OB", Random(1).randbytes(quick_bytes))
    item = Dataset()
    for number in range(30):
        item.add_new(0x00431000 + number, "SH", "")
    dataset.add_new(0x00431000, "SQ", [item] * 5000)
    return write(dataset, DEFLATED)


def turns_of(content: bytes, chunk_bytes: int) -> int:
    """How many turns whoever else runs has while a file is read."""

    async def arrive() -> int:
        turns: list[float] = []
        ticking = asyncio.create_task(tick(turns))
        reading = Reading(RULES)
        for at in range(0, len(content), chunk_bytes):
            await reading.feed(content[at : at + chunk_bytes])
        await reading.finish()
        ticking.cancel()
        return len(turns)

    return asyncio.run(arrive())


async def tick(turns: list[float]) -> None:
    """Note when one has one's turn."""
    while True:
        await asyncio.sleep(0)
        turns.append(time.perf_counter())
