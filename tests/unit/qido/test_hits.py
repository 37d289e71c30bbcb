"""What a search finds, page by page, on a real emulator."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.budget import Budget
from shared.qido.hits import Finder, Hit
from shared.qido.match import make_matches
from shared.qido.plan import make_plan
from shared.qido.position import Start
from shared.qido.scans import STEPS, Bounds, Steps
from shared.storage.calls import counted
from shared.storage.commit import Batch, commit
from shared.storage.connection import resolve
from shared.storage.keys import StudyKey
from shared.storage.rows import Location, NewInstance, Values
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.versions import next_version
from shared.web.query import parse_search
from tests.conftest import NewAccount

HOUR = timedelta(hours=1)
STUDY, SERIES, INSTANCE = SearchLevel
LEVELS = {STUDY: (STUDY,), SERIES: (STUDY, SERIES), INSTANCE: (STUDY, SERIES, INSTANCE)}

STUDIES = 9
"""Named 0 to 8 in the order they came: every third is called Doe, every other has CT."""

SOME: Steps = ((2, 3), (4, 5), (1_000, 0))
"""A text is common from the third row on."""


@dataclass(frozen=True, slots=True)
class Place:
    """A data partition of an account."""

    connection: str
    partition: str

    def run(self, act: Callable[[Storage], Awaitable[list[Hit]]]) -> list[Hit]:
        """Do something with its storage."""

        async def whole() -> list[Hit]:
            storage = open_storage(resolve("STORAGE", {"STORAGE": self.connection}), Times(HOUR, HOUR))
            try:
                return await act(storage)
            finally:
                await storage.aclose()

        return asyncio.run(whole())

    def finder(self, storage: Storage, level: SearchLevel, query: str, bounds: Bounds) -> Finder:
        """What follows a query string."""
        request = parse_search(query, parse_tag)
        matches = make_matches(request.filters, LEVELS[level], fuzzy=request.fuzzy)
        return Finder(storage, self.partition, make_plan(self.partition, level, matches), bounds)

    def find(self, level: SearchLevel, query: str, steps: Steps = STEPS) -> list[Hit]:
        """All that matches, in one page."""

        async def act(storage: Storage) -> list[Hit]:
            bounds = Bounds(Start(), Budget(), 1_000, steps)
            return [hit async for hit in self.finder(storage, level, query, bounds).find(level)]

        return self.run(act)

    def page_through(self, level: SearchLevel, query: str, size: int, steps: Steps = STEPS) -> list[Hit]:
        """The same, in pages of some hits each."""

        async def act(storage: Storage) -> list[Hit]:
            found: list[Hit] = []
            start: Start | None = Start()
            while start is not None:
                finder = self.finder(storage, level, query, Bounds(start, Budget(), size, steps))
                page = await first_of(finder, level, size)
                found += page
                start = Start(page[-1].position, finder.way) if len(page) == size else None
            return found

        return self.run(act)

    def spend(self, level: SearchLevel, query: str, rows: int, steps: Steps = STEPS) -> list[Hit]:
        """The same, with a budget that ends after so many rows, over and over."""

        async def act(storage: Storage) -> list[Hit]:
            found: list[Hit] = []
            start, ended = Start(), True
            while ended:
                with counted():
                    budget = Budget(rows=rows)
                    finder = self.finder(storage, level, query, Bounds(start, budget, 1_000, steps))
                    found += [hit async for hit in finder.find(level)]
                after, ended = Start(finder.done(level), finder.way), budget.is_ended
                assert not ended or after != start, "The next search would begin where this one did."
                start = after
            return found

        return self.run(act)


async def first_of(finder: Finder, level: SearchLevel, number: int) -> list[Hit]:
    """The first hits."""
    page: list[Hit] = []
    async for hit in finder.find(level):
        page.append(hit)
        if len(page) == number:
            break
    return page


def element(vr: str, *values: object) -> dict[str, object]:
    return {"vr": vr, "Value": list(values)}


def study_values(number: int) -> Values:
    """What a study says of itself."""
    return {
        "00080020": element("DA", f"202401{number // 2 + 1:02}"),
        "00100010": element("PN", {"Alphabetic": f"{'Doe' if number % 3 == 0 else 'Miller'}^Jo{number}"}),
        "00100020": element("LO", f"PAT{number}"),
    }


async def keep(storage: Storage, partition: str, number: int, suffix: str = "") -> None:
    """Store a study of two series with two instances each."""
    study = f"1.2.{number}{suffix}"
    instances = [
        NewInstance(
            series=f"{study}.{series}",
            instance=f"{study}.{series}.{instance}",
            version=next_version(),
            location=Location("blob", 0, 1),
            transfer_syntax="1.2.840.10008.1.2.1",
            study_values=study_values(number),
            series_values={"00080060": element("CS", "CT" if number % 2 and series == 1 else "MR")},
            values={"00200013": element("IS", instance)},
            metadata=b"",
            frames=None,
        )
        for series in (1, 2)
        for instance in (1, 2)
    ]
    assert not await commit(storage, StudyKey(partition, study), Batch(instances))


@pytest.fixture(scope="module")
def connection(new_account: NewAccount) -> str:
    return new_account()


def filled(connection: str, numbers: Sequence[int]) -> Place:
    """A data partition with these studies, stored one after the other."""
    place = Place(connection, f"t{uuid4().hex}")

    async def act(storage: Storage) -> list[Hit]:
        for number in numbers:
            await keep(storage, place.partition, number)
        return []

    place.run(act)
    return place


@pytest.fixture(scope="module")
def place(connection: str) -> Place:
    return filled(connection, range(STUDIES))


def names(hits: Sequence[Hit]) -> list[str]:
    """The lowest UID of each hit."""
    return [hit.instance or hit.series or hit.study for hit in hits]


QUERIES = [
    "",
    "PatientID=PAT4",
    "PatientID=PAT*",
    "PatientID=*T4",
    "PatientName=*doe*",
    "PatientName=Doe*&ModalitiesInStudy=CT",
    "PatientName=*ill*&StudyDate=20240101-20240103",
    "PatientName=jo3&fuzzymatching=true",
    "StudyDate=20240102-",
    "ModalitiesInStudy=MR",
    "ModalitiesInStudy=CT,MR",
    "StudyInstanceUID=1.2.5,1.2.99,1.2.2,1.2.0",
    "PatientName=*nobody*",
]
BELOW = [*QUERIES, "Modality=CT", "Modality=MR&PatientName=*doe*", "SeriesInstanceUID=1.2.5.1,1.2.4.2"]
CASES = [
    *((STUDY, query) for query in QUERIES),
    *((SERIES, query) for query in BELOW),
    *((INSTANCE, query) for query in [*BELOW, "SOPInstanceUID=1.2.5.1.2,1.2.4.2.1"]),
]


@pytest.mark.parametrize(("level", "query"), CASES)
def test_pages_of_any_size_give_what_one_page_gives(place: Place, level: SearchLevel, query: str) -> None:
    """Nothing twice, nothing left out, in one order: however texts are found."""
    whole = names(place.find(level, query))

    assert len(whole) == len(set(whole))
    assert names(place.page_through(level, query, 2)) == whole
    # Where dates lead, the two ways of a text have orders of their own, and each keeps to its own.
    common = names(place.find(level, query, SOME))
    assert sorted(common) == sorted(whole)
    assert names(place.page_through(level, query, 1, SOME)) == common


@pytest.mark.parametrize(("level", "query"), CASES)
def test_a_search_that_is_ended_early_goes_on_where_it_ended(
    place: Place, level: SearchLevel, query: str
) -> None:
    """However little it may read at a time, it comes to its end, with all that matches."""
    for steps in (STEPS, SOME):
        assert names(place.spend(level, query, 2, steps)) == names(place.find(level, query, steps))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("PatientName=*doe*", [6, 3, 0]),
        ("PatientName=*oe^J*", [6, 3, 0]),
        ("PatientName=doe*&ModalitiesInStudy=CT", [3]),
        ("PatientID=*t?", [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ("StudyDate=20240102-20240103&PatientName=mill*", [5, 4, 2]),
        ("StudyDate=20240102-20240103", [5, 4, 3, 2]),
    ],
)
def test_what_matches_comes_newest_first(place: Place, query: str, expected: list[int]) -> None:
    """API rules section 8.8, also where a text leads to it in another order."""
    assert names(place.find(STUDY, query)) == [f"1.2.{number}" for number in expected]


def test_a_common_text_is_not_read_to_its_end(place: Place) -> None:
    """Its studies are found sooner among all: the cost is that of the page."""

    async def act(storage: Storage) -> list[Hit]:
        with counted() as calls:
            finder = place.finder(storage, STUDY, "PatientID=PAT*", Bounds(Start(), Budget(), 1, SOME))
            found = await first_of(finder, STUDY, 1)
        # Two of the text, then one page of the others.
        assert calls.rows == 2 + STUDIES
        return found

    assert names(place.run(act)) == ["1.2.8"]


def test_what_arrives_meanwhile_moves_no_page(connection: str) -> None:
    """The next page begins behind the last hit, wherever that stands by then."""
    place = filled(connection, range(3))

    async def act(storage: Storage) -> list[Hit]:
        finder = place.finder(storage, STUDY, "PatientID=*PAT*", Bounds(Start(), Budget(), 1))
        page = await first_of(finder, STUDY, 1)
        await keep(storage, place.partition, 7)
        start = Start(page[-1].position, finder.way)
        rest = place.finder(storage, STUDY, "PatientID=*PAT*", Bounds(start, Budget(), 10))
        return [*page, *[hit async for hit in rest.find(STUDY)]]

    assert names(place.run(act)) == ["1.2.2", "1.2.1", "1.2.0"]


def test_a_study_of_several_dates_is_found_once(connection: str) -> None:
    """The standard allows one; a file may have more."""
    place = Place(connection, f"t{uuid4().hex}")

    async def act(storage: Storage) -> list[Hit]:
        new = NewInstance(
            series="1.3",
            instance="1.4",
            version=next_version(),
            location=Location("blob", 0, 1),
            transfer_syntax="1.2.840.10008.1.2.1",
            study_values={"00080020": element("DA", "20240105", "20240203", "20250101")},
            series_values={},
            values={},
            metadata=b"",
            frames=None,
        )
        await commit(storage, StudyKey(place.partition, "1.2"), Batch([new]))
        return []

    place.run(act)

    assert names(place.find(STUDY, "StudyDate=20240101-20241231")) == ["1.2"]
    assert names(place.find(STUDY, "StudyDate=20240106-20240203")) == ["1.2"]
    assert place.find(STUDY, "StudyDate=20240106-20240202") == []
