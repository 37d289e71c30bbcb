"""Every name and key in storage is built here, and nowhere else.

Blobs lie under a short hash of their study, so that writes spread over the account's partition
servers, and under partition and study, so that everything of one study can be listed.

Table `archive` has one partition per study. Its row keys begin with the kind of row:

    study                          what the study says of itself
    series|{series}                what a series says of itself
    instance|{series}|{instance}   one instance and where its bytes lie
    anchor|{series}|{revision}     exists while that series (or, with an empty UID, the study)
                                   is as of that revision; see `planning.py` and `anchors.py`
    pending|{version}              a committed change that the feed does not know yet
    purge|{version}                deleted bytes that wait for their retention to end

Keys never hold `/ \\ # ?` or control characters, which Table storage refuses: text from a dataset
is percent-encoded first, UIDs and partition names cannot contain them.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime

DEFAULT_PARTITION = "Microsoft.Default"

DICOM = "dicom"
METADATA = "metadata"
CHANGES = "changes"
LOCKS = "locks"

ARCHIVE = "archive"
ACTIVE = "active"
FEED = "feed"
EVENTS = "events"
PARTITIONS = "partitions"

PURGE_QUEUE = "purge"
REFRESH_QUEUE = "refresh"
"""Series whose joined metadata may be out of date."""

EVENT_QUEUE = "events"
"""Wakes the publisher of events."""

ANNOUNCED_QUEUE = "announced"
"""Where Event Grid may tell of new blobs in container `changes`."""

UPLOADS = "uploads"
"""Container of what clients upload past the service, and table of these uploads."""

UPLOAD_QUEUE = "uploads"

REBUILD_QUEUE = "rebuild"

SEARCHES = "searches"

OPERATIONS = "operations"
ANSWERS = "answers"
"""Container of what is too long for the row of an operation."""

STUDY_ROW = "study"
AFTER = "~"
"""Sorts after every character that a UID or a number can hold, so it ends a range of row keys."""

_DOT_END = "="
_VERSION = re.compile(r"[0-7][0-9a-f]{15}")
_CHANGED = re.compile(r"[0-7][0-9a-f]{15}/[A-Za-z0-9_.-]{1,64}\|[0-9.]{1,64}")
MAX_VERSION = (1 << 63) - 1
_ACTIVE_SHARDS = 16


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A study and the data partition it lies in."""

    partition: str
    """Name of the data partition, folded: compared without case (API rules section 15)."""

    study: str

    @property
    def archive(self) -> str:
        """The partition of table `archive` that holds this study."""
        return f"{self.partition}|{self.study}"

    @property
    def folder(self) -> str:
        """The prefix of every blob of this study."""
        return f"{digest(self.archive)[:3]}/{_segment(self.partition)}/{self.study}/"


@dataclass(frozen=True, slots=True)
class ChangeKey:
    """A committed change."""

    study: StudyKey
    version: int


@dataclass(frozen=True, slots=True)
class Scope:
    """A study, one of its series, or one instance."""

    key: StudyKey
    series: str | None = None
    instance: str | None = None

    @property
    def level(self) -> str:
        """What it is: `study`, `series` or `instance`."""
        if self.series is None:
            return "study"
        return "series" if self.instance is None else "instance"


def study_key(partition: str, study: str) -> StudyKey:
    """The key of a study in a partition named as the client likes."""
    return StudyKey(partition.lower(), study)


def digest(text: str) -> str:
    """A short, stable, evenly spread name for a text: 40 hexadecimal digits."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def hex_version(version: int) -> str:
    """A version so written that text order is time order."""
    return f"{version:016x}"


def newest_first(version: int) -> str:
    """A version so written that text order is newest first."""
    return f"{MAX_VERSION - version:016x}"


def instance_blob(study: StudyKey, series: str, instance: str, version: int) -> str:
    """The blob of one instance that has a blob of its own."""
    return f"{study.folder}{series}/{instance}/{hex_version(version)}.dcm"


def pack_blob(study: StudyKey, version: int) -> str:
    """The blob that several small instances of one study share."""
    return f"{study.folder}{hex_version(version)}.pack"


def detail_blob(study: StudyKey, series: str, instance: str, version: int, kind: str) -> str:
    """The blob, in container `metadata`, of what is too large for an instance's row.

    `kind` is `metadata`, `frames` or `bulk`.
    """
    return f"{study.folder}{series}/{instance}/{hex_version(version)}.{kind}"


def joined_blob(study: StudyKey, series: str, version: int) -> str:
    """The blob, in container `metadata`, of the joined metadata of a series."""
    return f"{study.folder}{series}/{hex_version(version)}.joined"


def is_joined(name: str) -> bool:
    """Whether a blob of container `metadata` is one of joined metadata."""
    return name.endswith(".joined")


def change_blob(study: StudyKey, version: int) -> str:
    """The blob, in container `changes`, that says a change was committed. Oldest sorts first."""
    return f"{hex_version(version)}/{_segment(study.partition)}/{study.study}"


def parse_change_blob(name: str) -> tuple[StudyKey, int]:
    """The study and version that a blob of container `changes` names.

    Raises:
        ValueError: The name is not one of `change_blob`.
    """
    version, partition, study = name.split("/")
    key, number = StudyKey(partition.removesuffix(_DOT_END), study), int(version, 16)
    # The name is used to ask tables, so nothing may be in it that we would not write.
    if change_blob(key, number) != name or not _CHANGED.fullmatch(f"{version}/{key.archive}"):
        raise ValueError("no change has this name")
    return key, number


def _segment(partition: str) -> str:
    """A partition's name as a part of a blob name, where Azure does not want a dot at the end."""
    return f"{partition}{_DOT_END}" if partition.endswith(".") else partition


