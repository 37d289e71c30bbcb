"""Retrieve transactions."""

from collections.abc import Sequence
from urllib.parse import unquote

import azure.functions as func

from functions.edge import Call, register
from functions.service import service
from shared.wado.content import Asked
from shared.wado.forms import retrieve_in_form
from shared.wado.frames import parse_frames, retrieve_frames
from shared.wado.metadata.retrieve import retrieve_metadata
from shared.wado.metadata.texts import Wish
from shared.web.accept import Choice, Offer, choose
from shared.web.answer import Answer
from shared.web.compress import compressed, takes_gzip
from shared.web.offers import INSTANCE_OFFERS, METADATA_OFFERS, SERIES_OFFERS, STUDY_OFFERS, choose_frames
from shared.web.ranges import Conditions

STUDY = "studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"

blueprint = func.Blueprint()


def conditions_of(call: Call) -> Conditions:
    """What a request says about when its answer is wanted, and how much of it."""
    headers = call.request.headers
    return Conditions(
        body=call.request.method != "HEAD",
        if_none_match=headers.get("if-none-match"),
        range=headers.get("range"),
        if_range=headers.get("if-range"),
    )


def _asked(call: Call, choices: Sequence[Choice]) -> Asked:
    return Asked(choices, call.links, conditions_of(call))


async def _retrieve(call: Call, offers: Sequence[Offer]) -> Answer:
    scope, choices = call.scope(), choose(offers, call.accept)
    return await retrieve_in_form(call.storage, service().workers, scope=scope, asked=_asked(call, choices))


async def retrieve_study(call: Call) -> Answer:
    """`GET studies/{study}`."""
    return await _retrieve(call, STUDY_OFFERS)


async def retrieve_series(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}`."""
    return await _retrieve(call, SERIES_OFFERS)


async def retrieve_instance(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/instances/{instance}`."""
    return await _retrieve(call, INSTANCE_OFFERS)


async def retrieve_instance_frames(call: Call) -> Answer:
    """`GET .../instances/{instance}/frames/{frames}`."""
    scope = call.scope()
    numbers = parse_frames(unquote(call.request.path_params["frames"]))
    asked = _asked(call, choose_frames(call.accept, len(numbers)))
    return await retrieve_frames(call.storage, service().workers, scope=scope, numbers=numbers, asked=asked)


async def _metadata(call: Call) -> Answer:
    scope = call.scope()
    choice = choose(METADATA_OFFERS, call.accept)[0]
    headers = call.request.headers
    accepted = headers.get("accept-encoding")
    wish = Wish(
        choice.media_type,
        call.links,
        joined_base=service().joined_base(call.partition),
        omits_bulk=call.settings.omits_bulk,
        takes_gzip=takes_gzip(accepted),
        if_none_match=headers.get("if-none-match"),
    )
    return compressed(await retrieve_metadata(call.storage, service().workers, scope, wish), accepted)


async def retrieve_study_metadata(call: Call) -> Answer:
    """`GET studies/{study}/metadata`."""
    return await _metadata(call)


async def retrieve_series_metadata(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/metadata`."""
    return await _metadata(call)


async def retrieve_instance_metadata(call: Call) -> Answer:
    """`GET .../instances/{instance}/metadata`."""
    return await _metadata(call)


register(blueprint, retrieve_study, ["GET"], STUDY)
register(blueprint, retrieve_series, ["GET"], SERIES)
register(blueprint, retrieve_instance, ["GET"], INSTANCE)
register(blueprint, retrieve_instance_frames, ["GET"], f"{INSTANCE}/frames/{{frames}}")
register(blueprint, retrieve_study_metadata, ["GET"], f"{STUDY}/metadata")
register(blueprint, retrieve_series_metadata, ["GET"], f"{SERIES}/metadata")
register(blueprint, retrieve_instance_metadata, ["GET"], f"{INSTANCE}/metadata")
