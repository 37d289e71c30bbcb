"""Compressing answers for clients that take it (RFC 9110 section 12.5.3): text shrinks about ten times.

Only text goes through here: pixels are compressed already, and a range of compressed bytes is of no use.
"""

import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final, Self

from shared.web.answer import Answer

LEVEL: Final = 1
"""A fraction of the time of zlib's default, for a tenth more bytes."""

MIN_BYTES: Final = 1024
"""What is shorter fits a packet as it is."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_NAMES: Final = ("gzip", "x-gzip", "*")


def takes_gzip(header: str | None) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    weights: dict[str, float] = {}
    for entry in (header or "").lower().split(","):
        name, _, parameter = entry.partition(";")
        weights[name.strip()] = _weight(parameter)
    return next((weights[name] > 0 for name in _NAMES if name in weights), False)


def compressed(answer: Answer, accept_encoding: str | None) -> Answer:
    """The same answer, its body compressed if the client takes that and there is enough of it.

    Args:
        answer: With text for a body; one that has a Content-Encoding is left as it is.
        accept_encoding: The request's header.
    """
    vary = {"Vary": "Accept, Accept-Encoding"} if answer.status == 200 else {}
    is_short = isinstance(answer.body, bytes) and len(answer.body) < MIN_BYTES
    is_done = "Content-Encoding" in answer.headers
    if answer.status != 200 or is_short or is_done or not takes_gzip(accept_encoding):
        return replace(answer, headers={**answer.headers, **vary})
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    headers |= {**vary, "Content-Encoding": "gzip"}
    if isinstance(answer.body, bytes):
        return replace(answer, headers=headers, body=zlib.compress(answer.body, LEVEL, _GZIP))
    return replace(answer, headers=headers, body=Gzipped(answer.body))


class Gzipped:
    """A stream, compressed as it goes. Closing it ends the one below."""

    def __init__(self, plain: AsyncIterator[bytes]) -> None:
        self._plain = plain
        self._compressor = zlib.compressobj(LEVEL, wbits=_GZIP)
        self._is_first = True
        self._is_done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._is_done:
            piece = await anext(self._plain, None)
            if piece is None:
                self._is_done = True
                return self._compressor.flush()
            found = self._compressor.compress(piece)
            if self._is_first:
                # So that a viewer has something to read at once.
                found += self._compressor.flush(zlib.Z_SYNC_FLUSH)
            self._is_first = False
            if found:
                return found
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the stream, read or not."""
        self._is_done = True
        close = getattr(self._plain, "aclose", None)
        if close is not None:
            await close()


def _weight(parameter: str) -> float:
    name, _, text = parameter.partition("=")
    try:
        return float(text) if name.strip() == "q" else 1.0
    except ValueError:
        return 1.0
