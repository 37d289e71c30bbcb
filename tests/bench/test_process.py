"""The benchmark sees a server from outside: its process, its processor time and its log."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from bench.process import Asked, ServiceLog, pid_behind, processor_seconds

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

LINE = "12:00:00 INFO dicomweb: route=x method=GET status=200 bytes=1 ms=2.0 storage_calls={} rows={} id={}\n"


def test_the_process_behind_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        assert pid_behind(f"http://127.0.0.1:{port}/v2") == os.getpid()

    assert pid_behind(f"http://127.0.0.1:{port}/v2") is None


def test_processor_time_only_rises() -> None:
    before = processor_seconds(os.getpid())
    while processor_seconds(os.getpid()) == before:
        sum(range(100_000))

    assert processor_seconds(os.getpid()) > before


def test_what_a_request_asked_of_storage_is_read_as_the_log_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(LINE.format(4, 0, "aa") + LINE.format(23, 2, "bb")[:-20])
    log = ServiceLog(path)

    first = asyncio.run(log.find(["aa"]))
    with path.open("a") as more:
        more.write(LINE.format(23, 2, "bb")[-20:])
    second = asyncio.run(log.find(["bb"]))

    assert first == {"aa": Asked(4, 0)}
    assert second == {"bb": Asked(23, 2)}
