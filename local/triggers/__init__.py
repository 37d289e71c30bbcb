"""The triggers that run in the background: queues, blobs and timers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local.connections import HOST_STORAGE, Connections
from local.cron import BadSchedule, parse_schedule
from local.errors import HostError, SettingsError
from local.functions import Function
from local.runner import Runner
from local.settings import Settings
from local.triggers.blob import POISON_QUEUE, BlobSource, BlobStores, parse_path
from local.triggers.poller import Poller
from local.triggers.queue import QueueSource
from local.triggers.receipts import Receipts
from local.triggers.timer import Timer, TimerStatus, is_monitored

DRAIN_SECONDS = 300


class NotQuiet(HostError):
    """The triggers could not be worked off; the message says why."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """Everything that runs without being asked over HTTP."""

    runner: Runner
    pollers: Mapping[str, Poller] = field(default_factory=dict)
    """By function name, as are the timers."""

    timers: Mapping[str, Timer] = field(default_factory=dict)

    async def start(self) -> None:
        """Create what is missing and begin."""
        await asyncio.gather(*(poller.start() for poller in self.pollers.values()))
        for timer in self.timers.values():
            timer.start()

    async def stop(self, grace_seconds: float) -> None:
        """End all triggers at once, within the time given."""
        parts: list[Poller | Timer] = [*self.pollers.values(), *self.timers.values()]
        await asyncio.gather(*(part.stop(grace_seconds) for part in parts))

    async def drain(self) -> int:
        """Work off every queue and container until nothing is left that can be taken now.

        Returns:
            How many invocations that took.

        Raises:
            NotQuiet: A storage failed, or there was no end of it.
        """
        before, end = self.runner.finished, time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end:
            # What runs during a round may put work where the round has looked already, and a queue that is
            # busy is not looked into at all; so a round is only quiet when nothing ran in it.
            mark, at_first = self.runner.finished, self.running()
            found = sum([await poller.look(eager=True) for poller in self.pollers.values()])
            failing = [name for name, poller in self.pollers.items() if poller.failing_since is not None]
            if failing:
                raise NotQuiet(f"The storage of {', '.join(failing)} does not answer.")
            running = self.running()
            waiting = sum(poller.source.waiting for poller in self.pollers.values())
            if not (found or at_first or running or waiting) and mark == self.runner.finished:
                return self.runner.finished - before
            if running:
                left = end - time.monotonic()
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED, timeout=left)
        raise NotQuiet(f"There was still work after {DRAIN_SECONDS} seconds.")

    def running(self) -> set[asyncio.Task[None]]:
        return {task for poller in self.pollers.values() for task in poller.source.running}


def make_triggers(
    settings: Settings, connections: Connections, runner: Runner, functions: Sequence[Function]
) -> tuple[Triggers, dict[str, str]]:
    """Make the triggers of an app.

    Returns:
        The triggers, and for each function whose trigger cannot be set up the reason, by name.
    """
    pollers: dict[str, Poller] = {}
    timers: dict[str, Timer] = {}
    faults: dict[str, str] = {}
    for function in functions:
        try:
            if function.kind == "queuetrigger":
                pollers[function.name] = make_queue(settings, connections, runner, function)
            elif function.kind == "blobtrigger":
                pollers[function.name] = make_blob(settings, connections, runner, function)
            elif function.kind == "timertrigger":
                timers[function.name] = make_timer(settings, connections, runner, function)
        except (SettingsError, BadSchedule, ValueError) as error:
            faults[function.name] = str(error).rstrip(".")
    return Triggers(runner, pollers, timers), faults


def make_queue(settings: Settings, connections: Connections, runner: Runner, function: Function) -> Poller:
    name = settings.expand(function.trigger.text("queueName")).lower()
    service = connections.queues(function.trigger.text("connection"))
    queue, poison = service.get_queue_client(name), service.get_queue_client(f"{name}-poison")
    return Poller(QueueSource(function, runner, queue, poison, settings.queues))


def make_blob(settings: Settings, connections: Connections, runner: Runner, function: Function) -> Poller:
    path = parse_path(settings.expand(function.trigger.text("path")))
    connection = function.trigger.text("connection")
    service = connections.blobs(connection)
    receipts = service if not connections.has(HOST_STORAGE) else connections.blobs(HOST_STORAGE)
    stores = BlobStores(
        container=service.get_container_client(path.container),
        poison=connections.queues(connection).get_queue_client(POISON_QUEUE),
        receipts=Receipts(receipts, function.name, path.container),
        base64=settings.queues.base64,
    )
    return Poller(BlobSource(function, runner, path, stores, settings.blobs), settings.blobs.poll_seconds)


def make_timer(settings: Settings, connections: Connections, runner: Runner, function: Function) -> Timer:
    schedule = parse_schedule(settings.expand(function.trigger.text("schedule")))
    kept = connections.has(HOST_STORAGE) and is_monitored(function, schedule)
    status = TimerStatus(connections.blobs(HOST_STORAGE) if kept else None, function.name)
    return Timer(function, runner, schedule, status)
