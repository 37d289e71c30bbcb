"""Steps of an upload past the service, for processes that may be killed at any moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from functions.service import SETTINGS, Service
from functions.uploads import store_uploaded
from shared.errors import Unavailable
from shared.storage import keys, upload_rows
from shared.storage.storage import Storage
from shared.storage.tables import merge
from shared.storage.upload_rows import Terms
from shared.uploads.begin import begin
from shared.uploads.finish import finish
from shared.uploads.run import run
from shared.uploads.sweep import sweep_uploads
from tests.factories import multipart
from tests.faults.driver import Value
from tests.faults.files import File

LIFETIME: Final = timedelta(hours=1)
MAX_BYTES: Final = 2**30

_, BODY_TYPE = multipart([])


@dataclass(frozen=True, slots=True)
class Begin:
    """A request for an address. Gives the id."""

    partition: str

    async def run(self, storage: Storage) -> Value:
        terms = Terms(self.partition, False, "http://127.0.0.1/v2", None, BODY_TYPE, "")
        return (await begin(storage, terms, LIFETIME)).id


@dataclass(frozen=True, slots=True)
class Put:
    """What the client does at the address. Gives the id."""

    upload: str
    files: tuple[File, ...]

    async def run(self, storage: Storage) -> Value:
        await storage.blobs.put(keys.UPLOADS, self.upload, _body_of(self.files), if_absent=False)
        return self.upload


@dataclass(frozen=True, slots=True)
class Finish:
    """The request that ends an upload."""

    partition: str
    upload: str

    async def run(self, storage: Storage) -> Value:
        await finish(storage, self.upload, self.partition, max_bytes=MAX_BYTES)
        return "finished"


@dataclass(frozen=True, slots=True)
class Upload:
    """All that a client does, but the end where it is not wanted. Gives the id."""

    partition: str
    files: tuple[File, ...]
    finishes: bool = True

    async def run(self, storage: Storage) -> Value:
        upload = await Begin(self.partition).run(storage)
        assert isinstance(upload, str)
        await Put(upload, self.files).run(storage)
        if self.finishes:
            await Finish(self.partition, upload).run(storage)
        return upload


@dataclass(frozen=True, slots=True)
class StoreUploaded:
    """The function of the queue. Gives the status of the operation, None when there was nothing to do."""

    upload: str

    async def run(self, storage: Storage) -> Value:
        return await run(storage, self.upload, partial(store_uploaded, Service(SETTINGS, storage)))


@dataclass(frozen=True, slots=True)
class SweepUploads:
    """The timer's part for uploads, when all that can end has ended. Gives how many it woke."""

    async def run(self, storage: Storage) -> Value:
        long_ago = datetime.now(UTC) - timedelta(days=1)
        for upload in await upload_rows.every(storage):
            step = merge(upload.id, {"due": long_ago})
            await storage.tables.transact(keys.UPLOADS, keys.upload_key(upload.id), [step])
        tidied = await sweep_uploads(storage)
        if tidied.failed:
            raise Unavailable(f"{tidied.failed} uploads could not be swept.")
        return tidied.woken


def _body_of(files: Sequence[File]) -> bytes:
    return multipart([file.content() for file in files])[0]
