"""The settings and the storage of this process, made at the first request."""

import os
from dataclasses import dataclass
from functools import cache

from shared.config import CONNECTION, Settings, read_settings
from shared.storage.connection import resolve
from shared.storage.storage import Storage, Times, open_storage


@dataclass(frozen=True, slots=True)
class Service:
    """What every function works with."""

    settings: Settings
    storage: Storage


@cache
def service() -> Service:
    """The one service of this process."""
    settings = read_settings(os.environ)
    connection = resolve(CONNECTION, os.environ)
    return Service(settings, open_storage(connection, Times(settings.retention, settings.grace)))
