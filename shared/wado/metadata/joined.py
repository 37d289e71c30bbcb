"""Metadata from what was joined beforehand: stored bytes are passed on as they are wherever they fit.

A **part** of an answer is the joined metadata of one series, or the rows of several series in a row that are
too small, or too large, to be joined. For clients that take gzip every part becomes a segment of one stream
(`shared/web/splice.py`), for others it becomes plain text.
"""

import zlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

from shared.dicom.bulk_links import Change, Drop, Rebase
from shared.errors import NotFound, Unavailable
from shared.storage import archive, keys
from shared.storage.ahead import Primed, ended, primed, read_ahead
from shared.storage.anchors import NO_BULK, Anchor, Joined
from shared.storage.blobs import BlobMissing
from shared.storage.keys import Scope
from shared.storage.rows import METADATA
from shared.storage.storage import Storage
from shared.wado.metadata.texts import ROWS_AT_ONCE, Wish, in_line, texts_of
from shared.web import splice
from shared.web.answer import Answer
from shared.web.compress import LEVEL
from shared.web.etag import is_match
from shared.web.splice import Segment, Sum

INFLATED_BYTES: Final = 256 * 1024
"""Text given at once when a stored blob is inflated."""

Stream = AsyncGenerator[bytes, None]


def are_known(anchors: Sequence[Anchor], wish: Wish) -> bool:
    """Whether an answer can be given from these anchors: there are some, and all say what is so now."""
    return bool(anchors) and all(_is_known(anchor, wish) for anchor in anchors)


def is_as_written_now(anchor: Anchor, wish: Wish) -> bool:
    """Whether joining a series anew would change nothing. The case of a partition's name does not count."""
    if anchor.summary is None:
        return False
    base = anchor.summary.joined.base if anchor.summary.joined else ""
    return base.lower() in ("", wish.joined_base.lower())


async def retrieve_joined(storage: Storage, scope: Scope, wish: Wish, anchors: Sequence[Anchor]) -> Answer:
    """Answer with the metadata of all series of a scope, whose anchors are known.

    Raises:
        NotFound: The series has gone since.
    """
    summaries = [anchor.summary for anchor in anchors if anchor.summary]
    count = sum(summary.count for summary in summaries)
    etag = f"{max(summary.newest for summary in summaries)}-{count}"
    if is_match(wish.if_none_match, etag):
        return Answer(304, {"Content-Length": "0"})
    reading = _Reading(storage, scope, wish, tuple(_parts(anchors)))
    headers = {"Content-Type": wish.media_type, "ETag": etag}
    if wish.takes_gzip:
        headers["Content-Encoding"] = "gzip"
    try:
        body = await primed(reading.gzip() if wish.takes_gzip else reading.plain())
    except _Gone as gone:
        raise NotFound(f"The specified {scope.level} was not found.") from gone
    return Answer(200, headers, body, {"instances": count})


class _Gone(Unavailable):
    """All of a part went while the answer was on its way."""

    def __init__(self) -> None:
        super().__init__("A series was removed while it was read.")


@dataclass(frozen=True, slots=True)
class _Part:
    """Some series of an answer."""

    first: str
    last: str
    joined: Joined | None
    """Then there is one series; without it, their rows are read."""


def _is_known(anchor: Anchor, wish: Wish) -> bool:
    if anchor.summary is None:
        return False
    joined = anchor.summary.joined
    return joined is None or joined.base != NO_BULK or wish.omits_bulk


def _parts(anchors: Sequence[Anchor]) -> Iterable[_Part]:
    """One part for each series that is joined, and one for those between them. Rows lie in the same order."""
    joined = {anchor.series: anchor.summary.joined for anchor in anchors if anchor.summary}
    for blob, group in groupby(joined, key=lambda series: joined[series] and series):
        series = list(group)
        yield _Part(series[0], series[-1], joined[series[0]] if blob else None)


