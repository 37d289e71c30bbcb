"""What viewers and other clients search for, as they ask it (clients section 2, checklist 9 to 22)."""

from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest
from dicomweb_client import DICOMwebClient

from local.dev.service import Service
from tests.archive import JSON, Archive, Dataset, uids, values
from tests.conftest import StartService
from tests.factories import Instance, make, new_uid

STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"

FIRST = make(
    StudyDate="20230405",
    AccessionNumber="ACC-100",
    Modality="CT",
    StudyDescription="Chest, with contrast",
    PatientName="Doe^John",
    PatientID="PAT 100",
    IssuerOfPatientID="North",
    SeriesDate="20230405",
)
SECOND = make(
    StudyInstanceUID=FIRST.study,
    StudyDate="20230405",
    AccessionNumber="ACC-100",
    Modality="SR",
    StudyDescription="Chest, with contrast",
    PatientName="Doe^John",
    PatientID="PAT 100",
    IssuerOfPatientID="North",
    SeriesDate="20230405",
)
OTHER = make(
    StudyDate="20240506",
    AccessionNumber="ACC-200",
    Modality="MR",
    StudyDescription="Head",
    PatientName="Roe^Jane",
    PatientID="PAT 200",
    IssuerOfPatientID="South",
)


@pytest.fixture(scope="module")
def found(service: Service, http: httpx.Client) -> Archive:
    """An archive of two studies; the first has two series."""
    archive = Archive.fresh(http, service.url)
    for instance in (FIRST, SECOND, OTHER):
        archive.keep(instance)
    return archive


def studies(archive: Archive, query: str) -> list[str]:
    """The studies that a query finds."""
    return uids(archive.search(f"studies?{query}"), STUDY_UID)


OHIF = "limit=101&offset=0&fuzzymatching={}&includefield=00081030%2C00080060%2C00080090%2C00100030"
OHIF_FILTERS = (
    "PatientName=*doe*",
    "00100020=*T%201*",
    "AccessionNumber=*c-10*",
    "StudyDescription=*with%20contrast*",
    "ModalitiesInStudy=CT%2CPT",
    "StudyDate=19700102-20231231",
    f"StudyInstanceUID={FIRST.study}%5C{new_uid()}",
)


@pytest.mark.parametrize("fuzzy", ["true", "false"])
@pytest.mark.parametrize("asked", [*OHIF_FILTERS, "&".join(OHIF_FILTERS)])
def test_ohif_finds_a_study_by_each_filter_and_by_all(found: Archive, fuzzy: str, asked: str) -> None:
    """Clients section 2.1, checklist 9: stars around every text, with and without fuzzy names."""
    assert studies(found, f"{OHIF.format(fuzzy)}&{asked}") == [FIRST.study]


@pytest.mark.parametrize(
    "asked",
    [
        "PatientName=*dow*",
        "00100020=*300*",
        "AccessionNumber=*300*",
        "StudyDescription=*without*",
        "ModalitiesInStudy=US%2CXA",
        "StudyDate=19700102-20221231",
        "PatientName=*doe*&00100020=*200*",
    ],
)
def test_ohif_finds_nothing_where_nothing_matches(found: Archive, asked: str) -> None:
    """Clients section 2.1: all filters count; its library takes 204 for an empty list."""
    assert found.get(f"studies?{OHIF.format('true')}&{asked}", JSON).status_code == 204


def test_ohifs_study_list_has_what_it_shows(found: Archive) -> None:
    """Clients section 2.1: each column, and no attribute of a series, which it asks for as well."""
    rows = found.search(f"studies?{OHIF.format('false')}")

    assert uids(rows, STUDY_UID) == [OTHER.study, FIRST.study]
    row = rows[1]
    assert values(row, "00080061") == ["CT", "SR"]
    assert values(row, "00201208") == [2]
    assert values(row, "00081030") == ["Chest, with contrast"]
    columns = ("00080020", "00080030", "00080050", "00100020", "00100010", "00100030", "00080090")
    assert all(values(row, tag) for tag in columns)
    assert "00080060" not in row


