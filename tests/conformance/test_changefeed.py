"""Change feed: API rules sections 10, 20 and 21, and what is ours: filters, tokens and long poll."""

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from local.dev.service import start_service
from shared.changefeed.asked import Place, render_token
from tests.archive import JSON, Archive
from tests.conftest import NewAccount, StartService
from tests.factories import Instance, make, make_image, multipart, new_uid

LONG_BEFORE_SECONDS = 15
"""Less than the 25 seconds that readers wait, and more than a busy machine takes."""

Entry = dict[str, Any]


@pytest.fixture(scope="module")
def alone(start: StartService, http: httpx.Client) -> Iterator[Archive]:
    """An archive of its own: the feed is of all partitions."""
    with start({"DICOM_SHOW_STORAGE_CALLS": "true"}) as service:
        yield Archive(http, service.url, None)


@pytest.fixture
def fresh(alone: Archive) -> Archive:
    """A partition of it that no other test uses."""
    return Archive.fresh(alone.http, alone.host)


def feed(archive: Archive, query: str = "", version: str = "v2", **headers: str) -> httpx.Response:
    """Ask for the feed; header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return archive.http.get(f"{archive.host}/{version}/changefeed{query}", headers=named)


def entries(archive: Archive, query: str = "", version: str = "v2") -> list[Entry]:
    """Entries that must be given."""
    answer = feed(archive, query, version)
    assert answer.status_code == 200, answer.text
    found: list[Entry] = answer.json()
    return found


def of(archive: Archive, query: str = "") -> list[Entry]:
    """The entries of a test's own partition."""
    return entries(archive, f"?partition={archive.partition}&limit=200{query}")


def last(archive: Archive) -> int:
    """The sequence at the end of the feed."""
    answer = feed(archive, "/latest")
    return int(answer.json()["sequence"]) if answer.status_code == 200 else 0


def keep_apart(archive: Archive, *instances: Instance) -> None:
    """Store instances one by one, each entered before the next, so that their times differ."""
    for instance in instances:
        archive.keep(instance)
        last(archive)


