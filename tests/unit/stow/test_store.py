"""A store request gives others their turn, whatever it is made of."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

import pytest

from shared.storage.connection import resolve
from shared.storage.storage import Times, open_storage
from shared.stow.checks import Rules
from shared.stow.store import store
from shared.web.multipart import Event, PartBegin, PartBytes, PartEnd, PartKind
from tests.factories import new_uid

COUNT = 500
HOUR = timedelta(hours=1)


def files() -> list[Event]:
    """Tiny parts that are no files."""
    return [PartBegin({}), PartBytes(b"x"), PartEnd()] * COUNT


def shared_value() -> list[Event]:
    """Instances without a patient that one part completes, all of them."""
    tags = ("00080016", "00080018", "0020000D", "0020000E")
    value = {"00420011": {"vr": "OB", "BulkDataURI": "b"}}
    datasets = [{tag: {"vr": "UI", "Value": [new_uid()]} for tag in tags} | value for _ in range(COUNT)]
    metadata: list[Event] = [
        PartBegin({}, PartKind.JSON),
        PartBytes(json.dumps(datasets).encode()),
        PartEnd(),
    ]
    return [*metadata, PartBegin({"content-location": "b"}, PartKind.BULK), PartBytes(b"ab"), PartEnd()]


@pytest.mark.parametrize("events", [files, shared_value])
def test_others_have_their_turn_between_instances(
    new_account: Callable[[], str], events: Callable[[], Sequence[Event]]
) -> None:
    """Thousands may come in one piece of a compressed body; none of them waits for storage."""

    async def run() -> int:
        storage = open_storage(resolve("STORAGE", {"STORAGE": new_account()}), Times(HOUR, HOUR))
        turns = 0
        begun: list[int] = []

        async def flowing() -> AsyncIterator[Event]:
            for event in events():
                # Metadata are read in a thread, which gives others any number of turns.
                if isinstance(event, PartBegin) and event.kind is not PartKind.JSON:
                    begun.append(turns)
                yield event

        try:
            storing = asyncio.create_task(store(storage, "p", Rules(None, is_v1=False), flowing()))
            while not storing.done():
                await asyncio.sleep(0)
                turns += 1
            assert len(storing.result()) == COUNT
        finally:
            await storage.aclose()
        return turns - begun[0]

    assert asyncio.run(run()) > COUNT / 2
