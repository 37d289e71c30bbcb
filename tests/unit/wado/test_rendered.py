"""Pictures of instances whose bytes are lost."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from shared.errors import Unavailable
from shared.storage import archive, keys
from shared.storage.connection import Connection, resolve
from shared.storage.keys import Scope, study_key
from shared.storage.rows import LOCATION
from shared.storage.storage import Storage, Times, open_storage
from shared.stow.checks import Rules, Taken
from shared.stow.store import store
from shared.wado.converted.workers import Workers
from shared.wado.rendered.one import RenderAsked, retrieve_rendered
from shared.wado.rendered.parameters import PLAIN
from shared.wado.rendered.several import retrieve_rendered_all
from shared.web.accept import parse_accept
from shared.web.answer import Answer
from shared.web.links import Links
from shared.web.multipart import Event, PartBegin, PartBytes, PartEnd
from shared.web.ranges import Conditions
from tests.factories import make_image

IMAGE = make_image(2)
SCOPE = Scope(study_key("p", IMAGE.study), IMAGE.series, IMAGE.instance)
PARTS = 'multipart/related; type="image/png"'


@pytest.fixture
def connection(new_account: Callable[[], str]) -> Connection:
    """An empty account."""
    return resolve("STORAGE", {"STORAGE": new_account()})


async def parts() -> AsyncIterator[Event]:
    """A request that stores the image."""
    yield PartBegin({"content-type": "application/dicom"})
    yield PartBytes(IMAGE.content)
    yield PartEnd()


async def ask(storage: Storage, scope: Scope, accept: str, *, is_thumbnail: bool) -> Answer:
    """Retrieve a picture, or pictures."""
    asked = RenderAsked(PLAIN, parse_accept(accept), Links("http://127.0.0.1/v2"), Conditions(), is_thumbnail)
    if scope.instance:
        return await retrieve_rendered(storage, Workers(1), scope=scope, numbers=(), asked=asked)
    return await retrieve_rendered_all(storage, Workers(1), scope=scope, asked=asked)


@pytest.mark.parametrize("accept", ["*/*", PARTS])
@pytest.mark.parametrize("is_thumbnail", [False, True])
def test_lost_bytes_are_no_missing_picture(
    connection: Connection, caplog: pytest.LogCaptureFixture, accept: str, is_thumbnail: bool
) -> None:
    """503 and an entry in the log, at every level, and once they are looked for again and again."""

    async def whole() -> None:
        storage = open_storage(connection, Times(timedelta(0), timedelta(minutes=15)))
        try:
            await store(storage, "p", Rules(None, is_v1=False, taken=Taken.REFUSE), parts())
            row = await archive.read_instance(storage, SCOPE.key, IMAGE.series, IMAGE.instance, LOCATION)
            assert row is not None
            for scope in (SCOPE, Scope(SCOPE.key)):
                answer = await ask(storage, scope, accept, is_thumbnail=is_thumbnail)
                assert answer.status == 200
            assert await storage.blobs.delete(keys.DICOM, row.location.blob)
            for scope in (SCOPE, Scope(SCOPE.key, IMAGE.series), Scope(SCOPE.key)):
                caplog.clear()
                with caplog.at_level(logging.ERROR), pytest.raises(Unavailable):
                    await ask(storage, scope, accept, is_thumbnail=is_thumbnail)
                assert f"blob={row.location.blob}" in caplog.text
        finally:
            await storage.aclose()

    asyncio.run(whole())
