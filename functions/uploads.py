"""Uploads past the service, for what is too large for a request."""

import json
from collections.abc import AsyncIterator

import azure.functions as func

from functions.edge import Call, register
from functions.operations import started
from functions.service import Service
from shared.dicom.part10 import Identity
from shared.errors import TooLarge, UnsupportedMediaType
from shared.operations import parse_operation
from shared.storage import partitions
from shared.storage.upload_rows import Terms, Upload
from shared.stow.body import inflated, read_parts
from shared.stow.checks import Rules, Taken
from shared.stow.outcome import Stored, make_answer
from shared.stow.store import store
from shared.uploads.begin import begin, parse_wish
from shared.uploads.finish import finish
from shared.uploads.run import StoreAnswer
from shared.web.answer import Answer
from shared.web.api_json import parse_object, render, render_time
from shared.web.coding import parse_codings
from shared.web.links import Links
from shared.web.media import parse_media_type
from shared.web.multipart import Event, read_store_content_type

MAX_WISH_BYTES = 16 * 1024

blueprint = func.Blueprint()


async def begin_upload(call: Call) -> Answer:
    """`POST uploads`: gives an address to upload to."""
    wish = parse_wish(parse_object(await _read_json(call)))
    terms = Terms(
        partition=call.partition,
        is_v1=call.is_v1,
        root=call.links.root,
        study=wish.study,
        content_type=wish.content_type,
        content_encoding=wish.content_encoding,
    )
    begun = await begin(call.storage, terms, call.settings.upload_lifetime)
    operation, headers = started(call, begun.id)
    told = {
        "id": begun.id,
        "uploadUrl": begun.address,
        "method": "PUT",
        "headers": {"x-ms-blob-type": "BlockBlob"},
        "expiresAt": render_time(begun.expires),
        "maxBytes": call.settings.max_upload_bytes,
        "finish": f"{call.links.root}/uploads/{begun.id}",
        "operation": operation,
    }
    return Answer(201, {**headers, "Cache-Control": "no-store"}, render(told))


async def finish_upload(call: Call) -> Answer:
    """`POST uploads/{upload}`: has what was uploaded stored."""
    upload = parse_operation(call.request.path_params["upload"])
    await finish(call.storage, upload, call.partition, max_bytes=call.settings.max_upload_bytes)
    operation, headers = started(call, upload)
    return Answer(202, headers, render(operation))


async def _read_json(call: Call) -> bytes:
    body = bytearray()
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > MAX_WISH_BYTES:
            raise TooLarge(
                f"The request body may have {MAX_WISH_BYTES} bytes. Files go to the upload address."
            )
    media = parse_media_type(call.request.headers.get("content-type", ""))
    if body and (media is None or media.name != "application/json"):
        raise UnsupportedMediaType(
            "The Content-Type must be application/json. Files go to the upload address."
        )
    return bytes(body)


async def store_uploaded(
    current: Service, upload: Upload, body: AsyncIterator[bytes], *, again: bool
) -> StoreAnswer:
    """Store what was uploaded as `POST studies` would, and give its answer.

    Args:
        current: The service of this process.
        upload: Says what the body is and where it belongs.
        body: What was uploaded.
        again: What is stored already with the same bytes counts as stored.
    """
    terms = upload.terms
    links = Links(terms.root)

    def instance_url(identity: Identity) -> str:
        return links.instance(identity.study, identity.series, identity.instance)

    identical = again or current.settings.accept_identical
    taken = Taken.ACCEPT_IDENTICAL if identical else Taken.REFUSE
    rules = Rules(terms.study, terms.is_v1, taken, current.settings.inline_bulk_bytes)
    study_url = links.study(terms.study) if terms.study else None
    await partitions.make(current.storage, terms.partition)
    events = _parts_of(terms, body, study_url, current.settings.max_upload_bytes)
    outcomes = await store(current.storage, terms.partition, rules, events)
    answer = make_answer(outcomes, is_v1=terms.is_v1, study_url=study_url, instance_url=instance_url)
    written = b"" if answer.dataset is None else json.dumps(answer.dataset, separators=(",", ":")).encode()
    stored = sum(isinstance(outcome, Stored) for outcome in outcomes)
    return StoreAnswer(answer.status, written, stored, len(outcomes) - stored, answer.warning or "")


def _parts_of(
    terms: Terms, body: AsyncIterator[bytes], study_url: str | None, max_bytes: int
) -> AsyncIterator[Event]:
    """What was uploaded, taken apart as the body of a store request."""
    form, codings = read_store_content_type(terms.content_type), parse_codings(terms.content_encoding)
    plain = inflated(body, codings, max_bytes) if codings else body
    return read_parts(plain, form, max_bytes, base=study_url or f"{terms.root}/studies")


register(blueprint, begin_upload, ["POST"], "uploads", makes_partition=True)
register(blueprint, finish_upload, ["POST"], "uploads/{upload}", makes_partition=True)