def test_ohifs_pages_follow_each_other(found: Archive) -> None:
    """Clients section 2.1: the offset is a page times 101."""
    assert studies(found, "limit=101&offset=101&fuzzymatching=false") == []
    assert studies(found, "limit=1&offset=1&fuzzymatching=false") == [FIRST.study]


@pytest.mark.parametrize("query", ["", "includefield=0008103E,00080021", f"SeriesInstanceUID={FIRST.series}"])
def test_ohif_opens_a_study(found: Archive, query: str) -> None:
    """Clients section 2.1: its series, and what it shows of them."""
    rows = {values(row, SERIES_UID)[0]: row for row in found.search(f"studies/{FIRST.study}/series?{query}")}

    row = rows[FIRST.series]
    assert values(row, STUDY_UID) == [FIRST.study]
    assert values(row, "00080060") == ["CT"]
    assert values(row, "0008103E") == ["A series"]
    assert values(row, "00200011") == [1]
    assert values(row, "00201209") == [1]
    assert ("00080021" in row) is ("00080021" in query)
    assert len(rows) == (1 if "SeriesInstanceUID" in query else 2)


def test_ohif_asks_for_one_instance_to_show(found: Archive) -> None:
    """Clients section 2.1: before a thumbnail."""
    (row,) = found.search(f"{FIRST.series_path}/instances?limit=1&includefield=00080018")

    assert values(row, INSTANCE_UID) == [FIRST.instance]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("&includefield=00080020,00080030,00080050,00081190,00100021&limit=50&offset=0", 2),
        ("00100020=PAT+100&00100021=North&limit=50&offset=0&includefield=00100021", 1),
        ("00100020=PAT+100&00100021=South&limit=50&offset=0", 0),
        ("00080061=CT,MR&limit=50&offset=0", 2),
        ("00100010=doe*&limit=50&offset=0", 1),
    ],
)
def test_weasis_lists_studies(found: Archive, query: str, expected: int) -> None:
    """Clients section 2.8: no Accept, keys in digits, an empty first parameter, blanks as plus signs."""
    answer = found.get(f"studies?{query}")

    rows: list[Dataset] = answer.json() if answer.status_code == 200 else []
    assert len(rows) == expected
    assert all(values(row, "00081190") for row in rows)


def test_weasis_counts_the_instances_of_a_series(found: Archive) -> None:
    """Clients section 2.8."""
    (row,) = found.get(f"series?0020000E={FIRST.series}&includefield=00201209").json()

    assert values(row, "00201209") == [1]


def many(number: int) -> Iterator[Instance]:
    """Instances of one series, alike but for their UID."""
    mould = make(StudyInstanceUID=new_uid(), SeriesInstanceUID=new_uid())
    stem = mould.instance[:-6]
    for index in range(number):
        uid = f"{stem}{100_000 + index}"
        content = mould.content.replace(mould.instance.encode(), uid.encode())
        yield Instance(mould.study, mould.series, uid, content)


def test_weasis_pages_through_2500_instances(archive: Archive) -> None:
    """Clients section 2.8, checklist 18: pages of 1,000, of which a shorter one is the last."""
    stored = list(many(2_500))
    for start in range(0, len(stored), 1_250):
        archive.keep(*stored[start : start + 1_250])
    path = f"{stored[0].series_path}/instances?includefield=00080018,00200013,00081190&limit=1000"

    pages: list[list[Dataset]] = []
    while not pages or len(pages[-1]) == 1_000:
        answer = archive.get(f"{path}&offset={1_000 * len(pages)}")
        assert answer.status_code == 200
        pages.append(answer.json())

    assert list(map(len, pages)) == [1_000, 1_000, 500]
    assert {uid for page in pages for uid in uids(page, INSTANCE_UID)} == {each.instance for each in stored}
    (row,) = archive.search("studies")
    assert values(row, "00201208") == [2_500]


@pytest.fixture(scope="module")
def filled(service: Service, http: httpx.Client) -> Archive:
    """An archive of 12 studies, one of which has 105 series: more than a page without a limit."""
    archive = Archive.fresh(http, service.url)
    study = new_uid()
    archive.keep(*(make(Modality="CT", StudyInstanceUID=study) for _ in range(105)))
    archive.keep(*(make(Modality="CT") for _ in range(11)))
    return archive


