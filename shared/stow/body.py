"""The body of a store request as a stream of parts, whichever form it has."""

from collections.abc import AsyncIterator

from shared.errors import TooLarge
from shared.web.multipart import (
    Event,
    Multipart,
    MultipartReader,
    PartBegin,
    PartBytes,
    PartEnd,
    Single,
    require_dicom,
)


async def read_parts(
    body: AsyncIterator[bytes], form: Single | Multipart, max_bytes: int
) -> AsyncIterator[Event]:
    """Take a body apart as it arrives.

    Raises:
        BadRequest: The multipart framing is malformed.
        UnsupportedMediaType: A part is not a DICOM file.
        TooLarge: The body is longer than allowed.
    """
    counted = _counted(body, max_bytes)
    if isinstance(form, Multipart):
        async for event in _multipart(counted, form):
            yield event
        return
    yield PartBegin({})
    async for chunk in counted:
        yield PartBytes(chunk)
    yield PartEnd()


async def _multipart(body: AsyncIterator[bytes], form: Multipart) -> AsyncIterator[Event]:
    reader = MultipartReader(form.boundary)
    async for chunk in body:
        for event in reader.feed(chunk):
            if isinstance(event, PartBegin):
                require_dicom(event.headers, form)
            yield event
    reader.finish()


async def _counted(body: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    length = 0
    async for chunk in body:
        length += len(chunk)
        if length > max_bytes:
            raise TooLarge(f"A store request may have {max_bytes} bytes. Send fewer instances at once.")
        if chunk:
            yield chunk
