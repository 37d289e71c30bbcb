"""What the processes beside us do: the processor time of a server, and the log lines of the service."""

import asyncio
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

LOG_SECONDS: Final = 10
"""How long a log line may come after its answer."""

_LISTENS: Final = "0A"
_LINE: Final = re.compile(rb"storage_calls=(\d+) rows=(\d+) id=(\w+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asked of storage."""

    calls: int
    rows: int


class ServiceLog:
    """Reads the service's log as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""
        self._found: dict[str, Asked] = {}

    async def find(self, requests: Sequence[str]) -> Mapping[str, Asked]:
        """What each of these requests asked of storage; one whose line never came is absent."""
        deadline = time.monotonic() + LOG_SECONDS
        self._read()
        while any(each not in self._found for each in requests) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            self._read()
        found = {each: self._found[each] for each in requests if each in self._found}
        self._found.clear()
        return found

    def _read(self) -> None:
        with self._path.open("rb") as log:
            log.seek(self._at)
            text = self._rest + log.read()
            self._at = log.tell()
        lines, _, self._rest = text.rpartition(b"\n")
        for calls, rows, request in _LINE.findall(lines):
            self._found[request.decode()] = Asked(int(calls), int(rows))


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pid_behind(url: str) -> int | None:
    """The process that listens at the port of a URL, if it runs on this machine and is ours to see."""
    port = urlsplit(url).port
    sockets = {f"socket:[{inode}]" for inode in _listening(port)} if port else set()
    for link in Path("/proc").glob("[0-9]*/fd/*") if sockets else ():
        # Files are closed and processes end while we look.
        with suppress(OSError):
            if os.readlink(link) in sockets:
                return int(link.parts[2])
    return None


def _listening(port: int) -> list[str]:
    found = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found
