"""Queue triggers, with the delivery rules of the storage extension.

A message is held for ten minutes at a time while its function runs, or as a setting says. Success deletes
it, failure shows it again after `visibilityTimeout`, and the last failure moves it to `<queue>-poison`.
"""

import asyncio
import json
import logging
from datetime import datetime

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.bindings import create, decode_message
from local.errors import FunctionFailed
from local.functions import Function
from local.invoker import Value, cancelled
from local.runner import Runner
from local.settings import QueueSettings

LOG = logging.getLogger("local.triggers")


class QueueSource:
    """One queue-triggered function and its queue."""

    def __init__(
        self,
        function: Function,
        runner: Runner,
        queue: QueueClient,
        poison: QueueClient,
        settings: QueueSettings,
    ) -> None:
        self.function = function
        self.name = function.name
        self.runner = runner
        self.queue = queue
        self.poison = poison
        self.settings = settings
        self.longest_seconds = settings.max_polling_seconds
        self.running: set[asyncio.Task[None]] = set()
        self.woken = asyncio.Event()

    @property
    def waiting(self) -> int:
        return 0

    async def prepare(self) -> None:
        await create(self.queue, self.queue.create_queue)

    async def poll(self, *, eager: bool = False) -> int:  # noqa: ARG002 - what waits for its next try is invisible
        if len(self.running) > self.settings.new_batch_threshold:
            return 0
        size, hold = self.settings.batch_size, int(self.settings.hold_seconds)
        pages = self.queue.receive_messages(messages_per_page=size, visibility_timeout=hold).by_page()
        async for page in pages:
            messages = [message async for message in page]
            for message in messages:
                task = asyncio.create_task(self.handle(message))
                self.running.add(task)
                task.add_done_callback(self.finished)
            return len(messages)
        return 0

    def finished(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if len(self.running) == self.settings.new_batch_threshold:
            self.woken.set()

    def give_up(self) -> None:
        """Nothing waits here; what is not running lies in the queue."""

    async def handle(self, message: QueueMessage) -> None:
        """Work off one message, whatever comes of it."""
        try:
            value = decode_message(message.content, base64_on=self.settings.base64)
        except ValueError:
            LOG.error("%s: a message is not base64 and goes to %s", self.name, self.poison.queue_name)
            await self.bury(message)
            return
        if (message.dequeue_count or 0) > self.settings.max_dequeue_count:
            await self.bury(message)
            return
        try:
            await self.run(message, value)
        except AzureError as error:
            # The message shows itself again when its time is over.
            LOG.warning("%s: a message could not be settled (%s)", self.name, type(error).__name__)

    async def run(self, message: QueueMessage, value: Value) -> None:
        renewal = asyncio.create_task(self.keep(message))
        try:
            await self.runner.run(self.function, value, metadata_of(message, value))
        except FunctionFailed:
            await cancelled(renewal)
            await self.after_failure(message)
        except asyncio.CancelledError:
            await cancelled(renewal)
            await asyncio.shield(self.show_again(message, 0))
            raise
        else:
            await cancelled(renewal)
            await self.delete(message)

    async def keep(self, message: QueueMessage) -> None:
        """Renew the hold on a message at half time, again and again."""
        while True:
            await asyncio.sleep(self.settings.hold_seconds / 2)
            try:
                await self.show_again(message, self.settings.hold_seconds)
            except AzureError as error:
                LOG.warning("%s: the hold on a message was not renewed (%s)", self.name, type(error).__name__)

    async def after_failure(self, message: QueueMessage) -> None:
        if (message.dequeue_count or 0) >= self.settings.max_dequeue_count:
            LOG.error(
                "%s: a message failed %d times and goes to %s",
                self.name,
                message.dequeue_count,
                self.poison.queue_name,
            )
            await self.bury(message)
        else:
            await self.show_again(message, self.settings.visibility_seconds)

    async def show_again(self, message: QueueMessage, seconds: float) -> None:
        try:
            # Without new content, the SDK leaves the message's text as it is.
            held = await self.queue.update_message(
                message.id, message.pop_receipt, visibility_timeout=int(seconds)
            )
            message.pop_receipt = held.pop_receipt
        except ResourceNotFoundError:
            LOG.debug("%s: a message was gone before it could be given back", self.name)

    async def bury(self, message: QueueMessage) -> None:
        """Move a message to the poison queue, its text as it was."""
        try:
            await self.poison.send_message(message.content)
        except ResourceNotFoundError:
            await create(self.poison, self.poison.create_queue)
            await self.poison.send_message(message.content)
        await self.delete(message)

    async def delete(self, message: QueueMessage) -> None:
        try:
            await self.queue.delete_message(message.id, message.pop_receipt)
        except ResourceNotFoundError:
            LOG.debug("%s: a message was gone before it could be deleted", self.name)


def metadata_of(message: QueueMessage, value: Value) -> dict[str, Value]:
    """What the host tells a function about its message; numbers and dates travel as JSON."""
    metadata = {
        "Id": Value("string", message.id),
        "PopReceipt": Value("string", message.pop_receipt),
        "DequeueCount": Value("json", json.dumps(message.dequeue_count)),
        "InsertionTime": as_json(message.inserted_on),
        "ExpirationTime": as_json(message.expires_on),
        "NextVisibleTime": as_json(message.next_visible_on),
    }
    return metadata | ({"QueueTrigger": value} if value.kind == "string" else {})


def as_json(moment: datetime | None) -> Value:
    return Value("json", json.dumps(moment.isoformat() if moment else None))


def metadata_by_hand(value: Value) -> dict[str, Value]:
    """The same for a message that was handed in and never lay in a queue."""
    now = as_json(datetime.now().astimezone())
    return {
        "Id": Value("string", "by-hand"),
        "PopReceipt": Value("string", ""),
        "DequeueCount": Value("json", "1"),
        "InsertionTime": now,
        "ExpirationTime": now,
        "NextVisibleTime": now,
        "QueueTrigger": value,
    }
