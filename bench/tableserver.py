"""Table storage over SQLite, for archives that are too large for the emulator.

The emulator looks through all rows of a partition for each query and ends at some hundred thousand rows; an
archive of 100,000 studies has ten million. Here a query costs what it reads, as with the real service, and
the service under measurement talks to it over the same wire. It is for measuring alone: one process, no
authentication, nothing kept when the machine fails.

`python -m bench.tableserver FILE PORT` serves a file that `TableFile` wrote.
"""

import json
import re
import sqlite3
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote

from aiohttp import web

from shared.storage.entities import Value, render_entity

MAX_PAGE: Final = 1000
"""Rows of one answer, as with the real service."""

_JSON: Final = "application/json;odata=minimalmetadata;charset=utf-8"
_ENTITY: Final = re.compile(r"(\w+)\(PartitionKey='((?:[^']|'')*)',RowKey='((?:[^']|'')*)'\)")
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<word>PartitionKey|RowKey|eq|ne|ge|gt|le|lt|and|or|not|[()])|'(?P<text>(?:[^']|'')*)')"
)
_SQL: Final = {
    "PartitionKey": "pk",
    "RowKey": "rk",
    "eq": "=",
    "ne": "<>",
    "ge": ">=",
    "gt": ">",
    "le": "<=",
    "lt": "<",
}
_PART: Final = re.compile(
    rb"\r\n\r\n(POST|PUT|PATCH|MERGE|DELETE) (\S+) HTTP/1\.1\r\n(.*?)\r\n\r\n(.*?)\r\n--", re.DOTALL
)


