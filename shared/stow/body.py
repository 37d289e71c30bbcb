"""The body of a store request as a stream of parts, whichever form it has."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from shared.errors import BodyTooLong
from shared.web.coding import Inflater
from shared.web.links import resolve
from shared.web.multipart import (
    Event,
    Multipart,
    MultipartReader,
    PartBegin,
    PartBytes,
    PartEnd,
    Single,
    kind_of_part,
)


async def read_parts(
    body: AsyncIterator[bytes], form: Single | Multipart, max_bytes: int, *, base: str = ""
) -> AsyncIterator[Event]:
    """Take a body apart as it arrives.

    Args:
        body: The bytes, with every content coding undone.
        form: From `read_store_content_type`.
        max_bytes: The longest body allowed.
        base: What relative addresses in it are relative to: its Content-Base, or the URL of the request.

    Raises:
        BadRequest: The multipart framing is malformed.
        UnsupportedMediaType: A part is none that belongs into such a request.
        TooLarge: The body is longer than allowed, or has too many parts.
    """
    counted = _counted(body, max_bytes)
    if isinstance(form, Multipart):
        async for event in _multipart(counted, form, base):
            yield event
        return
    yield PartBegin({})
    async for chunk in counted:
        yield PartBytes(chunk)
    yield PartEnd()


async def inflated(
    body: AsyncIterator[bytes], codings: Sequence[str], max_bytes: int
) -> AsyncIterator[bytes]:
    """Undo the content codings of a body as it arrives, a bounded piece at a time.

    Args:
        body: The bytes as sent.
        codings: From `coding.parse_codings`.
        max_bytes: The longest body allowed, once inflated.

    Raises:
        BadRequest: The body is damaged or cut off.
        BodyTooLong: It is longer than allowed.
    """
    inflater = Inflater(codings, max_bytes)
    async for chunk in body:
        for piece in inflater.feed(chunk):
            if piece:
                yield piece
            else:
                # One chunk may hold a thousand times its size: others shall have their turn after each step.
                await asyncio.sleep(0)
    inflater.finish()


async def _multipart(body: AsyncIterator[bytes], form: Multipart, base: str) -> AsyncIterator[Event]:
    reader = MultipartReader(form.boundary)
    async for chunk in body:
        for event in reader.feed(chunk):
            yield _described(event, form, base) if isinstance(event, PartBegin) else event
    reader.finish()


def _described(begin: PartBegin, form: Multipart, base: str) -> PartBegin:
    own = begin.headers.get("content-base", "")
    return replace(begin, kind=kind_of_part(begin.headers, form), base=resolve(base, own))


async def _counted(body: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    length = 0
    async for chunk in body:
        length += len(chunk)
        if length > max_bytes:
            raise BodyTooLong(f"A store request may have {max_bytes} bytes. Send fewer instances at once.")
        if chunk:
            yield chunk
