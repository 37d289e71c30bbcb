"""Requests to a service that may be killed meanwhile, and what their answers say."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from tests.archive import ANY_SYNTAX, JSON
from tests.factories import multipart
from tests.faults.files import Address, File, body_apart
from tests.faults.ledger import Kind, Outcome
from tests.faults.serving import Served
from tests.forms import AS_JSON

ONE_FILE: Final = "application/dicom; transfer-syntax=*"
PATIENCE_SECONDS: Final = 300.0
"""A request takes less, on a machine however busy."""
AGAIN_SECONDS: Final = 0.02

_EXISTS: Final = 45070
_PROCESSING: Final = 272
_OUTCOMES: Final = {_EXISTS: Outcome.EXISTS, _PROCESSING: Outcome.UNCLEAR}


class Odd(Exception):
    """An answer that nobody may get, whatever goes wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def expect(self, *statuses: int) -> bool:
        """Whether it is one of these; False for an answer that storage is to blame for.

        Raises:
            Odd: It is another.
        """
        if self.status not in (*statuses, 503):
            raise Odd(f"is answered {self.status} {self.body[:200]!r}")
        return self.status != 503


@dataclass(frozen=True, slots=True)
class Asking:
    """A client's connections."""

    http: aiohttp.ClientSession
    partition: str

    async def store(
        self, served: Served, kind: Kind, files: Sequence[File], *, is_apart: bool
    ) -> Answer | None:
        """Store files; None when no answer came and none will."""
        body, content_type = multipart([file.content() for file in files])
        if is_apart:
            body, content_type = body_apart(files), AS_JSON
        method = "PUT" if kind is Kind.UPSERT else "POST"
        headers = {"Content-Type": content_type, "Accept": JSON}
        return await self._ask(served, method, "studies", headers, body)

    async def delete(self, served: Served, path: str) -> Answer | None:
        """Delete what a path names; None when no answer came and none will."""
        return await self._ask(served, "DELETE", path, {})

    async def get(self, served: Served, path: str, accept: str = JSON) -> Answer | None:
        """Read; None when the answer broke off."""
        return await self._ask(served, "GET", path, {"Accept": accept})

    async def search(self, served: Served, path: str) -> list[Answer] | None:
        """Search, and follow the links to all further pages; None when one of them did not come."""
        pages: list[Answer] = []
        query = urlsplit(path).query
        while query:
            answer = await self.get(served, f"{urlsplit(path).path}?{query}")
            if answer is None or not answer.expect(200, 204):
                return None
            pages.append(answer)
            query = next_query(answer) if "Link" in answer.headers else ""
        return pages

    async def feed(self, served: Served, version: str, query: str, wait: int = 0) -> Answer | None:
        """Read the change feed; None when the answer broke off."""
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        return await self._send(served, "GET", f"/{version}/changefeed?{query}", headers)

    async def _ask(
        self, served: Served, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer | None:
        return await self._send(served, method, f"/v2/partitions/{self.partition}/{path}", headers, body)

    async def _send(
        self, served: Served, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer | None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            kills = served.kills
            try:
                async with self.http.request(
                    method, served.url + path, headers=headers, data=body
                ) as response:
                    return Answer(response.status, response.headers, await response.read())
            except aiohttp.ClientConnectorError:
                # It is dead, and nothing was asked.
                if time.monotonic() > deadline:
                    raise
            except (aiohttp.ClientError, ConnectionError):
                if method != "GET":
                    await served.buried(kills)
                return None
            await asyncio.sleep(AGAIN_SECONDS)


def open_session() -> aiohttp.ClientSession:
    """Connections that are used once, so that none turns out to lead to a dead process."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS),
    )
    # Else a PUT or DELETE that breaks is sent once more, and nobody knows.
    session._retry_connection = False
    return session


def store_outcomes(answer: Answer, files: Iterable[File], partition: str) -> dict[Address, Outcome]:
    """What a store answer says of each file.

    Raises:
        Odd: It does not name each file once, or a reason that cannot be.
    """
    if not answer.expect(200, 202, 409):
        return {}
    dataset = json.loads(answer.body)
    told: dict[str, Outcome] = {}
    for item in _items(dataset, "00081199"):
        told[_value(item, "00081155")] = Outcome.STORED
    for item in _items(dataset, "00081198"):
        told[_value(item, "00081155")] = _OUTCOMES[_value(item, "00081197")]
    found = {file.address(partition): told.pop(file.instance, None) for file in files}
    if told or None in found.values():
        raise Odd(f"is answered with {answer.body!r}")
    return {address: outcome for address, outcome in found.items() if outcome is not None}


def files_in(answer: Answer) -> list[bytes]:
    """The parts of a multipart answer; one that does not end as it should is no complete answer."""
    boundary = answer.headers["Content-Type"].rpartition("boundary=")[2]
    dashes = f"--{boundary}".encode()
    if not answer.body.endswith(b"\r\n" + dashes + b"--\r\n"):
        raise Odd(f"looks complete and ends with {answer.body[-40:]!r}")
    pieces = (b"\r\n" + answer.body).split(b"\r\n" + dashes)[1:-1]
    return [piece.partition(b"\r\n\r\n")[2] for piece in pieces]


def addresses_in(pages: Sequence[Answer], partition: str) -> dict[Address, dict[str, Any]]:
    """The datasets of a search or of metadata, by their addresses.

    Raises:
        Odd: One comes twice.
    """
    datasets = _datasets(pages)
    found = {
        (partition, *(_value(dataset, tag) for tag in ("0020000D", "0020000E", "00080018"))): dataset
        for dataset in datasets
    }
    if len(found) < len(datasets):
        raise Odd("names an instance twice")
    return found


def studies_in(pages: Sequence[Answer]) -> set[str]:
    """The studies that a search of studies has found.

    Raises:
        Odd: One comes twice.
    """
    found = [_value(dataset, "0020000D") for dataset in _datasets(pages)]
    if len(found) > len(set(found)):
        raise Odd("names a study twice")
    return set(found)


def bulk_address(dataset: Mapping[str, Any]) -> str:
    """Where the pixel data of an instance are, by its metadata."""
    return str(dataset["7FE00010"]["BulkDataURI"])


def next_query(answer: Answer) -> str:
    """The query of the page that comes next."""
    return urlsplit(answer.headers["Link"].partition(">")[0].removeprefix("<")).query


def number_of(dataset: Mapping[str, Any]) -> str:
    """The instance number, by which versions of a file are told apart."""
    return str(_value(dataset, "00200013"))


def _datasets(pages: Sequence[Answer]) -> list[dict[str, Any]]:
    return [dataset for page in pages for dataset in json.loads(page.body or b"[]")]


def _items(dataset: Mapping[str, Any], tag: str) -> list[Any]:
    items: list[Any] = dataset.get(tag, {}).get("Value", [])
    return items


def _value(dataset: Mapping[str, Any], tag: str) -> Any:
    return dataset[tag]["Value"][0]


ALL_FILES: Final = ANY_SYNTAX
