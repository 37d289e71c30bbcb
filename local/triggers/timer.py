"""Timer triggers, in UTC. One process runs here, so no lease is needed to be the only one."""

import asyncio
import contextlib
import json
import logging
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient

from local.bindings import create
from local.cron import Schedule
from local.errors import FunctionFailed
from local.functions import Function
from local.invoker import Value, cancelled
from local.runner import Runner
from local.triggers.receipts import CONTAINER

LOG = logging.getLogger("local.triggers")

MONITORED_SECONDS = 60
"""The real host remembers the runs of timers that are due no more often than this."""

LONGEST_SLEEP_SECONDS = 600
"""A clock that is set while we sleep is noticed after this time at the latest."""


class TimerStatus:
    """When a timer ran last and is due next, kept in the host's storage so that a missed run is noticed."""

    def __init__(self, service: BlobServiceClient | None, function: str) -> None:
        self.service = service
        self.path = f"timers/local/{function}/status"
        self.last: datetime | None = None
        self.next: datetime | None = None

    async def load(self) -> None:
        if self.service is None:
            return
        try:
            stream = await self.service.get_blob_client(CONTAINER, self.path).download_blob()
            status = json.loads(await stream.readall())
            self.last, self.next = (datetime.fromisoformat(status[name]) for name in ("Last", "Next"))
        except (AzureError, ValueError, KeyError) as error:
            LOG.debug("no status at %s (%s)", self.path, type(error).__name__)

    async def save(self, last: datetime, following: datetime | None) -> None:
        self.last, self.next = last, following
        if self.service is None or following is None:
            return
        content = json.dumps({"Last": last.isoformat(), "Next": following.isoformat()})
        blob = self.service.get_blob_client(CONTAINER, self.path)
        try:
            await blob.upload_blob(content, overwrite=True)
        except ResourceNotFoundError:
            await create(self.service.get_container_client(CONTAINER))
            await blob.upload_blob(content, overwrite=True)


class Timer:
    """One timer-triggered function and its clock."""

    def __init__(self, function: Function, runner: Runner, schedule: Schedule, status: TimerStatus) -> None:
        self.function = function
        self.runner = runner
        self.schedule = schedule
        self.status = status
        self.running: set[asyncio.Task[None]] = set()
        self.loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.loop = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        """Run the function whenever it is due."""
        await self.status.load()
        started = datetime.now(UTC)
        missed = self.status.next is not None and self.status.next < started
        if missed or self.function.trigger.fields.get("runOnStartup") is True:
            await self.run(past_due=missed)
        due = self.schedule.after(started)
        while due is not None:
            now = datetime.now(UTC)
            if now < due:
                await asyncio.sleep(min((due - now).total_seconds(), LONGEST_SLEEP_SECONDS))
                continue
            # An earlier run that lasted beyond the next moment delays it; it is then past due, and only once.
            await self.run(past_due=(now - due).total_seconds() > 1)
            due = self.next_due(due)
        LOG.warning("%s: its schedule is never due", self.function.name)

    def next_due(self, last: datetime) -> datetime | None:
        """Find the moment after the last one; of several that went by during a run only the latest counts."""
        due = self.schedule.after(last)
        while due and (following := self.schedule.after(due)) and following <= datetime.now(UTC):
            due = following
        return due

    async def run(self, *, past_due: bool) -> None:
        """Run once in a task of its own, so that the end of the clock does not cut it off."""
        task = asyncio.create_task(self.run_once(past_due=past_due))
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        await asyncio.wait({task})

    async def run_once(self, *, past_due: bool) -> None:
        try:
            await self.run_by_hand(past_due=past_due)
        except FunctionFailed:
            LOG.debug("%s will run again when it is due", self.function.name)
        now = datetime.now(UTC)
        with contextlib.suppress(AzureError):
            await self.status.save(now, self.schedule.after(now))

    async def run_by_hand(self, *, past_due: bool = False) -> None:
        """Run the function now.

        Raises:
            FunctionFailed: It raised.
        """
        await self.runner.run(self.function, self.payload(past_due=past_due), {})

    def payload(self, *, past_due: bool) -> Value:
        def text(moment: datetime | None) -> str:
            return (moment or datetime(1, 1, 1, tzinfo=UTC)).isoformat()

        last, following = self.status.last, self.schedule.after(datetime.now(UTC))
        status: dict[str, Any] = {"Last": text(last), "Next": text(following), "LastUpdated": text(last)}
        payload = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        return Value("json", json.dumps(payload))

    async def stop(self, grace_seconds: float) -> None:
        """Stop the clock, give a running invocation some time, then cancel it."""
        if self.loop:
            await cancelled(self.loop)
        if self.running:
            await asyncio.wait(set(self.running), timeout=grace_seconds)
        for task in set(self.running):
            await cancelled(task)


def is_monitored(function: Function, schedule: Schedule) -> bool:
    """Whether missed runs of a timer are noticed: by `useMonitor`, and never when due every few seconds."""
    if function.trigger.fields.get("useMonitor") is False:
        return False
    first = schedule.after(datetime.now(UTC))
    second = schedule.after(first) if first else None
    return bool(first and second and (second - first).total_seconds() >= MONITORED_SECONDS)
