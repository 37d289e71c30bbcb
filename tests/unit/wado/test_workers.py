"""The threads for pixels: no more at once than there is memory for, in turn, and nothing left behind."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from functools import partial

import pytest

from shared.wado.converted.workers import MAX_HELD_BYTES, SMALL_BYTES, Job, Workers, given, in_order

PATIENCE_SECONDS = 10


class Gate:
    """Work that is held until it is let go."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = 0

    def work(self, content: bytes) -> bytes:
        """Wait in a thread."""
        self.entered += 1
        assert self.open.wait(PATIENCE_SECONDS)
        return content


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():  # noqa: ASYNC110 - threads set no event of the loop
            await asyncio.sleep(0.001)


def start(workers: Workers, gate: Gate, share: int, content: bytes = b"") -> "asyncio.Task[bytes]":
    """Begin some work."""
    return asyncio.ensure_future(workers.run(partial(given, content), gate.work, share))


def test_work_is_done_in_a_thread_and_its_room_given_back() -> None:
    async def whole() -> tuple[str, int]:
        workers = Workers(2, 100)
        name = await workers.run(partial(given, b""), lambda _: threading.current_thread().name, 60)
        await until(lambda: workers.free_bytes == 100)
        return name, workers.free_bytes

    name, free = asyncio.run(whole())

    assert name.startswith("pixels")
    assert free == 100


def test_work_waits_for_room_in_the_order_of_asking() -> None:
    """A small piece does not overtake a large one, which would else never begin."""

    async def whole() -> list[int]:
        workers, gates = Workers(4, 100), [Gate() for _ in range(3)]
        tasks = [start(workers, gate, share) for gate, share in zip(gates, (60, 80, 10), strict=True)]
        await until(lambda: gates[0].entered == 1)
        before = [gate.entered for gate in gates]
        gates[0].open.set()
        await until(lambda: [gate.entered for gate in gates] == [1, 1, 1])
        for gate in gates:
            gate.open.set()
        await asyncio.gather(*tasks)
        return before

    assert asyncio.run(whole()) == [1, 0, 0]


def test_work_that_takes_more_than_there_is_runs_alone() -> None:
    async def whole() -> tuple[int, bytes]:
        workers, gate, other = Workers(2, 100), Gate(), Gate()
        large = start(workers, gate, 1000, b"large")
        small = start(workers, other, 1)
        await until(lambda: gate.entered == 1)
        before = other.entered
        gate.open.set()
        other.open.set()
        await small
        return before, await large

    assert asyncio.run(whole()) == (0, b"large")


def test_nothing_is_read_before_there_is_room() -> None:
    async def whole() -> bool:
        workers, gate, read = Workers(2, 100), Gate(), False

        async def reading() -> bytes:
            nonlocal read
            read = True
            return b""

        first = start(workers, gate, 100)
        second = asyncio.ensure_future(workers.run(reading, gate.work, 50))
        await until(lambda: gate.entered == 1)
        before = read
        gate.open.set()
        await asyncio.gather(first, second)
        return before

    assert asyncio.run(whole()) is False


def test_who_leaves_while_waiting_lets_the_next_begin() -> None:
    async def whole() -> int:
        workers, gate, large, small = Workers(4, 100), Gate(), Gate(), Gate()
        first, gone, last = start(workers, gate, 60), start(workers, large, 80), start(workers, small, 10)
        await until(lambda: gate.entered == 1)
        gone.cancel()
        await until(lambda: small.entered == 1)
        gate.open.set()
        small.open.set()
        await asyncio.gather(first, last)
        await until(lambda: workers.free_bytes == 100)
        return large.entered

    assert asyncio.run(whole()) == 0


def test_who_leaves_during_the_work_keeps_its_room_until_it_ends() -> None:
    """The memory is taken for as long."""

    async def whole() -> tuple[int, int]:
        workers, gate = Workers(2, 100), Gate()
        task = start(workers, gate, 70)
        await until(lambda: gate.entered == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        during = workers.free_bytes
        gate.open.set()
        await until(lambda: workers.free_bytes == 100)
        return during, workers.free_bytes

    assert asyncio.run(whole()) == (30, 100)


@pytest.mark.parametrize("fails", ["read", "work"])
def test_what_fails_gives_its_room_back(fails: str) -> None:
    async def whole() -> None:
        workers = Workers(2, 100)

        async def broken() -> bytes:
            raise ValueError("read")

        def damaged(_: bytes) -> None:
            raise ValueError("work")

        read = broken if fails == "read" else partial(given, b"")
        with pytest.raises(ValueError, match=fails):
            await workers.run(read, damaged, 70)
        await until(lambda: workers.free_bytes == 100)

    asyncio.run(whole())


def test_what_is_held_has_room_of_its_own() -> None:
    """Work for what is held would else wait for others that hold something, and they for it."""

    async def whole() -> tuple[bytes, int]:
        workers = Workers(2, 100)
        async with workers.holding(MAX_HELD_BYTES):
            async with workers.holding(SMALL_BYTES):
                done = await workers.run(partial(given, b"done"), bytes, 100)
            other = asyncio.ensure_future(hold(workers))
            await until(lambda: workers.waiting == 1)
        await other
        return done, workers.waiting

    async def hold(workers: Workers) -> None:
        async with workers.holding(2 * MAX_HELD_BYTES):
            pass

    assert asyncio.run(whole()) == (b"done", 0)


def test_work_that_takes_nothing_more_need_not_wait() -> None:
    """What it works on has its room already."""

    async def whole() -> bytes:
        workers, gate = Workers(3, 100), Gate()
        first, second = start(workers, gate, 60), start(workers, gate, 60)
        await until(lambda: workers.waiting == 1)
        done = await workers.run(partial(given, b"done"), bytes, 0)
        gate.open.set()
        await asyncio.gather(first, second)
        return done

    assert asyncio.run(whole()) == b"done"


async def jobs(made: list[int], count: int) -> AsyncGenerator[Job[int], None]:
    """Jobs that end the sooner the later they come."""

    async def job(number: int) -> int:
        await asyncio.sleep(0.002 * (count - number))
        return number

    for number in range(count):
        made.append(number)
        yield partial(job, number)


@pytest.mark.parametrize("depth", [1, 2, 5, 50])
def test_results_come_in_order(depth: int) -> None:
    async def whole() -> list[int]:
        return [found async for found in in_order(jobs([], 9), depth)]

    assert asyncio.run(whole()) == list(range(9))


def test_no_more_is_begun_than_told() -> None:
    async def whole() -> list[int]:
        made: list[int] = []
        stream = in_order(jobs(made, 9), 3)
        await anext(stream)
        await stream.aclose()
        return made

    assert asyncio.run(whole()) == [0, 1, 2]


def test_closing_early_ends_what_is_under_way() -> None:
    async def whole() -> int:
        ended = 0

        async def endless() -> int:
            nonlocal ended
            try:
                await asyncio.sleep(PATIENCE_SECONDS)
            finally:
                ended += 1
            return 0

        async def source() -> AsyncGenerator[Job[int], None]:
            yield partial(given_number, 1)
            while True:
                yield endless

        stream = in_order(source(), 3)
        assert await anext(stream) == 1
        await asyncio.sleep(0)
        await stream.aclose()
        return ended

    assert asyncio.run(whole()) == 2


async def given_number(number: int) -> int:
    """A job that is done at once."""
    return number
