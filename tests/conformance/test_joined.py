"""Metadata of series that were joined beforehand: API rules section 7, and nobody sees the difference."""

import gzip
import json
import time
import zlib
from dataclasses import dataclass

import httpx
import pytest

from local.dev.service import Service
from shared.storage.anchors import MIN_JOINED
from tests.archive import JSON, Archive, Dataset, parts_of, uids
from tests.conftest import StartService
from tests.factories import Instance, make, make_image, new_uid

INSTANCE_UID = "00080018"
WAIT_SECONDS = 60
PLAIN, GZIP = "identity", "gzip"


@dataclass(frozen=True, slots=True)
class Got:
    """An answer as it came over the wire."""

    answer: httpx.Response
    raw: bytes

    @property
    def text(self) -> bytes:
        """Its text, as any client sees it. One member of gzip is all that browsers read."""
        if "Content-Encoding" not in self.answer.headers:
            return self.raw
        inflating = zlib.decompressobj(16 + zlib.MAX_WBITS)
        text = inflating.decompress(self.raw)
        assert inflating.eof
        assert not inflating.unused_data
        assert gzip.decompress(self.raw) == text
        return text

    @property
    def datasets(self) -> list[Dataset]:
        """What it holds."""
        found: list[Dataset] = json.loads(self.text)
        return found

    @property
    def calls(self) -> int:
        """Calls to storage until the answer began."""
        return int(self.answer.headers["x-storage-calls"].partition(";")[0])

    @property
    def rows(self) -> int:
        """Rows that were read until then."""
        return int(self.answer.headers["x-storage-calls"].rpartition("=")[2])


