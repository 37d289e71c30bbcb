"""The settings of the service: read once, checked at once, never changed.

`docs/settings.md` explains each; a test compares the two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

CONNECTION: Final = "DicomStorage"
"""Name of the connection to the storage account, for settings and triggers."""

MAX_UPLOAD_LIFETIME: Final = timedelta(days=6)
"""What signs the address of an upload lasts seven days at most."""

MAX_INLINE_BULK_BYTES: Final = 65_536
"""Larger bulk data are no business of metadata."""

_GIBIBYTE = 1024**3

T = TypeVar("T")


class WrongSetting(ValueError):
    """A setting cannot be used; the message names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Where events go, and what they say of where they come from."""

    topic_endpoint: str
    """Of an Event Grid topic; empty for none."""

    sink_url: str
    """Any HTTP endpoint; empty for none."""

    schema: str
    """`eventgrid` or `cloudevents`."""

    topic: str
    """The resource id events name; may be empty."""

    host: str
    """The name of the service in events."""

    begin: datetime
    """Entries of the change feed before it get no events."""

    @property
    def are_sent(self) -> bool:
        """Whether anybody is told."""
        return bool(self.topic_endpoint or self.sink_url)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides, but for the storage connection."""

    public_url: str
    """Base of all URLs in answers, without a slash at its end; empty means as the client asked."""

    max_request_bytes: int
    """Longest store request."""

    max_upload_bytes: int
    """Longest upload that goes past the service."""

    upload_lifetime: timedelta
    """How long the address of such an upload can be written to."""

    accept_identical: bool
    """Whether an instance stored again with the same bytes counts as stored, not as refused."""

    requires_accept: bool
    """Whether a request without an Accept header is answered 406, as Azure does."""

    omits_bulk: bool
    """Whether metadata leave bulk data out, as Azure does, and do not name them by reference."""

    empty_search_is_array: bool
    """Whether a search that finds nothing is answered 200 with an empty array, not 204."""

    inline_bulk_bytes: int
    """Bulk data up to so many bytes are put into the metadata of what is stored."""

    retention: timedelta
    """From a deletion until the bytes go."""

    grace: timedelta
    """How old an unfinished change or an unnamed blob must be for the sweep to take it as a leftover."""

    show_storage_calls: bool
    """Whether answers carry the header `x-storage-calls`."""

    events: EventSettings
    """Where changes are told of."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check all settings.

    Raises:
        WrongSetting: One cannot be used.
    """

    def read(name: str, parse: Callable[[str], T], default: str, wanted: str) -> T:
        text = environment.get(name, "").strip() or default
        try:
            return parse(text)
        except ValueError as error:
            raise WrongSetting(f"{name} must be {wanted}.") from error

    public_url = read("DICOM_PUBLIC_URL", _url, "", "an http or https address without query")
    host = urlsplit(public_url).netloc or read("WEBSITE_HOSTNAME", str, "localhost", "a host name")
    events = EventSettings(
        topic_endpoint=read("EVENTS_TOPIC_ENDPOINT", _secure_url, "", "an https address without query"),
        sink_url=read("EVENTS_SINK_URL", _sink, "", "an http or https address"),
        schema=read("EVENTS_SCHEMA", _schema, "eventgrid", "eventgrid or cloudevents"),
        topic=read("EVENTS_TOPIC", str, "", "a text"),
        host=host,
        begin=read("EVENTS_FROM", _moment, "1970-01-01T00:00:00Z", "a date and time with a time zone"),
    )
    if events.topic_endpoint and events.sink_url:
        raise WrongSetting("EVENTS_SINK_URL must be left out where EVENTS_TOPIC_ENDPOINT is set.")
    return Settings(
        public_url=public_url,
        max_request_bytes=read("DICOM_MAX_REQUEST_BYTES", _positive, str(4 * _GIBIBYTE), "a number above 0"),
        max_upload_bytes=read("DICOM_MAX_UPLOAD_BYTES", _positive, str(32 * _GIBIBYTE), "a number above 0"),
        upload_lifetime=read("DICOM_UPLOAD_SECONDS", _lifetime, "3600", "a number of seconds, 1 to 518400"),
        accept_identical=read("DICOM_ACCEPT_IDENTICAL", _flag, "false", "true or false"),
        requires_accept=read("DICOM_REQUIRE_ACCEPT", _flag, "false", "true or false"),
        omits_bulk=read("DICOM_BULK_DATA", _omits, "uri", "uri or omit"),
        empty_search_is_array=read("DICOM_EMPTY_SEARCH", _is_array, "204", "204 or array"),
        inline_bulk_bytes=read("DICOM_INLINE_BULK_BYTES", _inline, "0", "a number of bytes, 0 to 65536"),
        retention=read("DICOM_RETENTION_SECONDS", _seconds, "259200", "a number of seconds, 0 or more"),
        grace=read("DICOM_GRACE_SECONDS", _seconds, "900", "a number of seconds, 0 or more"),
        show_storage_calls=read("DICOM_SHOW_STORAGE_CALLS", _flag, "false", "true or false"),
        events=events,
    )


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (
        parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment
    ):
        raise ValueError
    return text.rstrip("/")


def _secure_url(text: str) -> str:
    # A bearer token must not travel in the clear.
    if text and not text.startswith("https://"):
        raise ValueError
    return _url(text)


def _sink(text: str) -> str:
    # Its query may be what proves that we may post there.
    if text and not _url(text.partition("?")[0]):
        raise ValueError
    return text


def _schema(text: str) -> str:
    if text.lower() not in ("eventgrid", "cloudevents"):
        raise ValueError
    return text.lower()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _seconds(text: str) -> timedelta:
    number = float(text)
    if not 0 <= number < 10**10:
        raise ValueError
    return timedelta(seconds=number)


def _lifetime(text: str) -> timedelta:
    lifetime = _seconds(text)
    if not timedelta(seconds=1) <= lifetime <= MAX_UPLOAD_LIFETIME:
        raise ValueError
    return lifetime


def _omits(text: str) -> bool:
    known = {"uri": False, "omit": True}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]


def _is_array(text: str) -> bool:
    known = {"204": False, "array": True}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]


def _inline(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MAX_INLINE_BULK_BYTES:
        raise ValueError
    return number


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]