def upsert(archive: Archive, *instances: Instance) -> None:
    """Replace what is stored."""
    body, content_type = multipart(instances)
    answer = archive.ask("PUT", "studies", JSON, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 200, answer.text


def again(first: Instance, **attributes: Any) -> Instance:
    """Another file with the UIDs of one."""
    names: dict[str, Any] = {"StudyInstanceUID": first.study, "SeriesInstanceUID": first.series}
    return make_image(**names, SOPInstanceUID=first.instance, **attributes)


def series_of(count: int) -> list[Instance]:
    """Instances of one series."""
    uids = {"StudyInstanceUID": new_uid(), "SeriesInstanceUID": new_uid()}
    return [make(**uids, SOPInstanceUID=f"{uids['SeriesInstanceUID']}.{number}") for number in range(count)]


def told(found: list[Entry]) -> list[tuple[str, str]]:
    """What entries say happened, and what became of it."""
    return [(entry["action"], entry["state"]) for entry in found]


def calls(answer: httpx.Response) -> int:
    """The storage calls of an answer."""
    return int(answer.headers["x-storage-calls"].partition(";")[0])


def time_of(entry: Entry) -> datetime:
    """The time of an entry."""
    return datetime.fromisoformat(entry["timestamp"])


def window(first: str, end: str, more: str = "") -> str:
    """A query for what lies between two times."""
    return f"?startTime={quote(first)}&endTime={quote(end)}{more}"


def next_of(answer: httpx.Response) -> str:
    """The query of the next page."""
    found = re.fullmatch(r'<([^>]+)>; rel="next"', answer.headers["Link"])
    assert found
    return f"?{urlsplit(found[1]).query}"


# Section 10.1: endpoints and parameters


def test_an_empty_feed_has_no_latest_entry_and_an_empty_list(start: StartService, http: httpx.Client) -> None:
    """Section 10.4: 204, and 200 with `[]`, for both versions (Q-25)."""
    with start({}) as service:
        empty = Archive(http, service.url, None)

        for version in ("v1", "v2"):
            assert feed(empty, "/latest", version).status_code == 204
            assert entries(empty, version=version) == []
        assert entries(empty, "?startTime=2024-01-01T00:00:00Z") == []
        assert entries(empty, f"?study={new_uid()}") == []


def test_an_entry_has_the_members_of_the_wire(fresh: Archive) -> None:
    """Section 10.2, Q-02: names in camelCase, values in PascalCase, seven digits and Z."""
    image = make_image()
    fresh.keep(image)

    answer = feed(fresh, f"?partition={fresh.partition}")

    assert answer.headers["Content-Type"] == "application/json"
    (entry,) = answer.json()
    assert list(entry) == [
        "sequence",
        "partitionName",
        "studyInstanceUid",
        "seriesInstanceUid",
        "sopInstanceUid",
        "action",
        "timestamp",
        "state",
        "metadata",
    ]
    assert isinstance(entry["sequence"], int)
    assert entry["partitionName"] == fresh.partition
    assert (entry["studyInstanceUid"], entry["seriesInstanceUid"]) == (image.study, image.series)
    assert entry["sopInstanceUid"] == image.instance
    assert (entry["action"], entry["state"]) == ("Create", "Current")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", entry["timestamp"])


def test_the_default_partition_is_named(alone: Archive) -> None:
    """Section 10.2: always present; `Microsoft.Default` without partitions."""
    image = make()
    alone.keep(image)

    (entry,) = entries(alone, f"?study={image.study}")

    assert entry["partitionName"] == "Microsoft.Default"


def test_a_partition_is_named_as_it_was_first_given(alone: Archive) -> None:
    """Section 15: names keep their case and are compared without it."""
    mixed = Archive(alone.http, alone.host, f"Mixed.Case-{new_uid()[-6:]}")
    mixed.keep(make())
    Archive(alone.http, alone.host, str(mixed.partition).lower()).keep(make())

    found = entries(alone, f"?partition={str(mixed.partition).upper()}")

    assert [entry["partitionName"] for entry in found] == [mixed.partition] * 2


def test_metadata_are_those_of_the_metadata_route(fresh: Archive) -> None:
    """Section 10.2; bulk data by the same references."""
    image = make_image()
    fresh.keep(image)

    (entry,) = of(fresh)

    assert [entry["metadata"]] == fresh.metadata(image.path)
    assert entry["metadata"]["7FE00010"]["BulkDataURI"].startswith(fresh.url(image.path))


def test_metadata_leave_bulk_data_out_where_that_is_set(start: StartService, http: httpx.Client) -> None:
    """As the metadata route does (section 7.2)."""
    with start({"DICOM_BULK_DATA": "omit"}) as service:
        archive = Archive(http, service.url, None)
        image = make_image()
        archive.keep(image)

        (entry,) = entries(archive)
        latest = feed(archive, "/latest").json()

        assert [entry["metadata"]] == archive.metadata(image.path)
        assert "7FE00010" not in entry["metadata"]
        assert latest == entry


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", ["includeMetadata", "includemetadata", "INCLUDEMETADATA"])
def test_metadata_stay_out_when_told_so(fresh: Archive, name: str, version: str) -> None:
    """Section 10.1: names of parameters count without case; in when told so, or not told."""
    fresh.keep(make())
    mine = f"?partition={fresh.partition}"

    (entry,) = entries(fresh, f"{mine}&{name}=false", version)
    (whole,) = entries(fresh, f"{mine}&{name}=True", version)
    (by_default,) = entries(fresh, mine, version)

    assert "metadata" not in entry
    assert whole == {**entry, "metadata": whole["metadata"]} == by_default
    assert "metadata" not in feed(fresh, f"/latest?{name}=false", version).json()
    assert "metadata" in feed(fresh, f"/latest?{name}=true", version).json()


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "query",
    [
        "offset=-1",
        "offset=x",
        "offset=9223372036854775808",
        "offset=1.5",
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=ten",
        "limit=",
        "limit=9223372036854775808",
        "includeMetadata=0",
        "includeMetadata=true-ish",
        "includeMetadata=",
        "limit=1&limit=2",
        "action=made",
        "study=abc",
        "partition=a%2Fb",
        "partition=nobody-made-this",
        "after=nonsense",
        "after=MS4wLjAwMDAwMDAw",
    ],
)
def test_impossible_values_are_refused(alone: Archive, version: str, query: str) -> None:
    """Section 10.1, rejections; plain text that names the parameter (section 1.7)."""
    answer = feed(alone, f"?{query}", version)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert query.partition("=")[0].lower() in answer.text.lower() or "UID" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "startTime=2024-01-31T12:00:00",
        "startTime=2024-01-31",
        "startTime=now",
        "startTime=2024-02-31T12:00:00Z",
        "startTime=2024-01-31T25:00:00Z",
        "startTime=2024-01-31T12:00:00.12345678Z",
        "startTime=0001-01-01T00:00:00%2B01:00",
        "endTime=2024-01-31T12:00:00",
        "endTime=",
        "startTime=2024-01-31T12:00:00Z&endTime=2024-01-31T12:00:00Z",
        "startTime=2024-01-31T12:00:00.0000001Z&endTime=2024-01-31T12:00:00Z",
        "startTime=2024-01-31T12:00:00Z&endTime=2024-01-31T12:30:00%2B01:00",
    ],
)
def test_times_must_be_times_with_a_zone_and_in_order(alone: Archive, query: str) -> None:
    """Section 10.1, rejections of v2."""
    answer = feed(alone, f"?{query}")

    assert answer.status_code == 400
    assert "Time" in answer.text


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "query",
    [
        "limit=%EF%BC%91",
        "offset=%D9%A1",
        "limit=1e2",
        "limit=0x10",
        "limit=%00",
        f"offset={'9' * 5000}",
        "includeMetadata=%00true",
        "includeMetadata=true&includeMetadata=false",
        "study=1.2%00.3",
        "study=%27%20or%20true",
        f"study={'1' * 65}",
        "study=",
        "action=create%0aX",
        "action=",
        "partition=%27",
        "partition=%00",
        "partition=",
        "partition=..%2F..",
        f"partition={'a' * 65}",
        f"after={'A' * 5000}",
        "after=%C3%A9",
        "after=",
        "after=a&after=b",
        "x=%FF",
    ],
)
def test_hostile_values_are_refused_as_others_are(alone: Archive, version: str, query: str) -> None:
    """Section 10.1, rejections: never a fault of ours, and nothing of the value in the text (section 1.7)."""
    answer = feed(alone, f"?{query}", version)

    assert answer.status_code == 400
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert len(answer.text) < 200
    assert "\0" not in answer.text


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("place", [Place(2**63 - 1), Place(10**25), Place(10**6, 10**25), Place(0, 10**6)])
def test_a_place_far_behind_the_end_is_one(alone: Archive, version: str, place: Place) -> None:
    """A token that nobody was given: there is nothing yet, and its link leads to the same place."""
    token = render_token(place)

    answer = feed(alone, f"?after={token}&limit=3", version)

    assert answer.status_code == 200
    assert answer.json() == []


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("value", ["0", "true-ish", "", "1", "yes"])
def test_latest_refuses_what_is_neither_true_nor_false(alone: Archive, version: str, value: str) -> None:
    """Section 10.1, rejections: `latest` has this parameter too."""
    answer = feed(alone, f"/latest?includeMetadata={value}", version)

    assert answer.status_code == 400
    assert "includeMetadata" in answer.text


