"""Making one instance of its metadata and of the bulk data that follow them (PS3.18 section 10.5.1).

What is small waits in memory until the instance is complete. What is large goes to storage while it arrives,
as blocks of the blob it will be part of: the file's order is settled at the end, when the lengths are known
that stand before it. Whoever reads the file sees the bytes of the metadata and, in place of a value that is
gone, as many zeros, which are passed over as the value would be.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from shared.dicom.build import EXPLICIT_LITTLE, Draft, Hole, Unwritable
from shared.dicom.encode import BINARY_VRS
from shared.dicom.errors import NotDicom
from shared.dicom.framing import file_head
from shared.dicom.levels import MAX_VALUE_BYTES
from shared.dicom.part10 import Identity
from shared.errors import Unavailable
from shared.storage import active, keys
from shared.storage.keys import study_key
from shared.storage.rows import Location
from shared.storage.storage import Storage
from shared.storage.upload import BlockUpload
from shared.storage.versions import next_version
from shared.stow.checks import Rules, check, refuse_damaged
from shared.stow.filling import Content, Filling, Gap, Held, Staged, choose_syntax
from shared.stow.intake import Intake, Received
from shared.stow.outcome import Failure, Refused
from shared.stow.reading import Reading

MAX_PART_BYTES: Final = 4 * 1024 * 1024
"""Longer parts are not held."""

MAX_HELD_BYTES: Final = 8 * 1024 * 1024
"""Bulk data that wait in memory, of all instances of a request together."""

HEAD_BYTES: Final = 64 * 1024
"""In which a frame's own header is looked for."""

CONTENTS_AT_ONCE: Final = 100
"""Shown to whoever reads the file before others have their turn."""

# Whoever reads the file has to see all other values, unless they are too long to be looked at. What is UN may
# be of another VR in truth.
_STAGED_VRS: Final = BINARY_VRS - {"UN"}
_ZEROS: Final = memoryview(bytes(64 * 1024))


@dataclass(slots=True)
class Context:
    """What all instances of a request have in common."""

    storage: Storage
    partition: str
    rules: Rules
    held_bytes: int = 0
    """Bulk data in memory."""


@dataclass(slots=True)
class _Part:
    """The part that is arriving."""

    filling: Filling
    content_type: str | None
    length: int = 0
    held: list[bytes] = field(default_factory=list)
    first_block: int | None = None
    """Where it begins in storage, once it is on its way there."""

    gap: Gap = field(default_factory=lambda: Gap(0, b""))
    """What went there."""


