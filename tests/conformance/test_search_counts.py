"""Counting what a search would find: an extension of ours (clients section 3.7)."""

import httpx
import pytest

from local.dev.service import Service
from tests.archive import JSON, Archive
from tests.factories import make, new_uid

CT = [
    make(PatientID="PAT 1", Modality="CT", StudyDate="20230405", InstanceNumber=number) for number in (1, 2)
]
STUDY, SERIES = CT[0].study, CT[0].series
MORE = [
    make(
        StudyInstanceUID=STUDY,
        SeriesInstanceUID=series,
        PatientID="PAT 1",
        Modality=modality,
        StudyDate="20230405",
        InstanceNumber=number,
    )
    for series, modality, number in ((SERIES, "CT", 2), (SERIES, "CT", 3), (new_uid(), "PT", 1))
]


@pytest.fixture(scope="module")
def found(service: Service, http: httpx.Client) -> Archive:
    """A study with a series of three instances and one of one; one with a single instance."""
    archive = Archive.fresh(http, service.url)
    archive.keep(CT[0], *MORE)
    archive.keep(CT[1])
    return archive


def count(archive: Archive, path: str) -> object:
    """The answer to a request for a count."""
    answer = archive.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert "Warning" not in answer.headers
    return answer.json()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("studies/count", 2),
        ("series/count", 3),
        ("instances/count", 5),
        (f"studies/{STUDY}/series/count", 2),
        (f"studies/{STUDY}/instances/count", 4),
        (f"studies/{STUDY}/series/{SERIES}/instances/count", 3),
        ("studies/count?PatientID=*1", 2),
        ("studies/count?PatientID=x", 0),
        (f"studies/count?StudyInstanceUID={STUDY},{new_uid()}", 1),
        ("studies/count?ModalitiesInStudy=CT,PT", 2),
        ("studies/count?ModalitiesInStudy=CT,PT&multiplevaluematching=true", 1),
        ("series/count?Modality=CT", 2),
        ("series/count?Modality=PT&PatientID=PAT+1", 1),
        ("instances/count?Modality=CT", 4),
        ("instances/count?PatientID=PAT+1&StudyDate=20230405", 5),
        ("instances/count?InstanceNumber=2", 2),
        (f"instances/count?SOPInstanceUID={CT[0].instance}", 1),
        (f"studies/{STUDY}/series/count?Modality=PT", 1),
        (f"studies/{STUDY}/instances/count?Modality=CT", 3),
        (f"studies/{STUDY}/instances/count?InstanceNumber=1", 2),
        (f"studies/{STUDY}/series/{SERIES}/instances/count?InstanceNumber=1", 1),
        (f"studies/{STUDY}/series/{new_uid()}/instances/count", 0),
        (f"studies/{new_uid()}/series/count", 0),
        ("studies/count?limit=1&offset=5&includefield=all", 2),
        ("studies/count/?_=1", 2),
    ],
)
def test_a_count_is_how_many_a_search_finds_without_a_limit(found: Archive, path: str, expected: int) -> None:
    """At every resource, with every filter; what is about pages changes nothing."""
    assert count(found, path) == {"count": expected}


@pytest.mark.parametrize(
    "path", ["studies/count?Modality=CT", "studies/count?StudyDate=x", "studies/x/series/count"]
)
def test_a_count_is_refused_as_its_search_is(found: Archive, path: str) -> None:
    """API rules section 8.6."""
    assert found.get(path).status_code == 400


def test_a_count_is_json_of_either_name(found: Archive) -> None:
    """Browsers of DICOM data ask for DICOM JSON whatever they ask for."""
    assert found.get("studies/count", JSON).headers["Content-Type"] == JSON
    assert found.get("studies/count", "*/*").headers["Content-Type"] == "application/json"
    assert found.get("studies/count", "image/png").status_code == 406


def test_a_count_is_up_to_date(archive: Archive) -> None:
    """As soon as a request is answered; what is deleted is not counted."""
    instance = make()
    archive.keep(instance, make(StudyInstanceUID=instance.study))
    counts = [count(archive, f"{kind}/count") for kind in ("studies", "series", "instances")]

    archive.delete(instance.series_path)

    assert counts == [{"count": 1}, {"count": 2}, {"count": 2}]
    assert count(archive, "instances/count") == {"count": 1}
    assert count(archive, "series/count") == {"count": 1}


def test_counting_everything_reads_keys_in_large_pages(archive: Archive) -> None:
    """Design promise 4: a call for a thousand keys; here they fit one."""
    archive.keep(*(make() for _ in range(10)))

    answer = archive.get("studies/count", JSON)

    assert int(answer.headers["x-storage-calls"].partition(";")[0]) <= 2
