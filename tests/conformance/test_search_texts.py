"""A piece of a text that many studies have: found text by text, page by page, while the archive goes on."""

import asyncio
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from local.dev.service import start_service
from shared.qido.scans import GATHERED
from shared.storage import keys, terms
from shared.storage.connection import resolve
from shared.storage.index import agree
from shared.storage.rows import LevelRow, Values
from shared.storage.storage import Times, open_storage
from shared.storage.tables import Value
from shared.storage.terms import IndexKey
from shared.storage.versions import next_version
from tests.archive import JSON, Archive, uids
from tests.conftest import NewAccount
from tests.factories import Instance, make

STUDIES = 72
assert STUDIES > GATHERED + 10
STUDY_UID = "0020000D"
STEP = 29
"""Names come in another order than studies."""


@pytest.fixture(scope="module")
def connection(new_account: NewAccount) -> str:
    """Studies without instances, as their number is what matters here."""
    found = new_account()
    asyncio.run(_write(found))
    return found


async def _write(connection: str) -> None:
    storage = open_storage(resolve("S", {"S": connection}), Times(timedelta(0), timedelta(minutes=15)))
    try:
        rows: dict[IndexKey, Mapping[str, Value]] = {}
        for number in range(STUDIES):
            version = next_version()
            name = {"Alphabetic": _name(number * STEP % STUDIES)}
            uid = _uid(number * STEP % STUDIES)
            values: Values = {
                STUDY_UID: {"vr": "UI", "Value": [uid]},
                "00100010": {"vr": "PN", "Value": [name]},
            }
            rows |= terms.study_rows(
                keys.study_key(keys.DEFAULT_PARTITION, uid), LevelRow(version, version, values, "")
            )
        await agree(storage.tables, rows, rows)
    finally:
        await storage.aclose()


def _name(place: int) -> str:
    return f"Fa{place:02}^B"


def _uid(place: int) -> str:
    """The study whose name comes at that place."""
    return f"1.2.{place}.7"


@pytest.fixture(scope="module")
def clinics(
    connection: str, http: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Archive]]:
    """Two processes of the service over them."""
    log: Path = tmp_path_factory.mktemp("clinics") / "log"
    with start_service(0, connection, log=log) as one, start_service(0, connection, log=log) as other:
        yield [Archive(http, each.url, None) for each in (one, other)]


@pytest.mark.parametrize("query", ["PatientName=fa*", "PatientName=*fa*", "PatientName=fa*b"])
def test_what_many_have_comes_by_text(clinics: list[Archive], query: str) -> None:
    """Not newest first, as all of them would have to be read for that."""
    assert uids(clinics[0].search(f"studies?{query}&limit=1000"), STUDY_UID) == _everybody()


@pytest.mark.parametrize("query", ["PatientName=fa0*", "PatientName=*a0*"])
def test_what_few_have_comes_newest_first(clinics: list[Archive], query: str) -> None:
    """API rules section 8.8."""
    ages = [number * STEP % STUDIES for number in reversed(range(STUDIES))]

    found = uids(clinics[0].search(f"studies?{query}&limit=1000"), STUDY_UID)

    assert found == [_uid(place) for place in ages if place < 10]


def _everybody() -> list[str]:
    return [_uid(place) for place in range(STUDIES)]


def _new(archive: Archive, name: str) -> Instance:
    new = make(PatientName=name)
    archive.keep(new)
    return new


def test_links_lead_over_all_of_them_while_others_come_and_go(clinics: list[Archive]) -> None:
    """From one process to the other; what comes before the page is not seen any more, what is behind is."""
    kept: list[Instance] = []
    gone = _new(clinics[0], "Fa50^C")
    found: list[str] = []
    path = "v2/studies?PatientName=fa*&limit=16"

    for number in range(STUDIES):
        archive = clinics[number % 2]
        answer = archive.http.get(f"{archive.host}/{path}", headers={"Accept": JSON})
        found += uids(answer.json(), STUDY_UID)
        if "next" not in answer.links:
            break
        path = answer.links["next"]["url"].partition("/v2/")[2]
        path = f"v2/{path}"
        if number == 0:
            kept = [_new(archive, "Fa00^A"), _new(archive, "Fa60^C")]
            assert archive.delete(gone.path).status_code == 204

    before, behind = (each.study for each in kept)
    assert [uid for uid in found if uid != behind] == _everybody()
    assert found.index(behind) == 61
    assert before not in found
    for new in kept:
        assert clinics[0].delete(new.path).status_code == 204


def test_offsets_lead_over_all_of_them_while_others_come_and_go(clinics: list[Archive]) -> None:
    """Nothing comes twice and nothing is left out; what comes later is not in it."""
    kept: list[Instance] = []
    found: list[str] = []

    for offset in range(0, STUDIES, 16):
        archive = clinics[offset // 16 % 2]
        found += uids(archive.search(f"studies?PatientName=*fa*&limit=16&offset={len(found)}"), STUDY_UID)
        kept += [_new(archive, "Fa00^A"), _new(archive, "Fa69^C")]

    assert found == _everybody()
    for new in kept:
        assert clinics[0].delete(new.path).status_code == 204


def test_an_address_does_not_tell_at_whose_name_a_page_ended(clinics: list[Archive]) -> None:
    """Addresses are written into logs; and nobody else can make one."""
    answer = clinics[0].get("studies?PatientName=fa*&limit=20", JSON)
    url = answer.links["next"]["url"]
    token = url.partition("cursor=")[2]

    assert uids(answer.json(), STUDY_UID) == _everybody()[:20]
    assert b"fa19" not in urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for other in (url[:-1], url.replace(token, token[:40] + token[41:]), url.replace("fa*", "fa0*")):
        assert clinics[1].http.get(other, headers={"Accept": JSON}).status_code == 400
