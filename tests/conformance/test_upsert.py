"""Storing what is stored: refused, accepted if identical, or replaced (API rules sections 3.2, 3.8)."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.archive import ANY_SYNTAX, JSON, Archive, failures, parts_of, stored, uids, values
from tests.conftest import StartService
from tests.factories import Instance, make, make_image, multipart

EXISTS = 45070
LARGE_SIDE = 1600
"""Rows and columns of an image beyond the four mebibytes that wait in memory."""


def put(archive: Archive, *instances: Instance, path: str = "studies") -> httpx.Response:
    """Store files by the managed service's upsert."""
    body, content_type = multipart(instances)
    return archive.ask("PUT", path, JSON, content=body, headers={"Content-Type": content_type})


def again(first: Instance, **attributes: Any) -> Instance:
    """Another file with the UIDs of one."""
    names: dict[str, Any] = {"StudyInstanceUID": first.study, "SeriesInstanceUID": first.series}
    return make_image(**names, SOPInstanceUID=first.instance, **attributes)


def content_of(archive: Archive, instance: Instance) -> bytes:
    """What is retrieved."""
    answer = archive.get(instance.path, ANY_SYNTAX)
    assert answer.status_code == 200, answer.text
    (part,) = parts_of(answer)
    return part.content


@pytest.fixture(scope="module")
def accepting(start: StartService, http: httpx.Client) -> Iterator[Archive]:
    """An archive where identical instances may come twice."""
    with start({"DICOM_ACCEPT_IDENTICAL": "true"}) as service:
        yield Archive.fresh(http, service.url)


def test_an_upsert_of_something_new_stores_it(archive: Archive) -> None:
    """The answer is that of a store."""
    image = make_image()

    answer = put(archive, image)

    assert answer.status_code == 200
    assert stored(answer) == [image.instance]
    assert content_of(archive, image) == image.content


def test_an_upsert_replaces_what_is_stored(archive: Archive) -> None:
    """By every route at once; there is still one instance."""
    first = make_image(PatientName="Before^Name", StudyDescription="Before")
    archive.keep(first)
    second = again(first, PatientName="After^Name", StudyDescription="After", InstanceNumber=7)

    answer = put(archive, second)

    assert answer.status_code == 200
    assert stored(answer) == [first.instance]
    assert content_of(archive, first) == second.content
    (metadata,) = archive.metadata(first.path)
    assert values(metadata, "00100010") == [{"Alphabetic": "After^Name"}]
    assert uids(archive.search("studies?PatientName=After^Name"), "0020000D") == [first.study]
    assert archive.search("studies?PatientName=Before^Name") == []
    assert uids(archive.search(f"instances?SOPInstanceUID={first.instance}"), "00080018") == [first.instance]
    (study,) = archive.search("studies?includefield=NumberOfStudyRelatedInstances")
    assert values(study, "00201208") == [1]


def test_an_upsert_of_a_study_refuses_the_instances_of_others(archive: Archive) -> None:
    """As a store does (section 3.3 check 3)."""
    first, stranger = make_image(), make_image()
    archive.keep(first)
    second = again(first, InstanceNumber=2)

    answer = put(archive, second, stranger, path=f"studies/{first.study}")

    assert answer.status_code == 202
    assert stored(answer) == [first.instance]
    assert failures(answer) == [43264]
    assert content_of(archive, first) == second.content