def test_the_version_before_the_first_is_as_the_first(fresh: Archive) -> None:
    """Section 20, last row: `v1.0-prerelease` behaves as v1."""
    before = last(fresh)
    fresh.keep(*series_of(12))

    found = entries(fresh, f"?offset={before}&includeMetadata=false", "v1.0-prerelease")

    assert [entry["sequence"] for entry in found] == list(range(before + 1, before + 11))
    refused = feed(fresh, "?limit=101", "v1.0-prerelease")
    assert (refused.status_code, refused.text) == (400, feed(fresh, "?limit=101", "v1").text)


@pytest.mark.parametrize(
    ("version", "text"),
    [
        ("v1", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 100."),
        ("v2", "The query parameter 'Limit' is invalid. The field Limit must be between 1 and 200."),
    ],
)
def test_the_limit_is_refused_in_the_words_of_the_register(alone: Archive, version: str, text: str) -> None:
    """Section 23, L-07; section 20: v1 gives 100 at the most, v2 200."""
    assert feed(alone, "?limit=201", version).text == text


def test_a_smaller_than_sign_is_refused_first(alone: Archive) -> None:
    """Section 1.8."""
    assert feed(alone, "?x=%3Cscript").status_code == 400


def test_the_feed_takes_no_partition_and_knows_its_versions(alone: Archive) -> None:
    """Sections 1.1, 1.2 and 15."""
    assert alone.http.get(f"{alone.host}/v2/partitions/a/changefeed").status_code == 404
    assert feed(alone, version="v3").status_code == 404
    assert feed(alone, version="v1.0-prerelease").status_code == 200
    assert alone.http.post(f"{alone.host}/v2/changefeed").status_code in (404, 405)


def test_head_gives_the_headers_alone(fresh: Archive) -> None:
    """Clients probe with HEAD."""
    fresh.keep(make())

    answer = fresh.http.head(f"{fresh.host}/v2/changefeed")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.content == b""


# Section 10.3: states


def test_states_of_what_is_stored_deleted_and_stored_again(fresh: Archive) -> None:
    """Section 10.3: Create, Delete, Create gives Replaced, Replaced, Current."""
    image = make_image()
    fresh.keep(image)
    assert told(of(fresh)) == [("Create", "Current")]

    fresh.delete(image.path)
    deleted = of(fresh)
    fresh.keep(image)
    stored_again = of(fresh)

    assert told(deleted) == [("Create", "Deleted"), ("Delete", "Deleted")]
    assert not any("metadata" in entry for entry in deleted)
    assert told(stored_again) == [("Create", "Replaced"), ("Delete", "Replaced"), ("Create", "Current")]


def test_states_of_what_is_updated(fresh: Archive) -> None:
    """Section 10.3: older entries become Replaced and carry the metadata of the current version."""
    first = make_image(PatientID="before")
    fresh.keep(first)
    upsert(fresh, again(first, PatientID="between"))
    upsert(fresh, again(first, PatientID="after"))

    found = of(fresh)

    assert told(found) == [("Create", "Replaced"), ("Update", "Replaced"), ("Update", "Current")]
    current = fresh.metadata(first.path)
    assert [entry["metadata"] for entry in found] == current * 3
    fresh.delete(first.path)
    assert told(of(fresh)) == [(action, "Deleted") for action in ("Create", "Update", "Update", "Delete")]


def test_the_same_uids_in_another_partition_are_another_instance(alone: Archive, fresh: Archive) -> None:
    """Section 10.3: of the same UIDs in that partition."""
    other = Archive.fresh(alone.http, alone.host)
    image = make()
    fresh.keep(image)
    other.keep(image)

    other.delete(image.path)

    assert told(of(fresh)) == [("Create", "Current")]
    assert told(of(other)) == [("Create", "Deleted"), ("Delete", "Deleted")]


def test_every_instance_of_a_deleted_study_has_its_entry(fresh: Archive) -> None:
    """Section 10.4: one entry a change of an instance."""
    images = series_of(3)
    fresh.keep(*images)
    fresh.delete(f"studies/{images[0].study}")

    found = of(fresh)

    assert told(found) == [("Create", "Deleted")] * 3 + [("Delete", "Deleted")] * 3
    assert len({entry["sopInstanceUid"] for entry in found}) == 3


def test_what_was_refused_has_no_entry(fresh: Archive) -> None:
    """Section 10.4: entries appear only after the commit."""
    image = make()
    fresh.keep(image)

    fresh.store(image)
    fresh.store(make(PatientID="P1", SOPInstanceUID="1.2.abc"))

    assert told(of(fresh)) == [("Create", "Current")]


# Section 10.4: order and semantics


def test_a_create_is_visible_when_the_store_is_answered(fresh: Archive) -> None:
    """Sections 10.4 and 21 (T): no later than the STOW response, whatever the background does."""
    for number in range(1, 9):
        fresh.keep(make())

        assert len(of(fresh, "&includeMetadata=false")) == number


def test_a_delete_is_visible_when_it_is_answered(fresh: Archive) -> None:
    """Section 21: a response means that the feed sees it."""
    image = make()
    fresh.keep(image)

    fresh.delete(image.path)

    latest = feed(fresh, "/latest").json()
    assert (latest["action"], latest["sopInstanceUid"]) == ("Delete", image.instance)


def test_many_storers_at_once_see_their_own(fresh: Archive) -> None:
    """Section 21, read-your-write, with one writer and many readers at once."""

    def store_and_look(_: int) -> list[Entry]:
        image = make()
        fresh.keep(image)
        return entries(fresh, f"?study={image.study}&includeMetadata=false")

    with ThreadPoolExecutor(6) as threads:
        seen = list(threads.map(store_and_look, range(12)))

    assert [told(found) for found in seen] == [[("Create", "Current")]] * 12
    sequences = [entry["sequence"] for entry in of(fresh)]
    assert len(set(sequences)) == 12


def test_an_instance_stored_twice_at_once_has_one_entry(fresh: Archive) -> None:
    """Section 21, concurrency: one wins, the others get 45070 or 45071."""
    image = make()

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: fresh.store(image), range(4)))

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    reasons = {
        item["00081197"]["Value"][0]
        for answer in answers
        if answer.status_code == 409
        for item in answer.json()["00081198"]["Value"]
    }
    assert reasons <= {45070, 45071}
    assert told(of(fresh)) == [("Create", "Current")]


