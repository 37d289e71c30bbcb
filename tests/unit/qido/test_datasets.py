"""The datasets of a page."""

import asyncio
from typing import cast

from shared.qido.datasets import MADE_AT_ONCE, make_datasets
from shared.qido.hits import Hit
from shared.qido.result import Dataset, Wanted
from shared.storage.storage import Storage
from shared.web.links import Links


async def made(hits: list[Hit]) -> tuple[list[Dataset], int]:
    """The datasets of these, and how many turns another task has while they are made."""
    wanted = Wanted(frozenset({"0020000D"}), frozenset())
    # Nothing is read: there is nothing to count, and no metadata are wanted.
    storage = cast(Storage, None)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    datasets = await make_datasets(storage, "p", hits, wanted, Links("http://host/v2"))
    task.cancel()
    return datasets, turns


def test_a_large_page_lets_other_requests_have_their_turn() -> None:
    """Its datasets are made some at a time, and come in the order of what was found."""
    hits = [Hit(f"1.{number}", {}) for number in range(20 * MADE_AT_ONCE)]

    datasets, turns = asyncio.run(made(hits))

    assert [dataset["0020000D"]["Value"] for dataset in datasets] == [[hit.study] for hit in hits]
    assert turns >= 20


def test_nothing_found_makes_nothing() -> None:
    """An empty page has no datasets."""
    assert asyncio.run(made([]))[0] == []
