"""The whole service under its host, in a process that is killed and started again at the same address.

The process is forked from the nursery, so that a start takes a tenth of a second. Its functions reach storage
through a proxy; what triggers them is the platform's, and goes past it.
"""

import asyncio
import io
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import function_app  # noqa: F401  # else each process would load it, which takes longer than all the rest
from functions.service import service
from local.host import Place, run_host
from local.settings import read_settings
from shared.config import CONNECTION
from shared.storage.storage import Storage
from tests.faults.accounts import Account
from tests.faults.driver import QUICK, Job, Value
from tests.faults.nursery import Child, Nursery
from tests.faults.proxy import Proxy
from tests.faults.weather import Weather

MODULE: Final = __name__
"""For a nursery."""

ROOT: Final = Path(__file__).parents[2]
LOOK_SECONDS: Final = 0.5
QUIET: Final = timedelta(seconds=0.5)
"""After which the metadata of a series are joined."""

PATIENCE_SECONDS: Final = 120
SWITCHED_OFF: Final = ("sweep", "publish_events", "emit_announced", "store_upload", "purge_deleted")
"""Functions that do nothing here, or come later."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Be the service until killed."""

    port: int
    through: str
    """Connection string of the service's own calls."""

    direct: str
    """That of what triggers functions."""

    log: str
    """File for its log lines."""

    async def run(self, storage: Storage) -> Value:  # noqa: ARG002  # the service opens its own
        # As a process has it that was not forked from one that cares for nothing.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sys.stdout = io.StringIO()
        logging.basicConfig(filename=self.log, level=logging.WARNING, force=True)
        os.environ[CONNECTION] = self.through
        own = service().storage
        own.wire.limits = QUICK
        # There is no setting for it: nobody but us needs series to come to rest sooner.
        object.__setattr__(own, "times", replace(own.times, quiet=QUIET))
        watch = asyncio.create_task(_end_with(os.getppid()))
        await run_host(read_settings(ROOT, self._settings()), Place("127.0.0.1", self.port), "library")
        watch.cancel()
        return None

    def _settings(self) -> Mapping[str, str]:
        off = {f"AzureWebJobs.{name}.Disabled": "true" for name in SWITCHED_OFF}
        return {**os.environ, **off, CONNECTION: self.direct, "AzureWebJobsStorage": self.direct}


async def _end_with(parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(LOOK_SECONDS)
    os._exit(1)


@dataclass(eq=False, slots=True)
class Served:
    """A service that is started again whenever it was killed. Use it as a context."""

    account: Account
    nursery: Nursery
    seed: str
    calls_between_kills: tuple[int, int]
    logs: Path
    kills: int = 0
    weather: Weather = field(init=False)
    _proxy: Proxy = field(init=False)
    _place: socket.socket = field(init=False)
    _child: Child = field(init=False)
    _keeping: asyncio.Task[None] = field(init=False)
    _buried: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def calls(self) -> int:
        """How many calls to storage it has made."""
        return self._proxy.calls

    @property
    def url(self) -> str:
        """Where it answers, always the same."""
        return f"http://127.0.0.1:{self._place.getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self.weather = Weather(self.seed, self._kill, self.calls_between_kills)
        self._proxy = Proxy(self.account.connection, keeps=False)
        await self._proxy.__aenter__()
        # Bound, not listening, so that nobody else takes the port while the service is dead.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self._proxy.follow(self.weather.script)
        self._start()
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)
        with closing(self._place):
            try:
                await self._kill()
                await self._proxy.quiet()
            finally:
                await self._proxy.__aexit__(kind, error, trace)

    async def buried(self, kills: int) -> None:
        """Wait until a process is dead, and nothing it asked of storage can happen any more.

        Args:
            kills: How many had been killed when it was alive.

        Raises:
            TimeoutError: It seems to be alive.
        """
        async with asyncio.timeout(PATIENCE_SECONDS), self._buried:
            await self._buried.wait_for(lambda: self.kills > kills)

    def _start(self) -> None:
        port = self._place.getsockname()[1]
        log = str(self.logs / f"{self.seed.replace('/', '-')}.log")
        serve = Serve(port, self.account.through(self._proxy), self.account.text, log)
        self._child = self.nursery.begin(Job(self.account.text, (serve,)))

    async def _kill(self) -> None:
        await self._child.kill()

    async def _keep(self) -> None:
        while True:
            await self._child.gone()
            await self._proxy.quiet()
            async with self._buried:
                self.kills += 1
                self._start()
                self._buried.notify_all()