def test_a_request_is_no_transaction(fresh: Archive) -> None:
    """Section 21, atomicity: one instance at a time; those that are stored have their entries."""
    good, bad = make(), make(SOPInstanceUID="1.2.abc")

    answer = fresh.store(good, bad)

    assert answer.status_code == 202
    assert [entry["sopInstanceUid"] for entry in of(fresh)] == [good.instance]


def test_a_delete_during_stores_has_its_place_among_them(fresh: Archive) -> None:
    """Section 21: the outcome is one of the two orders, and the feed tells which."""
    images = series_of(6)
    fresh.keep(images[0])

    with ThreadPoolExecutor(6) as threads:
        storing = [threads.submit(fresh.store, image) for image in images[1:]]
        deleting = threads.submit(fresh.ask, "DELETE", f"studies/{images[0].study}")
        statuses = {each.result().status_code for each in storing}

    assert deleting.result().status_code == 204
    assert statuses <= {200, 409, 503}
    found = of(fresh, "&includeMetadata=false")
    for image in images:
        mine = [entry for entry in found if entry["sopInstanceUid"] == image.instance]
        is_there = fresh.ask("GET", f"{image.path}/metadata", JSON).status_code == 200
        assert [entry["action"] for entry in mine] in (["Create"], ["Create", "Delete"], [])
        assert {entry["state"] for entry in mine} <= {"Current" if is_there else "Deleted"}
        assert bool(mine and mine[-1]["action"] == "Create") == is_there


