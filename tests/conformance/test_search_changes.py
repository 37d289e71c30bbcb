"""What changes is found by its new values only, once the request is answered (sections 3.9, 8.7, 8.8)."""

from typing import Any

import httpx
import pytest

from tests.archive import JSON, Archive, uids, values
from tests.factories import Instance, make, multipart, new_uid

STUDY_UID, SERIES_UID, MODALITIES = "0020000D", "0020000E", "00080061"


def put(archive: Archive, *instances: Instance) -> httpx.Response:
    """Put instances in the place of those that are stored."""
    body, content_type = multipart(instances)
    answer = archive.ask("PUT", "studies", JSON, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 200, answer.text
    return answer


def beside(first: Instance, **attributes: Any) -> Instance:
    """An instance of the same series, with the same patient."""
    return make(**{"StudyInstanceUID": first.study, "SeriesInstanceUID": first.series, **attributes})


def again(first: Instance, **attributes: Any) -> Instance:
    """Another file with the UIDs of one."""
    return beside(first, SOPInstanceUID=first.instance, **attributes)


def modalities(archive: Archive) -> list[str]:
    """What the only study says of the modalities in it."""
    (study,) = archive.search("studies?includefield=ModalitiesInStudy")
    return [str(value) for value in values(study, MODALITIES)]


def found(archive: Archive, modality: str) -> tuple[int, int]:
    """How many studies and series are found by a modality."""
    studies = archive.search(f"studies?ModalitiesInStudy={modality}")
    return len(studies), len(archive.search(f"series?Modality={modality}"))


def test_a_study_is_not_found_by_the_modality_that_its_only_instance_had(archive: Archive) -> None:
    """A study has the modalities of its series, and the last instance stored says what that is."""
    first = make(Modality="CT")
    archive.keep(first)

    put(archive, again(first, Modality="MR"))

    assert modalities(archive) == ["MR"]
    assert found(archive, "CT") == (0, 0)
    assert found(archive, "MR") == (1, 1)


def test_a_modality_stays_with_the_study_while_another_series_has_it(archive: Archive) -> None:
    first = make(Modality="CT")
    other = beside(first, SeriesInstanceUID=new_uid(), Modality="CT")
    archive.keep(first, other)

    put(archive, again(first, Modality="MR"))

    assert modalities(archive) == ["CT", "MR"]
    assert found(archive, "CT") == (1, 1)
    put(archive, again(other, Modality="MR"))
    assert modalities(archive) == ["MR"]
    assert found(archive, "CT") == (0, 0)


def test_a_store_may_change_the_modality_of_its_series_too(archive: Archive) -> None:
    """The new instance says something else than those that are there: the last one wins."""
    first = make(Modality="CT")
    archive.keep(first)

    archive.keep(beside(first, Modality="MR"))

    assert modalities(archive) == ["MR"]
    assert found(archive, "CT") == (0, 0)
    assert found(archive, "MR") == (1, 1)


def test_instances_of_one_request_that_differ_leave_the_modality_of_the_last(archive: Archive) -> None:
    first = make(Modality="CT")

    archive.keep(first, beside(first, Modality="MR"))

    assert modalities(archive) == ["MR"]
    assert found(archive, "CT") == (0, 0)


def test_an_instance_without_a_modality_leaves_that_of_its_series(archive: Archive) -> None:
    """An empty value overwrites nothing (section 3.9)."""
    first = make(Modality="CT")
    archive.keep(first)

    put(archive, again(first, Modality=""))

    assert modalities(archive) == ["CT"]
    assert found(archive, "CT") == (1, 1)


@pytest.mark.parametrize(
    ("path", "attribute", "old", "new"),
    [
        ("studies", "PatientID", "P-1", "P-2"),
        ("studies", "PatientName", "Old^Name", "New^Name"),
        ("studies", "AccessionNumber", "A1", "A2"),
        ("studies", "StudyDescription", "old text", "new text"),
        ("studies", "ReferringPhysicianName", "Old^Doctor", "New^Doctor"),
        ("studies", "StudyDate", "20230101", "20240101"),
        ("studies", "PatientBirthDate", "19700101", "19710101"),
        ("series", "Modality", "CT", "MR"),
        ("series", "ManufacturerModelName", "Old model", "New model"),
        ("series", "SeriesDescription", "old series", "new series"),
        ("series", "PerformedProcedureStepStartDate", "20230101", "20240101"),
    ],
)
def test_what_is_replaced_is_found_by_its_new_values_only(
    archive: Archive, path: str, attribute: str, old: str, new: str
) -> None:
    first = make(**{attribute: old})
    archive.keep(first, beside(first, **{attribute: old}))
    tag, uid = (STUDY_UID, first.study) if path == "studies" else (SERIES_UID, first.series)

    put(archive, again(first, **{attribute: new}))

    assert archive.search(f"{path}?{attribute}={old}") == []
    assert uids(archive.search(f"{path}?{attribute}={new}"), tag) == [uid]
