"""Requests that bring metadata and bulk data apart from each other (PS3.18 sections 8.6.1.2 and 10.5.1).

Metadata come first: their instances are written at once, but for what they refer to. Each part that follows
fills what names its address. An instance is stored as soon as all of it is there.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Final

from shared.dicom.build import Draft, Hole, JsonDataset, Unwritable, draft_of, identity_of
from shared.dicom.json_reader import parse_json
from shared.dicom.part10 import Identity
from shared.dicom.uid import is_uid
from shared.dicom.xml_reader import parse_xml
from shared.errors import BadRequest, TooLarge
from shared.stow.assembly import Assembly, Context
from shared.stow.checks import identity_problem
from shared.stow.outcome import Failure, Refused
from shared.stow.shelf import Shelf
from shared.web.links import resolve
from shared.web.media import parse_media_type
from shared.web.multipart import Event, PartBegin, PartBytes, PartKind

MAX_METADATA_BYTES: Final = 8 * 1024 * 1024
"""Of all metadata of a request."""

MAX_REPEATED_BYTES: Final = 16 * 1024 * 1024
"""Bulk data of a request that several elements name, counted once less than they are named."""


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
        self._waiting: dict[Assembly, None] = {}
        self._wanted: dict[tuple[str, str], list[_Wanted]] = defaultdict(list)
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
        for assembly in [*self._waiting]:
            del self._waiting[assembly]
            await self._shelf.add(await assembly.abandon())

    async def leave(self) -> None:
        """Let go of everything."""
        for assembly in self._waiting:
            await assembly.leave()

    async def _take_metadata(self, begin: PartBegin, events: AsyncIterator[Event]) -> None:
        data = bytearray()
        async for piece in _payload(events):
            data += piece
            if self._metadata_bytes + len(data) > MAX_METADATA_BYTES:
                raise TooLarge(f"A request may have {MAX_METADATA_BYTES} bytes of metadata. Send several.")
        self._metadata_bytes += len(data)
        self._has_begun = True
        for made in await asyncio.to_thread(_make, bytes(data), begin):
            await self._begin(made, begin.base)

    async def _begin(self, made: Draft | Refused, base: str) -> None:
        if isinstance(made, Refused):
            await self._shelf.add(made)
            return
        if problem := identity_problem(made.identity, self._context.rules):
            await self._shelf.add(Refused(Failure.VALIDATION, _sound(made.identity), (problem,)))
            return
        assembly = Assembly(self._context, made)
        self._waiting[assembly] = None
        for hole in dict.fromkeys(made.holes):
            for key in _addresses(hole.uri, base):
                self._wanted[key].append(_Wanted(assembly, hole))
        if assembly.is_complete:
            await self._finish(assembly)

    async def _take_bulk(self, begin: PartBegin, events: AsyncIterator[Event]) -> None:
        targets = self._find(begin)
        for assembly, holes in targets.items():
            assembly.begin(holes, begin.headers.get("content-type"))
        repeated = max(0, sum(map(len, targets.values())) - 1)
        async for piece in _payload(events):
            self._repeated_bytes += len(piece) * repeated
            if self._repeated_bytes > MAX_REPEATED_BYTES:
                raise TooLarge(f"Bulk data named more than once may have {MAX_REPEATED_BYTES} bytes in all.")
            for assembly in targets:
                await assembly.feed(piece)
        for assembly in targets:
            await assembly.end()
            if assembly.is_complete:
                await self._finish(assembly)

    def _find(self, begin: PartBegin) -> dict[Assembly, list[Hole]]:
        """The places that name the address of a part, of instances that still wait."""
        location = begin.headers.get("content-location", "")
        keys = _addresses(location, begin.base) if location else ()
        wanted = next(filter(None, map(self._wanted.get, keys)), [])
        targets: dict[Assembly, list[Hole]] = defaultdict(list)
        for each in wanted:
            if each.assembly in self._waiting:
                targets[each.assembly].append(each.hole)
        return targets

    async def _finish(self, assembly: Assembly) -> None:
        del self._waiting[assembly]
        await self._shelf.add(await assembly.finish(), assembly.failure)


def _make(data: bytes, begin: PartBegin) -> list[Draft | Refused]:
    """Write the instances of a part of metadata, or say why one cannot be written."""
    datasets = [parse_xml(data)] if begin.kind is PartKind.XML else parse_json(data)
    media = parse_media_type(begin.headers.get("content-type", ""))
    syntax = (media.get("transfer-syntax") if media else None) or ""
    # Each dataset is let go as soon as it is written.
    datasets.reverse()
    return [_draft(datasets.pop(), syntax) for _ in range(len(datasets))]


def _draft(dataset: JsonDataset, syntax: str) -> Draft | Refused:
    try:
        draft = draft_of(dataset)
    except Unwritable as error:
        return Refused(Failure.VALIDATION, _sound(identity_of(dataset)), (str(error),))
    # dcm4che's stowrs says it of the metadata, not of the bulk data.
    return replace(draft, named_syntax=draft.named_syntax or syntax)


def _sound(identity: Identity) -> Identity:
    """The same without what is no UID, for an answer."""
    uids = (identity.study, identity.series, identity.instance, identity.sop_class)
    return Identity(*(uid if is_uid(uid) else "" for uid in uids))


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
