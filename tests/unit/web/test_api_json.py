"""The JSON of what is not DICOM (API rules section 1.6)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.errors import BadRequest
from shared.web.api_json import parse_object, render, render_time


@pytest.mark.parametrize(
    ("body", "members"),
    [
        (b"", {}),
        (b" \r\n", {}),
        (b"{}", {}),
        (b'{"contentType": "a", "STUDY": null}', {"contenttype": "a", "study": None}),
        (b'{"a": 1,}', {"a": 1}),
        (b'{"a": [1, 2, ], }', {"a": [1, 2]}),
        (b'{"a": 1 // one\n, "b": 2 /* two */}', {"a": 1, "b": 2}),
        (b'{"a": 1, /* last */ }', {"a": 1}),
        (b'{"a": "// no /* comment */ ,}"}', {"a": "// no /* comment */ ,}"}),
        (b'{"a": "\\"//,}"}', {"a": '"//,}'}),
        (b'\xef\xbb\xbf{"a": "\xc3\xa4"}', {"a": "ä"}),
    ],
)
def test_an_object_is_read_as_lenient_senders_write_it(body: bytes, members: dict[str, object]) -> None:
    """Names in lower case; comments and trailing commas read over, but not within a text."""
    assert parse_object(body) == members


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b"1", b"null", b"{,}x", b"\xff", b"[" * 100_000, b'{"a": 1} {}', b"/* {}"]
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """And its text is not told."""
    with pytest.raises(BadRequest):
        parse_object(body)


def test_members_without_a_value_are_left_out() -> None:
    """Null is never written."""
    assert render({"a": 1, "b": None, "c": ""}) == b'{"a":1,"c":""}'


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2))])
def test_times_are_written_in_utc(zone: timezone) -> None:
    """ISO 8601 with at most seven digits and Z."""
    moment = datetime(2024, 1, 31, 22, 0, 0, 5, tzinfo=UTC).astimezone(zone)

    assert render_time(moment) == "2024-01-31T22:00:00.000005Z"