def get(archive: Archive, path: str, coding: str = GZIP, **headers: str) -> Got:
    """Metadata as they come, without being inflated."""
    named = {
        "Accept": JSON,
        "Accept-Encoding": coding,
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    request = archive.http.build_request("GET", archive.url(f"{path}/metadata"), headers=named)
    answer = archive.http.send(request, stream=True)
    try:
        return Got(answer, b"".join(answer.iter_raw()))
    finally:
        answer.close()


def wait_until_joined(archive: Archive, path: str, series: int = 1) -> None:
    """Wait until nothing but anchors is read of what can be joined."""
    deadline = time.monotonic() + WAIT_SECONDS
    while get(archive, path).rows > series:
        assert time.monotonic() < deadline, "the metadata were not joined"
        time.sleep(0.2)


def some_images(study: str, count: int = MIN_JOINED) -> list[Instance]:
    """A series."""
    series = new_uid()
    return [
        make_image(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=number)
        for number in range(1, count + 1)
    ]


@dataclass(frozen=True, slots=True)
class Kept:
    """A joined series that tests only read."""

    archive: Archive
    path: str
    before: dict[str, bytes]
    """Its metadata before they were joined, by coding."""

    etag: str


@pytest.fixture(scope="module")
def kept(service: Service, http: httpx.Client) -> Kept:
    archive, images = Archive.fresh(http, service.url), some_images(new_uid())
    archive.keep(*images)
    path = images[0].series_path
    before = {coding: get(archive, path, coding) for coding in (PLAIN, GZIP)}
    wait_until_joined(archive, path)
    texts = {coding: got.text for coding, got in before.items()}
    return Kept(archive, path, texts, before[GZIP].answer.headers["ETag"])


@pytest.mark.parametrize("coding", [PLAIN, GZIP])
def test_joining_changes_nothing(kept: Kept, coding: str) -> None:
    """Section 7.1: the same text, the same tag, at a fraction of the calls."""
    got = get(kept.archive, kept.path, coding)

    assert got.text == kept.before[coding]
    assert len(got.datasets) == MIN_JOINED
    assert got.answer.headers["ETag"] == kept.etag
    assert got.answer.headers["Content-Type"] == JSON
    assert got.answer.headers["Vary"] == "Accept, Accept-Encoding"
    assert got.answer.headers.get("Content-Encoding") == (GZIP if coding == GZIP else None)
    assert got.calls <= 3


def test_bulk_data_are_named_where_the_client_sees_them(kept: Kept) -> None:
    """Clients checklist 27: whatever stands in what was joined."""
    other = kept.archive.as_version("v1")
    forwarded = {"x_forwarded_host": "pacs.example", "x_forwarded_proto": "https"}

    for coding in (PLAIN, GZIP):
        as_joined = get(kept.archive, kept.path, coding)
        by_v1 = get(other, kept.path, coding)
        by_gateway = get(kept.archive, kept.path, coding, **forwarded)

        roots = (
            kept.archive.root,
            other.root,
            f"https://pacs.example/v2/partitions/{kept.archive.partition}",
        )
        for datasets, root in zip(
            (as_joined.datasets, by_v1.datasets, by_gateway.datasets), roots, strict=True
        ):
            assert len(datasets) == MIN_JOINED
            for dataset in datasets:
                (uid,) = uids([dataset], INSTANCE_UID)
                uri = f"{root}/{kept.path}/instances/{uid}/bulkdata/7FE00010"
                assert dataset["7FE00010"] == {"vr": "OW", "BulkDataURI": uri}
        assert by_v1.calls <= 3
        assert by_gateway.answer.headers["ETag"] == kept.etag
        # What is stored is compressed better than what is made in passing: it was passed on as it is.
        assert coding == PLAIN or len(as_joined.raw) < len(by_v1.raw)


def test_the_uri_of_joined_metadata_leads_to_the_pixels(kept: Kept) -> None:
    """Section 7.2: not only a text that looks like it."""
    uri = get(kept.archive, kept.path).datasets[0]["7FE00010"]["BulkDataURI"]

    answer = kept.archive.http.get(uri, headers={"Accept": "application/octet-stream"})

    assert answer.status_code == 200
    assert len(answer.content) == 32


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"', "*"])
def test_a_matching_etag_is_answered_304_by_one_call(kept: Kept, form: str) -> None:
    """Section 7.3: from what the anchor says."""
    got = get(kept.archive, kept.path, if_none_match=form.format(kept.etag))

    assert got.answer.status_code == 304
    assert got.raw == b""
    assert got.calls == 1
    assert get(kept.archive, kept.path, if_none_match="other").answer.status_code == 200


def test_head_tells_the_same(kept: Kept) -> None:
    """As GET, without the body."""
    head = kept.archive.ask("HEAD", f"{kept.path}/metadata", JSON, headers={"Accept-Encoding": GZIP})

    assert head.status_code == 200
    assert head.headers["ETag"] == kept.etag
    assert head.headers["Content-Encoding"] == GZIP
    assert head.content == b""


def test_xml_and_single_instances_stay_as_they_are(kept: Kept) -> None:
    """Section 7.1: they are made of the rows."""
    archive = kept.archive
    documents = parts_of(
        archive.get(f"{kept.path}/metadata", 'multipart/related; type="application/dicom+xml"')
    )
    (first, *_) = json.loads(kept.before[PLAIN])
    (uid,) = uids([first], INSTANCE_UID)

    (found,) = get(archive, f"{kept.path}/instances/{uid}").datasets

    assert len(documents) == MIN_JOINED
    assert found == first


def _store(archive: Archive, images: list[Instance]) -> set[str]:
    new = make_image(StudyInstanceUID=images[0].study, SeriesInstanceUID=images[0].series)
    archive.keep(new)
    return {new.instance, *(image.instance for image in images)}


def _delete(archive: Archive, images: list[Instance]) -> set[str]:
    assert archive.delete(images[0].path).status_code == 204
    return {image.instance for image in images[1:]}


def _upsert(archive: Archive, images: list[Instance]) -> set[str]:
    first = images[0]
    other = make_image(
        StudyInstanceUID=first.study,
        SeriesInstanceUID=first.series,
        SOPInstanceUID=first.instance,
        TextValue="replaced",
    )
    headers = {"Content-Type": "application/dicom"}
    assert archive.ask("PUT", "studies", JSON, content=other.content, headers=headers).status_code == 200
    return {image.instance for image in images}


@pytest.mark.parametrize("coding", [PLAIN, GZIP])
def test_the_next_answer_after_a_change_has_it(archive: Archive, coding: str) -> None:
    """Section 7.3, and promise 1: what was joined is not given a moment longer, and soon joined anew."""
    images = some_images(new_uid(), MIN_JOINED + 2)
    path = images[0].series_path
    archive.keep(*images)
    wait_until_joined(archive, path)
    tag = get(archive, path, coding).answer.headers["ETag"]

    upserted = _upsert(archive, images)
    after_upsert = get(archive, path, coding, if_none_match=tag)
    stored = _store(archive, images)
    after_store = get(archive, path, coding, if_none_match=tag)
    stored_tag = after_store.answer.headers["ETag"]
    deleted = _delete(archive, images)
    after_deletion = get(archive, path, coding, if_none_match=stored_tag)

    assert {*uids(after_upsert.datasets, INSTANCE_UID)} == upserted
    assert b"replaced" in after_upsert.text
    assert {*uids(after_store.datasets, INSTANCE_UID)} == stored
    assert {*uids(after_deletion.datasets, INSTANCE_UID)} == deleted | (stored - upserted)
    wait_until_joined(archive, path)
    assert get(archive, path, coding).text == after_deletion.text


def test_a_joined_series_that_is_deleted_is_gone(archive: Archive) -> None:
    """Section 9: at once."""
    images = some_images(new_uid())
    archive.keep(*images)
    wait_until_joined(archive, images[0].series_path)

    archive.delete(images[0].series_path)

    assert get(archive, images[0].series_path).answer.status_code == 404
    assert get(archive, f"studies/{images[0].study}").answer.status_code == 404


@pytest.mark.parametrize(
    "sizes", [(MIN_JOINED, 1, 2, MIN_JOINED, 3), (2, MIN_JOINED, MIN_JOINED + 1, 1), (1, 12, 7)]
)
def test_a_study_of_joined_and_small_series_comes_as_one_array(
    archive: Archive, sizes: tuple[int, ...]
) -> None:
    """Section 7.1: whatever way each series is kept."""
    study = new_uid()
    series = sorted(new_uid() for _ in sizes)
    images = [
        make_image(StudyInstanceUID=study, SeriesInstanceUID=uid, InstanceNumber=number)
        for uid, size in zip(series, sizes, strict=True)
        for number in range(size)
    ]
    archive.keep(*images)
    before = {coding: get(archive, f"studies/{study}", coding) for coding in (PLAIN, GZIP)}

    deadline = time.monotonic() + WAIT_SECONDS
    while (found := get(archive, f"studies/{study}", if_none_match="*")).calls > 1:
        assert time.monotonic() < deadline, "the metadata were not joined"
        time.sleep(0.2)

    assert found.answer.status_code == 304
    for coding, each in before.items():
        after = get(archive, f"studies/{study}", coding)
        assert after.text == each.text
        assert after.answer.headers["ETag"] == each.answer.headers["ETag"]
        assert {*uids(after.datasets, INSTANCE_UID)} == {image.instance for image in images}


def test_where_nothing_names_bulk_data_all_bases_get_the_same_bytes(archive: Archive) -> None:
    """There is nothing to change, so stored bytes are passed on to everybody."""
    study, series = new_uid(), new_uid()
    archive.keep(*(make(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(MIN_JOINED)))
    path = f"studies/{study}/series/{series}"
    wait_until_joined(archive, path)

    by_v2, by_v1 = get(archive, path), get(archive.as_version("v1"), path)

    assert by_v2.raw == by_v1.raw
    assert len(by_v1.datasets) == MIN_JOINED


def test_bulk_data_are_dropped_where_it_is_set(start: StartService, http: httpx.Client) -> None:
    """Section 7.2: Azure's behaviour; also for who comes by another address."""
    strict = Archive.fresh(http, start({"DICOM_BULK_DATA": "omit", "DICOM_SHOW_STORAGE_CALLS": "true"}).url)
    images = some_images(new_uid())
    strict.keep(*images)
    path = images[0].series_path
    before = get(strict, path).text
    wait_until_joined(strict, path)

    for archive in (strict, strict.as_version("v1")):
        for coding in (PLAIN, GZIP):
            got = get(archive, path, coding)
            assert got.text == before
            assert not any("7FE00010" in dataset for dataset in got.datasets)


def test_the_default_partition_has_no_name_in_its_urls(start: StartService, http: httpx.Client) -> None:
    """API rules section 15: it can be named, too."""
    service = start({"DICOM_SHOW_STORAGE_CALLS": "true"})
    plain = Archive(http, service.url, None)
    named = Archive(http, service.url, "Microsoft.Default")
    images = some_images(new_uid())
    plain.keep(*images)
    path = images[0].series_path
    wait_until_joined(plain, path)

    for archive in (plain, named):
        found = get(archive, path).datasets
        assert all(each["7FE00010"]["BulkDataURI"].startswith(f"{archive.root}/{path}/") for each in found)


def test_a_message_that_names_no_series_does_no_harm(start: StartService, http: httpx.Client) -> None:
    """Others may write into queues; it is dropped, and the next one is seen to."""
    service = start({"DICOM_SHOW_STORAGE_CALLS": "true"})
    archive, images = Archive.fresh(http, service.url), some_images(new_uid())
    for text in ("", "{}", "[]", '{"partition": "p", "study": "../x", "series": 7}', "\\u0000"):
        sent = http.post(f"{service.url}/admin/functions/refresh_series", json={"input": text})
        assert sent.status_code == 202

    archive.keep(*images)

    wait_until_joined(archive, images[0].series_path)
