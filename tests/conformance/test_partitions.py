"""Data partitions: API rules section 15, and the partition segment of section 1.2."""

from uuid import uuid4

import pytest

from tests.archive import ANY_FRAME, JSON, Archive, stored, uids, values
from tests.factories import make, make_image

UNKNOWN = "Specified PartitionName does not exist."


def test_the_same_instance_may_be_in_every_partition(archive: Archive) -> None:
    """Section 15: UIDs are unique per partition."""
    other = Archive.fresh(archive.http, archive.host)
    image = make_image()

    assert stored(archive.store(image)) == [image.instance]
    assert stored(other.store(image)) == [image.instance]


def test_partitions_do_not_see_each_other(archive: Archive) -> None:
    """Section 15: no search, retrieve or delete across."""
    other = Archive.fresh(archive.http, archive.host)
    image, stranger = make_image(), make_image()
    archive.keep(image)
    other.keep(stranger)

    assert uids(archive.search("studies"), "0020000D") == [image.study]
    assert archive.get(stranger.path).status_code == 404
    assert archive.delete(f"studies/{stranger.study}").status_code == 404
    assert other.get(stranger.path, "application/dicom; transfer-syntax=*").content == stranger.content


def test_a_delete_concerns_only_its_partition(archive: Archive) -> None:
    """Section 9.1: the same UIDs elsewhere stay."""
    other = Archive.fresh(archive.http, archive.host)
    image = make_image()
    archive.keep(image)
    other.keep(image)

    assert archive.delete(f"studies/{image.study}").status_code == 204

    assert other.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    assert len(other.search("instances")) == 1


def test_the_default_partition_is_the_one_without_a_name(archive: Archive) -> None:
    """Section 15: Microsoft.Default, always there; URLs name it only where the request did."""
    unnamed = Archive(archive.http, archive.host, None)
    named = Archive(archive.http, archive.host, "Microsoft.Default")
    image = make_image()

    answer = unnamed.store(image)

    assert values(values(answer.json(), "00081199")[0], "00081190") == [f"{archive.host}/v2/{image.path}"]
    (found,) = named.search(f"studies?StudyInstanceUID={image.study}&includefield=RetrieveURL")
    assert values(found, "00081190") == [f"{named.root}/studies/{image.study}"]
    for root in (unnamed, named):
        assert root.get(image.path).status_code == 200
    assert unnamed.delete(image.path).status_code == 204


def test_names_are_compared_without_case(archive: Archive) -> None:
    """Section 15."""
    image = make_image()
    archive.keep(image)
    assert archive.partition is not None
    shouted = Archive(archive.http, archive.host, archive.partition.upper())

    assert shouted.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    assert len(shouted.search("studies")) == 1


def test_only_a_store_makes_a_partition(archive: Archive) -> None:
    """Section 15, L-15: any other request to an unknown partition is 400, until one has stored."""
    for path in (
        "studies",
        "series",
        "instances",
        "studies/1.2",
        "studies/1.2/metadata",
        "studies/1.2/series",
    ):
        answer = archive.get(path)
        assert answer.status_code == 400
        assert answer.text == UNKNOWN
    assert archive.get(f"{make().path}/frames/1", ANY_FRAME).status_code == 400
    assert archive.delete("studies/1.2").text == UNKNOWN

    archive.keep(make())

    assert archive.get("studies", JSON).status_code == 200


@pytest.mark.parametrize("name", ["a b", "a%2Fb", "ä", "a" * 65, "a$b", "a:b"])
def test_a_malformed_name_is_400(archive: Archive, name: str) -> None:
    """Section 1.9: up to 64 letters, digits, dots, hyphens and underscores; for a store too."""
    other = Archive(archive.http, archive.host, name)

    assert other.get("studies").status_code == 400
    assert other.store(make()).status_code == 400


@pytest.mark.parametrize("name", ["{}", "{}.-_Z9", "..{}", "0{}"])
def test_every_character_of_a_name_works(archive: Archive, name: str) -> None:
    """Section 1.9; names end up in keys, blob names and URLs."""
    other = Archive(archive.http, archive.host, name.format(uuid4().hex))
    image = make_image()

    answer = other.store(image)

    assert values(values(answer.json(), "00081199")[0], "00081190") == [other.url(image.path)]
    assert other.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    assert len(other.search("studies?PatientID=P1")) == 1
    assert other.delete(image.path).status_code == 204
