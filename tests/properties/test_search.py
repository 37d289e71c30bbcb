"""Searches find what a look at everything finds: in made-up archives, after updates and deletions.

Issued are real requests to the real service; what must come is worked out by `reference.py`. Another seed is
set with SEARCH_SEED, another number of archives with SEARCH_ARCHIVES.
"""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pprint import pformat
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from local.dev.service import Service
from tests.archive import JSON, Archive, Dataset, uids
from tests.factories import multipart
from tests.properties.queries import Asked
from tests.properties.reference import ATTRIBUTES, UID_OF, Found, Level, Reference, is_ordered, orders
from tests.properties.shrinking import smallest
from tests.properties.stories import Delete, Store, Story, stories

SEED: Final = int(os.environ.get("SEARCH_SEED", "1"))
ARCHIVES: Final = int(os.environ.get("SEARCH_ARCHIVES", "300"))
PARTS: Final = 3
"""Tests the archives are shared out to, as one would take too long for a test on a slow machine."""

AT_ONCE: Final = 6
ALL: Final = 5000

TAGS: Final = {
    "StudyInstanceUID": "0020000D", "StudyDate": "00080020", "StudyTime": "00080030",
    "AccessionNumber": "00080050", "ModalitiesInStudy": "00080061", "ReferringPhysicianName": "00080090",
    "StudyDescription": "00081030", "PatientName": "00100010", "PatientID": "00100020",
    "PatientBirthDate": "00100030", "StudyID": "00200010", "SeriesInstanceUID": "0020000E",
    "Modality": "00080060", "SeriesNumber": "00200011", "ManufacturerModelName": "00081090",
    "PerformedProcedureStepStartDate": "00400244", "PerformedProcedureStepStartTime": "00400245",
    "RequestAttributesSequence": "00400275", "SOPInstanceUID": "00080018", "SOPClassUID": "00080016",
    "InstanceNumber": "00200013",
}  # fmt: skip
DEFAULTS: Final = {
    Level.STUDY: (
        "StudyDate", "StudyDescription", "AccessionNumber", "ReferringPhysicianName", "PatientName",
        "PatientID", "PatientBirthDate",
    ),
    Level.SERIES: ("Modality", "PerformedProcedureStepStartDate", "ManufacturerModelName"),
    Level.INSTANCE: (),
}  # fmt: skip
"""What is returned without being asked for (API rules section 8.7, v2), besides UIDs."""


@pytest.mark.parametrize("part", range(PARTS))
def test_searches_agree_with_a_look_at_everything(service: Service, http: httpx.Client, part: int) -> None:
    """API rules section 8, PS3.4 C.2.2.2: several archives at once; a disagreement is made small and told."""
    made = _made(part)

    def failure(story: Story) -> Exception | None:
        try:
            play(Archive.fresh(http, service.url), story)
        except Exception as error:
            return error
        return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = list(pool.map(failure, made))

    assert len(made) == ARCHIVES // PARTS
    failed = [story for story, error in zip(made, failures, strict=True) if error]
    if failed:
        story = smallest(failed[0], lambda each: failure(each) is not None)
        told = failure(story) or next(filter(None, failures))
        raise AssertionError(
            f"seed {SEED}: {len(failed)} of {len(made)} archives disagree. The first, made small:\n"
            f"{pformat(story, width=110)}\n{told}"
        ) from told


