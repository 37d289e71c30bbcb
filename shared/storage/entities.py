"""Table rows as Python values, as JSON on the wire, and what the real service allows of them.

The emulator is lenient (it takes rows of any size), so every limit is checked here.

Source: "Understanding the Table service data model" and "Payload format for Table service operations".
"""

import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

Value = str | int | float | bool | bytes | datetime
"""A property. Whole numbers are kept as Edm.Int64; a datetime needs a time zone and comes back in UTC."""

MAX_PROPERTIES: Final = 252
MAX_PROPERTY_BYTES: Final = 64 * 1024
MAX_ENTITY_BYTES: Final = 1024 * 1024
MAX_KEY_BYTES: Final = 1024

_TYPE: Final = "@odata.type"
_BAD_KEY: Final = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_GOOD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}", re.ASCII)
_SYSTEM_NAMES: Final = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_EARLIEST: Final = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read. Keys and values may come from a dataset, so neither shows in logs."""

    partition: str = field(repr=False)
    row: str = field(repr=False)
    values: Mapping[str, Value] = field(repr=False)
    """Its properties without the keys; one that was selected and that the row has not is absent."""

    etag: str
    """Its version, for a change that must not overwrite another."""


# What is to be written: the type's name (empty where JSON tells it), the JSON value, and its size in a row.
Written = tuple[str, object, int]


def utf16_bytes(text: str) -> int:
    """Size of a text as the service counts it."""
    return 2 * len(text) if text.isascii() else len(text.encode("utf-16-le"))


def check_key(key: str) -> None:
    """Refuse a partition or row key the real service would refuse.

    Raises:
        ValueError: Too long, or with a character that keys must not hold.
    """
    if _BAD_KEY.search(key):
        raise ValueError("A table key holds one of / \\ # ? or a control character.")
    if utf16_bytes(key) > MAX_KEY_BYTES:
        raise ValueError(f"A table key is longer than {MAX_KEY_BYTES} bytes of UTF-16.")


def render_entity(partition: str, row: str, values: Mapping[str, Value]) -> dict[str, object]:
    """Make the JSON object of a row.

    Raises:
        ValueError: A property or the row breaks a limit; the message names the property, not its value.
    """
    if len(values) > MAX_PROPERTIES:
        raise ValueError(f"A row has {len(values)} properties; {MAX_PROPERTIES} are allowed.")
    rendered: dict[str, object] = {"PartitionKey": partition, "RowKey": row}
    total = 4 + utf16_bytes(partition) + utf16_bytes(row)
    for name, value in values.items():
        _check_name(name)
        kind, written, size = _write(name, value)
        if size > MAX_PROPERTY_BYTES:
            raise ValueError(f"{name} takes {size} bytes; a property may take {MAX_PROPERTY_BYTES}.")
        if kind:
            rendered[name + _TYPE] = kind
        rendered[name] = written
        total += 8 + 2 * len(name) + size
    if total > MAX_ENTITY_BYTES:
        raise ValueError(f"A row takes {total} bytes; {MAX_ENTITY_BYTES} are allowed.")
    return rendered


def parse_entity(found: dict[str, Any]) -> Row:
    """Read a row from its JSON object, which is used up. The timestamp is left out."""
    found.pop("Timestamp", None)
    found.pop("Timestamp" + _TYPE, None)
    found.pop("odata.metadata", None)
    partition, row, etag = found.pop("PartitionKey"), found.pop("RowKey"), found.pop("odata.etag", "")
    for marked in [name for name in found if name.endswith(_TYPE)]:
        kind, name = found.pop(marked), marked.removesuffix(_TYPE)
        if name in found and found[name] is not None:
            found[name] = _READERS[kind](found[name])
    # A column that was asked for and that the row has not comes back as null.
    for name in [name for name, value in found.items() if value is None]:
        del found[name]
    return Row(partition, row, found, etag)


@lru_cache(maxsize=1024)
def _check_name(name: str) -> None:
    if not _GOOD_NAME.fullmatch(name) or name in _SYSTEM_NAMES:
        raise ValueError(f"{name!r} cannot be the name of a property.")


def _write(name: str, value: Value) -> Written:
    write = _WRITERS.get(type(value)) or next(
        (writer for kind, writer in _WRITERS.items() if isinstance(value, kind)), None
    )
    if write is None:
        raise ValueError(f"{name} is a {type(value).__name__}, which tables cannot hold.")
    try:
        return write(value)
    except (UnicodeEncodeError, ValueError) as error:
        # The cause would show the value, which may come from a dataset.
        raise ValueError(f"{name}: {_reason(error)}") from None


def _reason(error: ValueError) -> str:
    return "not valid Unicode." if isinstance(error, UnicodeEncodeError) else str(error)


def _write_text(value: str) -> Written:
    return "", value, utf16_bytes(value)


def _write_flag(value: bool) -> Written:
    return "", value, 1


def _write_number(value: int) -> Written:
    if not -(2**63) <= value < 2**63:
        raise ValueError("the number does not fit in 64 bits.")
    return "Edm.Int64", str(int(value)), 8


def _write_real(value: float) -> Written:
    if math.isfinite(value):
        return "Edm.Double", value, 8
    if math.isnan(value):
        return "Edm.Double", "NaN", 8
    return "Edm.Double", "Infinity" if value > 0 else "-Infinity", 8


def _write_bytes(value: bytes) -> Written:
    return "Edm.Binary", b64encode(value).decode("ascii"), len(value)


def _write_time(value: datetime) -> Written:
    return "Edm.DateTime", render_time(value), 8


def render_time(value: datetime) -> str:
    """Write a time as tables do, in UTC.

    Raises:
        ValueError: It has no time zone, or lies before the year 1601.
    """
    if value.tzinfo is None:
        raise ValueError("the time has no time zone.")
    if value < _EARLIEST:
        raise ValueError("the time lies before 1601.")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# bool stands before int, as every bool is an int too.
_WRITERS: Final[dict[type, Callable[[Any], Written]]] = {
    str: _write_text,
    bool: _write_flag,
    int: _write_number,
    float: _write_real,
    bytes: _write_bytes,
    datetime: _write_time,
}

_READERS: Final[dict[str, Callable[[Any], Value]]] = {
    "Edm.Int64": int,
    "Edm.Int32": int,
    "Edm.Double": float,
    "Edm.Boolean": bool,
    "Edm.String": str,
    "Edm.Guid": str,
    "Edm.Binary": b64decode,
    "Edm.DateTime": datetime.fromisoformat,
}