def test_the_python_client_reads_what_remains(filled: Archive) -> None:
    """Clients section 2.5, checklist 19: it goes on until a page is empty."""
    client = DICOMwebClient(url=filled.root)

    found = client.search_for_studies(fields=["StudyDescription"], limit=5, get_remaining=True)
    series = client.search_for_series(search_filters={"Modality": "CT"}, get_remaining=True)

    assert len(set(uids(found, STUDY_UID))) == len(found) == 12
    assert len(set(uids(series, SERIES_UID))) == len(series) == 116


@pytest.mark.parametrize(
    ("path", "tag", "field", "total"),
    [("studies", STUDY_UID, "StudyDescription", 12), ("series", SERIES_UID, "SeriesNumber", 116)],
)
def test_slicer_pages_by_the_offset_alone(
    filled: Archive, path: str, tag: str, field: str, total: int
) -> None:
    """Clients section 2.6: no limit; it ends with an empty page, or when the first row comes again."""
    seen: list[str] = []
    while page := filled.search(f"{path}?{urlencode({'offset': len(seen), 'includefield': field})}"):
        assert uids(page, tag)[0] not in seen
        seen += uids(page, tag)

    assert len(set(seen)) == len(seen) == total


def test_monai_label_lists_series_with_their_studies(filled: Archive, found: Archive) -> None:
    """Clients section 2.11, checklist 20: all series of a modality, with attributes of their studies."""
    client = DICOMwebClient(url=filled.root)

    rows = client.search_for_series(search_filters={"Modality": "CT"})
    (row,) = found.search(f"series?SeriesInstanceUID={FIRST.series}")

    assert len(rows) == 100
    assert values(row, "00100020") == ["PAT 100"]
    assert values(row, "00080020") == ["20230405"]
    assert values(row, "00081190") == [found.url(FIRST.series_path)]
    assert values(row, STUDY_UID) == [FIRST.study]


def test_monai_deploy_ends_its_paths_with_a_slash(found: Archive) -> None:
    """Clients section 2.11: one includefield for each field."""
    rows = found.search("studies/?PatientID=PAT%20200&includefield=PatientSex&includefield=00200010")

    assert uids(rows, STUDY_UID) == [OTHER.study]


def test_an_empty_search_can_be_answered_with_an_array(start: StartService, http: httpx.Client) -> None:
    """Clients section 6: a setting for MONAI Deploy and Weasis, which take 204 for a failure."""
    archive = Archive.fresh(http, start({"DICOM_EMPTY_SEARCH": "array"}).url)
    archive.keep(make())

    for query in ("PatientID=nobody", "limit=0", "offset=1"):
        answer = archive.get(f"studies?{query}", JSON)
        assert (answer.status_code, answer.headers["Content-Type"], answer.json()) == (200, JSON, [])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("studies?ModalitiesInStudy=SR", [FIRST.series, SECOND.series]),
        ("studies?fuzzymatching=true&PersonName=*doe*&PatientName=*doe*", [FIRST.series, SECOND.series]),
        (f"series?Modality=SR&StudyInstanceUID={FIRST.study}", [SECOND.series]),
        (f"studies/{FIRST.study}/series?Modality=SR", [SECOND.series]),
        (f"studies/{FIRST.study}/instances?Modality=SR", [SECOND.series]),
        (f"studies/{FIRST.study}/series?Modality=ANN", []),
    ],
)
def test_slim_finds_slides_and_what_belongs_to_them(found: Archive, path: str, expected: list[str]) -> None:
    """Clients section 2.7: modalities at every level; a key that is no attribute is warned about."""
    answer = found.get(path, JSON)

    rows: list[Dataset] = answer.json() if answer.status_code == 200 else []
    assert ("Warning" in answer.headers) is ("PersonName" in path)
    if path.startswith("studies?"):
        assert uids(rows, STUDY_UID) == [FIRST.study]
    else:
        assert uids(rows, SERIES_UID) == expected


def test_dcmweb_asks_for_5000(found: Archive) -> None:
    """Clients section 1.1."""
    answer = found.get("studies?limit=5000", JSON)

    assert len(answer.json()) == 2
    assert "Warning" not in answer.headers
