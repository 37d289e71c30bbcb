"""Entity group transactions as text: what is asked, how it is written, what the answer says.

Nothing here does I/O. Source: "Performing entity group transactions".
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from shared.storage.entities import Value, check_key, render_entity
from shared.storage.wire import RETRIED, Reply, Request, find_code

MAX_OPERATIONS: Final = 100
MAX_BODY_BYTES: Final = 4 * 1024 * 1024

_JSON_TYPE: Final = "application/json"
ACCEPTED: Final = "application/json;odata=minimalmetadata"
HEADERS: Final[Mapping[str, str]] = {
    "accept": ACCEPTED,
    "dataserviceversion": "3.0",
    "maxdataserviceversion": "3.0",
}

# JSON holds no line breaks and keys in addresses are encoded, so no line of a body can look like these.
_BATCH: Final = "batch_of_one_partition"
_CHANGES: Final = "changes_of_one_partition"
_BATCH_HEADERS: Final[Mapping[str, str]] = {**HEADERS, "content-type": f"multipart/mixed; boundary={_BATCH}"}

_BODY_START: Final = f"--{_BATCH}\r\nContent-Type: multipart/mixed; boundary={_CHANGES}\r\n\r\n"
_BODY_END: Final = f"--{_CHANGES}--\r\n--{_BATCH}--\r\n"
_PART_START: Final = (
    f"--{_CHANGES}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
)

_ANSWER: Final = re.compile(rb"\r?\nHTTP/1\.1 (\d{3})")
_ETAG: Final = re.compile(rb"\nETag: *([^\r\n]+)", re.IGNORECASE)
_INDEX: Final = re.compile(rb'"value"\s*:\s*"(\d+):')

_encode: Final[Callable[[object], str]] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False
).encode


class Kind(StrEnum):
    """What an operation does with its row."""

    INSERT = "insert"
    MERGE = "merge"
    REPLACE = "replace"
    UPSERT_MERGE = "upsert_merge"
    UPSERT_REPLACE = "upsert_replace"
    DELETE = "delete"


_METHODS: Final = {
    Kind.INSERT: "POST",
    Kind.MERGE: "PATCH",
    Kind.REPLACE: "PUT",
    Kind.UPSERT_MERGE: "PATCH",
    Kind.UPSERT_REPLACE: "PUT",
    Kind.DELETE: "DELETE",
}
_CONDITIONAL: Final = frozenset({Kind.MERGE, Kind.REPLACE, Kind.DELETE})


@dataclass(frozen=True, slots=True)
class Operation:
    """One change of one row. Key and values may come from a dataset, so neither shows in logs."""

    kind: Kind
    row: str = field(repr=False)
    values: Mapping[str, Value] = field(default_factory=dict, repr=False)

    etag: str = "*"
    """The version the row must have; `*` is any. Inserts and upserts have no such condition."""


def insert(row: str, values: Mapping[str, Value]) -> Operation:
    """Make a row that must not exist yet."""
    return Operation(Kind.INSERT, row, values)


def merge(row: str, values: Mapping[str, Value], etag: str = "*") -> Operation:
    """Set some properties of a row that exists; the others stay."""
    return Operation(Kind.MERGE, row, values, etag)


def replace(row: str, values: Mapping[str, Value], etag: str = "*") -> Operation:
    """Replace all properties of a row that exists."""
    return Operation(Kind.REPLACE, row, values, etag)


def upsert_merge(row: str, values: Mapping[str, Value]) -> Operation:
    """Set some properties of a row, made where it does not exist."""
    return Operation(Kind.UPSERT_MERGE, row, values)


def upsert_replace(row: str, values: Mapping[str, Value]) -> Operation:
    """Make a row, or replace all properties of the one that exists."""
    return Operation(Kind.UPSERT_REPLACE, row, values)


def delete(row: str, etag: str = "*") -> Operation:
    """Remove a row that exists."""
    return Operation(Kind.DELETE, row, {}, etag)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction: all of it, or nothing."""

    etags: tuple[str, ...] = ()
    """New version of each row, in order; empty text for a deleted one."""

    status: int = 0
    """Status of the operation that failed; 0 when none did."""

    code: str = ""
    """The service's word for the failure."""

    index: int = 0
    """Which operation failed, counted from 0."""