def is_pack(blob: str) -> bool:
    """Whether several instances share a blob."""
    return blob.endswith(".pack")


def series_row(series: str) -> str:
    """Row key of a series."""
    return f"series|{series}"


def instance_row(series: str, instance: str) -> str:
    """Row key of an instance."""
    return f"instance|{series}|{instance}"


def instance_rows(series: str | None) -> tuple[str, str]:
    """First and end (exclusive) row key of a series' instances, or of the whole study's."""
    start = "instance|" if series is None else f"instance|{series}|"
    return start, start + AFTER


def rows_of(kind: str) -> tuple[str, str]:
    """First and end (exclusive) row key of all rows of one kind: `series`, `pending`, `purge`."""
    return f"{kind}|", f"{kind}|{AFTER}"


def anchor_row(series: str, revision: int) -> str:
    """Row key that exists while a series, or with `""` the study, is as of that revision."""
    return f"anchor|{series}|{hex_version(revision)}"


def anchor_rows(series: str | None) -> tuple[str, str]:
    """First and end (exclusive) row key of the anchor of a series, or of those of all series."""
    # UIDs begin with a digit, which sorts before the bar in the key of the study's own anchor.
    return (
        (f"anchor|{series}|", f"anchor|{series}|{AFTER}") if series is not None else ("anchor|", "anchor||")
    )


def pending_row(version: int) -> str:
    """Row key of a change that the feed does not know yet."""
    return f"pending|{hex_version(version)}"


def pending_version(row: str) -> int:
    """The version that a row key of `pending_row` names; 0 for another key, which no change has."""
    digits = row.rpartition("|")[2]
    return int(digits, 16) if _VERSION.fullmatch(digits) else 0


def purge_row(version: int) -> str:
    """Row key of deleted bytes that wait for their retention to end."""
    return f"purge|{hex_version(version)}"


def active_key(study: StudyKey) -> tuple[str, str]:
    """Partition and row key in table `active`."""
    shard = int(digest(study.archive)[:8], 16) % _ACTIVE_SHARDS
    return f"{shard:02d}", study.archive


def study_of(archive_partition: str) -> StudyKey:
    """The study whose rows lie in that partition of table `archive`."""
    partition, _, study = archive_partition.partition("|")
    return StudyKey(partition, study)


# Operations. An id begins with its version, so that those of one day lie together and can go together.

_VERSION_DIGITS = 16


def operation_id(version: int, random: str) -> str:
    """The id of an operation: 32 hexadecimal digits, of which the last 16 cannot be guessed.

    Args:
        version: Tells when it was made.
        random: 16 hexadecimal digits.
    """
    return f"{hex_version(version)}{random}"


def operation_version(operation: str) -> int:
    """The version that an operation's id begins with."""
    return int(operation[:_VERSION_DIGITS], 16)


def day_key(moment: datetime) -> str:
    """The partition, in table `operations`, of those made on one day."""
    return f"{moment:%Y%m%d}"


def answer_blob(day: str, operation: str, run: str) -> str:
    """The blob, in container `answers`, of what a run of an operation has to say; of all runs without one."""
    return f"{day}/{operation}/{run}"


def upload_key(operation: str) -> str:
    """The partition, in table `uploads`, of an upload; its id is the row key."""
    return operation[-1]


CURSOR_KEY = ("key", "cursor")
"""Partition and row key, in table `searches`, of what cursors are sealed with. No trail lies there."""


def search_key(search: str) -> tuple[str, str]:
    """Partition and row key, in table `searches`, of a search and who made it, neither of which they tell."""
    name = hashlib.sha256(search.encode()).hexdigest()
    return name[0], name[1:]
