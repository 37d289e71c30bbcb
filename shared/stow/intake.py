"""Taking one part in: read as it arrives, a small file kept, a large one uploaded meanwhile."""

import math
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from shared.dicom.errors import NotDicom
from shared.dicom.part10 import Identity, Part10File
from shared.errors import Unavailable
from shared.storage import active, keys
from shared.storage.keys import study_key
from shared.storage.rows import Location
from shared.storage.storage import Storage
from shared.storage.upload import BlockUpload
from shared.storage.versions import next_version
from shared.stow.checks import Passed, Rules, check, late_identity_problem, refuse_damaged
from shared.stow.outcome import Failure, Refused
from shared.stow.reading import Reading

SMALL_BYTES = 4 * 1024 * 1024
"""Files up to here wait in memory for others to share a blob with."""

MAX_HELD_BYTES = 16 * 1024 * 1024
"""The attributes that name an instance must come within this; nearly always within a kilobyte."""

PREAMBLE_BYTES = 128
_BLANK_PREAMBLE = bytes(PREAMBLE_BYTES)


@dataclass(frozen=True, slots=True)
class Received:
    """A file that may be stored."""

    file: Part10File
    passed: Passed
    version: int
    body: bytes | None
    """The file, if it is small."""

    location: Location | None
    """Where it was uploaded to, if it is large."""

    uploaded: float = math.inf
    """When that was, in seconds of the clock."""


class Intake:
    """One part of a store request while it arrives."""

    def __init__(self, storage: Storage, partition: str, rules: Rules) -> None:
        self._storage = storage
        self._partition = partition
        self._rules = rules
        self._reading = Reading(rules)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._upload: BlockUpload | None = None
        self._blob = ""
        self._version = next_version()
        self._refused: Refused | None = None
        self.failure: Unavailable | None = None
        """Why storage did not take the file, if it did not."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._upload:
            await self._upload.__aexit__(kind, error, trace)

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Those of a file that is refused already are dropped."""
        if self._refused:
            return
        try:
            await self._reading.feed(data)
        except NotDicom as reason:
            await self._refuse(refuse_damaged(self._reading.reader, reason))
            return
        try:
            await self._keep(data)
        except Unavailable as error:
            await self._fail(error)

    async def finish(self) -> Received | Refused:
        """Decide about the part, and make the bytes of a large one a blob that no row names yet."""
        if self._refused:
            return self._refused
        try:
            file = await self._reading.finish()
        except NotDicom as reason:
            return await self._refuse(refuse_damaged(self._reading.reader, reason))
        passed = check(file, self._rules)
        if isinstance(passed, Refused):
            return passed
        if not self._upload:
            body = b"".join(self._take_held())
            return Received(file, passed, self._version, body, None)
        return await self._finish(self._upload, Location(self._blob, 0, file.length), file, passed)

    async def _finish(
        self, upload: BlockUpload, location: Location, file: Part10File, passed: Passed
    ) -> Received | Refused:
        uploaded = time.time()
        try:
            # The note of its beginning may have been long ago.
            await active.note(self._storage, study_key(self._partition, file.identity.study))
            await upload.finish()
        except Unavailable as error:
            return await self._fail(error)
        return Received(file, passed, self._version, None, location, uploaded)

    async def _keep(self, data: bytes | memoryview) -> None:
        if self._upload:
            await self._upload.write(data)
            return
        self._held.append(bytes(data))
        self._held_bytes += len(data)
        if self._held_bytes > SMALL_BYTES:
            await self._stop_holding()

    async def _stop_holding(self) -> None:
        reader = self._reading.reader
        if reader.identity is None and self._held_bytes <= MAX_HELD_BYTES:
            return
        if problem := late_identity_problem(reader.identity or reader.seen, self._rules):
            await self._refuse(Refused(Failure.VALIDATION, reader.identity or reader.seen, (problem,)))
        elif reader.identity:
            await self._begin_upload(reader.identity)

    async def _begin_upload(self, identity: Identity) -> None:
        key = study_key(self._partition, identity.study)
        await active.note(self._storage, key)
        self._blob = keys.instance_blob(key, identity.series, identity.instance, self._version)
        self._upload = BlockUpload(self._storage.blobs, keys.DICOM, self._blob)
        for piece in self._take_held():
            await self._upload.write(piece)

    def _take_held(self) -> list[bytes]:
        """The bytes so far, with a blank preamble (API rules Q-08)."""
        head = b""
        while self._held and len(head) < PREAMBLE_BYTES:
            head += self._held.pop(0)
        if self._reading.reader.starts_with_preamble:
            pieces = [_BLANK_PREAMBLE, head[PREAMBLE_BYTES:], *self._held]
        else:
            pieces = [_BLANK_PREAMBLE, b"DICM", head, *self._held]
        self._held = []
        return pieces

    async def _fail(self, error: Unavailable) -> Refused:
        self.failure = error
        self._refused = Refused(Failure.PROCESSING, self._reading.reader.identity)
        await self.__aexit__(None, None, None)
        return self._refused

    async def _refuse(self, refused: Refused) -> Refused:
        self._refused = refused
        self._held = []
        await self.__aexit__(None, None, None)
        return refused
