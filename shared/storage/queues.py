"""Queues: messages that wake the functions with a queue trigger.

Source: "Put Message".
"""

from base64 import b64encode
from typing import Final

from shared.errors import Unavailable
from shared.storage.wire import UNAVAILABLE, Reply, Request, StorageRefused, Wire

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""Of the text as it is sent, in base64."""

LONGEST_DELAY_SECONDS: Final = 7 * 24 * 3600


class Queues:
    """The queues of one account, each made at its first message."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def send(self, queue: str, text: str, *, visible_after_seconds: int = 0) -> None:
        """Send a message, in base64 as host.json's `messageEncoding` says.

        A repeated try may send it twice; queues may deliver twice anyway. It stays until it is handled.

        Args:
            queue: Queue name.
            text: The message.
            visible_after_seconds: When it is first delivered, up to seven days from now.

        Raises:
            ValueError: It is too long, or the delay is.
            Unavailable: No clear answer came; whether it was sent is unknown.
        """
        encoded = b64encode(text.encode()).decode("ascii")
        if len(encoded) > MAX_MESSAGE_BYTES:
            raise ValueError(
                f"A message takes {len(encoded)} bytes in base64; {MAX_MESSAGE_BYTES} are allowed."
            )
        if not 0 <= visible_after_seconds <= LONGEST_DELAY_SECONDS:
            raise ValueError(
                f"A message can wait {LONGEST_DELAY_SECONDS} seconds, not {visible_after_seconds}."
            )
        body = f"<QueueMessage><MessageText>{encoded}</MessageText></QueueMessage>".encode()
        # Without a lifetime of -1 the service would drop the message after a week.
        query = (("visibilitytimeout", str(visible_after_seconds)), ("messagettl", "-1"))
        headers = {"content-type": "application/xml"}
        request = Request("queue", "POST", f"/{queue}/messages", query, headers, (body,))
        reply = await self._sent(queue, request)
        if reply.status != 201:
            raise StorageRefused(request, reply.status, reply.code)

    async def _sent(self, queue: str, request: Request) -> Reply:
        reply = await self._wire.send(request)
        if reply.code != "QueueNotFound":
            return reply
        await self._create(queue)
        return await self._wire.send(request)

    async def _create(self, queue: str) -> None:
        request = Request("queue", "PUT", f"/{queue}")
        reply = await self._wire.send(request)
        if reply.code == "QueueBeingDeleted":
            raise Unavailable(UNAVAILABLE)
        # 204 says that it exists already.
        if reply.status not in (201, 204) and reply.code != "QueueAlreadyExists":
            raise StorageRefused(request, reply.status, reply.code)