class TableFile:
    """The rows of all tables of an account in one file."""

    def __init__(self, path: Path | str) -> None:
        """Open it, or make it."""
        self._db = sqlite3.connect(path, isolation_level=None)
        for line in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-1000000", "temp_store=MEMORY"):
            self._db.execute(f"PRAGMA {line}")
        self._db.execute("CREATE TABLE IF NOT EXISTS '$bodies' (id INTEGER PRIMARY KEY, body TEXT)")
        self._tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything within is done, or nothing."""
        self._db.execute("SAVEPOINT one")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO one")
            raise
        finally:
            self._db.execute("RELEASE one")

    def make(self, table: str) -> bool:
        """Make a table; whether it was new."""
        if self.has(table):
            return False
        self._db.execute(
            f"CREATE TABLE '{table}' (pk TEXT, rk TEXT, body INT, PRIMARY KEY (pk, rk)) WITHOUT ROWID"
        )
        self._tables.add(table)
        return True

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        if table not in self._tables:
            # Another process may fill the file.
            self._tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master")}
        return table in self._tables

    def keep(self, values: Mapping[str, Value]) -> int:
        """Keep the properties of a row, or of several; gives what rows name them by."""
        return self.keep_rendered(_without_keys(render_entity("p", "r", values)))

    def keep_rendered(self, properties: Mapping[str, object]) -> int:
        """The same of properties as they come over the wire."""
        text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
        return int(self._db.execute("INSERT INTO '$bodies' (body) VALUES (?)", (text,)).lastrowid or 0)

    def put(self, table: str, rows: Iterable[tuple[str, str, int]]) -> None:
        """Write rows: partition key, row key, and what `keep` gave."""
        self.make(table)
        self._db.executemany(f"INSERT OR REPLACE INTO '{table}' VALUES (?, ?, ?)", rows)

    def get(self, table: str, partition: str, row: str) -> tuple[int, dict[str, Any]] | None:
        """The version of a row and its properties."""
        found = self._db.execute(
            f"SELECT body, (SELECT body FROM '$bodies' WHERE id = rows.body) FROM '{table}' rows "
            "WHERE pk = ? AND rk = ?",
            (partition, row),
        ).fetchone()
        return (found[0], json.loads(found[1])) if found else None

    def remove(self, table: str, partition: str, row: str) -> None:
        """Remove a row."""
        self._db.execute(f"DELETE FROM '{table}' WHERE pk=? AND rk=?", (partition, row))

    def query(
        self, table: str, condition: str, top: int, behind: tuple[str, str] | None
    ) -> list[tuple[str, str, int, str]]:
        """Up to so many rows that meet a filter, from a place on: keys, version and properties."""
        where, values = _sql(condition)
        if behind is not None:
            where, values = f"({where}) AND (pk, rk) >= (?, ?)", [*values, *behind]
        return self._db.execute(
            f"SELECT pk, rk, body, (SELECT body FROM '$bodies' WHERE id = rows.body) FROM '{table}' rows "
            f"WHERE {where} ORDER BY pk, rk LIMIT {top}",
            values,
        ).fetchall()


def _without_keys(entity: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in entity.items() if name not in ("PartitionKey", "RowKey")}


def _sql(condition: str) -> tuple[str, list[str]]:
    """A filter as SQL; the service asks for keys alone."""
    words: list[str] = []
    values: list[str] = []
    at = 0
    while at < len(condition.rstrip()):
        found = _TOKEN.match(condition, at)
        if found is None:
            raise ValueError(f"This filter is not understood: {condition}")
        at = found.end()
        if found["word"]:
            words.append(_SQL.get(found["word"], found["word"]))
        else:
            words.append("?")
            values.append(found["text"].replace("''", "'"))
    return " ".join(words) or "1", values


class Refused(Exception):
    """An operation cannot be done."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row, as it came."""

    method: str
    path: str
    if_match: str
    body: bytes

    def apply(self, file: TableFile) -> str:
        """Do it; gives the version of the row."""
        if self.method == "POST":
            properties = json.loads(self.body)
            table, partition, row = self.path, properties["PartitionKey"], properties["RowKey"]
        else:
            table, partition, row = parse_entity_path(self.path)
            properties = json.loads(self.body or b"{}")
        if not file.has(table):
            raise Refused(404, "TableNotFound")
        before = file.get(table, partition, row)
        self._check(before)
        if self.method == "DELETE":
            file.remove(table, partition, row)
            return ""
        kept = before[1] if before and self.method in ("PATCH", "MERGE") else {}
        version = file.keep_rendered(kept | _without_keys(properties))
        file.put(table, [(partition, row, version)])
        return _etag(version)

    def _check(self, before: tuple[int, Mapping[str, object]] | None) -> None:
        if self.method == "POST":
            if before:
                raise Refused(409, "EntityAlreadyExists")
        elif self.if_match and before is None:
            raise Refused(404, "ResourceNotFound")
        elif self.if_match not in ("", "*") and before and self.if_match != _etag(before[0]):
            raise Refused(412, "UpdateConditionNotSatisfied")


def parse_entity_path(path: str) -> tuple[str, str, str]:
    """Table, partition key and row key of the address of a row."""
    found = _ENTITY.fullmatch(path)
    if found is None:
        raise Refused(400, "InvalidInput")
    return found[1], found[2].replace("''", "'"), found[3].replace("''", "'")


def _etag(version: int) -> str:
    return f'W/"{version}"'


