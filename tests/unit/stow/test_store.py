"""A store request gives others their turn, whatever it is made of."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import timedelta

import pytest

from shared.storage.connection import resolve
from shared.storage.storage import Times, open_storage
from shared.stow.checks import Rules
from shared.stow.store import store
from shared.web.multipart import Event, PartBegin, PartBytes, PartEnd, PartKind
from tests.factories import new_uid
from tests.unit.stow.test_reading import tick

COUNT = 500
HOUR = timedelta(hours=1)


def files() -> list[Event]:
    """Tiny parts that are no files."""
    return [PartBegin({}), PartBytes(b"x"), PartEnd()] * COUNT


def metadata() -> list[Event]:
    """Instances of metadata alone that lack a patient."""
    tags = ("00080016", "00080018", "0020000D", "0020000E")
    datasets = [{tag: {"vr": "UI", "Value": [new_uid()]} for tag in tags} for _ in range(COUNT)]
    text = json.dumps(datasets).encode()
    return [PartBegin({}, PartKind.JSON), PartBytes(text), PartEnd()]


@pytest.mark.parametrize("events", [files, metadata])
def test_others_have_their_turn_between_instances(
    new_account: Callable[[], str], events: Callable[[], Iterable[Event]]
) -> None:
    """Thousands may come in one piece of a compressed body; none of them waits for storage."""

    async def run() -> tuple[float, float]:
        storage = open_storage(resolve("STORAGE", {"STORAGE": new_account()}), Times(HOUR, HOUR))
        pauses = [0.0]
        ticking = asyncio.create_task(tick(pauses))
        try:
            sent = flowing(events())
            began = time.perf_counter()
            outcomes = await store(storage, "p", Rules(None, is_v1=False), sent)
            took = time.perf_counter() - began
        finally:
            ticking.cancel()
            await storage.aclose()
        assert len(outcomes) == COUNT
        return took, max(pauses)

    took, longest = asyncio.run(run())

    assert longest < took / 8


async def flowing(events: Iterable[Event]) -> AsyncIterator[Event]:
    """Events as they come of a body that is there already."""
    for event in events:
        yield event
