"""Queues: messages that wake the functions with a queue trigger."""

from typing import Final

from shared.storage.wire import StorageRefused, Wire

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
        encoded_bytes = (len(text.encode()) + 2) // 3 * 4
        if encoded_bytes > MAX_MESSAGE_BYTES:
            raise ValueError(
                f"A message takes {encoded_bytes} bytes in base64; {MAX_MESSAGE_BYTES} are allowed."
            )
        if not 0 <= visible_after_seconds <= LONGEST_DELAY_SECONDS:
            raise ValueError(
                f"A message can wait {LONGEST_DELAY_SECONDS} seconds, not {visible_after_seconds}."
            )
        try:
            await self._send(queue, text, visible_after_seconds)
        except StorageRefused as refusal:
            if refusal.code != "QueueNotFound":
                raise
            sdk = await self._wire.sdk()
            await sdk.make("queue", sdk.queues.create_queue(queue))
            await self._send(queue, text, visible_after_seconds)

    async def _send(self, queue: str, text: str, seconds: int) -> None:
        sdk = await self._wire.sdk()
        from azure.storage.queue import TextBase64EncodePolicy

        client = sdk.queues.get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())
        with sdk.refusals("queue"):
            # Without a lifetime of -1 the service would drop the message after a week.
            await client.send_message(text, visibility_timeout=seconds, time_to_live=-1)
