"""Many blobs removed by one call, against the emulator."""

import pytest
from aiohttp import web

from shared.storage.blobs import Blobs
from shared.storage.connection import Connection
from shared.storage.deletions import MAX_DELETIONS, left_over
from shared.storage.wire import Reply, Wire
from tests.unit.storage.faulty import Asked, Proxy, passed
from tests.unit.storage.test_blobs import ODD_NAMES
from tests.unit.storage.using import spoiled, using


async def fill(blobs: Blobs, container: str, names: list[str]) -> None:
    """Write some blobs."""
    for name in names:
        await blobs.put(container, name, b"")


async def names(blobs: Blobs, container: str) -> set[str]:
    """What is there."""
    return {entry.name async for entry in blobs.list(container)}


@pytest.mark.parametrize("count", [0, 1, 2, len(ODD_NAMES)])
def test_those_that_are_named_go_and_no_others(connection: Connection, fresh: str, count: int) -> None:
    """Whatever characters their names hold, and whether they are there or not."""

    async def act(wire: Wire) -> set[str]:
        blobs = Blobs(wire)
        await fill(blobs, fresh, ODD_NAMES)
        await blobs.delete_all(fresh, [*ODD_NAMES[:count], *["not there"][: count // 2]])
        return await names(blobs, fresh)

    assert using(connection, act) == set(ODD_NAMES[count:])


def test_more_than_fit_one_call_go_by_several(connection: Connection, fresh: str) -> None:
    """256 are the most."""
    many = [f"{number:04}" for number in range(MAX_DELETIONS + 2)]

    async def act(wire: Wire) -> set[str]:
        blobs = Blobs(wire)
        await fill(blobs, fresh, many)
        await blobs.delete_all(fresh, many)
        return await names(blobs, fresh)

    assert using(connection, act) == set()


def test_of_a_container_that_was_never_made_nothing_goes(connection: Connection, fresh: str) -> None:
    """As with one blob."""

    async def act(wire: Wire) -> set[str]:
        await Blobs(wire).delete_all(fresh, ["a", "b"])
        return await names(Blobs(wire), fresh)

    assert using(connection, act) == set()


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({0: 202, 1: 202, 2: 202}, []),
        ({0: 202, 1: 404, 2: 202}, []),
        ({0: 202, 1: 503, 2: 500}, [1, 2]),
        ({2: 202, 0: 202}, [1]),
        ({}, [0, 1, 2]),
    ],
)
@pytest.mark.parametrize("line", ["\r\n", "\n"])
def test_what_was_not_done_is_told(statuses: dict[int, int], expected: list[int], line: str) -> None:
    """By the number of each part, in whatever order they come; one without an answer was not done."""
    parts = (
        f"--b\nContent-Type: application/http\ncontent-id: {index}\n\nHTTP/1.1 {status} Said\nServer: x\n\n"
        for index, status in statuses.items()
    )
    body = ("".join(parts) + "--b--\n").replace("\n", line).encode()

    assert left_over(Reply(202, {}, body, after_retry=False), 3) == expected


def test_what_storage_is_too_busy_for_is_asked_for_again(connection: Connection, fresh: str) -> None:
    """The whole call succeeds, and one of its deletions does not."""

    async def busy_with_one(_asked: Asked) -> web.StreamResponse:
        parts = "".join(
            f"--b\r\nContent-ID: {index}\r\n\r\nHTTP/1.1 {status} Said\r\n\r\n"
            for index, status in enumerate((202, 503))
        )
        return web.Response(status=202, text=f"{parts}--b--\r\n")

    async def act(wire: Wire, _proxy: Proxy) -> set[str]:
        blobs = Blobs(wire)
        await fill(blobs, fresh, ["a", "b"])
        await blobs.delete_all(fresh, ["a", "b"])
        return await names(blobs, fresh)

    using(connection, lambda wire: fill(Blobs(wire), fresh, ["made before"]))

    assert spoiled(connection, [passed, passed, busy_with_one], act) == {"made before", "a"}
