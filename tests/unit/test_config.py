"""Settings: read once, and a wrong one is told by name."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.config import EventSettings, Settings, WrongSetting, read_settings

DEFAULTS = Settings(
    public_url="",
    max_request_bytes=4 * 1024**3,
    max_upload_bytes=32 * 1024**3,
    upload_lifetime=timedelta(hours=1),
    accept_identical=False,
    requires_accept=False,
    omits_bulk=False,
    empty_search_is_array=False,
    inline_bulk_bytes=0,
    retention=timedelta(days=3),
    grace=timedelta(minutes=15),
    show_storage_calls=False,
    events=EventSettings("", "", "eventgrid", "", "localhost", datetime(1970, 1, 1, tzinfo=UTC)),
)


def test_nothing_has_to_be_set() -> None:
    """Blank is as good as absent."""
    assert read_settings({}) == DEFAULTS
    assert read_settings({"DICOM_PUBLIC_URL": " ", "DICOM_MAX_REQUEST_BYTES": ""}) == DEFAULTS


def test_everything_can_be_set() -> None:
    """Blanks around a value do not matter."""
    environment = {
        "DICOM_PUBLIC_URL": " https://pacs.example.org/dicom/ ",
        "DICOM_MAX_REQUEST_BYTES": "1000",
        "DICOM_MAX_UPLOAD_BYTES": "2000",
        "DICOM_UPLOAD_SECONDS": "60",
        "DICOM_ACCEPT_IDENTICAL": "1",
        "DICOM_REQUIRE_ACCEPT": "true",
        "DICOM_BULK_DATA": "omit",
        "DICOM_EMPTY_SEARCH": "Array",
        "DICOM_INLINE_BULK_BYTES": "65536",
        "DICOM_RETENTION_SECONDS": "0",
        "DICOM_GRACE_SECONDS": "2.5",
        "DICOM_SHOW_STORAGE_CALLS": "True",
        "EVENTS_TOPIC_ENDPOINT": "https://t.eventgrid.azure.net/api/events",
        "EVENTS_SCHEMA": "CloudEvents",
        "EVENTS_TOPIC": "/subscriptions/1",
        "EVENTS_FROM": "2024-01-31T13:00:00+01:00",
        "WEBSITE_HOSTNAME": "app.azurewebsites.net",
        "OTHER": "x",
    }

    assert read_settings(environment) == Settings(
        public_url="https://pacs.example.org/dicom",
        max_request_bytes=1000,
        max_upload_bytes=2000,
        upload_lifetime=timedelta(minutes=1),
        accept_identical=True,
        requires_accept=True,
        omits_bulk=True,
        empty_search_is_array=True,
        inline_bulk_bytes=65536,
        retention=timedelta(0),
        grace=timedelta(seconds=2.5),
        show_storage_calls=True,
        events=EventSettings(
            topic_endpoint="https://t.eventgrid.azure.net/api/events",
            sink_url="",
            schema="cloudevents",
            topic="/subscriptions/1",
            host="pacs.example.org",
            begin=datetime(2024, 1, 31, 12, tzinfo=UTC),
        ),
    )


def test_events_go_to_one_place_only() -> None:
    """A second one would need a place in the feed of its own."""
    both = {"EVENTS_TOPIC_ENDPOINT": "https://t.example.org", "EVENTS_SINK_URL": "http://sink?key=1"}

    with pytest.raises(WrongSetting, match=r"^EVENTS_SINK_URL must be left out"):
        read_settings(both)


def test_events_name_the_host_that_the_platform_gives_where_none_is_set() -> None:
    """Azure tells an app its name."""
    assert read_settings({"WEBSITE_HOSTNAME": "app.azurewebsites.net"}).events.host == "app.azurewebsites.net"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DICOM_PUBLIC_URL", "pacs.example.org"),
        ("DICOM_PUBLIC_URL", "ftp://pacs.example.org"),
        ("DICOM_PUBLIC_URL", "https://"),
        ("DICOM_PUBLIC_URL", "https://pacs.example.org/?x=y"),
        ("DICOM_PUBLIC_URL", "https://pacs.example.org/#x"),
        ("DICOM_MAX_REQUEST_BYTES", "0"),
        ("DICOM_MAX_REQUEST_BYTES", "-1"),
        ("DICOM_MAX_REQUEST_BYTES", "4 GB"),
        ("DICOM_MAX_REQUEST_BYTES", "1e9"),
        ("DICOM_MAX_UPLOAD_BYTES", "0"),
        ("DICOM_BULK_DATA", "inline"),
        ("DICOM_EMPTY_SEARCH", "200"),
        ("DICOM_INLINE_BULK_BYTES", "-1"),
        ("DICOM_INLINE_BULK_BYTES", "65537"),
        ("DICOM_INLINE_BULK_BYTES", "1 KB"),
        ("DICOM_UPLOAD_SECONDS", "0.5"),
        ("DICOM_UPLOAD_SECONDS", "518401"),
        ("DICOM_RETENTION_SECONDS", "-1"),
        ("DICOM_RETENTION_SECONDS", "inf"),
        ("DICOM_RETENTION_SECONDS", "nan"),
        ("DICOM_RETENTION_SECONDS", "3 days"),
        ("DICOM_GRACE_SECONDS", "1e11"),
        ("DICOM_SHOW_STORAGE_CALLS", "yes"),
        ("EVENTS_TOPIC_ENDPOINT", "http://t.example.org"),
        ("EVENTS_SINK_URL", "sink.example.org"),
        ("EVENTS_SINK_URL", "?key=secret"),
        ("EVENTS_SCHEMA", "xml"),
        ("EVENTS_FROM", "yesterday"),
        ("EVENTS_FROM", "2024-01-31T12:00:00"),
        ("EVENTS_FROM", "0001-01-01T00:00:00+01:00"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_its_name(name: str, value: str) -> None:
    """And not by its value, which may be a secret in the wrong place."""
    with pytest.raises(WrongSetting, match=f"^{name} must be ") as wrong:
        read_settings({name: value})
    assert value not in str(wrong.value) or value in ("0", "-1")
