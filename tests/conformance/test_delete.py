"""Delete: API rules section 9."""

from collections.abc import Callable

import pytest

from tests.archive import JSON, Archive, stored, uids
from tests.factories import Instance, make, make_image, new_uid

PATHS: dict[str, Callable[[Instance], str]] = {
    "study": lambda image: f"studies/{image.study}",
    "series": lambda image: image.series_path,
    "instance": lambda image: image.path,
}


def assert_gone(archive: Archive, image: Instance) -> None:
    """Nothing of an instance can be seen anywhere."""
    assert archive.get(image.path).status_code == 404
    assert archive.get(f"{image.path}/metadata", JSON).status_code == 404
    assert archive.get(f"{image.path}/frames/1").status_code == 404
    assert archive.search(f"instances?SOPInstanceUID={image.instance}") == []
    assert image.instance not in uids(archive.search(f"studies/{image.study}/instances"), "00080018")


def assert_there(archive: Archive, image: Instance) -> None:
    """An instance can be retrieved and found."""
    assert archive.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    assert len(archive.search(f"instances?SOPInstanceUID={image.instance}")) == 1


@pytest.mark.parametrize("level", PATHS)
def test_what_is_deleted_is_gone_everywhere_at_once(archive: Archive, level: str) -> None:
    """Section 9.1: 204 without a body; gone with the answer from search, retrieve, metadata and frames."""
    image = make_image()
    archive.keep(image)

    answer = archive.delete(PATHS[level](image))

    assert answer.status_code == 204
    assert answer.content == b""
    assert_gone(archive, image)
    for path in ("studies", "series", "instances", "studies?PatientID=P1", "series?Modality=OT"):
        assert archive.search(path) == []


@pytest.mark.parametrize("level", PATHS)
def test_a_second_delete_finds_nothing(archive: Archive, level: str) -> None:
    """Section 9.1: 404."""
    image = make_image()
    archive.keep(image)
    archive.delete(PATHS[level](image))

    answer = archive.delete(PATHS[level](image))

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("level", PATHS)
def test_what_never_was_cannot_be_deleted(archive: Archive, level: str) -> None:
    """Section 9.1, beside something that is there and stays."""
    image = make_image()
    archive.keep(image)
    stranger = make(
        StudyInstanceUID=new_uid() if level == "study" else image.study,
        SeriesInstanceUID=new_uid() if level == "series" else image.series,
    )

    assert archive.delete(PATHS[level](stranger)).status_code == 404
    assert_there(archive, image)


@pytest.mark.parametrize("path", ["studies/x", "studies/1.2/series/x", "studies/1.2/series/1.3/instances/x"])
def test_a_malformed_uid_is_refused(archive: Archive, path: str) -> None:
    """Section 9.1: 400 at any level."""
    archive.keep(make())

    assert archive.delete(path).status_code == 400


@pytest.mark.parametrize("level", PATHS)
def test_what_was_deleted_can_be_stored_again(archive: Archive, level: str) -> None:
    """Section 9.2: immediately, and as often as one likes."""
    image = make_image()
    for _ in range(3):
        assert stored(archive.store(image)) == [image.instance]
        assert_there(archive, image)

        assert archive.delete(PATHS[level](image)).status_code == 204


def test_siblings_of_an_instance_survive(archive: Archive) -> None:
    """Section 9.2: the series stays until its last instance goes; files share a blob here."""
    study, series = new_uid(), new_uid()
    images = [make_image(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(3)]
    archive.keep(*images)

    archive.delete(images[1].path)

    assert_gone(archive, images[1])
    assert_there(archive, images[0])
    assert_there(archive, images[2])
    assert len(archive.search(f"studies/{study}/series")) == 1
    assert len(archive.metadata(f"studies/{study}")) == 2


def test_siblings_of_a_series_survive(archive: Archive) -> None:
    """Section 9.2: the study stays, without the modality that went."""
    study = new_uid()
    ct, mr = (make_image(StudyInstanceUID=study, Modality=name) for name in ("CT", "MR"))
    archive.keep(ct, mr)

    archive.delete(ct.series_path)

    assert_gone(archive, ct)
    assert_there(archive, mr)
    (found,) = archive.search("studies?includefield=ModalitiesInStudy,NumberOfStudyRelatedInstances")
    assert found["00080061"]["Value"] == ["MR"]
    assert found["00201208"]["Value"] == [1]
    assert archive.search("studies?ModalitiesInStudy=CT") == []
    assert len(archive.search("studies?ModalitiesInStudy=MR")) == 1
    assert archive.search("series?Modality=CT") == []


def test_the_last_instance_takes_series_and_study_with_it(archive: Archive) -> None:
    """Section 9.2."""
    image = make_image()
    archive.keep(image)

    archive.delete(image.path)

    assert archive.search("studies") == []
    assert archive.search("series") == []
    assert archive.delete(image.series_path).status_code == 404
    assert archive.delete(f"studies/{image.study}").status_code == 404


def test_a_study_of_many_instances_and_series_goes_whole(archive: Archive) -> None:
    """Section 9.1, more than one transaction holds."""
    study, series = new_uid(), new_uid()
    instances = [make(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(120)]
    instances += [make(StudyInstanceUID=study) for _ in range(5)]
    survivor = make()
    archive.keep(*instances, survivor)

    answer = archive.delete(f"studies/{study}")

    assert answer.status_code == 204
    assert archive.search(f"studies/{study}/instances") == []
    assert uids(archive.search("studies"), "0020000D") == [survivor.study]
    assert uids(archive.search("instances"), "00080018") == [survivor.instance]


def test_headers_do_not_matter(archive: Archive) -> None:
    """Section 9.1: Accept, Content-Type and body are ignored; a trailing slash too."""
    image = make_image()
    archive.keep(image)

    answer = archive.ask(
        "DELETE", f"{image.path}/", "image/jpeg", content=b"x", headers={"Content-Type": "text/plain"}
    )

    assert answer.status_code == 204


def test_a_delete_by_v1_is_seen_by_v2(archive: Archive) -> None:
    """Section 1.1: versions differ in form, not in data."""
    image = make_image()
    archive.keep(image)

    assert archive.as_version("v1").delete(image.path).status_code == 204
    assert_gone(archive, image)