def test_new_and_known_instances_may_come_together(archive: Archive) -> None:
    """Each becomes what it should, in packs and alone."""
    known = [make_image(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.1") for _ in range(3)]
    archive.keep(*known)
    files = [again(image, InstanceNumber=9) for image in known]
    files += [make_image(StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.2") for _ in range(3)]

    answer = put(archive, *files)

    assert answer.status_code == 200
    assert stored(answer) == [each.instance for each in files]
    for each in files:
        assert content_of(archive, each) == each.content
    assert len(archive.search("studies/1.2.3/instances")) == 6


def test_of_one_instance_twice_in_an_upsert_the_last_stays(archive: Archive) -> None:
    """Parts count in their order."""
    first = make_image()
    second = again(first, InstanceNumber=2)

    answer = put(archive, first, second)

    assert answer.status_code == 200
    assert stored(answer) == [first.instance, first.instance]
    assert content_of(archive, first) == second.content


@pytest.mark.parametrize("side", [4, LARGE_SIDE], ids=["small", "large"])
def test_a_replaced_instance_may_be_replaced_and_deleted(archive: Archive, side: int) -> None:
    """Large ones have blobs of their own."""
    first = make_image(rows=side, columns=side)
    archive.keep(first)
    for number in (2, 3):
        other = again(first, rows=side, columns=side, InstanceNumber=number)
        assert put(archive, other).status_code == 200
        assert content_of(archive, first) == other.content

    assert archive.delete(first.path).status_code == 204
    assert archive.get(first.path, ANY_SYNTAX).status_code == 404
    archive.keep(first)
    assert content_of(archive, first) == first.content


def test_readers_see_the_old_instance_or_the_new_one(archive: Archive) -> None:
    """Never neither, and never a mixture."""
    versions = [make_image(rows=64, columns=64)]
    versions += [again(versions[0], rows=64, columns=64, InstanceNumber=number) for number in range(2, 12)]
    contents = {version.content for version in versions}
    archive.keep(versions[0])
    ended = threading.Event()
    wrong: list[str] = []

    def read() -> None:
        with httpx.Client(timeout=60) as http:
            reader = Archive(http, archive.host, archive.partition)
            while not ended.is_set():
                answer = reader.get(versions[0].path, "application/dicom; transfer-syntax=*")
                if answer.status_code != 200 or answer.content not in contents:
                    wrong.append(f"{answer.status_code}: {len(answer.content)} bytes")
                found = reader.search(f"studies/{versions[0].study}/instances")
                if len(found) != 1:
                    wrong.append(f"{len(found)} instances found")

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for version in versions[1:]:
            assert put(archive, version).status_code == 200
    finally:
        ended.set()
        reading.join()
    assert wrong == []
    assert content_of(archive, versions[0]) == versions[-1].content


@pytest.mark.parametrize("side", [4, LARGE_SIDE], ids=["small", "large"])
def test_a_duplicate_is_refused_whatever_its_bytes(archive: Archive, side: int) -> None:
    """Section 3.8: rejected, never overwritten (checklist 49)."""
    first = make_image(rows=side, columns=side)
    archive.keep(first)

    for each in (first, again(first, rows=side, columns=side, InstanceNumber=2)):
        answer = archive.store(each)
        assert answer.status_code == 409
        assert failures(answer) == [EXISTS]
    assert content_of(archive, first) == first.content


@pytest.mark.parametrize("side", [4, LARGE_SIDE], ids=["small", "large"])
def test_an_identical_duplicate_counts_as_stored_where_the_setting_says_so(
    accepting: Archive, side: int
) -> None:
    """Checklist 49: a sender that repeats what got no answer is told that it is there."""
    first = make_image(rows=side, columns=side)
    accepting.keep(first)

    answer = accepting.store(first)

    assert answer.status_code == 200
    assert stored(answer) == [first.instance]
    other = accepting.store(again(first, rows=side, columns=side, InstanceNumber=2))
    assert other.status_code == 409
    assert failures(other) == [EXISTS]
    assert content_of(accepting, first) == first.content


def test_identical_duplicates_in_one_request_are_told_apart(accepting: Archive) -> None:
    """Some are the same, some are not, some are new."""
    same, changed, new = make(), make(), make()
    accepting.keep(same, changed)
    names: dict[str, Any] = {"StudyInstanceUID": changed.study, "SeriesInstanceUID": changed.series}
    other = make(**names, SOPInstanceUID=changed.instance, InstanceNumber=2)

    answer = accepting.store(same, other, new, new)

    assert answer.status_code == 202
    assert stored(answer) == [same.instance, new.instance, new.instance]
    assert failures(answer) == [EXISTS]


def test_what_many_store_at_once_is_stored_each_for_itself(archive: Archive) -> None:
    """Requests that are committed together keep their answers, and one instance is stored by one of them."""
    study = make_image().study
    images = [make_image(StudyInstanceUID=study) for _ in range(24)]
    contested = make_image(StudyInstanceUID=study)
    answers: dict[int, httpx.Response] = {}

    def send(number: int) -> None:
        with httpx.Client(timeout=60) as http:
            sender = Archive(http, archive.host, archive.partition)
            answers[number] = sender.store(images[number], contested, make_image(PatientID=None))

    senders = [threading.Thread(target=send, args=(number,)) for number in range(len(images))]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    winners = [number for number in answers if contested.instance in stored(answers[number])]
    assert len(winners) == 1
    for number, answer in answers.items():
        assert answer.status_code == 202
        assert images[number].instance in stored(answer)
        assert failures(answer) == ([43264] if number in winners else [EXISTS, 43264])
    assert len(archive.search(f"studies/{study}/instances")) == len(images) + 1
    for image in images:
        assert content_of(archive, image) == image.content
