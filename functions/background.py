"""What happens after the answer: the feed, joined metadata, uploads, purges, the sweep, and rebuilding."""

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import azure.functions as func

from functions.report import report_sweep
from functions.service import service
from functions.uploads import store_uploaded
from shared.changefeed.announced import announced_blob
from shared.changefeed.emit import emit, emit_pending, retry_aside
from shared.changefeed.publish import is_behind, publish, retry_refused, wake
from shared.config import CONNECTION
from shared.errors import DicomWebError
from shared.log import log_fault
from shared.storage import keys, partitions, trails
from shared.storage.keys import StudyKey
from shared.storage.storage import Storage
from shared.storage.summaries import named_series
from shared.upkeep.purge import purge
from shared.upkeep.rebuild import rebuild
from shared.upkeep.refresh import refresh
from shared.upkeep.sweep import Mended, visit_due
from shared.uploads.run import run
from shared.uploads.sweep import sweep_uploads

GATHER_SECONDS = 0.2
EVERY_FIVE_MINUTES = "0 */5 * * * *"

blueprint = func.Blueprint()
log = logging.getLogger("dicomweb")


@blueprint.function_name("emit_changes")
@blueprint.blob_trigger(
    arg_name="blob",
    path=f"{keys.CHANGES}/{{name}}",
    connection=CONNECTION,
    source=func.BlobSource.EVENT_GRID,
)
async def emit_changes(blob: func.InputStream) -> None:
    """A change was committed: enter all that are waiting into the change feed."""
    await _emit("emit_changes", (blob.name or "").partition("/")[2])


@blueprint.function_name("emit_announced")
@blueprint.queue_trigger(arg_name="message", queue_name=keys.ANNOUNCED_QUEUE, connection=CONNECTION)
async def emit_announced(message: func.QueueMessage) -> None:
    """The same, where Event Grid cannot reach us and writes to a queue instead (docs/change-feed.md)."""
    # Whatever the message says, it is a wake-up.
    name = announced_blob(message.get_body())
    if name is None:
        log.warning("function=emit_announced a message names no change")
    await _emit("emit_announced", name)


async def _emit(function: str, name: str | None) -> None:
    made = await emit(service().storage, name, gather_seconds=GATHER_SECONDS)
    if made:
        log.info("function=%s entries=%d", function, made)
        await wake_publisher()


@blueprint.function_name("publish_events")
@blueprint.queue_trigger(arg_name="message", queue_name=keys.EVENT_QUEUE, connection=CONNECTION)
async def publish_events(message: func.QueueMessage) -> None:
    """The feed has grown, or a sink of events is to be tried again."""
    publishing = service().publishing
    if publishing is not None:
        sent = await publish(service().storage, publishing)
        log.info("function=publish_events events=%d", sent)


async def wake_publisher() -> None:
    """Have events sent, if any are; the sweep does it where this fails."""
    try:
        if service().publishing is not None:
            await wake(service().storage)
    except Exception:
        log_fault(log, "the publisher of events could not be woken; the sweep does it")


@blueprint.function_name("purge_deleted")
@blueprint.queue_trigger(arg_name="message", queue_name=keys.PURGE_QUEUE, connection=CONNECTION)
async def purge_deleted(message: func.QueueMessage) -> None:
    """The retention of deleted bytes has ended: remove them."""
    wanted = json.loads(message.get_body())
    key = StudyKey(wanted["partition"], wanted["study"])
    done = await purge(service().storage, key, wanted["version"])
    log.info("function=purge_deleted done=%s", done)


@blueprint.function_name("refresh_series")
@blueprint.queue_trigger(arg_name="message", queue_name=keys.REFRESH_QUEUE, connection=CONNECTION)
async def refresh_series(message: func.QueueMessage) -> None:
    """The instances of series have changed, or somebody read them one by one: join their metadata."""
    named = named_series(message.get_body())
    if not named:
        log.error("function=refresh_series found a message that names no series; it is dropped")
    current, failed = service(), []
    for key, series in named:
        try:
            base = current.joined_base(await partitions.name_of(current.storage, key.partition))
            outcome = await refresh(current.storage, key, series, base)
        except DicomWebError as error:
            # Those behind it are not to suffer. The message comes again, and what is current is passed over.
            failed.append(error)
        else:
            log.info("function=refresh_series outcome=%s", outcome)
    if failed:
        raise failed[0]


@blueprint.function_name("store_upload")
@blueprint.queue_trigger(arg_name="message", queue_name=keys.UPLOAD_QUEUE, connection=CONNECTION)
async def store_upload(message: func.QueueMessage) -> None:
    """A client has uploaded something: store it."""
    wanted = json.loads(message.get_body())
    store = partial(store_uploaded, service())
    status = await run(service().storage, wanted["upload"], store)
    log.info("function=store_upload status=%s", status)


@blueprint.function_name("rebuild_index")
@blueprint.queue_trigger(arg_name="message", queue_name=keys.REBUILD_QUEUE, connection=CONNECTION)
async def rebuild_index(message: func.QueueMessage) -> None:
    """An operator, or the turn before, wants the search index rebuilt."""
    wanted = json.loads(message.get_body())
    status = await rebuild(service().storage, wanted["operation"])
    log.info("function=rebuild_index status=%s", status)


@blueprint.function_name("sweep")
@blueprint.timer_trigger(arg_name="timer", schedule=EVERY_FIVE_MINUTES)
async def sweep(timer: func.TimerRequest) -> None:
    """Finish what a crash left."""
    try:
        await _sweep_studies(service().storage)
        await _sweep_events(service().storage)
    finally:
        await _tidy(service().storage)


async def _sweep_events(storage: Storage) -> None:
    publishing = service().publishing
    if publishing is not None:
        if await is_behind(storage):
            await wake_publisher()
        report_sweep({"refused": await retry_refused(storage, publishing)})


async def _tidy(storage: Storage) -> None:
    try:
        tidied = await sweep_uploads(storage)
        report_sweep(
            {
                "abandoned": tidied.abandoned,
                "woken": tidied.woken,
                "uploads": tidied.blobs,
                "operations": tidied.operations,
                "uploads_failed": tidied.failed,
            }
        )
    finally:
        log.info("function=sweep searches=%d", await trails.remove_old(storage, datetime.now(UTC)))


async def _sweep_studies(storage: Storage) -> None:
    total = Mended()
    counts: dict[str, int] = {}
    try:
        async for found in visit_due(storage):
            total += found.mended
            await emit_pending(storage, found.unfed)
    finally:
        try:
            counts["entries"] = await emit(storage)
            counts["aside"] = await retry_aside(storage)
        finally:
            report_sweep({**asdict(total), **counts})