def _made(part: int) -> list[Story]:
    made: list[Story] = []

    @seed(SEED * PARTS + part)
    @settings(
        max_examples=ARCHIVES // PARTS,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(story=stories())
    def make(story: Story) -> None:
        made.append(story)

    make()
    return made


def play(archive: Archive, story: Story) -> None:
    """Do to the archive and to the reference what the story tells, and ask both."""
    reference = live(archive, story)
    for asked in story.asked:
        compare(archive, reference, asked)


def live(archive: Archive, story: Story) -> Reference:
    """Do to the archive and to the reference what the story tells."""
    reference = Reference()
    for event in story.events:
        if isinstance(event, Store):
            _store(archive, event)
            reference.store((file.file for file in event.files), replaces=event.replaces)
        else:
            _delete(archive, reference, event)
    return reference


def _store(archive: Archive, event: Store) -> None:
    body, content_type = multipart([file.content for file in event.files])
    answer = archive.ask(
        "PUT" if event.replaces else "POST",
        "studies",
        JSON,
        content=body,
        headers={"Content-Type": content_type},
    )
    assert answer.status_code in (200, 202, 409), answer.text


def _delete(archive: Archive, reference: Reference, event: Delete) -> None:
    names = ("studies", "series", "instances")
    path = "/".join(f"{name}/{uid}" for name, uid in zip(names, event.uids, strict=False))
    answer = archive.delete(path)
    assert answer.status_code == (204 if reference.delete(*event.uids) else 404), answer.text


def compare(archive: Archive, reference: Reference, asked: Asked) -> None:
    """Ask the archive, and hold what it answers against the reference."""
    query, path = asked.query, render(asked)
    expected = {each.uids: each for each in reference.find(query)}

    everything = archive.search(f"{path}&limit={ALL}")
    got = [_uids(dataset, query.level) for dataset in everything]

    assert sorted(got) == sorted(expected), f"{path}: found {got}, expected {sorted(expected)}"
    found = [expected[each] for each in got]
    # What is named by UID comes in an order of its own, the same on all pages.
    is_named = any(key.name in UID_OF for key in query.keys)
    is_right = is_named or any(is_ordered(found, order) for order in orders(query))
    assert is_right, f"{path}: in a wrong order, {got}"
    for dataset, each in zip(everything, found, strict=True):
        _check_content(asked, dataset, each, path)
    if asked.limit:
        _check_pages(archive, path, asked, got)


def _check_pages(archive: Archive, path: str, asked: Asked, got: Sequence[tuple[str, ...]]) -> None:
    """Offsets and links lead over the same results in the same order, and the count is theirs."""
    level, limit = asked.query.level, asked.limit
    page = archive.search(f"{path}&limit={limit}&offset={limit}")
    assert [_uids(each, level) for each in page] == got[limit : 2 * limit], f"{path}: offset {limit}"
    assert _linked(archive, f"{path}&limit={limit}", level) == got, f"{path}: pages of {limit}"
    resource, _, rest = path.partition("?")
    answer = archive.get(f"{resource}/count?{rest}")
    assert answer.json() == {"count": len(got)}, f"{path}: counted {answer.text}, found {len(got)}"


def _linked(archive: Archive, path: str, level: Level) -> list[tuple[str, ...]]:
    """All pages, each found through the one before it."""
    found: list[tuple[str, ...]] = []
    answer = archive.get(path, JSON)
    while answer.status_code == 200:
        found += [_uids(each, level) for each in answer.json()]
        link = re.fullmatch(r'<([^>]+)>; ?rel="next"', answer.headers.get("Link", ""))
        if link is None:
            return found
        answer = archive.http.get(link[1], headers={"Accept": JSON})
    assert answer.status_code == 204, answer.text
    return found


def _check_content(asked: Asked, dataset: Dataset, found: Found, path: str) -> None:
    """What is returned is what is stored, and what must be returned is there (section 8.7)."""
    query = asked.query
    wanted = {name for level in query.levels for name in DEFAULTS[level]}
    wanted |= {key.name.partition(".")[0] for key in query.keys}
    wanted |= {name for name in asked.include if name != "all"}
    of_levels = {name for level in query.levels for name in ATTRIBUTES[level]}
    for name in of_levels:
        if name in wanted or TAGS[name] in dataset:
            shown = dataset.get(TAGS[name], {}).get("Value", [])
            expected = found.values.get(name, [])
            assert _plain(shown) == _plain(expected), f"{path}: {name} is {shown}, not {expected}"


def _plain(value: Any) -> Any:
    """A value without padding, its numbers as numbers, and without elements that have no value."""
    if isinstance(value, str):
        return value.strip(" \0")
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        parts = {name: _plain(each) for name, each in value.items() if name != "vr"}
        return {name: each for name, each in parts.items() if each}
    return value


def render(asked: Asked) -> str:
    """The path and query string of a search."""
    query = asked.query
    path = ("studies", "series", "instances")[query.level]
    if query.study is not None:
        within = f"/series/{query.series}" if query.series is not None else ""
        path = f"studies/{query.study}{within}/{path}"
    pairs = [(key.name, key.value) for key in query.keys]
    pairs += [("includefield", name) for name in asked.include]
    pairs += [("fuzzymatching", "true")] if query.fuzzy else []
    pairs += [("multiplevaluematching", "true")] if query.every else []
    return f"{path}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)


def _uids(dataset: Dataset, level: Level) -> tuple[str, ...]:
    return tuple(uids([dataset], TAGS[name])[0] for name in UID_OF[: level + 1])
