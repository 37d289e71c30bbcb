"""Requests that bring metadata and bulk data apart from each other (PS3.18 sections 8.6.1.2 and 10.5.1).

Metadata come first: their instances are written at once, but for what they refer to. Each part that follows
fills what names its address. An instance is stored as soon as all of it is there.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom.build import Draft, Hole, JsonDataset, Unwritable, draft_of, identity_of
from shared.dicom.json_reader import parse_json
from shared.errors import BadRequest, TooLarge
from shared.stow.assembly import Assembly, Context
from shared.stow.checks import identity_problem
from shared.stow.outcome import Failure, Refused
from shared.stow.shelf import Shelf
from shared.web.links import resolve
from shared.web.media import parse_media_type
from shared.web.multipart import MAX_PARTS, Event, PartBegin, PartBytes, PartKind

MAX_METADATA_BYTES: Final = 8 * 1024 * 1024
"""Of all metadata of a request."""

MAX_REPEATED_BYTES: Final = 16 * 1024 * 1024
"""Bulk data of a request that several elements name, counted once less than they are named."""

LEAST_REPEATED_BYTES: Final = 1024
"""What a part counts at least each time: even an empty one is work."""

MAX_HOLES: Final = MAX_PARTS
"""Elements of a request whose values come apart; no more parts can come."""

MAX_BASE_CHARACTERS: Final = 2048
"""Of what the addresses in metadata are relative to: it is held with each of them."""

# What is read of metadata takes ten times their room, so one at a time is read in this process.
_READER: Final = ThreadPoolExecutor(1, "metadata")

_Key = tuple[str, str]
"""A way in which an address may be meant."""


@dataclass(frozen=True, slots=True)
class _Made:
    """An instance written but for its bulk data."""

    draft: Draft
    wanted: tuple[tuple[_Key, Hole], ...]
    """The addresses of what is to come."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A place that a part may fill."""

    assembly: Assembly
    hole: Hole


class Forms:
    """Stores the instances of one request as their parts arrive."""

    def __init__(self, context: Context, shelf: Shelf) -> None:
        self._context = context
        self._shelf = shelf
        self._waiting: dict[Assembly, int] = {}
        """Each with its place in the answer."""

        self._made: set[Assembly] = set()
        """Those that became files."""

        self._wanted: dict[_Key, list[_Wanted]] = defaultdict(list)
        self._holes = 0
        self._metadata_bytes = 0
        self._repeated_bytes = 0
        self._has_begun = False

    async def take(self, begin: PartBegin, events: AsyncIterator[Event]) -> None:
        """Take a part, whose bytes follow.

        Raises:
            BadRequest: It is no metadata of its kind, or bulk data stand before any metadata.
            TooLarge: There are too many metadata, or bulk data that are named too often.
        """
        if begin.kind is not PartKind.BULK:
            await self._take_metadata(begin, events)
        elif not self._has_begun:
            raise BadRequest("The metadata must stand before the bulk data.")
        else:
            await self._take_bulk(begin, events)

    async def finish(self) -> None:
        """Store or refuse what is left, after the last part."""
        for assembly in [*self._waiting]:
            await self._finish(assembly)

    async def abandon(self) -> None:
        """Refuse what is left, as the request cannot be read further."""
        for assembly, number in [*self._waiting.items()]:
            del self._waiting[assembly]
            await self._shelf.add(await assembly.abandon(), number=number)

    async def leave(self) -> None:
        """Let go of everything."""
        for assembly in self._waiting:
            await assembly.leave()

    async def _take_metadata(self, begin: PartBegin, events: AsyncIterator[Event]) -> None:
        if len(begin.base) > MAX_BASE_CHARACTERS:
            raise BadRequest(f"The Content-Base may have {MAX_BASE_CHARACTERS} characters.")
        data = bytearray()
        async for piece in _payload(events):
            data += piece
            if self._metadata_bytes + len(data) > MAX_METADATA_BYTES:
                raise TooLarge(f"A request may have {MAX_METADATA_BYTES} bytes of metadata. Send several.")
        self._metadata_bytes += len(data)
        self._has_begun = True
        room = MAX_HOLES - self._holes
        loop = asyncio.get_running_loop()
        for made in await loop.run_in_executor(_READER, _make, bytes(data), begin, room):
            await self._begin(made)

    async def _begin(self, made: _Made | Refused) -> None:
        if isinstance(made, Refused):
            await self._shelf.add(made)
            return
        draft = made.draft
        if problem := identity_problem(draft.identity, self._context.rules):
            await self._shelf.add(Refused(Failure.VALIDATION, draft.identity, (problem,)))
            return
        assembly = Assembly(self._context, draft)
        self._waiting[assembly] = self._shelf.reserve()
        self._holes += len(assembly.holes)
        for key, hole in made.wanted:
            self._wanted[key].append(_Wanted(assembly, hole))
        if assembly.is_complete:
            await self._finish(assembly)

    async def _take_bulk(self, begin: PartBegin, events: AsyncIterator[Event]) -> None:
        wanted = self._find(begin)
        targets = self._still_waiting(wanted)
        if not targets:
            await self._refuse_surplus(wanted)
        for assembly, holes in targets.items():
            assembly.begin(holes, begin.headers.get("content-type"))
        repeated = max(0, sum(map(len, targets.values())) - 1)
        self._count_repeated(repeated * LEAST_REPEATED_BYTES)
        async for piece in _payload(events):
            self._count_repeated(repeated * len(piece))
            for assembly in targets:
                await assembly.feed(piece)
        for assembly in targets:
            await assembly.end()
            if assembly.is_complete:
                await self._finish(assembly)

    def _find(self, begin: PartBegin) -> list[_Wanted]:
        """The places that name the address of a part."""
        location = begin.headers.get("content-location", "")
        keys = _addresses(location, begin.base) if location else ()
        return next(filter(None, map(self._wanted.get, keys)), [])

    def _still_waiting(self, wanted: Iterable[_Wanted]) -> Mapping[Assembly, Sequence[Hole]]:
        found: dict[Assembly, list[Hole]] = defaultdict(list)
        for each in wanted:
            if each.assembly in self._waiting:
                found[each.assembly].append(each.hole)
        return found

    async def _refuse_surplus(self, wanted: list[_Wanted]) -> None:
        """Tell, once for each instance, of a part that came when all of it was there."""
        for each in wanted:
            if each.assembly in self._made:
                self._made.discard(each.assembly)
                comment = str(Unwritable(each.hole.tag, "More parts came than belong to the instance."))
                await self._shelf.add(Refused(Failure.VALIDATION, each.assembly.identity, (comment,)))
        wanted.clear()

    def _count_repeated(self, count: int) -> None:
        self._repeated_bytes += count
        if self._repeated_bytes > MAX_REPEATED_BYTES:
            raise TooLarge(f"Bulk data named more than once may have {MAX_REPEATED_BYTES} bytes in all.")

    async def _finish(self, assembly: Assembly) -> None:
        number = self._waiting.pop(assembly)
        received = await assembly.finish()
        if not isinstance(received, Refused):
            self._made.add(assembly)
        await self._shelf.add(received, assembly.failure, number)
        # One part may complete thousands of instances: others shall have their turn between them.
        await asyncio.sleep(0)


