"""What a search finds, page by page, on a real emulator."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

import pytest

from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.budget import Budget
from shared.qido.hits import Finder, Hit
from shared.qido.match import make_matches
from shared.qido.plan import make_plan
from shared.qido.position import Start
from shared.qido.scans import GATHERED, Bounds
from shared.storage import archive, keys, terms
from shared.storage.calls import counted
from shared.storage.commit import Batch, commit
from shared.storage.connection import resolve
from shared.storage.index import agree
from shared.storage.keys import StudyKey
from shared.storage.rows import LevelRow, Location, NewInstance, Values
from shared.storage.storage import Storage, Times, open_storage
from shared.storage.tables import Value
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version
from shared.web.query import parse_search
from tests.conftest import NewAccount

HOUR = timedelta(hours=1)
STUDY, SERIES, INSTANCE = SearchLevel
LEVELS = {STUDY: (STUDY,), SERIES: (STUDY, SERIES), INSTANCE: (STUDY, SERIES, INSTANCE)}

STUDIES = 9
"""Named 0 to 8 in the order they came: every third is called Doe, every other has CT."""

FEW = 1
"""Rows that a text may have to be gathered, so that it is common from the second on."""


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

    def find(self, level: SearchLevel, query: str, gathered: int = GATHERED) -> list[Hit]:
        """All that matches, in one page."""

        async def act(storage: Storage) -> list[Hit]:
            bounds = Bounds(Start(), Budget(), 1_000, gathered)
            return [hit async for hit in self.finder(storage, level, query, bounds).find(level)]

        return self.run(act)

    def page_through(self, level: SearchLevel, query: str, size: int, gathered: int = GATHERED) -> list[Hit]:
        """The same, in pages of some hits each."""

        async def act(storage: Storage) -> list[Hit]:
            found: list[Hit] = []
            start: Start | None = Start()
            while start is not None:
                finder = self.finder(storage, level, query, Bounds(start, Budget(), size, gathered))
                page = await first_of(finder, level, size)
                found += page
                start = Start(page[-1].position, finder.way) if len(page) == size else None
            return found

        return self.run(act)

    def spend(self, level: SearchLevel, query: str, rows: int, gathered: int = GATHERED) -> list[Hit]:
        """The same, with a budget that ends after so many rows, over and over."""

        async def act(storage: Storage) -> list[Hit]:
            found: list[Hit] = []
            start, ended = Start(), True
            while ended:
                with counted():
                    budget = Budget(rows=rows)
                    finder = self.finder(storage, level, query, Bounds(start, budget, 1_000, gathered))
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
    # What is common comes in another order, which is the same on all pages.
    common = names(place.find(level, query, FEW))
    assert sorted(common) == sorted(whole)
    assert names(place.page_through(level, query, 1, FEW)) == common


@pytest.mark.parametrize(("level", "query"), CASES)
def test_a_search_that_is_ended_early_goes_on_where_it_ended(
    place: Place, level: SearchLevel, query: str
) -> None:
    """However little it may read at a time, it comes to its end, with all that matches."""
    for gathered in (GATHERED, FEW):
        assert names(place.spend(level, query, 2, gathered)) == names(place.find(level, query, gathered))


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


NAMES = [
    "An", "Ana^Nan", "Ana^Nan", "Nan^Ann^Hannah", "Bob", "Banan^Ana=Xan=Anan", "Zan", "Dan^An", "Ana", "Joan",
    "Anan^Bo", "An", "Nana^Dan", "=Anna", "Cnan^Na", "Ana^Nan=Ana^Nan", "Mann^Anna", "Bo^Nan",
]  # fmt: skip
"""Some have a piece several times, in several groups, or not at all."""


@pytest.fixture(scope="module")
def named(connection: str) -> Place:
    """A data partition with a study of each name, as its search rows have it."""
    place = Place(connection, f"t{uuid4().hex}")

    async def act(storage: Storage) -> list[Hit]:
        rows: dict[IndexKey, Mapping[str, Value]] = {}
        for number in range(len(NAMES)):
            version = next_version()
            values = {
                "00100010": element("PN", groups_of(number)),
                "00081030": element("LO", NAMES[number].replace("=", " ")),
                "00100040": element("CS", "MFF"[number % 3]),
            }
            level = LevelRow(version, version, values, "")
            rows |= terms.study_rows(StudyKey(place.partition, f"1.2.{number}"), level)
        await agree(storage.tables, rows, rows)
        return []

    place.run(act)
    return place


def groups_of(number: int) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), NAMES[number].split("="), strict=False)
    return {name: group for name, group in groups if group}


def by_text(values: Callable[[int], list[str]], piece: str) -> list[str]:
    """The studies that have a piece, in the order of the index, as one who looks at all of them would say.

    First whose values begin with it, by these; then by what of a value begins with it further in. Of one text
    the newest comes first.
    """
    found: list[tuple[bool, str, int]] = []
    for number in range(len(NAMES)):
        # As in keys: what is no letter may be encoded, and then stands elsewhere.
        texts = [value.lower().replace("=", "=3D") + "=03" for value in values(number)]
        places = [
            (at > 0, text[at:], -number)
            for text in texts
            for at in range(len(text))
            if text[at:].startswith(piece)
        ]
        found += sorted(places)[:1]
    return [f"1.2.{-number}" for *_, number in sorted(found)]


def names_of(number: int) -> list[str]:
    """Each group; and all of them, where there are several."""
    groups = NAMES[number].split("=")
    return [*filter(None, groups), *([NAMES[number]] if any(groups[1:]) else [])]


@pytest.mark.parametrize(
    ("query", "piece"),
    [
        ("PatientName=*an*", "an"),
        ("PatientName=an*", "an"),
        ("PatientName=*nan", "nan=03"),
        ("PatientName=*ana*", "ana"),
        ("PatientName=an&fuzzymatching=true", "an"),
        ("StudyDescription=*an*", "an"),
        ("StudyDescription=*na*", "na"),
    ],
)
def test_what_has_a_common_text_comes_text_by_text(named: Place, query: str, piece: str) -> None:
    """Each study once, at its first place; in pages, and with whatever budget, in the same order."""
    newest_first = names(named.find(STUDY, query))
    found = names(named.find(STUDY, query, FEW))

    values = names_of if "Name" in query else lambda number: [NAMES[number].replace("=", " ").strip()]
    assert found == [each for each in by_text(values, piece) if each in newest_first]
    assert sorted(found) == sorted(newest_first)
    assert newest_first == sorted(found, key=lambda uid: -int(uid.removeprefix("1.2.")))
    for size in (1, 2, 5):
        assert names(named.page_through(STUDY, query, size, FEW)) == found
    assert names(named.spend(STUDY, query, 1, FEW)) == found


def test_the_rest_of_a_query_sorts_out_what_a_common_text_leads_to(named: Place) -> None:
    """It changes nothing in the order."""
    everybody = names(named.find(STUDY, "PatientName=*an*", FEW))
    women = names(named.find(STUDY, "PatientName=*an*&PatientSex=F", FEW))

    assert women == [each for each in everybody if int(each.removeprefix("1.2.")) % 3]


def test_a_page_of_a_common_text_is_all_that_is_read(named: Place) -> None:
    """However many have it: what may be gathered in each table, and then what a page wants."""

    async def act(storage: Storage) -> list[Hit]:
        start, found = Start(), []
        for most in (2 * (FEW + 1), 1, 1, 1):
            finder = named.finder(storage, STUDY, "PatientName=an*", Bounds(start, Budget(), 1, FEW))
            with counted() as calls:
                page = await first_of(finder, STUDY, 1)
            assert calls.rows <= most
            assert calls.calls <= 2
            found += page
            start = Start(page[-1].position, finder.way)
        return found

    assert names(named.run(act)) == by_text(names_of, "an")[:4]


@pytest.mark.parametrize("query", ["PatientSex=F,M", "PatientSex=M,F"])
def test_a_list_that_is_ended_early_leaves_nothing_out(named: Place, query: str) -> None:
    """The values are read side by side, and none may run ahead of one that has been stopped."""

    async def act(storage: Storage) -> list[Hit]:
        found: list[Hit] = []
        start, ended = Start(), True
        while ended:
            with counted():
                budget = Budget(rows=3)
                finder = named.finder(storage, STUDY, query, Bounds(start, budget, 2))
                found += [hit async for hit in finder.find(STUDY)]
            start, ended = Start(finder.done(STUDY), finder.way), budget.is_ended
        return found

    assert names(named.run(act)) == [f"1.2.{number}" for number in reversed(range(len(NAMES)))]


def test_only_studies_with_the_modality_are_looked_into(place: Place) -> None:
    """A search for series by their modality reads the series of no other study."""

    async def act(storage: Storage) -> list[Hit]:
        query = "StudyDate=20240101-20240131&Modality=CT"
        with counted() as calls:
            finder = place.finder(storage, SERIES, query, Bounds(Start(), Budget(), 1_000))
            found = [hit async for hit in finder.find(SERIES)]
        assert calls.calls == 1 + len(found)
        return found

    assert names(place.run(act)) == ["1.2.7.1", "1.2.5.1", "1.2.3.1", "1.2.1.1"]


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


@pytest.mark.parametrize(
    ("level", "query"), [(STUDY, ""), (SERIES, ""), (INSTANCE, ""), (SERIES, "Modality=MR")]
)
def test_what_has_an_old_row_as_well_is_found_once(connection: str, level: SearchLevel, query: str) -> None:
    """A study that is removed and made again has both for a moment, until the removal is through."""
    place = filled(connection, [0])
    before = names(place.find(level, query))

    async def act(storage: Storage) -> list[Hit]:
        key, created = StudyKey(place.partition, "1.2.0"), next_version() - (1 << 20)
        study = await archive.read_level(storage, key, keys.STUDY_ROW)
        series = await archive.read_series(storage, key)
        assert study
        old = terms.study_rows(key, replace(study, created=created))
        for uid, row in series.items():
            old |= terms.series_rows(key, uid, replace(row, created=created))
        await agree(storage.tables, list(old), old)
        return []

    place.run(act)

    assert before
    assert names(place.find(level, query)) == before
