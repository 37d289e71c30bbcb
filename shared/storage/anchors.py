"""What the anchor of a series says beside holding the series in place (`planning.py`). Pure.

Every change of the instances of a series writes its own version into the anchor, as the **state** of the
series, in the transaction that makes it true. States are never the same twice. What was worked out from the
instances, their number and the blob of their joined metadata, is noted in the anchor together with the
state it is of, on condition that the anchor is still as it was before the instances were read. So whoever
reads an anchor knows without another look whether what it says still holds.

A change also takes the name of the blob out of the anchor: the sweep removes the blob.
"""

from dataclasses import dataclass

from shared.storage.tables import Row, Value
from shared.web.splice import Sum

MIN_JOINED = 20
"""Instances of a series whose metadata are joined. Fewer are read with one query as it is."""

NO_BULK = "-"
"""Stands for the base of joined metadata that were written without bulk data."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The metadata of a series in one blob of container `metadata`.

    It holds the JSON objects of the instances with commas between them, as a segment of `shared.web.splice`.
    """

    blob: str
    length: int
    """Bytes of the blob."""

    sum: Sum
    """Of the text in it."""

    base: str
    """What its BulkDataURIs begin with, up to `/studies`; empty if there are none, or `NO_BULK`."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of the instances of a series without reading them."""

    count: int
    newest: int
    """The highest version."""

    joined: Joined | None
    """None for few instances, or for very long metadata."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The anchor of a series as it was read."""

    series: str
    row: str
    etag: str
    state: int
    """Version of the latest change of the series' instances; 0 if it was made before states were written."""

    summary: Summary | None
    """None if there is none, or it is of another state."""


def render_change(version: int) -> dict[str, Value]:
    """What a change of the instances of a series says in its anchor."""
    return {"state": version, "joinedBlob": ""}


def render_summary(state: int, summary: Summary) -> dict[str, Value]:
    """What is noted in an anchor of the state."""
    joined = summary.joined or Joined("", 0, Sum(), "")
    return {
        "state": state,
        "summaryState": state,
        "count": summary.count,
        "newest": summary.newest,
        "joinedBlob": joined.blob,
        "joinedLength": joined.length,
        "joinedText": joined.sum.length,
        "joinedCrc": joined.sum.crc,
        "joinedBase": joined.base,
    }


def parse_anchor(row: Row) -> Anchor:
    """An anchor of a series as it was read."""
    _, series, _ = row.row.split("|")
    state = _int(row, "state")
    is_known = state != 0 and _int(row, "summaryState") == state
    return Anchor(series, row.row, row.etag, state, _summary(row) if is_known else None)


def _summary(row: Row) -> Summary:
    blob = str(row.values["joinedBlob"])
    text = Sum(_int(row, "joinedCrc"), _int(row, "joinedText"))
    joined = Joined(blob, _int(row, "joinedLength"), text, str(row.values["joinedBase"])) if blob else None
    return Summary(_int(row, "count"), _int(row, "newest"), joined)


def _int(row: Row, name: str) -> int:
    value = row.values.get(name, 0)
    return int(value) if isinstance(value, int | str) else 0
