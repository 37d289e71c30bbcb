"""Instances whose rows and bytes do not agree: what a reader is told of those that are lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from shared.errors import NotAcceptable, NotFound, Unavailable
from shared.storage import archive, keys
from shared.storage.connection import Connection, resolve
from shared.storage.keys import Scope, study_key
from shared.storage.rows import LOCATION
from shared.storage.storage import Storage, Times, open_storage
from shared.stow.checks import Rules, Taken
from shared.stow.store import store
from shared.wado.content import Asked
from shared.wado.converted.workers import Workers
from shared.wado.frames import retrieve_frames
from shared.wado.retrieve import retrieve
from shared.web.accept import choose, parse_accept
from shared.web.answer import Answer
from shared.web.links import Links
from shared.web.multipart import Event, PartBegin, PartBytes, PartEnd
from shared.web.offers import INSTANCE_OFFERS, choose_frames
from tests.factories import JPEG_2000, Instance, make_image

LINKS = Links("http://127.0.0.1/v2")
IMAGE = make_image(2)
SCOPE = Scope(study_key("p", IMAGE.study), IMAGE.series, IMAGE.instance)
SYNTAXES = ["*", JPEG_2000]


@pytest.fixture
def connection(new_account: Callable[[], str]) -> Connection:
    """An empty account."""
    return resolve("STORAGE", {"STORAGE": new_account()})


async def parts(image: Instance) -> AsyncIterator[Event]:
    """A request that stores an image."""
    yield PartBegin({"content-type": "application/dicom"})
    yield PartBytes(image.content)
    yield PartEnd()


def run(connection: Connection, act: Callable[[Storage], Awaitable[None]]) -> None:
    """Store the image and do something."""

    async def whole() -> None:
        storage = open_storage(connection, Times(timedelta(0), timedelta(minutes=15)))
        try:
            rules = Rules(None, is_v1=False, taken=Taken.REFUSE)
            await store(storage, "p", rules, parts(IMAGE))
            await act(storage)
        finally:
            await storage.aclose()

    asyncio.run(whole())


async def instance(storage: Storage, syntax: str = "*", scope: Scope = SCOPE) -> Answer:
    """Retrieve it as a file."""
    ranges = parse_accept(f"multipart/related; type=application/dicom; transfer-syntax={syntax}")
    asked = Asked(choose(INSTANCE_OFFERS, ranges), LINKS)
    return await retrieve(storage, Workers(1), scope=scope, asked=asked)


async def frame(storage: Storage, accept: str) -> Answer:
    """Retrieve its first frame."""
    asked = Asked(choose_frames(parse_accept(accept), 1), LINKS)
    return await retrieve_frames(storage, Workers(1), scope=SCOPE, numbers=[1], asked=asked)


async def lose(storage: Storage) -> str:
    """Remove the bytes and leave the row."""
    row = await archive.read_instance(storage, SCOPE.key, IMAGE.series, IMAGE.instance, LOCATION)
    assert row is not None
    assert await storage.blobs.delete(keys.DICOM, row.location.blob)
    return row.location.blob


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_lost_bytes_are_no_missing_instance(
    connection: Connection, caplog: pytest.LogCaptureFixture, syntax: str, level: str
) -> None:
    """503 and an entry in the log that names where they should be: 404 would say that it was deleted."""
    scopes = {"study": Scope(SCOPE.key), "series": Scope(SCOPE.key, IMAGE.series), "instance": SCOPE}

    async def act(storage: Storage) -> None:
        blob = await lose(storage)
        with caplog.at_level(logging.ERROR), pytest.raises(Unavailable):
            await instance(storage, syntax, scopes[level])
        assert f"blob={blob}" in caplog.text

    run(connection, act)


@pytest.mark.parametrize("accept", ["application/octet-stream; transfer-syntax=*", "*/*", "image/jp2"])
def test_lost_bytes_are_no_missing_frame(
    connection: Connection, caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    """As for the whole."""

    async def act(storage: Storage) -> None:
        blob = await lose(storage)
        with caplog.at_level(logging.ERROR), pytest.raises(Unavailable):
            await frame(storage, accept)
        assert f"blob={blob}" in caplog.text

    run(connection, act)


def test_what_was_deleted_is_missing(connection: Connection) -> None:
    """404, though Accept is judged first."""
    other = Scope(SCOPE.key, IMAGE.series, "1.2.3")

    async def act(storage: Storage) -> None:
        with pytest.raises(NotFound):
            await instance(storage, scope=other)
        with pytest.raises(NotAcceptable):
            await instance(storage, "1.2.840.10008.1.2.4.100", other)

    run(connection, act)
