"""An HTTP endpoint that takes events, and misbehaves as told."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_SECONDS = 30
GOOD = 200

Action = int | Callable[[], int] | None
"""A status, what gives one when it is time, or None to cut the connection instead of an answer."""


@dataclass(frozen=True, slots=True)
class Post:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""

    body: bytes
    status: int | None
    """What it was answered with."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it."""
        found: list[dict[str, Any]] = json.loads(self.body)
        return found


@dataclass(slots=True)
class Receiver:
    """A running endpoint."""

    url: str
    posts: list[Post] = field(default_factory=list)
    script: list[Action] = field(default_factory=list)
    """What happens to the next requests; when it is used up, all are taken."""

    headers: dict[str, str] = field(default_factory=dict)
    """What answers have beside their status."""

    refuse: Callable[[list[dict[str, Any]]], int | None] = lambda _: None
    """Gives the status for events that are not taken, whenever they come."""

    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def taken(self) -> list[dict[str, Any]]:
        """The events of all requests that were answered well, in order."""
        return [event for post in self.posts if post.status == GOOD for event in post.events]

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The events of all requests, whatever they were answered."""
        return [event for post in self.posts for event in post.events]

    def wait_for(self, count: int, what: str = "taken") -> list[dict[str, Any]]:
        """Wait until so many events were taken (or seen), and give them."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found := getattr(self, what)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} events came"
            time.sleep(0.02)
        return list(found)

    def next_action(self, body: bytes) -> Action:
        """What to do with a request."""
        with self.lock:
            if self.script:
                return self.script.pop(0)
        return self.refuse(json.loads(body)) or GOOD


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run an endpoint on a free port."""
    receiver = Receiver("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            action = receiver.next_action(body)
            status = action() if callable(action) else action
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.posts.append(Post(self.path, headers, body, status))
            if status is None:
                self.close_connection = True
                return
            try:
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return  # whoever asked is gone

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
