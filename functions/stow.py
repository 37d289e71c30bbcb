"""Store transactions: STOW-RS, and PUT as the managed service's upsert."""

import json

import azure.functions as func

from functions.edge import Call, register
from shared.dicom.part10 import Identity
from shared.dicom.xml import render_xml
from shared.errors import BodyTooLong
from shared.storage import partitions
from shared.stow.body import inflated, read_parts
from shared.stow.checks import Rules, Taken
from shared.stow.outcome import Dataset, Outcome, make_answer
from shared.stow.store import store
from shared.web.accept import Choice, Form, choose
from shared.web.answer import Answer
from shared.web.coding import parse_codings
from shared.web.links import resolve
from shared.web.multipart import boundary_for, closing, multipart_type, part_head, read_store_content_type
from shared.web.offers import DICOM_XML, STORE_OFFERS
from shared.web.warnings import render_warning

blueprint = func.Blueprint()


async def store_studies(call: Call) -> Answer:
    """`POST studies`."""
    return await _store(call, None, _taken(call))


async def store_study(call: Call) -> Answer:
    """`POST studies/{study}`: every instance must belong to the study."""
    return await _store(call, call.uid("study"), _taken(call))


async def upsert_studies(call: Call) -> Answer:
    """`PUT studies`: as POST, and what is stored already is replaced."""
    return await _store(call, None, Taken.REPLACE)


async def upsert_study(call: Call) -> Answer:
    """`PUT studies/{study}`: the same within one study."""
    return await _store(call, call.uid("study"), Taken.REPLACE)


def _taken(call: Call) -> Taken:
    return Taken.ACCEPT_IDENTICAL if call.settings.accept_identical else Taken.REFUSE


async def _store(call: Call, study: str | None, taken: Taken) -> Answer:
    rules = Rules(study, call.is_v1, taken, call.settings.inline_bulk_bytes)
    choice = choose(STORE_OFFERS, call.accept)[0]
    outcomes = await _take(call, rules)

    def instance_url(identity: Identity) -> str:
        return call.links.instance(identity.study, identity.series, identity.instance)

    study_url = call.links.study(rules.study) if rules.study else None
    answer = make_answer(outcomes, is_v1=call.is_v1, study_url=study_url, instance_url=instance_url)
    if answer.dataset is None:
        return Answer(answer.status)
    content_type, body = _write(answer.dataset, choice)
    headers = {"Content-Type": content_type}
    if answer.warning:
        headers["Warning"] = render_warning(call.request.url.hostname, answer.warning)
    return Answer(answer.status, headers, body, {"parts": len(outcomes)})


async def _take(call: Call, rules: Rules) -> list[Outcome]:
    """Store what the body brings."""
    asked, limit = call.request.headers, call.settings.max_request_bytes
    form = read_store_content_type(asked.get("content-type"))
    codings = parse_codings(", ".join(asked.getlist("content-encoding")))
    try:
        _check_length(asked.get("content-length", ""), limit)
        await partitions.make(call.storage, call.partition)
        body = call.request.stream()
        plain = inflated(body, codings, limit) if codings else body
        asked_url = call.links.study(rules.study) if rules.study else f"{call.links.root}/studies"
        base = resolve(asked_url, asked.get("content-base", ""))
        return await store(call.storage, call.partition, rules, read_parts(plain, form, limit, base=base))
    except BodyTooLong as error:
        raise BodyTooLong(f"{error} Larger ones go by POST {call.links.root}/uploads.") from error


def _check_length(declared: str, limit: int) -> None:
    """Refuse at once what says that it is too long."""
    if declared.isdigit() and int(declared) > limit:
        raise BodyTooLong(f"A store request may have {limit} bytes.")


def _write(dataset: Dataset, choice: Choice) -> tuple[str, bytes]:
    """Content-Type and body of the answer."""
    if choice.media_type != DICOM_XML:
        return choice.media_type, json.dumps(dataset, separators=(",", ":")).encode()
    document = render_xml(dataset)
    if choice.form is Form.SINGLE:
        return DICOM_XML, document
    boundary = boundary_for(document.decode())
    head = part_head(boundary, DICOM_XML, first=True, length=len(document))
    return multipart_type(DICOM_XML, boundary), head + document + closing(boundary)


register(blueprint, store_studies, ["POST"], "studies", makes_partition=True)
register(blueprint, store_study, ["POST"], "studies/{study}", makes_partition=True)
register(blueprint, upsert_studies, ["PUT"], "studies", makes_partition=True)
register(blueprint, upsert_study, ["PUT"], "studies/{study}", makes_partition=True)
