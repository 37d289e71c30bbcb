"""Storage at its barest: aiohttp and a signature, nothing else. It shows what the storage itself allows.

It shares no code with the service on purpose, checks nothing and repeats nothing.
"""

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final, Self
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

API: Final = "2021-12-02"
_NAME: Final = re.compile(rb"<Name>([^<]*)</Name>")
_LENGTH: Final = re.compile(rb"<Content-Length>(\d+)</Content-Length>")
_MARKER: Final = re.compile(rb"<NextMarker>([^<]+)</NextMarker>")

_JSON: Final = "application/json;odata=nometadata"
_SKIPPED: Final = ("Content-Type", "User-Agent", "Accept-Encoding")

Operation = tuple[str, bytes | None]
"""Row key and content of a row to insert; no content deletes it."""


class RawFailed(Exception):
    """Storage answered otherwise than the measurement needs."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where storage is, and the key to it."""

    name: str
    key: bytes
    endpoints: Mapping[str, str]
    """Address of each service, `blob` and `table`."""

    @classmethod
    def parse(cls, connection: str) -> Self:
        """Read a connection string that names its endpoints."""
        fields = dict(part.split("=", 1) for part in connection.split(";") if part)
        endpoints = {
            service: fields[f"{service.capitalize()}Endpoint"].rstrip("/") for service in ("blob", "table")
        }
        return cls(fields["AccountName"], b64decode(fields["AccountKey"]), endpoints)


@dataclass(frozen=True, slots=True)
class Raw:
    """A bare client of one account."""

    account: Account
    http: aiohttp.ClientSession

    async def put_blob(self, container: str, name: str, body: bytes) -> None:
        """Write a blob."""
        headers = {"x-ms-blob-type": "BlockBlob", "content-length": str(len(body))}
        await self._blob(_Ask("PUT", f"/{container}/{quote(name)}", headers=headers, body=body))

    async def get_blob(self, container: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """Read a blob or a range of it."""
        headers = {} if length is None else {"x-ms-range": f"bytes={start}-{start + length - 1}"}
        return await self._blob(_Ask("GET", f"/{container}/{quote(name)}", headers=headers))

    async def make_container(self, container: str) -> None:
        """Make a container that may exist."""
        query = (("restype", "container"),)
        await self._blob(_Ask("PUT", f"/{container}", query, {"content-length": "0"}, also=409))

    async def list_blobs(self, container: str) -> list[tuple[str, int]]:
        """Name and length of every blob; none when there is no such container."""
        found: list[tuple[str, int]] = []
        marker = ""
        while True:
            query = (("restype", "container"), ("comp", "list"), ("marker", marker))
            page = await self._blob(_Ask("GET", f"/{container}", query, also=404))
            names = (name.decode() for name in _NAME.findall(page))
            found += zip(names, map(int, _LENGTH.findall(page)), strict=False)
            following = _MARKER.search(page)
            if following is None:
                return found
            marker = following[1].decode()

    async def make_table(self, table: str) -> None:
        """Make a table that may exist."""
        body = json.dumps({"TableName": table}).encode()
        headers = {"content-type": "application/json"}
        await self._table(_Ask("POST", "/Tables", headers=headers, body=body, also=409))

    async def transact(self, table: str, partition: str, operations: Sequence[Operation]) -> None:
        """Insert rows of one partition, or delete them, in one transaction."""
        root = self.account.endpoints["table"]
        parts = [_part(root, table, partition, row, content) for row, content in operations]
        text = "--batch_1\r\nContent-Type: multipart/mixed; boundary=changes_1\r\n\r\n" + "".join(parts)
        text += "--changes_1--\r\n--batch_1--\r\n"
        headers = {"content-type": "multipart/mixed; boundary=batch_1"}
        answer = await self._table(_Ask("POST", "/$batch", headers=headers, body=text.encode()))
        if b"HTTP/1.1 4" in answer:
            raise RawFailed("A transaction was refused.")

    async def query(self, table: str, condition: str, top: int, select: str = "") -> bytes:
        """Read one page of rows as JSON; an empty one when there is no such table."""
        query = (("$filter", condition), ("$top", str(top)), *((("$select", select),) if select else ()))
        return await self._table(_Ask("GET", f"/{table}()", query, also=404))

    async def _blob(self, ask: "_Ask") -> bytes:
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API, **ask.headers}
        length = headers.get("content-length", "")
        own = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
        asked = "".join(f"\n{name}:{value}" for name, value in sorted(ask.query))
        lines = f"{ask.method}\n\n\n{'' if length == '0' else length}\n\n\n\n\n\n\n\n\n"
        signature = self._sign("SharedKey", f"{lines}{own}{self._resource('blob', ask)}{asked}")
        return await self._send("blob", ask, {**headers, "authorization": signature})

    async def _table(self, ask: "_Ask") -> bytes:
        date = formatdate(usegmt=True)
        signature = self._sign("SharedKeyLite", f"{date}\n{self._resource('table', ask)}")
        headers = {"x-ms-date": date, "x-ms-version": API, "accept": _JSON, **ask.headers}
        return await self._send("table", ask, {**headers, "authorization": signature})

    def _resource(self, service: str, ask: "_Ask") -> str:
        return f"/{self.account.name}{urlsplit(self.account.endpoints[service]).path}{ask.path}"

    def _sign(self, scheme: str, text: str) -> str:
        digest = hmac.digest(self.account.key, text.encode(), "sha256")
        return f"{scheme} {self.account.name}:{b64encode(digest).decode()}"

    async def _send(self, service: str, ask: "_Ask", headers: Mapping[str, str]) -> bytes:
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in ask.query)
        url = f"{self.account.endpoints[service]}{ask.path}{'?' + text if text else ''}"
        address = URL(url, encoded=True)
        async with self.http.request(
            ask.method, address, headers=headers, data=ask.body, skip_auto_headers=_SKIPPED
        ) as response:
            answer = await response.read()
            if response.status >= 300 and response.status != ask.also:
                raise RawFailed(f"{service} storage answered {response.status} to {ask.method}.")
            return answer


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request before it is signed."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    also: int = 0
    """A status that is as good as success."""


def _part(root: str, table: str, partition: str, row: str, content: bytes | None) -> str:
    head = "--changes_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    if content is None:
        place = f"{root}/{table}(PartitionKey='{quote(partition)}',RowKey='{quote(row)}')"
        return f"{head}DELETE {place} HTTP/1.1\r\nAccept: application/json\r\nIf-Match: *\r\n\r\n\r\n"
    entity = {
        "PartitionKey": partition,
        "RowKey": row,
        "content@odata.type": "Edm.Binary",
        "content": b64encode(content).decode(),
    }
    return (
        f"{head}POST {root}/{table} HTTP/1.1\r\nContent-Type: application/json\r\n"
        "Accept: application/json\r\nPrefer: return-no-content\r\nDataServiceVersion: 3.0\r\n\r\n"
        f"{json.dumps(entity)}\r\n"
    )
