"""The settings of this process, read when the app is loaded, and its storage, opened at the first request."""

import os
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from shared.changefeed.events import Source
from shared.changefeed.publish import Publishing
from shared.changefeed.sinks import to_endpoint, to_event_grid
from shared.config import CONNECTION, EventSettings, Settings, read_settings
from shared.storage import keys
from shared.storage.anchors import NO_BULK
from shared.storage.connection import resolve
from shared.storage.storage import Storage, Times, open_storage
from shared.wado.converted.workers import Workers
from shared.web.links import own_origin

SETTINGS: Final = read_settings(os.environ)
"""A wrong one stops the start."""

VERSION: Final = "v2"
"""Of the API, where nobody names one."""


@dataclass(frozen=True, slots=True)
class Service:
    """What every function works with."""

    settings: Settings
    storage: Storage
    workers: Workers = field(default_factory=Workers)
    """Where pixels are worked on."""

    host: str = ""
    """Name under which the platform runs the service; empty where it does not tell."""

    publishing: Publishing | None = None
    """Where events go; None when none are sent."""

    def joined_base(self, partition: str) -> str:
        """What BulkDataURIs begin with that are written into joined metadata, or `NO_BULK`.

        Clients that come by another address get theirs, at the price of some work for each answer.
        """
        if self.settings.omits_bulk:
            return NO_BULK
        named = None if partition.lower() == keys.DEFAULT_PARTITION.lower() else partition
        return own_origin(self.settings.public_url, self.host).links(VERSION, named).root


@cache
def service() -> Service:
    """The one service of this process."""
    connection = resolve(CONNECTION, os.environ)
    storage = open_storage(connection, Times(SETTINGS.retention, SETTINGS.grace))
    return Service(
        SETTINGS,
        storage,
        host=os.environ.get("WEBSITE_HOSTNAME", ""),
        publishing=_publishing(SETTINGS.events),
    )


def _publishing(events: EventSettings) -> Publishing | None:
    if not events.are_sent:
        return None
    by_url = to_endpoint(events.sink_url, events.schema)
    sink = by_url if events.sink_url else to_event_grid(events.topic_endpoint)
    return Publishing(sink, Source(events.schema, events.topic, events.host), events.begin)