class Assembly:
    """One instance while its bulk data arrive."""

    def __init__(self, context: Context, draft: Draft) -> None:
        self._context = context
        self._draft = draft
        self.holes: Mapping[Hole, int] = Counter(draft.holes)
        """What is to be filled, in the order of the file, and how often each occurs in it."""

        self._open_holes = set(self.holes)
        self._fillings: dict[Hole, Filling] = {}
        self._parts: list[_Part] = []
        self._upload: BlockUpload | None = None
        self._blob = ""
        self._version = next_version()
        self._held_bytes = 0
        self._refused: Refused | None = None
        self.failure: Unavailable | None = None
        """Why storage did not take the instance, if it did not."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing more is waited for."""
        return self._refused is not None or not self._open_holes

    @property
    def identity(self) -> Identity:
        """The UIDs of the instance."""
        return self._draft.identity

    def begin(self, holes: Iterable[Hole], content_type: str | None) -> None:
        """A part for some of the holes begins, for one as a rule."""
        fillings = [self._fillings.setdefault(hole, Filling(hole)) for hole in holes]
        self._parts = [_Part(filling, content_type) for filling in fillings]

    async def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the part; those for an instance that is refused already are dropped."""
        try:
            for part in self._parts:
                await self._take(part, data)
        except Unavailable as error:
            await self._fail(error)

    async def end(self) -> None:
        """The part is complete."""
        parts, self._parts = self._parts, []
        try:
            for part in parts:
                await self._end(part)
        except Unavailable as error:
            await self._fail(error)

    async def finish(self) -> Received | Refused:
        """Make the file, and decide about it as about any other."""
        if self._open_holes and not self._refused:
            await self._refuse_gaps()
        try:
            return self._refused or await self._finish(list(self._contents()))
        except Unavailable as error:
            return await self._fail(error)
        finally:
            await self.leave()
            self._draft = replace(self._draft, pieces=())

    async def _refuse_gaps(self) -> None:
        """Refuse an instance some of whose parts did not come."""
        for hole in self.holes:
            filling = self._fillings.get(hole)
            if filling is None:
                reason = "No part of the request is at the address of its BulkDataURI."
                await self._refuse(hole, reason)
                return
            if shortage := filling.shortage(self._draft):
                await self._refuse(hole, shortage)
                return

    async def abandon(self) -> Refused:
        """Give up, as the request cannot be read further."""
        await self.leave()
        return self._refused or Refused(Failure.PROCESSING, self._draft.identity)

    async def leave(self) -> None:
        """Let go of what is held, and of blocks on their way."""
        self._release(self._held_bytes)
        self._fillings = {}
        self._parts = []
        if self._upload:
            await self._upload.__aexit__(None, None, None)

    async def _take(self, part: _Part, data: bytes | memoryview) -> None:
        if self._refused:
            return
        part.length += len(data)
        if part.first_block is not None and self._upload:
            part.gap = part.gap.followed(data)
            await self._upload.write(data)
            return
        self._hold(part, bytes(data))
        if part.length > MAX_PART_BYTES or self._context.held_bytes > MAX_HELD_BYTES:
            await self._stop_holding(part)

    async def _end(self, part: _Part) -> None:
        if self._refused or not await self._settle_syntax(part):
            return
        content: Content = Held(b"".join(part.held), is_payload=True)
        if part.first_block is not None and self._upload:
            content = Staged(range(part.first_block, await self._upload.cut()), (part.gap,))
        part.filling.add([content], part.length)
        if part.filling.is_complete(self._draft):
            self._open_holes.discard(part.filling.hole)

    def _hold(self, part: _Part, data: bytes) -> None:
        part.held.append(data)
        self._held_bytes += len(data)
        self._context.held_bytes += len(data)

    def _release(self, count: int) -> None:
        self._held_bytes -= count
        self._context.held_bytes -= count

    async def _settle_syntax(self, part: _Part) -> bool:
        """Decide about the first frame how all are written; False when it cannot be stored so."""
        filling = part.filling
        if filling.syntax or not filling.hole.is_pixels:
            return True
        head = b"".join(part.held)[:HEAD_BYTES]
        syntax = choose_syntax(part.content_type, self._draft, head)
        if syntax is None:
            await self._refuse(filling.hole, "The bulk data have a transfer syntax that is not stored.")
            return False
        filling.syntax = syntax
        return True

    async def _stop_holding(self, part: _Part) -> None:
        """Send a part to storage, and what came before it for the same hole."""
        hole = part.filling.hole
        if hole.vr not in _STAGED_VRS and part.length <= MAX_VALUE_BYTES:
            if self._context.held_bytes > MAX_HELD_BYTES:
                await self._refuse(hole, "The request has too many bulk data that are not binary.")
            return
        if len(self._parts) > 1 or self.holes[hole] > 1:
            await self._refuse(hole, "The bulk data are too long to be named twice.")
            return
        if not await self._settle_syntax(part):
            return
        upload = await self._open()
        part.filling.contents = [*await self._stage(part.filling.contents)]
        part.first_block = await upload.cut()
        for data in part.held:
            part.gap = part.gap.followed(data)
            await upload.write(data)
        self._release(part.gap.length)
        part.held = []

    async def _open(self) -> BlockUpload:
        if self._upload is None:
            identity = self._draft.identity
            key = study_key(self._context.partition, identity.study)
            await active.note(self._context.storage, key)
            self._blob = keys.instance_blob(key, identity.series, identity.instance, self._version)
            self._upload = BlockUpload(self._context.storage.blobs, keys.DICOM, self._blob)
        return self._upload

    async def _stage(self, contents: Iterable[Content]) -> list[Staged]:
        """Send to storage what of a file is in memory."""
        upload = await self._open()
        staged: list[Staged] = []
        run: list[Held] = []
        for content in contents:
            if isinstance(content, Held):
                run.append(content)
                continue
            staged += [*await self._stage_run(upload, run), content]
            run = []
        return [*staged, *await self._stage_run(upload, run)]

    async def _stage_run(self, upload: BlockUpload, run: list[Held]) -> list[Staged]:
        if not run:
            return []
        first = await upload.cut()
        for held in run:
            await upload.write(held.data)
        self._release(sum(held.length for held in run if held.is_payload))
        sight = tuple(Gap.of(held.data) if held.is_payload else held.data for held in run)
        return [Staged(range(first, await upload.cut()), sight)]

    def _contents(self) -> Iterator[Content]:
        syntax = self._draft.transfer_syntax
        for hole, filling in self._fillings.items():
            syntax = filling.syntax if hole.is_pixels else syntax
        identity = self._draft.identity
        yield Held(file_head(identity.sop_class, identity.instance, syntax or EXPLICIT_LITTLE))
        for piece in self._draft.pieces:
            if isinstance(piece, Hole):
                yield from self._fillings[piece].close()
            else:
                yield Held(piece)

    async def _finish(self, contents: list[Content]) -> Received | Refused:
        context = self._context
        if self._upload:
            return await self._finish_upload(self._upload, contents)
        async with Intake(context.storage, context.partition, context.rules) as intake:
            await _show_all(intake, contents)
            received = await intake.finish()
            self.failure = intake.failure
            return received

    async def _finish_upload(self, upload: BlockUpload, contents: list[Content]) -> Received | Refused:
        reading = Reading(self._context.rules)
        try:
            await _show_all(reading, contents)
            file = await reading.finish()
        except NotDicom as reason:
            return refuse_damaged(reading.reader, reason)
        passed = check(file, self._context.rules)
        if isinstance(passed, Refused):
            return passed
        staged = await self._stage(contents)
        uploaded = time.time()
        # The note of its beginning may have been long ago.
        await active.note(self._context.storage, study_key(self._context.partition, file.identity.study))
        await upload.finish(block for each in staged for block in each.blocks)
        return Received(file, passed, self._version, None, Location(self._blob, 0, file.length), uploaded)

    async def _fail(self, error: Unavailable) -> Refused:
        self.failure = error
        self._refused = Refused(Failure.PROCESSING, self._draft.identity)
        await self.leave()
        return self._refused

    async def _refuse(self, hole: Hole, reason: str) -> None:
        comment = str(Unwritable(hole.tag, reason))
        self._refused = Refused(Failure.VALIDATION, self._draft.identity, (comment,))
        await self.leave()


async def _show_all(reader: Intake | Reading, contents: Iterable[Content]) -> None:
    """Let the reader of a file see all of it."""
    for number, content in enumerate(contents, 1):
        await _show(reader, content)
        if not number % CONTENTS_AT_ONCE:
            await asyncio.sleep(0)


async def _show(reader: Intake | Reading, content: Content) -> None:
    """Let the reader of a file see a piece of it."""
    for seen in (content.data,) if isinstance(content, Held) else content.sight:
        if isinstance(seen, bytes):
            await reader.feed(seen)
            continue
        left = seen.length - len(seen.tail)
        while left:
            await reader.feed(_ZEROS[:left])
            left -= min(left, len(_ZEROS))
        await reader.feed(seen.tail)
