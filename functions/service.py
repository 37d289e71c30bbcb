"""The settings of this process, read when the app is loaded, and its storage, opened at the first request."""

import os
from dataclasses import dataclass
from functools import cache
from typing import Final

from shared.config import CONNECTION, Settings, read_settings
from shared.storage.connection import resolve
from shared.storage.storage import Storage, Times, open_storage

SETTINGS: Final = read_settings(os.environ)
"""A wrong one stops the start."""


@dataclass(frozen=True, slots=True)
class Service:
    """What every function works with."""

    settings: Settings
    storage: Storage


@cache
def service() -> Service:
    """The one service of this process."""
    connection = resolve(CONNECTION, os.environ)
    return Service(SETTINGS, open_storage(connection, Times(SETTINGS.retention, SETTINGS.grace)))
