"""The datasets a search answers with. Pure.

Azure answers with the default set of the resource's levels. Viewers need more, and what the standard has in
every row, so each row has both; what Azure answers with is among it, as it was.

Source: API rules section 8.7, PS3.18 section 10.6.3.3, clients section 3.3.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from shared.dicom.tags import (
    ALWAYS_RETURNED,
    CARRIED,
    RETURNED_BY_ALL,
    RETURNED_BY_DEFAULT_V1,
    RETURNED_BY_DEFAULT_V2,
    RETURNED_IF_KNOWN,
    SearchLevel,
)
from shared.storage.rows import Values

Dataset = dict[str, Mapping[str, object]]
"""A DICOM JSON dataset."""

STUDY_UID = "0020000D"
SERIES_UID = "0020000E"
INSTANCE_UID = "00080018"
AVAILABILITY = "00080056"
MODALITIES = "00080061"
RETRIEVE_URL = "00081190"
STUDY_SERIES_COUNT = "00201206"
STUDY_INSTANCE_COUNT = "00201208"
SERIES_INSTANCE_COUNT = "00201209"
AVAILABLE_SYNTAX = "00083002"
"""The transfer syntax an instance is stored in, which its row holds."""

ONLINE: Mapping[str, object] = {"vr": "CS", "Value": ["ONLINE"]}
"""Whatever is stored can be had at once; what a file says of itself comes before."""

COMPUTED = frozenset(
    {
        AVAILABILITY,
        MODALITIES,
        RETRIEVE_URL,
        STUDY_SERIES_COUNT,
        STUDY_INSTANCE_COUNT,
        SERIES_INSTANCE_COUNT,
        AVAILABLE_SYNTAX,
    }
)
"""Answered although files need not hold them."""

_UIDS = {SearchLevel.STUDY: STUDY_UID, SearchLevel.SERIES: SERIES_UID, SearchLevel.INSTANCE: INSTANCE_UID}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attributes the datasets of a search have."""

    tags: frozenset[str]
    extra: frozenset[str]
    """Those of them that no search row holds: they are taken from the metadata of an instance."""

    always: Mapping[str, str] = field(default_factory=dict)
    """Those that come even without a value, and their VR."""

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
        levels: The levels the resource answers about, one after the other down to what is searched for.
        is_v1: Whether the request came by v1, which has other defaults.
        include_all: Whether `includefield=all` was given.
        included: Tags of `includefield`.
        matched: Tags of the search keys.
    """
    defaults = RETURNED_BY_DEFAULT_V1 if is_v1 else RETURNED_BY_DEFAULT_V2
    tables: list[Mapping[SearchLevel, Iterable[str]]] = [defaults, ALWAYS_RETURNED, RETURNED_IF_KNOWN]
    tables += [RETURNED_BY_ALL] if include_all else []
    tags = {tag for table in tables for level in levels for tag in table[level]}
    tags |= {*(set(included) - _below(levels)), *matched, *_UIDS.values()}
    held = {tag for level in levels for tag in CARRIED[level]}
    return Wanted(
        tags=frozenset(tags),
        extra=frozenset(tags - held - COMPUTED - {*_UIDS.values()}),
        always={tag: vr for level in levels for tag, vr in ALWAYS_RETURNED[level].items()},
    )


def _below(levels: Collection[SearchLevel]) -> set[str]:
    """What describes only levels below the one searched for, and is not answered even if asked for.

    No row of the standard has it, and which of its series should tell it of a study? OHIF asks nevertheless.
    """
    ordered = list(SearchLevel)
    last = max(map(ordered.index, levels))
    of = [{*CARRIED[level], *ALWAYS_RETURNED[level]} for level in ordered]
    return set().union(*of[last + 1 :]) - set().union(*of[: last + 1])


def make_dataset(wanted: Wanted, *sources: Values) -> Dataset:
    """Put one dataset together: the wanted attributes, ascending; of several sources the last counts."""
    merged: Dataset = {tag: {"vr": vr} for tag, vr in wanted.always.items()}
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
