"""Talks to one data partition of a running service, and takes its answers apart."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import httpx

from tests.factories import Instance, multipart

JSON = "application/dicom+json"
ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
ANY_FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'

Dataset = dict[str, Any]  # DICOM JSON: tests assert on its shape, so it is left open here.


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart answer."""

    head: bytes
    """Its header lines, as they came."""

    content: bytes

    @property
    def content_type(self) -> str:
        """Its Content-Type, which must be the first line and spelt so."""
        name, _, value = self.head.split(b"\r\n")[0].decode("ascii").partition(": ")
        assert name == "Content-Type"
        return value

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax it says it has."""
        return self.content_type.rpartition("transfer-syntax=")[2]


@dataclass(frozen=True, slots=True)
class Archive:
    """One data partition."""

    http: httpx.Client
    host: str
    """Scheme, host and port of the service."""

    partition: str | None
    version: str = "v2"

    @classmethod
    def fresh(cls, http: httpx.Client, host: str) -> Self:
        """A partition that nobody has used."""
        return cls(http, host, f"t{uuid4().hex}")

    @property
    def root(self) -> str:
        """What stands before `/studies` in every URL."""
        within = f"/partitions/{self.partition}" if self.partition is not None else ""
        return f"{self.host}/{self.version}{within}"

    def as_version(self, version: str) -> "Archive":
        """The same data by another version of the API."""
        return Archive(self.http, self.host, self.partition, version)

    def url(self, path: str) -> str:
        """The URL of a resource."""
        return f"{self.root}/{path}" if path else self.root

    def ask(
        self,
        method: str,
        path: str,
        accept: str | None = None,
        *,
        content: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request exactly as told: no Accept header unless one is given."""
        request = self.http.build_request(method, self.url(path), content=content, headers=headers)
        del request.headers["accept"]
        if accept is not None:
            request.headers["Accept"] = accept
        return self.http.send(request)

    def get(self, path: str, accept: str | None = None, **headers: str) -> httpx.Response:
        """GET; header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("GET", path, accept, headers=named)

    def delete(self, path: str) -> httpx.Response:
        """DELETE."""
        return self.ask("DELETE", path)

    def store(self, *instances: Instance | bytes, path: str = "studies") -> httpx.Response:
        """Store files in one multipart request."""
        body, content_type = multipart(instances)
        return self.ask("POST", path, JSON, content=body, headers={"Content-Type": content_type})

    def post(self, body: bytes, content_type: str, path: str = "studies") -> httpx.Response:
        """Store a body as it is."""
        return self.ask("POST", path, JSON, content=body, headers={"Content-Type": content_type})

    def keep(self, *instances: Instance) -> None:
        """Store instances that a test needs, all of which must be accepted."""
        answer = self.store(*instances)
        assert answer.status_code in (200, 202), answer.text
        assert "00081198" not in answer.json(), answer.text

    def search(self, path: str) -> list[Dataset]:
        """Search, and give the datasets found."""
        answer = self.get(path, JSON)
        if answer.status_code == 204:
            assert answer.content == b""
            return []
        assert answer.status_code == 200, answer.text
        found: list[Dataset] = answer.json()
        return found

    def metadata(self, path: str) -> list[Dataset]:
        """The metadata of a study, series or instance."""
        answer = self.get(f"{path}/metadata", JSON)
        assert answer.status_code == 200, answer.text
        found: list[Dataset] = answer.json()
        return found


def parts_of(answer: httpx.Response) -> list[Part]:
    """Take a multipart answer apart, insisting on the form that all clients read (clients section 4.2)."""
    header = answer.headers["Content-Type"]
    found = re.fullmatch(r'multipart/related; type="[a-z0-9.+/-]+"; boundary=([0-9a-f]{32})', header)
    assert found, header
    dashes = b"--" + found[1].encode()
    body = answer.content
    assert body.startswith(dashes + b"\r\n")
    assert body.endswith(b"\r\n" + dashes + b"--\r\n")
    pieces = (b"\r\n" + body).split(b"\r\n" + dashes)[1:-1]
    return [_part(piece) for piece in pieces]


def _part(piece: bytes) -> Part:
    head, blank, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    assert blank
    assert len(head) < 1000
    return Part(head, content)


def values(dataset: Dataset, tag: str) -> list[Any]:
    """The values of an element; empty when the element has none."""
    found: list[Any] = dataset[tag].get("Value", [])
    return found


def relative(dataset: Dataset) -> Dataset:
    """A dataset with each BulkDataURI cut down to what follows `/bulkdata/`, which no address changes."""
    text = re.sub(r'("BulkDataURI": ")[^"]*/bulkdata/', r"\1", json.dumps(dataset))
    found: Dataset = json.loads(text)
    return found


def uids(datasets: Sequence[Dataset], tag: str) -> list[str]:
    """One UID of each dataset."""
    return [values(dataset, tag)[0] for dataset in datasets]


def failures(answer: httpx.Response) -> list[int]:
    """The failure reasons of a store answer, in order."""
    dataset: Dataset = answer.json()
    items = values(dataset, "00081198") if "00081198" in dataset else []
    return [item["00081197"]["Value"][0] for item in items]


def stored(answer: httpx.Response) -> list[str]:
    """The SOP Instance UIDs that a store answer says are stored, in order."""
    dataset: Dataset = answer.json()
    items = values(dataset, "00081199") if "00081199" in dataset else []
    return [item["00081155"]["Value"][0] for item in items]


def comments(item: Dataset) -> list[str]:
    """The error comments of an item of a store answer."""
    return [failed["00000902"]["Value"][0] for failed in values(item, "00741048")]
