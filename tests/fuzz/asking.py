"""Sends requests byte by byte as they are, and takes the answers apart."""

import json
import socket
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import urlsplit

DEADLINE_SECONDS: Final = 30.0
"""For one request; milliseconds are usual."""

PIECE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    media_type: str
    content: bytes

    @property
    def json(self) -> Any:
        """The content as JSON."""
        return json.loads(self.content)


def send(host: str, wire: bytes, *, leaves: bool = False) -> Answer | None:
    """Send bytes and read the answer; None when there is none, as may be when the client leaves.

    Args:
        host: Scheme, host and port.
        wire: What to send.
        leaves: Whether to hang up without waiting for an answer.

    Raises:
        AssertionError: The answer took too long.
    """
    began = time.monotonic()
    address = urlsplit(host)
    with socket.create_connection((address.hostname, address.port), timeout=DEADLINE_SECONDS) as connection:
        try:
            _send_all(connection, wire)
            answer = None if leaves else _receive(connection)
        except TimeoutError as error:
            raise AssertionError(f"no answer within {DEADLINE_SECONDS} s") from error
    assert time.monotonic() - began < DEADLINE_SECONDS
    return answer


def ask(host: str, path: str, accept: str) -> Answer:
    """GET a resource."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", f"Accept: {accept}", "", ""]
    answer = send(host, "\r\n".join(lines).encode())
    assert answer is not None
    return answer


def _send_all(connection: socket.socket, wire: bytes) -> None:
    try:
        for at in range(0, len(wire), PIECE_BYTES):
            connection.sendall(wire[at : at + PIECE_BYTES])
    except ConnectionError:
        # Answered before all was sent: the answer waits to be read.
        return


def _receive(connection: socket.socket) -> Answer | None:
    response = HTTPResponse(connection)
    try:
        response.begin()
        content = response.read()
    except (HTTPException, ConnectionError) as error:
        raise AssertionError(f"no whole answer came: {error!r}") from error
    return Answer(response.status, response.headers.get_content_type(), content)