def test_times_are_those_of_the_server_in_utc(fresh: Archive) -> None:
    """Section 21, clock: what a client says of time does not matter."""
    began = datetime.now(UTC)
    fresh.keep(make(InstanceCreationDate="19990101", InstanceCreationTime="000000"))
    (entry,) = of(fresh)

    assert began <= time_of(entry) <= datetime.now(UTC)


def test_v1_windows_are_of_sequences(fresh: Archive) -> None:
    """Section 10.1: offset is exclusive, limit bounds the sequences."""
    before = last(fresh)
    fresh.keep(*series_of(5))

    found = entries(fresh, f"?offset={before + 1}&limit=3", "v1")

    assert [entry["sequence"] for entry in found] == [before + 2, before + 3, before + 4]
    assert entries(fresh, f"?offset={before + 5}&limit=3", "v1") == []
    assert entries(fresh, f"?offset={2**63 - 1}", "v1") == []
    assert entries(fresh, "", "v1")[0]["sequence"] == 1


def test_v1_gives_ten_by_default_and_v2_a_hundred(fresh: Archive) -> None:
    """Section 10.1."""
    before = last(fresh)
    fresh.keep(*series_of(101))

    assert len(entries(fresh, f"?offset={before}&includeMetadata=false", "v1")) == 10
    assert len(entries(fresh, f"?offset={before}&includeMetadata=false", "v2")) == 100
    assert len(entries(fresh, f"?offset={before}&includeMetadata=false&limit=200", "v2")) == 101


def test_v1_times_are_no_parameters(fresh: Archive) -> None:
    """Section 10.1: v1 has none, and what a version does not know is passed over."""
    fresh.keep(make())

    assert entries(fresh, "?startTime=2999-01-01T00:00:00Z", "v1") != []
    assert entries(fresh, "?endTime=nonsense", "v1") != []
    token = next_of(feed(fresh, "?limit=1"))
    assert feed(fresh, f"{token}&startTime=2999-01-01T00:00:00Z", "v1").status_code == 200


def test_v2_windows_are_of_times(fresh: Archive) -> None:
    """Section 10.1: start inclusive, end exclusive, offset skips within, limit counts entries."""
    keep_apart(fresh, make(), make(), make(), make())
    first, second, third, fourth = of(fresh)
    between = window(second["timestamp"], fourth["timestamp"])

    assert [entry["sequence"] for entry in entries(fresh, between)] == [
        second["sequence"],
        third["sequence"],
    ]
    assert [entry["sequence"] for entry in entries(fresh, f"{between}&offset=1")] == [third["sequence"]]
    assert entries(fresh, f"{between}&offset=2") == []
    assert [entry["sequence"] for entry in entries(fresh, f"{between}&limit=1")] == [second["sequence"]]
    assert first["sequence"] < second["sequence"]


def test_v2_times_count_to_the_last_digit(fresh: Archive) -> None:
    """Section 1.6: seven digits; a tenth of a microsecond later is later."""
    fresh.keep(make())
    (entry,) = of(fresh)
    at = entry["timestamp"]
    later = f"{at[:-2]}1Z"

    assert [each["sequence"] for each in entries(fresh, window(at, later))] == [entry["sequence"]]
    assert entries(fresh, window(later, "9999-12-31T23:59:59.9999999Z")) == []


