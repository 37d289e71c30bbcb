"""Events: what subscribers are told of an entry of the change feed. Pure.

An event says where an instance is and what happened to it, and nothing of what is in it.

Source: API rules section 17; CloudEvents 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from shared.changefeed.states import render_timestamp
from shared.storage import keys
from shared.storage.feed import Entry

EVENT_GRID: Final = "eventgrid"
CLOUD_EVENTS: Final = "cloudevents"

TYPES: Final = {
    "create": "Microsoft.HealthcareApis.DicomImageCreated",
    "update": "Microsoft.HealthcareApis.DicomImageUpdated",
    "delete": "Microsoft.HealthcareApis.DicomImageDeleted",
}
CONTENT_TYPES: Final = {
    EVENT_GRID: "application/json; charset=utf-8",
    CLOUD_EVENTS: "application/cloudevents-batch+json; charset=utf-8",
}

_IDS: Final = UUID("7e0ce1de-36a9-5dbb-8a1b-2c1c9bd1b7a4")

Event = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Source:
    """Where events say that they come from."""

    schema: str
    """`EVENT_GRID` or `CLOUD_EVENTS`."""

    topic: str
    """What is published to, as a resource id; may be empty."""

    host: str
    """The name clients know the service by."""


def make_event(entry: Entry, partition: str, source: Source) -> Event:
    """Tell of an entry.

    Args:
        entry: The entry.
        partition: The name of its partition, as it was given.
        source: What does not depend on the entry.
    """
    common = {
        "subject": _subject(entry, partition, source.host),
        "data": _data(entry, partition, source.host),
    }
    if source.schema == CLOUD_EVENTS:
        return {
            "id": event_id(entry),
            # CloudEvents must not come without a source.
            "source": source.topic or f"https://{source.host}",
            "specversion": "1.0",
            "type": TYPES[entry.action],
            "time": render_timestamp(entry.time),
            "datacontenttype": "application/json",
            **common,
        }
    return {
        "id": event_id(entry),
        # Event Grid puts it in by itself, and refuses one that is not its own.
        **({"topic": source.topic} if source.topic else {}),
        "eventType": TYPES[entry.action],
        "eventTime": render_timestamp(entry.time),
        "dataVersion": "1",
        "metadataVersion": "1",
        **common,
    }


def event_id(entry: Entry) -> str:
    """The id of an entry's event: the same whenever it is sent, and unlike that of any other archive."""
    return str(uuid5(_IDS, f"{entry.sequence}/{entry.change}/{entry.version}/{entry.action}"))


def _subject(entry: Entry, partition: str, host: str) -> str:
    within = "" if partition == keys.DEFAULT_PARTITION else f"/partitions/{partition}"
    path = f"studies/{entry.study}/series/{entry.series}/instances/{entry.instance}"
    return f"{host}/v1{within}/{path}"


def _data(entry: Entry, partition: str, host: str) -> Event:
    return {
        "partitionName": partition,
        "imageStudyInstanceUid": entry.study,
        "imageSeriesInstanceUid": entry.series,
        "imageSopInstanceUid": entry.instance,
        "serviceHostName": urlsplit(f"//{host}").hostname,
        "sequenceNumber": entry.sequence,
    }