def _fits(joined: Joined, wish: Wish) -> bool:
    """Whether the stored text is what the client is to see."""
    return joined.base in ("", NO_BULK if wish.omits_bulk else wish.links.root)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One answer from several parts, of which the next is read while one is sent."""

    storage: Storage
    scope: Scope
    wish: Wish
    parts: tuple[_Part, ...]

    async def plain(self) -> Stream:
        """A JSON array."""
        sources = [
            _Behind(b"," if n else b"[", partial(self._text, part)) for n, part in enumerate(self.parts)
        ]
        async with ended(read_ahead(sources)) as pieces:
            async for piece in pieces:
                yield piece
        yield b"]"

    async def gzip(self) -> Stream:
        """The same, compressed."""
        opening, comma = splice.HEAD + splice.block(b"["), splice.block(b",")
        sums = [Sum()] * len(self.parts)
        sources = [
            _Behind(comma if n else opening, partial(self._segment, part, partial(sums.__setitem__, n)))
            for n, part in enumerate(self.parts)
        ]
        async with ended(read_ahead(sources)) as pieces:
            async for piece in pieces:
                yield piece
        yield splice.ending(b"]", _whole(sums))

    async def _segment(self, part: _Part, note: Callable[[Sum], None]) -> Stream:
        """A part as a segment; its sum is noted at the end."""
        joined = part.joined
        stored = await self._stored(joined) if joined and _fits(joined, self.wish) else None
        if joined and stored:
            async with ended(stored) as pieces:
                async for piece in pieces:
                    yield piece
            note(joined.sum)
            return
        segment = Segment(LEVEL)
        async with aclosing(self._text(part)) as texts:
            async for text in texts:
                if piece := segment.add(text):
                    yield piece
        if not segment.sum.length:
            raise _Gone
        yield segment.end()
        note(segment.sum)

    async def _text(self, part: _Part) -> Stream:
        """The objects of a part, with commas between them."""
        joined = part.joined
        stored = await self._stored(joined) if joined else None
        texts = self._changed(joined, stored) if joined and stored else self._rows(part)
        async with aclosing(texts):
            async for text in texts:
                yield text

    async def _stored(self, joined: Joined) -> Primed | None:
        """The stored bytes of a series; None if they were removed since its anchor was read."""
        try:
            return await primed(self.storage.blobs.read(keys.METADATA, joined.blob, 0, joined.length))
        except BlobMissing:
            return None

    async def _changed(self, joined: Joined, stored: Primed) -> Stream:
        """Stored text as the client is to see it."""
        change = _change(joined, self.wish)
        async with aclosing(_inflated(stored)) as texts:
            async for text in texts:
                yield change.add(text) if change else text
        if change:
            yield change.end()

    def _rows(self, part: _Part) -> Stream:
        ends = keys.instance_rows(part.first)[0], keys.instance_rows(part.last)[1]
        pages = archive.read_between(self.storage, self.scope.key, ends, METADATA, page=ROWS_AT_ONCE)
        return in_line(texts_of(self.storage, pages, self.wish))


@dataclass(frozen=True, slots=True)
class _Behind:
    """A source whose bytes come behind others. That it has some is certain before any is given."""

    before: bytes
    source: Callable[[], Stream]

    async def __call__(self) -> Stream:
        before = self.before
        async with aclosing(self.source()) as pieces:
            async for piece in pieces:
                if piece:
                    yield before + piece
                    before = b""
        if before:
            raise _Gone


def _whole(sums: Sequence[Sum]) -> Sum:
    """The sum of an array of such texts."""
    whole = Sum.of(b"[")
    for n, each in enumerate(sums):
        whole = whole + Sum.of(b",") + each if n else whole + each
    return whole + Sum.of(b"]")


def _change(joined: Joined, wish: Wish) -> Change | None:
    """What has to be done to stored text."""
    if _fits(joined, wish):
        return None
    return Drop() if wish.omits_bulk else Rebase(f"{joined.base}/", f"{wish.links.root}/")


async def _inflated(stored: Primed) -> Stream:
    """The text of a segment, in pieces of bounded size."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    async with ended(stored) as pieces:
        async for piece in pieces:
            text = b""
            while piece or len(text) == INFLATED_BYTES:
                text = inflating.decompress(piece, INFLATED_BYTES)
                piece = inflating.unconsumed_tail
                if text:
                    yield text