def _make(data: bytes, begin: PartBegin, most_holes: int) -> list[_Made | Refused]:
    """Write the instances of a part of metadata, or say why one cannot be written.

    Raises:
        BadRequest: They are no metadata of their kind.
        TooLarge: More than `most_holes` of their values come apart.
    """
    datasets = _parse(data, begin.kind)
    media = parse_media_type(begin.headers.get("content-type", ""))
    syntax = (media.get("transfer-syntax") if media else None) or ""
    # Each dataset is let go as soon as it is written.
    datasets.reverse()
    found: list[_Made | Refused] = []
    while datasets:
        draft = _draft(datasets.pop(), syntax)
        if isinstance(draft, Refused):
            found.append(draft)
            continue
        holes = dict.fromkeys(draft.holes)
        most_holes -= len(holes)
        if most_holes < 0:
            raise TooLarge(f"A request may have {MAX_HOLES} values apart from its metadata. Send several.")
        wanted = ((key, hole) for hole in holes for key in _addresses(hole.uri, begin.base))
        found.append(_Made(draft, tuple(wanted)))
    return found


def _parse(data: bytes, kind: PartKind) -> list[JsonDataset]:
    if kind is not PartKind.XML:
        return parse_json(data)
    # Few requests bring XML, and what reads it takes its time to import.
    from shared.dicom.xml_reader import parse_xml

    return [parse_xml(data)]


def _draft(dataset: JsonDataset, syntax: str) -> Draft | Refused:
    try:
        draft = draft_of(dataset)
    except Unwritable as error:
        return Refused(Failure.VALIDATION, identity_of(dataset), (str(error),))
    # dcm4che's stowrs says it of the metadata, not of the bulk data.
    return replace(draft, named_syntax=draft.named_syntax or syntax)


def _addresses(uri: str, base: str) -> Iterator[tuple[str, str]]:
    """The ways in which an address may be meant, the surest first.

    Senders write the same address relative in one place and absolute in the other, or with a slash before it
    (clients section 3.5 item 5).
    """
    text = "".join(uri.split())
    yield "same", text
    yield "absolute", resolve(base, text)
    yield "bare", text.removeprefix("./").lstrip("/")


async def _payload(events: AsyncIterator[Event]) -> AsyncIterator[bytes | memoryview]:
    """The bytes of the part that has begun."""
    async for event in events:
        if not isinstance(event, PartBytes):
            return
        yield event.data
