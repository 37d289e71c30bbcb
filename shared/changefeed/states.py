"""What has become of the instance an entry tells of, and how entries are written. Pure.

Source: API rules sections 10.2 and 10.3.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from shared.storage.feed import Entry
from shared.storage.keys import StudyKey

CURRENT: Final = "Current"
REPLACED: Final = "Replaced"
DELETED: Final = "Deleted"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an instance is."""

    key: StudyKey
    series: str
    instance: str


@dataclass(frozen=True, slots=True)
class Group:
    """Instances of one series, to be read together."""

    key: StudyKey
    series: str
    instances: tuple[str, ...]
    """In the order of their rows."""


def address_of(entry: Entry) -> Address:
    """Where the instance of an entry is, or was."""
    return Address(StudyKey(entry.partition, entry.study), entry.series, entry.instance)


def state_of(entry: Entry, version: int | None) -> str:
    """Say what has become of the version an entry tells of.

    Args:
        entry: The entry.
        version: Of the instance that is at its address now; None when none is.
    """
    if version is None:
        return DELETED
    return CURRENT if version == entry.version and entry.action != "delete" else REPLACED


def group(entries: Iterable[Entry]) -> list[Group]:
    """Gather the instances that entries tell of by series, each once."""
    found: dict[tuple[StudyKey, str], set[str]] = defaultdict(set)
    for address in map(address_of, entries):
        found[address.key, address.series].add(address.instance)
    return [Group(key, series, tuple(sorted(uids))) for (key, series), uids in found.items()]


def left_over(group: Group, found: Sequence[str], limit: int) -> list[str]:
    """Tell which instances of a group a reading did not reach.

    Args:
        group: What was wanted.
        found: The instances that a reading from the first wanted one on gave, in order.
        limit: How many it could give.
    """
    if len(found) < limit:
        return []
    return [uid for uid in group.instances if uid > found[-1]]


def render_entry(entry: Entry, partition: str, state: str) -> bytes:
    """Write an entry without metadata, as a JSON object.

    Args:
        entry: The entry.
        partition: The name of its partition, as it was given.
        state: From `state_of`.
    """
    members = {
        "sequence": entry.sequence,
        "partitionName": partition,
        "studyInstanceUid": entry.study,
        "seriesInstanceUid": entry.series,
        "sopInstanceUid": entry.instance,
        "action": entry.action.capitalize(),
        "timestamp": render_timestamp(entry.time),
        "state": state,
    }
    return json.dumps(members, separators=(",", ":")).encode()


def render_timestamp(moment: datetime) -> str:
    """Write a time with seven digits of a second, as Azure does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