def test_v2_times_may_have_any_zone(fresh: Archive) -> None:
    """Section 10.1: date-time with zone; a plus sign may have come as a blank."""
    fresh.keep(make())
    (entry,) = of(fresh)
    at = time_of(entry)
    there = (at + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f+02:00")

    for text in (quote(there), there):
        assert [each["sequence"] for each in entries(fresh, f"?startTime={text}")] == [entry["sequence"]]


def test_v2_default_window_is_all_of_time(fresh: Archive) -> None:
    """Section 10.1: minimum and maximum time, as .NET clients send them."""
    fresh.keep(make())
    whole = window("0001-01-01T00:00:00.0000000+00:00", "9999-12-31T23:59:59.9999999+00:00")

    assert entries(fresh, f"{whole}&limit=3") == entries(fresh, "?limit=3")


def test_order_is_that_of_sequence_and_of_time(fresh: Archive) -> None:
    """Section 10.4: v1 by sequence, v2 by timestamp then sequence: the same here."""
    fresh.keep(*series_of(3))
    fresh.keep(make())

    found = entries(fresh, "?limit=200&includeMetadata=false")

    assert [entry["sequence"] for entry in found] == list(range(1, len(found) + 1))
    assert [time_of(entry) for entry in found] == sorted(time_of(entry) for entry in found)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_latest_is_the_last_entry(fresh: Archive, version: str) -> None:
    """Section 10.4: one object, with metadata unless told otherwise."""
    image = make()
    fresh.keep(make())
    fresh.keep(image)

    latest = feed(fresh, "/latest", version).json()

    assert latest["sopInstanceUid"] == image.instance
    assert latest["sequence"] == last(fresh)
    assert latest["metadata"]["00080018"]["Value"] == [image.instance]


def test_the_same_window_gives_the_same_entries_for_ever(fresh: Archive) -> None:
    """Section 10.4: append-only. States may change, entries do not."""
    images = [make() for _ in range(3)]
    for image in images:
        fresh.keep(image)
    first, *_, fourth = [*of(fresh), {"timestamp": datetime.now(UTC).isoformat()}]
    query = window(first["timestamp"], fourth["timestamp"], "&includeMetadata=false")
    before = entries(fresh, query)

    fresh.delete(images[0].path)
    upsert(fresh, again(images[1]))
    fresh.keep(make())
    after = entries(fresh, query)

    assert [entry["state"] for entry in before] == ["Current"] * 3
    assert [entry["state"] for entry in after] == ["Deleted", "Replaced", "Current"]
    unchanged = [{**entry, "state": ""} for entry in after]
    assert unchanged == [{**entry, "state": ""} for entry in before]


def test_the_feed_is_of_all_partitions(alone: Archive, fresh: Archive) -> None:
    """Section 10.4: cross-partition."""
    before = last(alone)
    alone.keep(make())
    fresh.keep(make())

    found = entries(alone, f"?offset={before}", "v1")

    assert [entry["partitionName"] for entry in found] == ["Microsoft.Default", fresh.partition]


# Section 10.5: the loops of clients


def test_the_loop_of_v1_finds_everything(fresh: Archive) -> None:
    """Section 10.5: the last sequence is the next offset."""
    position = last(fresh)
    images = series_of(7)
    fresh.keep(*images)

    seen = []
    while found := entries(fresh, f"?offset={position}&limit=3&includeMetadata=false", "v1"):
        seen += [entry["sopInstanceUid"] for entry in found]
        position = found[-1]["sequence"]

    assert sorted(seen) == sorted(image.instance for image in images)


def test_the_loop_of_v2_finds_everything(fresh: Archive) -> None:
    """Section 10.5: page within a window until fewer than the limit come back."""
    start_time = datetime.now(UTC).isoformat()
    images = series_of(7)
    fresh.keep(*images)
    end_time = datetime.now(UTC) + timedelta(hours=1)

    seen: list[str] = []
    found: list[Entry] = [{}] * 3
    while len(found) == 3:
        query = window(start_time, end_time.isoformat(), f"&offset={len(seen)}&limit=3&includeMetadata=false")
        found = entries(fresh, query)
        seen += [entry["sopInstanceUid"] for entry in found]

    assert sorted(seen) == sorted(image.instance for image in images)


# What it costs


def test_a_page_of_two_hundred_with_metadata_takes_a_handful_of_calls(fresh: Archive) -> None:
    """Grouped by series, with what the feed and the list of announcements take."""
    before = last(fresh)
    images = series_of(200)
    fresh.keep(*images)
    last(fresh)

    answer = feed(fresh, f"?offset={before}&limit=200")

    found = answer.json()
    assert sorted(entry["sopInstanceUid"] for entry in found) == sorted(image.instance for image in images)
    assert all(entry["metadata"]["00080018"]["Value"] == [entry["sopInstanceUid"]] for entry in found)
    assert calls(answer) <= 5


def test_entries_spread_over_a_large_series_are_found(fresh: Archive) -> None:
    """Others lie between them: a bounded reading, and the rest one by one."""
    images = series_of(150)
    fresh.keep(*images[1:149])
    between = last(fresh)
    fresh.keep(images[0], images[149])

    answer = feed(fresh, f"?offset={between}")

    assert {entry["sopInstanceUid"] for entry in answer.json()} == {images[0].instance, images[149].instance}
    assert told(answer.json()) == [("Create", "Current")] * 2
    rows = int(answer.headers["x-storage-calls"].partition("rows=")[2])
    assert rows < 40


def test_a_time_is_found_in_few_calls_and_then_remembered(fresh: Archive) -> None:
    """Section 10.1: the start of a window costs no walk through the feed."""
    fresh.keep(make())
    (entry,) = of(fresh)
    query = f"?startTime={quote(entry['timestamp'])}&limit=1&includeMetadata=false"

    once, twice = feed(fresh, query), feed(fresh, query)

    assert once.json() == twice.json()
    assert calls(once) <= 7
    assert calls(twice) == 3


# Ours: resume tokens


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_pages_are_linked(fresh: Archive, version: str) -> None:
    """`Link: rel="next"`, with the parameters that still matter; the last one goes on later."""
    before = last(fresh)
    images = series_of(5)
    fresh.keep(*images)

    query, seen = f"?offset={before}&limit=2&includeMetadata=false", []
    for _ in range(4):
        answer = feed(fresh, query, version)
        assert len(answer.json()) <= 2
        assert all("metadata" not in entry for entry in answer.json())
        seen += [entry["sopInstanceUid"] for entry in answer.json()]
        query = next_of(answer)
    assert seen == [entry["sopInstanceUid"] for entry in of(fresh)]
    fresh.keep(make())

    (entry,) = entries(fresh, query, version)

    assert entry["sequence"] == before + 6


def test_a_link_names_the_service_as_the_client_does(fresh: Archive) -> None:
    """Section 1.10."""
    answer = feed(fresh, "?limit=1", X_Forwarded_Host="pacs.example.org", X_Forwarded_Proto="https")

    assert answer.headers["Link"].startswith("<https://pacs.example.org/v2/changefeed?limit=1&after=")


def test_a_window_that_is_over_has_no_next_page(fresh: Archive) -> None:
    """Nothing can follow; before, something can."""
    keep_apart(fresh, make(), make(), make())
    first, _, third = of(fresh)
    query = window(first["timestamp"], third["timestamp"], "&limit=1")

    one = feed(fresh, query)
    two = feed(fresh, next_of(one))
    over = feed(fresh, next_of(two))
    past = feed(fresh, "?endTime=2024-01-31T12:00:00Z")

    assert [len(answer.json()) for answer in (one, two, over, past)] == [1, 1, 0, 0]
    assert "Link" not in over.headers
    assert "Link" not in past.headers


@pytest.mark.parametrize("other", ["offset=0", "startTime=2024-01-31T12:00:00Z"])
def test_a_token_says_where_to_begin_and_nothing_else_may(fresh: Archive, other: str) -> None:
    """Two places at once are none."""
    query = next_of(feed(fresh, "?limit=1"))

    assert feed(fresh, f"{query}&{other}").status_code == 400


# Ours: filters


def test_entries_are_found_by_study_action_and_partition(fresh: Archive) -> None:
    """All that are given must fit."""
    first, second = make(), make()
    fresh.keep(first)
    fresh.keep(second)
    fresh.delete(first.path)

    by_study = entries(fresh, f"?study={first.study}")
    by_action = of(fresh, "&action=CREATE")
    by_both = of(fresh, f"&action=Delete&study={first.study}")

    assert told(by_study) == [("Create", "Deleted"), ("Delete", "Deleted")]
    assert [entry["sopInstanceUid"] for entry in by_action] == [first.instance, second.instance]
    assert told(by_both) == [("Delete", "Deleted")]
    assert of(fresh, "&action=update") == []


def test_filters_work_with_windows_and_pages(fresh: Archive) -> None:
    """Offset and limit count the entries that fit, and the place is kept from page to page."""
    for _ in range(3):
        keep_apart(fresh, make())
        keep_apart(Archive.fresh(fresh.http, fresh.host), make())
    first, second, third = (entry["sequence"] for entry in of(fresh))
    times = [entry["timestamp"] for entry in of(fresh)]
    mine = f"&partition={fresh.partition}&includeMetadata=false"

    skipped = entries(fresh, f"?offset=1&limit=1{mine}")
    one = feed(fresh, f"?limit=2{mine}")
    two = entries(fresh, next_of(one))
    windowed = feed(fresh, window(times[1], times[2], mine))

    assert [entry["sequence"] for entry in skipped] == [second]
    assert [entry["sequence"] for entry in one.json()] == [first, second]
    assert [entry["sequence"] for entry in two] == [third]
    assert [entry["sequence"] for entry in windowed.json()] == [second]
    assert "Link" not in windowed.headers


# Ours: long poll


def test_who_waits_hears_of_a_change_at_once(fresh: Archive) -> None:
    """`Prefer: wait`, RFC 7240 section 4.3: long before the time is over."""
    query = after_all(fresh)
    image = make()
    stored_at: list[float] = []

    def store_soon() -> None:
        time.sleep(0.5)  # the reader is to be waiting by then
        fresh.keep(image)
        stored_at.append(time.monotonic())

    storing = threading.Thread(target=store_soon)
    storing.start()
    answer = feed(fresh, query, Prefer="respond-async, wait=25")
    heard = time.monotonic()
    storing.join()

    assert [entry["sopInstanceUid"] for entry in answer.json()] == [image.instance]
    assert answer.headers["Preference-Applied"] == "wait"
    assert heard - stored_at[0] < LONG_BEFORE_SECONDS


def after_all(archive: Archive) -> str:
    """A query for what comes from now on."""
    return next_of(feed(archive, f"?offset={last(archive)}"))


def test_who_waits_hears_of_what_another_process_did(
    new_account: NewAccount, http: httpx.Client, tmp_path: Path
) -> None:
    """Its stores leave announcements, and its entries stand in the feed: both are looked for."""
    account, off = new_account(), {"AzureWebJobs.emit_changes.Disabled": "true"}
    with (
        start_service(0, account, settings=off, log=tmp_path / "one") as one,
        start_service(0, account, settings=off, log=tmp_path / "two") as two,
        ThreadPoolExecutor(1) as threads,
    ):
        here, there = Archive(http, one.url, None), Archive(http, two.url, None)
        query = after_all(here)
        for enters_itself in (False, True):
            waiting = threads.submit(feed, here, query, Prefer="wait=25")
            there.keep(make())
            if enters_itself:
                last(there)
            began = time.monotonic()
            answer = waiting.result()

            assert len(answer.json()) == 1
            assert time.monotonic() - began < LONG_BEFORE_SECONDS
            query = next_of(answer)


def test_who_waits_in_vain_gets_an_empty_list_and_the_place_to_go_on(fresh: Archive) -> None:
    """One cheap call a second at the most."""
    query = after_all(fresh)

    began = time.monotonic()
    answer = feed(fresh, query, Prefer="wait=3")
    took = time.monotonic() - began

    assert answer.json() == []
    assert next_of(answer) == query
    assert took > 2.9
    assert calls(answer) <= 2 + 2 + 3


def test_nobody_waits_for_what_is_there_or_cannot_come(fresh: Archive) -> None:
    """With entries to give, and in a window that is over."""
    fresh.keep(make())
    began = time.monotonic()

    there = feed(fresh, "?limit=1", Prefer="wait=25")
    never = feed(fresh, "?endTime=2024-01-31T12:00:00Z", Prefer="wait=25")

    assert len(there.json()) == 1
    assert never.json() == []
    assert time.monotonic() - began < LONG_BEFORE_SECONDS


@pytest.mark.parametrize(
    "prefer", ["wait=0", 'wait="20"', f"wait={10**9 - 1}", "return=minimal; x=1, wait=5"]
)
def test_a_wait_is_understood_however_long(fresh: Archive, prefer: str) -> None:
    """RFC 7240 section 4.3; what is there is given at once."""
    fresh.keep(make())

    answer = feed(fresh, "?limit=1", Prefer=prefer)

    assert len(answer.json()) == 1
    assert answer.headers["Preference-Applied"] == "wait"


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "return=minimal", f"wait={'9' * 5000}"])
def test_a_preference_that_is_none_is_passed_over(fresh: Archive, prefer: str) -> None:
    """RFC 7240 section 2: never an error."""
    answer = feed(fresh, after_all(fresh), Prefer=prefer)

    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers


def test_waiting_ends_when_the_client_leaves(
    start: StartService, http: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its log line comes long before the time it was ready to wait for."""
    with start({}) as service:
        archive = Archive(http, service.url, None)
        with pytest.raises(httpx.ReadTimeout), httpx.Client(timeout=1) as hasty:
            hasty.get(f"{archive.host}/v2/changefeed", headers={"Prefer": "wait=25"})
        log = max(tmp_path_factory.getbasetemp().glob("service*/log"), key=lambda file: file.stat().st_mtime)
        deadline = time.monotonic() + 10
        while "status=499" not in log.read_text():
            assert time.monotonic() < deadline, "the request goes on without its client"
            time.sleep(0.1)
