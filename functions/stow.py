"""Store transactions: STOW-RS, and PUT as the managed service's upsert."""

import json

import azure.functions as func

from functions.edge import Call, register
from shared.dicom.part10 import Identity
from shared.storage import partitions
from shared.stow.body import read_parts
from shared.stow.checks import Rules, Taken
from shared.stow.outcome import make_answer
from shared.stow.store import store
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.multipart import read_store_content_type
from shared.web.offers import STORE_OFFERS

blueprint = func.Blueprint()


async def store_studies(call: Call) -> Answer:
    """`POST studies`."""
    return await _store(call, Rules(None, call.is_v1, _taken(call)))


async def store_study(call: Call) -> Answer:
    """`POST studies/{study}`: every instance must belong to the study."""
    return await _store(call, Rules(call.uid("study"), call.is_v1, _taken(call)))


async def upsert_studies(call: Call) -> Answer:
    """`PUT studies`: as POST, and what is stored already is replaced."""
    return await _store(call, Rules(None, call.is_v1, Taken.REPLACE))


async def upsert_study(call: Call) -> Answer:
    """`PUT studies/{study}`: the same within one study."""
    return await _store(call, Rules(call.uid("study"), call.is_v1, Taken.REPLACE))


def _taken(call: Call) -> Taken:
    return Taken.ACCEPT_IDENTICAL if call.settings.accept_identical else Taken.REFUSE


async def _store(call: Call, rules: Rules) -> Answer:
    choice = choose(STORE_OFFERS, call.accept)[0]
    form = read_store_content_type(call.request.headers.get("content-type"))
    await partitions.make(call.storage, call.partition)
    events = read_parts(call.request.stream(), form, call.settings.max_request_bytes)
    outcomes = await store(call.storage, call.partition, rules, events)

    def instance_url(identity: Identity) -> str:
        return call.links.instance(identity.study, identity.series, identity.instance)

    study_url = call.links.study(rules.study) if rules.study else None
    answer = make_answer(outcomes, is_v1=call.is_v1, study_url=study_url, instance_url=instance_url)
    if answer.dataset is None:
        return Answer(answer.status)
    body = json.dumps(answer.dataset, separators=(",", ":")).encode()
    return Answer(answer.status, {"Content-Type": choice.media_type}, body, {"parts": len(outcomes)})


register(blueprint, store_studies, ["POST"], "studies", makes_partition=True)
register(blueprint, store_study, ["POST"], "studies/{study}", makes_partition=True)
register(blueprint, upsert_studies, ["PUT"], "studies", makes_partition=True)
register(blueprint, upsert_study, ["PUT"], "studies/{study}", makes_partition=True)
