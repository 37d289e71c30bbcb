"""Starts the local host as its users do, as a process of its own, and talks to it over HTTP."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PATIENCE_SECONDS = 30

INVOKERS = ["library", *(["runtime"] if sys.version_info >= (3, 13) else [])]


class Answer:
    """What came back for a request."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Host:
    """A running local host. Leaving it as a context ends it."""

    def __init__(self, app: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(settings or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", "--app", str(app), "--port", "0", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self.ended: tuple[int, str] | None = None
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready http://127.0.0.1:"), "".join(self.log)
        self.port = int(line.rsplit(":", 1)[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)

    def end(self, how: int = signal.SIGTERM) -> tuple[int, str]:
        """Tell it to end, the first time; its exit code and the rest of its standard output."""
        if self.ended:
            return self.ended
        self.process.send_signal(how)
        try:
            code = self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout, self.process.stderr:
            self.ended = code, self.process.stdout.read()
        return self.ended

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, dict(headers or {}))
            with connection.getresponse() as response:
                return Answer(response)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)

    def drain(self) -> int:
        answer = self.request("POST", "/admin/host/drain")
        assert answer.status == 200, answer.body
        return int(answer.json()["invocations"])

    def seen(self, word: str = "") -> list[str]:
        """What the sample app noted, as far as it holds a word."""
        return [line for line in self.get("/seen").json() if word in line]

    def wait_for(self, word: str, times: int = 1) -> list[str]:
        """Wait until the sample app has noted something so many times."""
        wait_until(lambda: len(self.seen(word)) >= times, f"{times} x {word}")
        return self.seen(word)

    def wait_for_log(self, word: str) -> str:
        wait_until(lambda: word in "".join(self.log), word)
        return "".join(self.log)

    def peak_bytes(self) -> int:
        """The most memory the process has ever held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail when it does not come true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"this did not come true: {what}"
        time.sleep(0.02)


def run_to_end(app: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Start a host that should refuse to run; its exit code and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "local", "--app", str(app), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(settings or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr
