"""Children that run jobs and may be killed: forked from a process that has imported everything.

The test sends the nursery a job together with the writing end of a pipe. The child writes its process
id into the pipe, does the job and writes the outcome. A pipe that ends without an outcome is a child
that died.
"""

import asyncio
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from tests.faults import driver
from tests.faults.driver import Job, Value

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 180
"""Far more than any job takes, as a machine may stand still for a while."""

_NUMBER: Final = struct.Struct("<q")


class Child:
    """A process at work."""

    def __init__(self, pipe: int) -> None:
        self._pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._told = asyncio.create_task(self._read(pipe))

    async def kill(self) -> None:
        """End it at once, as a power cut does, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(await self._pid, signal.SIGKILL)
        await asyncio.wait([self._told])

    async def gone(self) -> None:
        """Wait until it has ended, however it does."""
        await asyncio.wait([self._told])

    async def outcome(self) -> list[Value] | None:
        """What each step gave; None when the child died."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                told = await asyncio.shield(self._told)
        except TimeoutError:
            os.kill(await self._pid, signal.SIGUSR1)
            await asyncio.wait([self._told], timeout=1)
            await self.kill()
            raise
        if not told:
            return None
        values: list[Value] = pickle.loads(told)
        return values

    async def _read(self, pipe: int) -> bytes:
        reader = asyncio.StreamReader()
        file = os.fdopen(pipe, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        try:
            self._pid.set_result(_NUMBER.unpack(await reader.readexactly(_NUMBER.size))[0])
            return await reader.read()
        finally:
            transport.close()
            # Should it have ended before it said its number, nobody waits for that for ever.
            self._pid.cancel()


class Nursery:
    """The process that has imported everything. Leaving it as a context ends it."""

    def __init__(self, *modules: str, errors: Path | None = None) -> None:
        """Start it.

        Args:
            modules: What jobs need beyond what all need.
            errors: The file for what its children print; our standard error when left out.
        """
        self._socket, theirs = socket.socketpair()
        with theirs, ExitStack() as opened:
            to = opened.enter_context(errors.open("ab")) if errors else None
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", str(theirs.fileno()), *modules],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=to,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait()

    def begin(self, job: Job) -> Child:
        """Have a child do a job."""
        message = driver.pack(job)
        ours, theirs = os.pipe()
        try:
            socket.send_fds(self._socket, [_NUMBER.pack(len(message))], [theirs])
            self._socket.sendall(message)
        finally:
            os.close(theirs)
        return Child(ours)

    async def run(self, job: Job) -> list[Value]:
        """Have a child do a job to its end."""
        outcome = await self.begin(job).outcome()
        assert outcome is not None, "the child died"
        return outcome


def main(number: int, modules: Sequence[str]) -> None:
    """Fork a child for each job that comes."""
    # Loaded at their first use, the one by the service, the others with a job; no child should have to.
    for module in ("shared.storage.sdk", "tests.faults.uploading", *modules):
        import_module(module)
    # Children are not waited for: the pipe tells when one has ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=number) as jobs:
        while True:
            length, pipes, _, _ = socket.recv_fds(jobs, _NUMBER.size, 1)
            if not length:
                # The tests are gone.
                return
            message = jobs.recv(_NUMBER.unpack(length)[0], socket.MSG_WAITALL)
            if os.fork() == 0:
                jobs.close()
                signal.signal(signal.SIGUSR1, _say_where)
                _work(message, pipes[0])
            os.close(pipes[0])


def _work(message: bytes, pipe: int) -> None:
    with os.fdopen(pipe, "wb", buffering=0) as out:
        out.write(_NUMBER.pack(os.getpid()))
        out.write(driver.pack(driver.perform(pickle.loads(message))))
    os._exit(0)


def _say_where(_number: int, frame: FrameType | None) -> None:
    """Print what every task waits for, for whoever reads why a test failed."""
    traceback.print_stack(frame, file=sys.stderr)
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
