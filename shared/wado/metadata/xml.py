"""Metadata as XML: a document of the Native DICOM Model for each instance (PS3.18 8.7.3, PS3.19 A.1)."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from functools import partial
from typing import Final

from shared.dicom.xml import render_xml
from shared.errors import NotAcceptable
from shared.wado.converted.workers import Workers, given
from shared.web.multipart import closing, part_head
from shared.web.offers import DICOM_XML

MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
"""Longest JSON of an instance that is given as XML."""

BYTES_FOR_EACH: Final = 80
"""Memory that a byte of JSON takes at most as values and as XML."""


async def documents(
    texts: AsyncGenerator[Iterable[bytes], None], workers: Workers, boundary: str
) -> AsyncIterator[bytes]:
    """A multipart body with a document for each text of DICOM JSON.

    Raises:
        NotAcceptable: An instance is too large. If it is not the first, the answer has begun and breaks off.
    """
    is_first = True
    async with aclosing(texts):
        async for text in texts:
            found = _joined(text)
            document = await workers.run(partial(given, found), _document, BYTES_FOR_EACH * len(found))
            yield part_head(boundary, DICOM_XML, first=is_first, length=len(document)) + document
            is_first = False
    yield closing(boundary)


def _joined(text: Iterable[bytes]) -> bytes:
    found = bytearray()
    for piece in text:
        found += piece
        if len(found) > MAX_TEXT_BYTES:
            raise NotAcceptable("The metadata of an instance are too large for XML; ask for JSON.")
    return bytes(found)


def _document(text: bytes) -> bytes:
    # Numbers keep the digits they have in the JSON.
    return render_xml(json.loads(text, parse_float=str, parse_int=str))
