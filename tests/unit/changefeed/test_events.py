"""Events as values: API rules section 17."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.changefeed.events import CLOUD_EVENTS, EVENT_GRID, Source, event_id, make_event
from tests.unit.changefeed.conftest import NOON, entry

HOST = "pacs.example.org"
DEFAULT = "Microsoft.Default"
SUBJECT = f"{HOST}/v1/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.7"
DATA = {
    "partitionName": DEFAULT,
    "imageStudyInstanceUid": "1.2.3",
    "imageSeriesInstanceUid": "1.2.3.4",
    "imageSopInstanceUid": "1.2.3.4.7",
    "serviceHostName": HOST,
    "sequenceNumber": 7,
}


def test_an_event_of_event_grid() -> None:
    """Section 17, first table: these members and no others."""
    event = make_event(entry(7), DEFAULT, Source(EVENT_GRID, "/subscriptions/1", HOST))

    assert event == {
        "id": event_id(entry(7)),
        "topic": "/subscriptions/1",
        "subject": SUBJECT,
        "eventType": "Microsoft.HealthcareApis.DicomImageCreated",
        "eventTime": "2024-01-31T12:00:00.0000000Z",
        "data": DATA,
        "dataVersion": "1",
        "metadataVersion": "1",
    }


def test_an_event_without_topic_leaves_it_to_event_grid() -> None:
    """Event Grid refuses a topic that is not its own."""
    assert "topic" not in make_event(entry(7), DEFAULT, Source(EVENT_GRID, "", HOST))


def test_a_cloud_event() -> None:
    """Section 17: id, source, specversion, type, subject, time, data."""
    event = make_event(entry(7), DEFAULT, Source(CLOUD_EVENTS, "/subscriptions/1", HOST))

    assert event == {
        "id": event_id(entry(7)),
        "source": "/subscriptions/1",
        "specversion": "1.0",
        "type": "Microsoft.HealthcareApis.DicomImageCreated",
        "subject": SUBJECT,
        "time": "2024-01-31T12:00:00.0000000Z",
        "datacontenttype": "application/json",
        "data": DATA,
    }


def test_a_cloud_event_always_has_a_source() -> None:
    """CloudEvents 1.0: it must not be empty."""
    assert make_event(entry(7), DEFAULT, Source(CLOUD_EVENTS, "", HOST))["source"] == f"https://{HOST}"


def test_the_host_of_an_event_is_a_host_only() -> None:
    """Section 17: `serviceHostName`; the subject is an address without scheme, and has the port."""
    event = make_event(entry(7), DEFAULT, Source(EVENT_GRID, "", f"{HOST}:8443"))

    assert event["data"] == DATA
    assert event["subject"] == SUBJECT.replace(HOST, f"{HOST}:8443")


@pytest.mark.parametrize(
    ("action", "word"), [("create", "Created"), ("update", "Updated"), ("delete", "Deleted")]
)
def test_what_happened_is_in_the_type(action: str, word: str) -> None:
    """Section 17: three types."""
    event = make_event(entry(7, action=action), DEFAULT, Source(EVENT_GRID, "", HOST))

    assert event["eventType"] == f"Microsoft.HealthcareApis.DicomImage{word}"


def test_another_partition_is_in_the_subject() -> None:
    """Section 17: included only if the feature is on."""
    event = make_event(entry(7), "Clinic", Source(EVENT_GRID, "", HOST))

    assert event["subject"] == SUBJECT.replace("/v1/", "/v1/partitions/Clinic/")
    assert event["data"] == {**DATA, "partitionName": "Clinic"}


def test_ids_are_guids_that_never_change() -> None:
    """Section 17: consumers de-duplicate by them."""
    first = entry(7)

    assert str(UUID(event_id(first))) == event_id(first)
    assert event_id(replace(first, time=NOON + timedelta(days=1))) == event_id(first)


def test_ids_of_other_entries_and_other_archives_differ() -> None:
    """Two archives have the same sequences, and no common versions."""
    first = entry(7)
    others = [replace(first, sequence=8), replace(first, change=1), replace(first, version=1)]

    assert len({event_id(each) for each in (first, *others)}) == 4
