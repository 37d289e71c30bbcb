"""The host as a whole: loads the app, opens the door, runs the triggers, and ends all of it again."""

import asyncio
import contextlib
import errno
import logging
import math
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import uvicorn

from local.admin import Admin
from local.bindings import Bindings
from local.connections import Connections
from local.errors import HostError
from local.front import Front
from local.functions import Function, fault_in
from local.invoker import choose_invoker
from local.loading import streams_are_on
from local.protocol import Protocol
from local.routes import Route, find, make_routes
from local.runner import Runner
from local.settings import Settings
from local.triggers import make_triggers

LOG = logging.getLogger("local")

KEEP_ALIVE_SECONDS = 130
"""How long an idle connection stays open, as in Kestrel."""

WORKER_PAGES = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json")
"""Where the worker's web application answers with documentation of itself, as soon as streams are on."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the host answers."""

    host: str
    port: int
    """0 for any free one."""


def address_of(listening: socket.socket) -> str:
    """Host and port as they stand in an URL."""
    host, port = listening.getsockname()[:2]
    return f"{f'[{host}]' if ':' in host else host}:{port}"


class Server(uvicorn.Server):
    """uvicorn, with the signals left to us, and a word when it answers."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"ready http://{address_of((sockets or [])[0])}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run_host(settings: Settings, place: Place, choice: str) -> None:
    """Run an app until SIGINT or SIGTERM.

    Raises:
        HostError: The host cannot start.
    """
    listening = open_socket(place)
    os.chdir(settings.app)
    # As Azure and Core Tools do; what answers on all addresses is reached by another name, though.
    os.environ.setdefault("WEBSITE_HOSTNAME", address_of(listening))
    for name in settings.not_honoured:
        LOG.warning("host.json: %s has no effect in this host", name)
    invoker = choose_invoker(choice, settings)
    functions, faults = sort_out(await invoker.start(), settings)
    connections = Connections(settings)
    bindings = Bindings(settings, connections)
    runner = Runner(settings, invoker, bindings)
    routes, bad_routes = make_routes(functions, settings.http.route_prefix)
    triggers, bad_triggers = make_triggers(settings, connections, runner, functions)
    faults |= bad_routes | bad_triggers
    loaded = [function for function in functions if function.name not in faults]
    tell(loaded, faults)
    warn_of_shadows(routes)
    admin = Admin(runner, triggers, loaded, faults)
    try:
        await triggers.start()
        await serve(Front(settings.http, routes, invoker, bindings, admin), listening, settings.grace_seconds)
    finally:
        await asyncio.gather(triggers.stop(settings.grace_seconds), admin.stop(settings.grace_seconds))
        await connections.close()
        await invoker.close()
        LOG.info("ended")


def open_socket(place: Place) -> socket.socket:
    """Take the port before anything else is done.

    Raises:
        HostError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    # Named as TCP, so that asyncio switches off Nagle's algorithm: else small answers wait 40 ms for
    # a client's acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((place.host, place.port))
        listening.listen(2048)
    except (OSError, OverflowError) as error:
        listening.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            reason = "is already in use; stop what runs there or choose another with --port"
        else:
            reason = f"cannot be opened: {error}"
        raise HostError(f"Port {place.port} on {place.host} {reason}.") from error
    return listening


def sort_out(found: Sequence[Function], settings: Settings) -> tuple[list[Function], dict[str, str]]:
    """Set aside the functions that are switched off, and those this host cannot run, with the reason."""
    enabled = [function for function in found if not settings.is_disabled(function.name)]
    faults = {function.name: fault for function in enabled if (fault := fault_in(function))}
    for function in found:
        if function not in enabled:
            LOG.info("%s is disabled by AzureWebJobs.%s.Disabled", function.name, function.name)
    return [function for function in enabled if function.name not in faults], faults


def tell(functions: Sequence[Function], faults: Mapping[str, str]) -> None:
    """Log what was loaded and, loudly, what was not."""
    for name, fault in faults.items():
        LOG.error("THE FUNCTION %s IS IN ERROR AND NOT LOADED: %s", name, fault)
    others = [
        f"{function.name} ({function.trigger.type})"
        for function in functions
        if function.kind != "httptrigger"
    ]
    for function in functions:
        if function.retries:
            LOG.warning("%s has a retry policy, which has no effect in this host", function.name)
    LOG.info("%d HTTP functions%s", len(functions) - len(others), "".join(f", {other}" for other in others))


def warn_of_shadows(routes: Sequence[Route]) -> None:
    """Warn of functions whose route the worker's own pages hide, in Azure as well as here."""
    for path in WORKER_PAGES if streams_are_on() else ():
        if found := find(routes, "GET", path):
            LOG.warning("GET %s never reaches %s: the worker answers it itself", path, found.function.name)


async def serve(front: Front, listening: socket.socket, grace_seconds: float) -> None:
    """Answer requests until a signal comes."""
    config = uvicorn.Config(
        front,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(grace_seconds),
    )
    server = Server(config)
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, end)
    await server.serve(sockets=[listening])
