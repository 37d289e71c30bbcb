"""Retrieve transactions."""

from urllib.parse import unquote

import azure.functions as func

from functions.edge import Call, register
from shared.wado.frames import parse_frames, retrieve_frames
from shared.wado.metadata import retrieve_metadata
from shared.wado.retrieve import retrieve
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.offers import INSTANCE_OFFERS, METADATA_OFFERS, SERIES_OFFERS, STUDY_OFFERS, choose_frames

STUDY = "studies/{study}"
SERIES = f"{STUDY}/series/{{series}}"
INSTANCE = f"{SERIES}/instances/{{instance}}"

blueprint = func.Blueprint()


async def retrieve_study(call: Call) -> Answer:
    """`GET studies/{study}`."""
    return await retrieve(call.storage, call.scope(), choose(STUDY_OFFERS, call.accept))


async def retrieve_series(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}`."""
    return await retrieve(call.storage, call.scope(), choose(SERIES_OFFERS, call.accept))


async def retrieve_instance(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/instances/{instance}`."""
    return await retrieve(call.storage, call.scope(), choose(INSTANCE_OFFERS, call.accept))


async def retrieve_instance_frames(call: Call) -> Answer:
    """`GET .../instances/{instance}/frames/{frames}`."""
    scope = call.scope()
    numbers = parse_frames(unquote(call.request.path_params["frames"]))
    choices = choose_frames(call.accept, len(numbers))
    return await retrieve_frames(call.storage, scope, numbers, choices)


async def _metadata(call: Call) -> Answer:
    scope = call.scope()
    choice = choose(METADATA_OFFERS, call.accept)[0]
    header = call.request.headers.get("if-none-match")
    return await retrieve_metadata(call.storage, scope, choice.media_type, header)


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