class Server:
    """Answers the calls that the service makes."""

    def __init__(self, file: TableFile) -> None:
        self._file = file

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        path = unquote(request.rel_url.raw_path.split("/", 2)[2])
        try:
            if request.method == "GET":
                return self._read(request, path)
            body = await request.read()
            if path == "Tables":
                return self._make(json.loads(body)["TableName"])
            if path == "$batch":
                return self._batch(body)
            change = Change(request.method, path, request.headers.get("If-Match", ""), body)
            with self._file.transaction():
                return web.Response(status=204, headers={"etag": change.apply(self._file)})
        except Refused as refused:
            return web.Response(
                status=refused.status, text=_error(refused, ""), content_type="application/json"
            )

    def _make(self, table: str) -> web.Response:
        if not self._file.make(table):
            raise Refused(409, "TableAlreadyExists")
        return web.json_response({"TableName": table}, status=201)

    def _read(self, request: web.Request, path: str) -> web.Response:
        if path.endswith("()"):
            return self._query(request, path.removesuffix("()"))
        table, partition, row = parse_entity_path(path)
        found = self._file.get(table, partition, row) if self._file.has(table) else None
        if found is None:
            raise Refused(404, "ResourceNotFound")
        select = request.query.get("$select", "")
        text = _entity((partition, row, found[0], json.dumps(found[1])), select)
        return web.Response(text=text, headers={"Content-Type": _JSON})

    def _query(self, request: web.Request, table: str) -> web.Response:
        if not self._file.has(table):
            raise Refused(404, "TableNotFound")
        asked = request.query
        top = min(int(asked.get("$top", MAX_PAGE)), MAX_PAGE)
        behind = (
            (_open(asked["NextPartitionKey"]), _open(asked["NextRowKey"])) if "NextRowKey" in asked else None
        )
        rows = self._file.query(table, asked.get("$filter", ""), top + 1, behind)
        headers = {"Content-Type": _JSON}
        if len(rows) > top:
            partition, row = rows[top][:2]
            headers["x-ms-continuation-NextPartitionKey"] = _closed(partition)
            headers["x-ms-continuation-NextRowKey"] = _closed(row)
        select = asked.get("$select", "")
        text = '{"value":[' + ",".join(_entity(row, select) for row in rows[:top]) + "]}"
        return web.Response(text=text, headers=headers)

    def _batch(self, body: bytes) -> web.Response:
        changes = [_change(*found) for found in _PART.findall(body)]
        answers: list[str] = []
        try:
            with self._file.transaction():
                for change in changes:
                    version = change.apply(self._file)
                    answers.append(
                        f"HTTP/1.1 204 No Content\r\n{f'ETag: {version}' if version else 'X: x'}\r\n\r\n"
                    )
        except Refused as refused:
            text = _error(refused, f"{len(answers)}:")
            answers = [
                f"HTTP/1.1 {refused.status} Refused\r\nContent-Type: application/json\r\n\r\n{text}\r\n"
            ]
        head = "--answers\r\nContent-Type: application/http\r\n\r\n"
        return web.Response(
            status=202,
            text="".join(f"{head}{answer}\r\n" for answer in answers) + "--answers--\r\n",
            headers={"Content-Type": "multipart/mixed; boundary=answers"},
        )


def _change(method: bytes, url: bytes, head: bytes, body: bytes) -> Change:
    lines = (line.partition(":") for line in head.decode().splitlines())
    headers = {name.lower(): value.strip() for name, _, value in lines}
    path = unquote(url.decode().split("/", 4)[4])
    return Change(method.decode(), path, headers.get("if-match", ""), body)


def _entity(row: tuple[str, str, int, str], select: str) -> str:
    partition, key, version, body = row
    head = {"odata.etag": _etag(version), "PartitionKey": partition, "RowKey": key}
    if select:
        wanted = set(select.split(","))
        found = json.loads(body) if wanted - {"PartitionKey", "RowKey"} else {}
        chosen = {name: value for name, value in found.items() if name.partition("@")[0] in wanted}
        return json.dumps(head | chosen, ensure_ascii=False)
    text = json.dumps(head, ensure_ascii=False)
    return text if body == "{}" else f"{text[:-1]},{body[1:]}"


def _error(refused: Refused, index: str) -> str:
    message = {"lang": "en-US", "value": f"{index}{refused.code}"}
    return json.dumps({"odata.error": {"code": refused.code, "message": message}})


def _closed(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode() or "-"


def _open(text: str) -> str:
    return "" if text == "-" else urlsafe_b64decode(text).decode()


def main() -> None:
    """Serve a file until told to stop."""
    path, port = sys.argv[1:]
    with TableFile(path) as file:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{account}/{rest:.*}", Server(file).answer)
        web.run_app(app, host="127.0.0.1", port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main()
