"""What the seeded programme has found: each with the moment that brings it about, nothing left to chance."""

import asyncio
from collections.abc import Callable

import pytest

from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.search import Asker, Resource, search
from shared.storage.storage import Storage
from shared.storage.terms import INDEX_TABLES
from shared.web.query import parse_search
from tests.faults import reading
from tests.faults.accounts import Account
from tests.faults.crashing import Trial, begin_trial, opened
from tests.faults.driver import Delete, Store
from tests.faults.files import File
from tests.faults.nursery import Child, Nursery
from tests.faults.proxy import Fault, Script, held, killed_before, passed

STUDY = "1.2.3"
HEAD = File(STUDY, "1.2.3.1", "1.2.3.1.1")
NECK = File(STUDY, "1.2.3.1", "1.2.3.1.2", variant=1)
MOVED = File(STUDY, "1.2.3.2", "1.2.3.2.1", modality="MR", variant=2)


def _at_search_rows(fault: Fault) -> Script:
    """A fault at every write by which studies and series are found."""
    return lambda call: fault if call.is_write and call.place in INDEX_TABLES else passed


@pytest.mark.parametrize("file", [NECK, MOVED], ids=["in its series", "in another series"])
def test_what_joins_a_study_whose_maker_died_is_found_at_once(
    file: File, account: Account, nursery: Nursery
) -> None:
    """The study was committed, its search rows were not written; the sweep would write them, much later."""

    def dies(child: Child) -> Script:
        return _at_search_rows(killed_before(child.kill))

    async def whole() -> set[tuple[str, ...]]:
        async with begin_trial(account, nursery) as trial:
            assert await trial.try_to(Store("p", (HEAD,)), trial.lanes[0], dies) is None
            assert await trial.do(Store("p", (file,))) == [["stored"]]
            found = await _found(trial)
            await trial.restart()
            assert await trial.problems() == []
            return found

    assert file.address("p") in asyncio.run(whole())


def test_what_joins_a_study_whose_maker_is_slow_is_found_at_once(account: Account, nursery: Nursery) -> None:
    """Another process has committed the study and is still at its search rows."""

    async def whole() -> set[tuple[str, ...]]:
        async with begin_trial(account, nursery) as trial:
            reached, until = asyncio.Event(), asyncio.Event()
            script = _at_search_rows(held(reached, until))
            slow = asyncio.create_task(trial.try_to(Store("p", (HEAD,)), trial.lanes[0], _always(script)))
            await reached.wait()
            value = await trial.ask(Store("p", (NECK,)))
            found = await _found(trial)
            until.set()
            assert value == await slow == ["stored"]
            await trial.restart()
            assert await trial.problems() == []
            return found

    assert NECK.address("p") in asyncio.run(whole())


def test_a_study_that_was_deleted_in_vain_and_is_made_again_is_found_once(
    account: Account, nursery: Nursery
) -> None:
    """The deletion was committed and left the old search rows, which lead to the new study as well."""

    def dies(child: Child) -> Script:
        return _at_search_rows(killed_before(child.kill))

    async def whole() -> list[int]:
        async with begin_trial(account, nursery) as trial:
            await trial.do(Store("p", (HEAD,)))
            assert await trial.try_to(Delete("p", STUDY), trial.lanes[0], dies) is None
            assert await trial.do(Store("p", (NECK,))) == [["stored"]]
            async with opened(account) as storage:
                found = [
                    await _count_of(storage, level, query)
                    for level in SearchLevel
                    for query in ("", "StudyDate=20240229", "PatientID=P-1", "ModalitiesInStudy=CT")
                ]
            await trial.restart()
            assert await trial.problems() == []
            return found

    assert asyncio.run(whole()) == [1] * 4 * len(SearchLevel)


async def _count_of(storage: Storage, level: SearchLevel, query: str) -> int:
    """How many results a search has."""
    resource, request = Resource("p", level), parse_search(query, parse_tag)
    return len((await search(storage, resource, request, Asker(reading.LINKS))).datasets)


def _always(script: Script) -> Callable[[Child], Script]:
    return lambda _child: script


async def _found(trial: Trial) -> set[tuple[str, ...]]:
    async with opened(trial.account) as storage:
        return {*await reading.find_instances(storage, "p")}
