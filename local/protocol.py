"""HTTP/1.1 as uvicorn speaks it, but for clients that offer to go on in HTTP/2."""

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_END_OF_HEAD = b"\r\n\r\n"
_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """Ignores the offer, as a server may (RFC 9110 section 7.8).

    Java's client makes it with every request over plain HTTP. httptools takes such a request for one without
    a body and gives up at the body's first byte, so it must not see the offer.
    """

    _inside = False
    """Whether a message has begun and is not complete."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data if self._inside else without_offer(data))

    def on_message_begin(self) -> None:
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._inside = False
        super().on_message_complete()


def without_offer(data: bytes) -> bytes:
    """Bytes that begin with a request's head, without the offer in it."""
    head, end, rest = data.partition(_END_OF_HEAD)
    if b"h2c" not in head:
        return data
    return _OFFER.sub(b"", head + end) + rest
