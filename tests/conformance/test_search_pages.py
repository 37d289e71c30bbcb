"""Pages of a search, each with a link to the next."""

import pytest

from tests.archive import JSON, Archive, Dataset
from tests.factories import make

STUDIES = 5


@pytest.fixture
def studies(archive: Archive) -> list[str]:
    """The UIDs of five studies of one patient, newest first."""
    uids: list[str] = []
    for number in range(STUDIES):
        instance = make(PatientID="PAGED", PatientName=f"Doe^J{number}", StudyDate=f"2024010{number + 1}")
        archive.keep(instance)
        uids.insert(0, instance.study)
    return uids


def follow(archive: Archive, path: str) -> tuple[list[list[Dataset]], list[int]]:
    """Every page from this one on, and the rows that each of them cost."""
    pages, rows, url = [], [], archive.url(path)
    while url:
        answer = archive.http.get(url, headers={"Accept": JSON})
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        rows.append(int(answer.headers["x-storage-calls"].partition("; rows=")[2]))
        url = answer.links.get("next", {}).get("url", "")
    return pages, rows


def uids(pages: list[list[Dataset]], tag: str = "0020000D") -> list[str]:
    return [dataset[tag]["Value"][0] for page in pages for dataset in page]


@pytest.mark.parametrize(
    "query",
    [
        "PatientID=PAGED",
        "PatientID=*AGE*",
        "PatientName=doe*",
        "StudyDate=20240101-20240131",
        "PatientSex=*",
        "",
    ],
)
def test_following_the_links_finds_everything_once(archive: Archive, studies: list[str], query: str) -> None:
    """However it is found; the last page has no link."""
    pages, _ = follow(archive, f"studies?{query}&limit=2")

    assert [len(page) for page in pages] == [2, 2, 1]
    assert uids(pages) == studies


@pytest.mark.parametrize("query", ["PatientName=doe^j*", "PatientName=doe%5ej*", "PatientName=do%65%5EJ*"])
def test_links_can_be_followed_however_a_search_was_encoded(
    archive: Archive, studies: list[str], query: str
) -> None:
    """RFC 3986 section 6.2.2: a link encodes what an address should not have as it is, such as a caret."""
    pages, _ = follow(archive, f"studies?{query}&limit=2")

    assert uids(pages) == studies


@pytest.mark.parametrize("query", ["PatientName=doe^j*", "PatientName=doe%5Ej*"])
def test_offsets_go_on_however_a_search_was_encoded(archive: Archive, studies: list[str], query: str) -> None:
    """It is the same search: what is stored meanwhile moves no page of it."""
    first = archive.search("studies?PatientName=doe%5ej*&limit=2")
    archive.keep(make(PatientName="Doe^Jnew"))

    second = archive.search(f"studies?{query}&limit=2&offset=2")

    assert uids([first, second]) == studies[:4]


def test_series_and_instances_have_pages_too(archive: Archive, studies: list[str]) -> None:
    """Of all, and of one study."""
    for path in ("series", "instances", "series?PatientID=PAGED", "instances?PatientName=*oe*"):
        pages, _ = follow(archive, f"{path}{'&' if '?' in path else '?'}limit=2")
        assert uids(pages) == studies
    for path in (f"studies/{studies[0]}/series", f"studies/{studies[0]}/instances"):
        assert len(follow(archive, f"{path}?limit=1")[0]) == 1


def test_the_instances_of_a_study_come_in_pages(archive: Archive) -> None:
    """Weasis reads thousands so."""
    first = make()
    others = [make(StudyInstanceUID=first.study, SeriesInstanceUID=first.series) for _ in range(4)]
    archive.keep(first, *others)

    for path in (f"studies/{first.study}/instances", f"{first.series_path}/instances"):
        pages, _ = follow(archive, f"{path}?limit=2")
        assert [len(page) for page in pages] == [2, 2, 1]
        assert set(uids(pages, "00080018")) == {each.instance for each in (first, *others)}


def test_a_full_page_that_is_the_last_has_no_link(archive: Archive, studies: list[str]) -> None:
    """Nobody is sent to an empty page."""
    for query in ("PatientID=PAGED", "PatientID=*GED", "PatientName=Doe^J?"):
        answer = archive.get(f"studies?{query}&limit={STUDIES}", JSON)
        assert len(answer.json()) == STUDIES
        assert "link" not in answer.headers


def test_what_arrives_meanwhile_moves_no_page(archive: Archive, studies: list[str]) -> None:
    """The next page begins where this one ended."""
    answer = archive.get("studies?limit=2", JSON)
    archive.keep(make())

    pages, _ = follow(archive, answer.links["next"]["url"].removeprefix(archive.url("")).lstrip("/"))

    assert uids(pages) == studies[2:]


def test_a_link_follows_an_offset(archive: Archive, studies: list[str]) -> None:
    """What was skipped stays skipped."""
    pages, _ = follow(archive, "studies?offset=1&limit=2")

    assert uids(pages) == studies[1:]


def test_a_later_page_costs_no_more(archive: Archive, studies: list[str]) -> None:
    """Nothing before it is read again."""
    pages, rows = follow(archive, "studies?limit=1")

    assert len(pages) == STUDIES
    first = rows[0]
    assert rows == [first - number for number in range(STUDIES)]


@pytest.mark.parametrize("cursor", ["x", "%FF", "W10", "eyJ9"])
def test_a_cursor_that_is_none_is_refused(archive: Archive, cursor: str) -> None:
    assert archive.get(f"studies?cursor={cursor}", JSON).status_code == 400


def test_a_cursor_is_of_one_search(archive: Archive, studies: list[str]) -> None:
    """What else is told of a match may change from page to page, what is searched for may not."""
    url = archive.get("studies?limit=2", JSON).links["next"]["url"]

    assert archive.http.get(f"{url}&includefield=StudyID", headers={"Accept": JSON}).status_code == 200
    assert archive.http.get(f"{url}&PatientID=PAGED", headers={"Accept": JSON}).status_code == 400
    assert archive.http.get(url.replace("/studies?", "/series?"), headers={"Accept": JSON}).status_code == 400
