"""The store transaction: a stream of parts in, an outcome for each part out."""

import asyncio
from collections.abc import AsyncIterator

from shared.errors import BadRequest, TooLarge, UnsupportedMediaType
from shared.storage.storage import Storage
from shared.stow.assembly import Context
from shared.stow.checks import Rules
from shared.stow.forms import Forms
from shared.stow.intake import Intake
from shared.stow.outcome import Failure, Outcome, Refused
from shared.stow.shelf import Shelf
from shared.web.multipart import Event, PartBegin, PartBytes, PartKind


async def store(
    storage: Storage, partition: str, rules: Rules, events: AsyncIterator[Event]
) -> list[Outcome]:
    """Store every part of a request, each for itself.

    Args:
        storage: The storage account.
        partition: Name of the data partition.
        rules: What the request asks of its instances.
        events: The body, from `body.read_parts`.

    Returns:
        What became of each part, in order.

    Raises:
        BadRequest, UnsupportedMediaType, TooLarge: The body is not as it must be, and nothing was stored.
            When some of it was, the rest counts as one refused part, so that the sender learns which.
        Unavailable: Nothing was stored, and storage is to blame.
    """
    shelf = Shelf(storage, partition, rules.taken)
    context = Context(storage, partition, rules)
    forms = Forms(context, shelf)
    try:
        try:
            await _take_in(context, events, forms, shelf)
        except (BadRequest, UnsupportedMediaType, TooLarge):
            if not shelf.has_begun:
                raise
            await forms.abandon()
            await shelf.add(Refused(Failure.PROCESSING))
        return await shelf.finish()
    finally:
        await forms.leave()
        await shelf.leave()


async def _take_in(context: Context, events: AsyncIterator[Event], forms: Forms, shelf: Shelf) -> None:
    async for event in events:
        if not isinstance(event, PartBegin):
            continue
        if event.kind is not PartKind.FILE:
            await forms.take(event, events)
        else:
            await _take_file(context, events, shelf)
        # Thousands of small parts may have come at once: others shall have their turn between them.
        await asyncio.sleep(0)
    await forms.finish()


async def _take_file(context: Context, events: AsyncIterator[Event], shelf: Shelf) -> None:
    async with Intake(context.storage, context.partition, context.rules) as intake:
        await _read_part(events, intake)
        await shelf.add(await intake.finish(), intake.failure)


async def _read_part(events: AsyncIterator[Event], intake: Intake) -> None:
    async for event in events:
        if not isinstance(event, PartBytes):
            return
        await intake.feed(event.data)
