"""Settings: read once, and a wrong one is told by name."""

from datetime import timedelta

import pytest

from shared.config import Settings, WrongSetting, read_settings

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
    )


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
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_its_name(name: str, value: str) -> None:
    """And not by its value, which may be a secret in the wrong place."""
    with pytest.raises(WrongSetting, match=f"^{name} must be ") as wrong:
        read_settings({name: value})
    assert value not in str(wrong.value) or value in ("0", "-1")
