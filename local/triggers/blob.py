"""Blob triggers: the container is listed again and again, whatever source the binding names.

Each version of a blob, known by its etag, is handed over once if that succeeds; after a number of failures
it is set aside with a message in `webjobs-blobtrigger-poison`. Finding and running are apart: listing goes
on while functions run, so a blob that arrives meanwhile is seen.
"""

import asyncio
import json
import logging
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobProperties
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from local.bindings import create, encode_message
from local.errors import FunctionFailed
from local.functions import Function
from local.invoker import Value
from local.runner import Runner
from local.settings import BlobSettings
from local.triggers.receipts import Receipts

LOG = logging.getLogger("local.triggers")

POISON_QUEUE = "webjobs-blobtrigger-poison"

MAX_WAITING = 5000
"""Blobs found and not yet run; listing stops there until some have been."""


@dataclass(frozen=True, slots=True)
class BlobPath:
    """The path of a blob trigger, such as `events/{year}/{name}.txt`."""

    container: str
    prefix: str
    """What every blob's name begins with, for the listing."""

    pattern: re.Pattern[str]

    def match(self, name: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(name)
        return found.groupdict() if found else None


@dataclass(frozen=True, slots=True)
class Version:
    """One state of one blob."""

    name: str
    etag: str


@dataclass(frozen=True, slots=True)
class Failures:
    """How often a version has failed, and when it is tried again (monotonic seconds)."""

    count: int
    next_try: float


@dataclass(frozen=True, slots=True)
class BlobStores:
    """What a blob trigger reads and writes."""

    container: ContainerClient
    poison: QueueClient
    receipts: Receipts
    base64: bool


class BlobSource:
    """One blob-triggered function and its container."""

    def __init__(
        self, function: Function, runner: Runner, path: BlobPath, stores: BlobStores, settings: BlobSettings
    ) -> None:
        self.function = function
        self.name = function.name
        self.runner = runner
        self.path = path
        self.stores = stores
        self.settings = settings
        self.longest_seconds = settings.poll_seconds * 4
        self.found: deque[Version] = deque()
        self.busy: set[Version] = set()
        """Found or running: not to be found again."""

        self.failures: dict[Version, Failures] = {}
        self.running: set[asyncio.Task[None]] = set()
        self.woken = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self.found)

    async def prepare(self) -> None:
        await create(self.stores.container)
        await self.stores.receipts.load()

    async def poll(self, *, eager: bool = False) -> int:
        if len(self.found) >= MAX_WAITING:
            return 0
        before = len(self.found)
        present: set[Version] = set()
        whole = True
        async for blob in self.stores.container.list_blobs(name_starts_with=self.path.prefix or None):
            version = Version(str(blob.name), str(blob.etag).strip('"'))
            present.add(version)
            if self.is_due(version, eager=eager):
                self.busy.add(version)
                self.found.append(version)
            if len(self.found) >= MAX_WAITING:
                whole = False
                break
        found = len(self.found) - before
        self.fill()
        if whole:
            await self.clean(present)
        return found

    def is_due(self, version: Version, *, eager: bool) -> bool:
        if version in self.busy or self.stores.receipts.has(version.name, version.etag):
            return False
        if self.path.match(version.name) is None:
            return False
        failed = self.failures.get(version)
        return failed is None or eager or time.monotonic() >= failed.next_try

    async def clean(self, present: set[Version]) -> None:
        """Forget what a whole listing no longer shows."""
        for version in [each for each in self.failures if each not in present and each not in self.busy]:
            del self.failures[version]
        await self.stores.receipts.settle({version.name for version in present})

    def fill(self) -> None:
        """Start what was found, as far as there is room."""
        while self.found and len(self.running) < self.settings.max_parallel:
            task = asyncio.create_task(self.handle(self.found.popleft()))
            self.running.add(task)
            task.add_done_callback(self.finished)

    def finished(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            self.fill()

    async def handle(self, version: Version) -> None:
        """Hand over one blob, whatever comes of it."""
        try:
            await self.hand_over(version)
        except (ResourceNotFoundError, ResourceModifiedError):
            LOG.debug("%s: a blob was gone or changed before its turn", self.name)
        except FunctionFailed:
            await self.after_failure(version)
        except AzureError as error:
            LOG.warning("%s: a blob could not be read (%s)", self.name, type(error).__name__)
            self.put_off(version, 1)
        finally:
            self.busy.discard(version)

    async def hand_over(self, version: Version) -> None:
        client = self.stores.container.get_blob_client(version.name)
        stream = await client.download_blob(
            etag=f'"{version.etag}"', match_condition=MatchConditions.IfNotModified, max_concurrency=1
        )
        value = Value("bytes", await stream.readall())
        names = self.path.match(version.name) or {}
        metadata = metadata_of(self.path.container, client.url, stream.properties, names)
        await self.runner.run(self.function, value, metadata)
        self.failures.pop(version, None)
        self.stores.receipts.add(version.name, version.etag)

    async def after_failure(self, version: Version) -> None:
        count = self.failures[version].count + 1 if version in self.failures else 1
        if count < self.settings.poison_threshold:
            self.put_off(version, count)
            return
        LOG.error("%s: a blob failed %d times and is set aside in %s", self.name, count, POISON_QUEUE)
        try:
            await self.set_aside(version)
        except AzureError as error:
            LOG.warning("%s: a blob could not be set aside (%s)", self.name, type(error).__name__)
            self.put_off(version, count - 1)
            return
        self.failures.pop(version, None)
        self.stores.receipts.add(version.name, version.etag)

    def put_off(self, version: Version, count: int) -> None:
        """Try again later, twice as late each time."""
        self.failures[version] = Failures(count, time.monotonic() + self.settings.poll_seconds * 2**count)

    async def set_aside(self, version: Version) -> None:
        note = {
            "Type": "BlobTrigger",
            "FunctionId": f"Host.Functions.{self.name}",
            "BlobType": "BlockBlob",
            "ContainerName": self.path.container,
            "BlobName": version.name,
            "ETag": f'"{version.etag}"',
        }
        text = encode_message(json.dumps(note), base64_on=self.stores.base64)
        try:
            await self.stores.poison.send_message(text)
        except ResourceNotFoundError:
            await create(self.stores.poison, self.stores.poison.create_queue)
            await self.stores.poison.send_message(text)

    def give_up(self) -> None:
        self.found.clear()

    async def run_by_hand(self, path: str) -> None:
        """Hand over the blob at `container/name`, whether or not it was handled before.

        Raises:
            FunctionFailed: There is no such blob, or the function raised.
        """
        container, _, name = path.strip("/").partition("/")
        if container != self.path.container or self.path.match(name) is None:
            raise FunctionFailed(f"the path does not match {self.function.trigger.text('path')}")
        try:
            properties = await self.stores.container.get_blob_client(name).get_blob_properties()
            await self.hand_over(Version(name, str(properties.etag).strip('"')))
        except (ResourceNotFoundError, ResourceModifiedError) as error:
            raise FunctionFailed("there is no such blob") from error


def parse_path(path: str) -> BlobPath:
    """Read the path of a blob trigger; a path that is only a container takes every blob.

    Raises:
        ValueError: The path cannot be one.
    """
    container, _, rest = path.strip("/").partition("/")
    if not container or "{" in container:
        raise ValueError(f"the path {path!r} does not begin with a container")
    pieces = re.split(r"\{([^{}]+)\}", rest)
    names = [name.lower() for name in pieces[1::2]]
    if len(set(names)) < len(names) or "{" in "".join(pieces) or "}" in "".join(pieces):
        raise ValueError(f"the braces in the path {path!r} do not fit together")
    if any(not name.isidentifier() for name in pieces[1::2]):
        raise ValueError(f"the path {path!r} has a name that is not a word")
    pattern = "".join(
        f"(?P<{piece}>.+)" if index % 2 else re.escape(piece) for index, piece in enumerate(pieces)
    )
    return BlobPath(container, pieces[0], re.compile(pattern if rest else ".+", re.DOTALL))


def metadata_of(container: str, url: str, blob: BlobProperties, names: Mapping[str, str]) -> dict[str, Value]:
    """What the host tells a function about its blob, with the parts of its path."""
    properties: dict[str, Any] = {
        "ContentLength": blob.size,
        "Length": blob.size,
        "ContentType": blob.content_settings.content_type,
        "ETag": str(blob.etag),
        "BlobType": 0,
        "LastModified": blob.last_modified.isoformat() if blob.last_modified else None,
        "CreatedOn": blob.creation_time.isoformat() if blob.creation_time else None,
    }
    return {
        "BlobTrigger": Value("string", f"{container}/{blob.name}"),
        "Uri": Value("string", url),
        "Properties": Value("json", json.dumps(properties)),
        "Metadata": Value("json", json.dumps(dict(blob.metadata or {}))),
        **{name: Value("string", value) for name, value in names.items()},
    }