def render(base: str, table: str, partition: str, operations: Sequence[Operation]) -> Request:
    """Write operations on one partition as one request; a single one goes without the wrapping.

    Raises:
        ValueError: The service would refuse it; splitting is the caller's part.
    """
    _check(partition, operations)
    if len(operations) == 1:
        method, path, headers, body = _render_one(table, partition, operations[0])
        return Request(
            "table",
            method,
            path,
            headers={**HEADERS, **headers},
            body=None if body is None else (body.encode(),),
        )
    parts = [_render_part(base, table, partition, operation) for operation in operations]
    text = (_BODY_START + "".join(parts) + _BODY_END).encode()
    if len(text) > MAX_BODY_BYTES:
        raise ValueError(f"A transaction takes {len(text)} bytes; {MAX_BODY_BYTES} are allowed.")
    return Request("table", "POST", "/$batch", headers=_BATCH_HEADERS, body=(text,))


def parse(reply: Reply, request: Request) -> Outcome:
    """Read the answer to a rendered transaction."""
    if request.path != "/$batch":
        if reply.status < 300:
            return Outcome((reply.headers.get("etag", ""),))
        return Outcome(status=reply.status, code=reply.code)
    if reply.status != 202:
        return Outcome(status=reply.status, code=reply.code)
    answers = [(int(found[1]), found.end()) for found in _ANSWER.finditer(reply.body)]
    status, start = answers[0]
    if status >= 300:
        return _parse_failure(status, reply.body[start:])
    ends = [start for _, start in answers[1:]] + [len(reply.body)]
    spans = zip((start for _, start in answers), ends, strict=True)
    return Outcome(tuple(_find_etag(reply.body, start, end) for start, end in spans))


def is_busy(reply: Reply) -> bool:
    """Tell whether a transaction failed for the moment only; a batch says so within its body."""
    found = _ANSWER.search(reply.body) if reply.status == 202 else None
    return found is not None and int(found[1]) in RETRIED


def entity_path(table: str, partition: str, row: str) -> str:
    """Address of one row, below the service's own."""
    return f"/{table}(PartitionKey='{_quoted(partition)}',RowKey='{_quoted(row)}')"


def _quoted(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")


def _check(partition: str, operations: Sequence[Operation]) -> None:
    if not 1 <= len(operations) <= MAX_OPERATIONS:
        raise ValueError(f"A transaction has 1 to {MAX_OPERATIONS} operations, not {len(operations)}.")
    check_key(partition)
    for operation in operations:
        check_key(operation.row)
    if len({operation.row for operation in operations}) != len(operations):
        raise ValueError("A transaction names a row twice.")


def _render_one(
    table: str, partition: str, operation: Operation
) -> tuple[str, str, dict[str, str], str | None]:
    kind = operation.kind
    path = f"/{table}" if kind is Kind.INSERT else entity_path(table, partition, operation.row)
    headers = {"prefer": "return-no-content"} if kind is Kind.INSERT else {}
    if kind in _CONDITIONAL:
        headers["if-match"] = operation.etag
    if kind is Kind.DELETE:
        return _METHODS[kind], path, headers, None
    headers["content-type"] = _JSON_TYPE
    return _METHODS[kind], path, headers, _encode(render_entity(partition, operation.row, operation.values))


def _render_part(base: str, table: str, partition: str, operation: Operation) -> str:
    method, path, headers, body = _render_one(table, partition, operation)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return (
        f"{_PART_START}{method} {base}{path} HTTP/1.1\r\nAccept: {ACCEPTED}\r\nDataServiceVersion: 3.0\r\n"
        f"{lines}\r\n{body or ''}\r\n"
    )


def _parse_failure(status: int, answer: bytes) -> Outcome:
    # The text of the error begins with the index of the operation: "2:The specified entity already exists."
    found = _INDEX.search(answer)
    return Outcome(status=status, code=find_code(answer), index=int(found[1]) if found else 0)


def _find_etag(body: bytes, start: int, end: int) -> str:
    found = _ETAG.search(body, start, end)
    return found[1].decode() if found else ""
