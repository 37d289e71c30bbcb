"""Pages asked for by offset, as the standard has them, while the archive goes on (PS3.18 section 8.3.4.4)."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from local.dev.service import Service, start_service
from shared.storage import keys, terms
from shared.storage.connection import resolve
from shared.storage.index import agree
from shared.storage.rows import LevelRow
from shared.storage.storage import Times, open_storage
from shared.storage.tables import Value
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version
from tests.archive import JSON, Archive, uids
from tests.conftest import NewAccount
from tests.factories import make

STUDIES = 1_030
YEAR = 360
STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"
NAMES = {STUDY_UID: "study", SERIES_UID: "series", INSTANCE_UID: "instance"}


@dataclass(slots=True)
class Clinic:
    """Two processes of the service over one account that has many studies."""

    connection: str
    log: Path
    ages: list[str]
    """Studies, newest first."""

    dates: list[str]
    """The same, the latest date first."""

    _running: list[Service] = field(default_factory=list)

    def restart(self) -> None:
        """Let what the processes know go."""
        self.stop()
        settings = {"DICOM_SHOW_STORAGE_CALLS": "true"}
        self._running = [start_service(0, self.connection, settings=settings, log=self.log) for _ in range(2)]

    def stop(self) -> None:
        """Stop both."""
        for service in self._running:
            service.stop()

    def archives(self, http: httpx.Client) -> Iterator[Archive]:
        """The one process and the other, in turn."""
        for number in itertools.count():
            yield Archive(http, self._running[number % 2].url, None)


@pytest.fixture(scope="module")
def clinic(new_account: NewAccount, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    """Studies without instances, as their number is what matters here."""
    connection = new_account()
    levels = {f"1.2.{number}.7": _level(number) for number in range(STUDIES)}
    asyncio.run(_write(connection, levels))
    ages = sorted(levels, key=lambda uid: -levels[uid].created)
    dates = sorted(ages, key=lambda uid: str(levels[uid].values["00080020"]["Value"]), reverse=True)
    with ExitStack() as ending:
        found = Clinic(connection, tmp_path_factory.mktemp("clinic") / "log", ages, dates)
        ending.callback(found.stop)
        found.restart()
        yield found


def _level(number: int) -> LevelRow:
    day = number * 37 % YEAR
    date = f"2024{day // 30 + 1:02}{day % 28 + 1:02}"
    values = {
        "0020000D": {"vr": "UI", "Value": [f"1.2.{number}.7"]},
        "00080020": {"vr": "DA", "Value": [date]},
    }
    version = next_version()
    return LevelRow(version, version, values, "")


async def _write(connection: str, levels: dict[str, LevelRow]) -> None:
    storage = open_storage(resolve("S", {"S": connection}), Times(timedelta(0), timedelta(minutes=15)))
    try:
        rows: dict[IndexKey, Mapping[str, Value]] = {}
        for uid, level in levels.items():
            rows |= terms.study_rows(keys.study_key(keys.DEFAULT_PARTITION, uid), level)
        await agree(storage.tables, rows, rows)
    finally:
        await storage.aclose()


@dataclass(slots=True)
class Reader:
    """A client that reads page after page by offset."""

    path: str
    limit: int
    agent: str
    found: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    is_done: bool = False

    def read(self, archive: Archive) -> None:
        """Read one page."""
        path = f"{self.path}limit={self.limit}&offset={len(self.found)}"
        answer = archive.get(path, JSON, User_Agent=self.agent)
        page = [] if answer.status_code == 204 else uids(answer.json(), STUDY_UID)
        calls, _, rows = answer.headers["x-storage-calls"].partition("; rows=")
        self.calls.append(int(calls) - len(page))
        self.rows.append(int(rows))
        self.found += page
        self.is_done = len(page) < self.limit


@pytest.mark.parametrize("led", ["by age", "by date"])
def test_two_read_everything_once_while_stores_go_on(clinic: Clinic, http: httpx.Client, led: str) -> None:
    """By two processes in turn, which are restarted once; one caller begins when the other is half done."""
    path = "studies?" if led == "by age" else "studies?StudyDate=20240101-20241231&"
    there = clinic.ages if led == "by age" else clinic.dates
    archives = clinic.archives(http)
    first, second = Reader(path, 25 if led == "by age" else 50, "first"), Reader(path, 100, "second")
    stored: list[str] = []

    while not (first.is_done and second.is_done):
        if not first.is_done:
            first.read(next(archives))
        if len(first.found) > STUDIES / 2 and not second.is_done:
            second.read(next(archives))
        if len(first.calls) % 4 == 1:
            new = make(StudyDate="20240615")
            next(archives).keep(new)
            stored.append(new.study)
        if len(first.calls) == 15:
            clinic.restart()
            archives = clinic.archives(http)

    before = set(clinic.ages)
    assert [uid for uid in first.found if uid in before] == there
    assert [uid for uid in second.found if uid in before] == there
    assert len(set(second.found)) == len(second.found)
    # What was stored after the first page of the first is not in its pages; the second sees more of it.
    assert not set(first.found) & set(stored)
    assert set(second.found) - before <= set(stored)
    assert len(stored) > 5
    _forget(http, clinic, stored)


def _forget(http: httpx.Client, clinic: Clinic, studies: Sequence[str]) -> None:
    archive = next(clinic.archives(http))
    for study in studies:
        assert archive.delete(f"studies/{study}").status_code == 204


def test_a_page_far_behind_costs_what_the_second_does(clinic: Clinic, http: httpx.Client) -> None:
    """It begins where the page before it ended. Without its datasets it is three calls."""
    reader = Reader("studies?", 100, "third")
    archives = clinic.archives(http)

    while not reader.is_done:
        reader.read(next(archives))

    # A scan, and one or two for the trail; the tables are cut into five hours. Who is asked first gets the
    # key of cursors besides, which the first of all makes.
    assert max(reader.calls[1:-1]) <= 5
    assert max(reader.rows[1:-1]) <= 100 + 1 + 1
    assert len(reader.found) == STUDIES


def test_who_begins_in_the_middle_gets_what_is_there_now(clinic: Clinic, http: httpx.Client) -> None:
    """And goes on from there like everybody else."""
    archive = next(clinic.archives(http))
    path = "studies?limit=25&offset="
    agent = {"User_Agent": "fourth"}
    begun = archive.get(f"{path}500", JSON, **agent)
    new = make()
    archive.keep(new)

    following = archive.get(f"{path}525", JSON, **agent)
    other = archive.get(f"{path}525", JSON, User_Agent="fifth")

    assert uids(begun.json(), STUDY_UID) == clinic.ages[500:525]
    assert uids(following.json(), STUDY_UID) == clinic.ages[525:550]
    assert uids(other.json(), STUDY_UID) == clinic.ages[524:549]
    _forget(http, clinic, [new.study])


def test_a_page_may_be_asked_for_again_or_left_out(clinic: Clinic, http: httpx.Client) -> None:
    """With other sizes too: what an offset says is what it said on the first page."""
    archive = next(clinic.archives(http))
    agent = {"User_Agent": "sixth"}
    archive.get("studies?limit=25", JSON, **agent)
    new = make()
    archive.keep(new)

    for offset, limit in ((25, 25), (25, 25), (300, 10), (5, 50), (1_000, 100)):
        page = archive.get(f"studies?limit={limit}&offset={offset}", JSON, **agent)
        assert uids(page.json(), STUDY_UID) == clinic.ages[offset : offset + limit]
    _forget(http, clinic, [new.study])


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("studies?PatientID=PAGED&", STUDY_UID),
        ("studies?PatientName=*oe*&", STUDY_UID),
        ("studies?StudyDate=20240101-&", STUDY_UID),
        ("series?PatientID=PAGED&", SERIES_UID),
        ("series?Modality=CT&", SERIES_UID),
        ("series?", SERIES_UID),
        ("instances?PatientID=PAGED&", INSTANCE_UID),
        ("instances?", INSTANCE_UID),
        ("studies/{study}/series?", SERIES_UID),
        ("studies/{study}/instances?", INSTANCE_UID),
        ("studies/{study}/series/{series}/instances?", INSTANCE_UID),
    ],
)
def test_what_is_stored_or_deleted_meanwhile_moves_no_page(archive: Archive, path: str, tag: str) -> None:
    """At every level; after each page something is stored that would come first, and something deleted."""
    first = make()
    common = {"PatientID": "PAGED", "PatientName": "Doe^Jo", "Modality": "CT"}
    if "{study}" in path:
        common["StudyInstanceUID"] = first.study
    if "{series}" in path:
        common["SeriesInstanceUID"] = first.series
    kept = [make(**common, StudyDate=f"2024010{day}") for day in range(1, 8)]
    for instance in kept:
        archive.keep(instance)
    path = path.format(study=first.study, series=first.series)
    by_uid = {getattr(each, NAMES[tag]): each for each in kept}
    there = uids(archive.search(f"{path}limit=100"), tag)
    found: list[str] = []

    for offset in range(0, len(kept), 2):
        page = uids(archive.search(f"{path}limit=2&offset={offset}"), tag)
        found += page
        archive.keep(make(**common, StudyDate="20240104"))
        assert archive.delete(by_uid[page[0]].path).status_code == 204

    assert sorted(there) == sorted(by_uid)
    assert found == there


@pytest.mark.parametrize(
    ("query", "is_cut"),
    [
        ("", True),
        ("?offset=100", True),
        (f"?offset={STUDIES - 100}", False),
        ("?limit=100", False),
        ("?limit=6000", False),  # lowered, but it is all there is
        ("?StudyDate=20240101", False),
    ],
)
def test_a_page_that_the_service_cuts_says_so(
    clinic: Clinic, http: httpx.Client, query: str, *, is_cut: bool
) -> None:
    """PS3.18 section 8.3.4.4, clients section 3.2: not if the client set the limit, nor on the last page."""
    answer = next(clinic.archives(http)).get(f"studies{query}", JSON, User_Agent="seventh")

    said = answer.headers.get("Warning", "")
    assert (
        "exceeded the maximum supported by the server. Additional results can be requested" in said
    ) is is_cut
    assert ("next" in answer.links) is (is_cut or query == "?limit=100")
