"""Search transactions."""

import json

import azure.functions as func

from functions.edge import Call, register
from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.search import Asker, Found, Resource, search
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.callers import name_caller
from shared.web.compress import compressed
from shared.web.cursor import render_next_link
from shared.web.offers import SEARCH_OFFERS
from shared.web.query import SearchRequest, parse_search
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
    address = call.request.client.host if call.request.client else ""
    asker = Asker(call.links, call.is_v1, name_caller(call.request.headers, address))
    found = await search(call.storage, resource, request, asker)
    headers = _headers(call, resource, request, found)
    if not found.datasets and not call.settings.empty_search_is_array:
        return Answer(204, headers)
    body = json.dumps(found.datasets, ensure_ascii=False, separators=(",", ":")).encode()
    headers["Content-Type"] = choice.media_type
    answer = Answer(200, headers, body, {"results": len(found.datasets)})
    return compressed(answer, call.request.headers.get("accept-encoding"))


def _headers(call: Call, resource: Resource, request: SearchRequest, found: Found) -> dict[str, str]:
    """What is told of a page beside its datasets."""
    headers = {}
    warnings = list(request.warnings)
    if found.is_partial:
        warnings.append(_ENDED_EARLY)
    elif found.cursor and request.is_cut:
        warnings.append(_MORE)
    if warnings:
        host = call.request.url.hostname
        headers["Warning"] = ", ".join(render_warning(host, text) for text in warnings)
    if found.cursor:
        address = call.links.search(_PLURALS[resource.level], resource.study, resource.series)
        headers["Link"] = render_next_link(address, call.query, found.cursor, found.offset)
    return headers


_PLURALS = {
    SearchLevel.STUDY: "studies",
    SearchLevel.SERIES: "series",
    SearchLevel.INSTANCE: "instances",
}
# The text of PS3.18 section 8.3.4.4.
_MORE = (
    "The number of results exceeded the maximum supported by the server. Additional results can be requested."
)
_ENDED_EARLY = (
    "The search was ended early, because it took too much: these are the matches found so far. The link "
    "'next' goes on. A patient, an accession number, a few days or a longer text would make it short."
)


register(blueprint, search_studies, ["GET"], "studies")
register(blueprint, search_series, ["GET"], "series")
register(blueprint, search_instances, ["GET"], "instances")
register(blueprint, search_study_series, ["GET"], "studies/{study}/series")
register(blueprint, search_study_instances, ["GET"], "studies/{study}/instances")
register(blueprint, search_series_instances, ["GET"], "studies/{study}/series/{series}/instances")
