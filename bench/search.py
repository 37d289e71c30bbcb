"""Measures searching an archive of a given size, against one bare query for as many rows of a table.

The archive lies in the tables of `tableserver.py`: the emulator takes too long to fill, and to search.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final

from bench import archive
from bench.files import (
    ELSEWHERE,
    SMALL,
    STUDIES_A_DAY,
    TINY,
    Place,
    accession,
    make_file,
    modality,
    patient_id,
    patient_name,
    study_day,
)
from bench.load import Answer, Server, Work, drive
from bench.raw import Raw, RawFailed
from bench.stage import JSON, Case, Stage
from bench.tableserver import TableFile
from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.match import make_matches
from shared.qido.plan import make_plan
from shared.storage import keys
from shared.storage.rows import SEARCHED
from shared.storage.tables import between
from shared.web.query import parse_search

SERIES: Final = 4
INSTANCES: Final = 50
"""Of each series of the one study that has several."""

WEEK: Final = 7
_FILLING_CALLERS: Final = 4
_FILES_A_REQUEST: Final = 50


@dataclass(frozen=True, slots=True)
class Ask:
    """A search among all studies, with other values each time."""

    name: str
    query: Callable[[int], str]
    """Makes the query that finds a given study, among others."""

    results: Callable[[int], int]
    """How many studies that query finds."""

    callers: tuple[int, ...] = (1,)


def _week(study: int) -> str:
    first = study_day(study)
    return f"StudyDate={first:%Y%m%d}-{first + timedelta(days=WEEK - 1):%Y%m%d}"


def _studies_of_week(study: int) -> range:
    first = study // STUDIES_A_DAY * STUDIES_A_DAY
    return range(first, first + WEEK * STUDIES_A_DAY)


_COUNTS: Final = "&".join(
    f"includefield={keyword}"
    for keyword in ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy")
)

ASKS: Final = (
    Ask("list of 25", lambda _: "limit=25", lambda _: 25, (1, 8)),
    Ask("list of 100", lambda _: "limit=100", lambda _: 100),
    Ask("list of 25 with counts and modalities", lambda _: f"limit=25&{_COUNTS}", lambda _: 25),
    Ask("patient id", lambda study: f"PatientID={patient_id(study)}", lambda _: 1, (1, 8)),
    Ask("accession number", lambda study: f"AccessionNumber={accession(study)}", lambda _: 1),
    Ask("name, exact", lambda study: f"PatientName={patient_name(study)}", lambda _: 1),
    Ask("dates of 7 days", _week, lambda _: WEEK * STUDIES_A_DAY),
    Ask("dates of 7 days, with modality", lambda study: f"{_week(study)}&ModalitiesInStudy={modality(study)}",
        lambda study: sum(modality(each) == modality(study) for each in _studies_of_week(study))),
)  # fmt: skip


async def cases(stage: Stage, sizes: tuple[int, int], run: int) -> list[Case]:
    """Fill the archive and prepare the measurements.

    Args:
        stage: The servers.
        sizes: Studies that the peer holds already, and that all servers are to hold. Ours is empty.
        run: The run that the archive's files belong to, the same at both sizes.
    """
    had, wanted = sizes
    if stage.peer:
        await _store_into(stage.peer, (make_file(Place(run, study), TINY) for study in range(had, wanted)))
    with TableFile(stage.tables) as tables:
        files = (make_file(Place(run, study), TINY) for study in range(wanted))
        archive.write_archive(tables, files, wanted)
    large = next(stage.runs)
    await stage.store_everywhere(
        [
            [make_file(Place(large, ELSEWHERE, series, number), SMALL) for number in range(INSTANCES)]
            for series in range(SERIES)
        ]
    )
    return [*_studies(stage, wanted), *_within(stage, Place(large, ELSEWHERE), wanted)]


async def _store_into(server: Server, files: Iterator[bytes]) -> None:
    while load := list(islice(files, _FILES_A_REQUEST * _FILLING_CALLERS)):
        requests = [load[at : at + _FILES_A_REQUEST] for at in range(0, len(load), _FILES_A_REQUEST)]
        await drive([server.store(each) for each in requests], _FILLING_CALLERS)


def _studies(stage: Stage, size: int) -> Iterator[Case]:
    for ask in ASKS:
        for callers in ask.callers:
            yield Case(
                f"search {size:,} studies: {ask.name}",
                callers,
                partial(_web, ask, size),
                partial(_raw, stage.raw, ask, size),
                is_right=partial(_finds, ask, size),
            )


def _finds(ask: Ask, size: int, number: int, body: bytes) -> bool:
    return len(json.loads(body)) == ask.results(_asked(size, number))


def _finds_so_many(results: int, _number: int, body: bytes) -> bool:
    return len(json.loads(body)) == results


def _within(stage: Stage, place: Place, size: int) -> Iterator[Case]:
    partition = keys.study_key(keys.DEFAULT_PARTITION, place.study_uid).archive
    series = between(partition, *keys.rows_of("series"))
    instances = between(partition, *keys.instance_rows(place.series_uid))
    columns = ",".join(("PartitionKey", "RowKey", *SEARCHED))
    of_series = partial(_query, stage.raw, keys.ARCHIVE, series, SERIES)
    of_instances = partial(_query, stage.raw, keys.ARCHIVE, instances, INSTANCES, columns)
    study = f"studies/{place.study_uid}"
    yield Case(
        f"search {size:,} studies: {SERIES} series of a study",
        1,
        partial(_same, f"{study}/series"),
        partial(_again, of_series),
        is_right=partial(_finds_so_many, SERIES),
    )
    yield Case(
        f"search {size:,} studies: {INSTANCES} instances of a series",
        1,
        partial(_same, f"{place.series_path}/instances"),
        partial(_again, of_instances),
        is_right=partial(_finds_so_many, INSTANCES),
    )


def _asked(size: int, number: int) -> int:
    """Which study a request looks for: far apart from one to the next, and never at the archive's end."""
    return number * 37 % (size - WEEK * STUDIES_A_DAY)


async def _web(ask: Ask, size: int, server: Server, count: int) -> list[Work]:
    return [server.get(f"studies?{ask.query(_asked(size, number))}", JSON) for number in range(count)]


async def _same(path: str, server: Server, count: int) -> list[Work]:
    return [server.get(path, JSON)] * count


async def _raw(raw: Raw, ask: Ask, size: int, count: int) -> list[Work]:
    """The query with which the service begins, for as many rows as it answers with."""
    works: list[Work] = []
    for number in range(count):
        study = _asked(size, number)
        request = parse_search(ask.query(study), parse_tag)
        matches = make_matches(request.filters, tuple(SearchLevel)[:1])
        (scan,) = make_plan(keys.DEFAULT_PARTITION.lower(), SearchLevel.STUDY, matches).scans
        works.append(partial(_query, raw, scan.table, scan.filter, ask.results(study)))
    return works


async def _again(work: Work, count: int) -> list[Work]:
    return [work] * count


async def _query(raw: Raw, table: str, condition: str, top: int, select: str = "") -> Answer:
    found = await raw.query(table, condition, top, select)
    if found.count(b'"RowKey":') != top:
        raise RawFailed("A query did not find the rows that the service answers with.")
    return Answer(len(found))
