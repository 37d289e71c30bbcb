"""Search transactions."""

import json

import azure.functions as func

from functions.edge import Call, register
from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.search import Resource, search
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.compress import compressed
from shared.web.offers import SEARCH_OFFERS
from shared.web.query import parse_search
from shared.web.warnings import render_warning

blueprint = func.Blueprint()


async def search_studies(call: Call) -> Answer:
    """`GET studies`."""
    return await _search(call, SearchLevel.STUDY)


async def search_series(call: Call) -> Answer:
    """`GET series`."""
    return await _search(call, SearchLevel.SERIES)


async def search_instances(call: Call) -> Answer:
    """`GET instances`."""
    return await _search(call, SearchLevel.INSTANCE)


async def search_study_series(call: Call) -> Answer:
    """`GET studies/{study}/series`."""
    return await _search(call, SearchLevel.SERIES)


async def search_study_instances(call: Call) -> Answer:
    """`GET studies/{study}/instances`."""
    return await _search(call, SearchLevel.INSTANCE)


async def search_series_instances(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/instances`."""
    return await _search(call, SearchLevel.INSTANCE)


async def _search(call: Call, level: SearchLevel) -> Answer:
    choice = choose(SEARCH_OFFERS, call.accept)[0]
    study, series = (
        call.uid(name) if name in call.request.path_params else None for name in ("study", "series")
    )
    resource = Resource(call.partition.lower(), level, study, series)
    request = parse_search(call.query, parse_tag)
    found = await search(call.storage, resource, request, call.links, is_v1=call.is_v1)
    warnings = [render_warning(call.request.url.hostname, text) for text in request.warnings]
    headers = {"Warning": ", ".join(warnings)} if warnings else {}
    if not found:
        return Answer(204, headers)
    body = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()
    answer = Answer(200, {**headers, "Content-Type": choice.media_type}, body, {"results": len(found)})
    return compressed(answer, call.request.headers.get("accept-encoding"))


register(blueprint, search_studies, ["GET"], "studies")
register(blueprint, search_series, ["GET"], "series")
register(blueprint, search_instances, ["GET"], "instances")
register(blueprint, search_study_series, ["GET"], "studies/{study}/series")
register(blueprint, search_study_instances, ["GET"], "studies/{study}/instances")
register(blueprint, search_series_instances, ["GET"], "studies/{study}/series/{series}/instances")
