"""The datasets a search answers with. Pure.

Source: API rules section 8.7.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from shared.dicom.tags import RETURNED_BY_ALL, RETURNED_BY_DEFAULT_V1, RETURNED_BY_DEFAULT_V2, SearchLevel
from shared.storage.rows import Values

STUDY_UID = "0020000D"
SERIES_UID = "0020000E"
INSTANCE_UID = "00080018"
RETRIEVE_URL = "00081190"
MODALITIES = "00080061"
STUDY_SERIES_COUNT = "00201206"
STUDY_INSTANCE_COUNT = "00201208"
SERIES_INSTANCE_COUNT = "00201209"
AVAILABLE_SYNTAX = "00083002"
"""The transfer syntax an instance is stored in, which its row holds."""

COMPUTED = frozenset(
    {RETRIEVE_URL, MODALITIES, STUDY_SERIES_COUNT, STUDY_INSTANCE_COUNT, SERIES_INSTANCE_COUNT}
    | {AVAILABLE_SYNTAX}
)
"""Answered although no file holds them; only when asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attributes the datasets of a search have."""

    tags: frozenset[str]
    extra: frozenset[str]
    """Those of them that no search row holds: they are taken from the metadata of an instance."""

    def asks(self, *tags: str) -> bool:
        """Whether one of these is wanted."""
        return not self.tags.isdisjoint(tags)


def make_wanted(
    levels: Collection[SearchLevel],
    *,
    is_v1: bool,
    include_all: bool,
    included: Iterable[str],
    matched: Iterable[str],
) -> Wanted:
    """Work out which attributes to answer with.

    Args:
        levels: The levels the resource answers about.
        is_v1: Whether the request came by v1, which has other defaults.
        include_all: Whether `includefield=all` was given.
        included: Tags of `includefield`.
        matched: Tags of the search keys.
    """
    defaults = RETURNED_BY_DEFAULT_V1 if is_v1 else RETURNED_BY_DEFAULT_V2
    tables = [defaults, *([RETURNED_BY_ALL] if include_all else [])]
    tags = {tag for table in tables for level in levels for tag in table[level]}
    tags |= {*included, *matched, *(_UIDS[level] for level in SearchLevel)}
    held = {
        tag
        for table in (RETURNED_BY_ALL, RETURNED_BY_DEFAULT_V1, RETURNED_BY_DEFAULT_V2)
        for level in levels
        for tag in table[level]
    }
    extra = tags - held - COMPUTED - set(_UIDS.values())
    return Wanted(frozenset(tags), frozenset(extra))


_UIDS = {SearchLevel.STUDY: STUDY_UID, SearchLevel.SERIES: SERIES_UID, SearchLevel.INSTANCE: INSTANCE_UID}


def make_dataset(wanted: Wanted, *sources: Values) -> dict[str, Mapping[str, object]]:
    """Put one dataset together: the wanted attributes, ascending; of several sources the last counts."""
    merged: dict[str, Mapping[str, object]] = {}
    for source in sources:
        merged |= {tag: element for tag, element in source.items() if tag in wanted.tags}
    return dict(sorted(merged.items()))


def uid_element(uid: str) -> dict[str, object]:
    """A UID as an element."""
    return {"vr": "UI", "Value": [uid]}


def count_element(count: int) -> dict[str, object]:
    """A number of related series or instances as an element."""
    return {"vr": "IS", "Value": [count]}


def url_element(url: str) -> dict[str, object]:
    """A Retrieve URL as an element."""
    return {"vr": "UR", "Value": [url]}
