"""Count transactions: how many a search would find.

Their names begin with `count` because the host asks functions in the order of their names: `studies/count`
must not be taken for a study.
"""

import azure.functions as func

from functions.edge import Call, register
from shared.dicom.tags import SearchLevel, parse_tag
from shared.qido.count import Counted, count
from shared.qido.search import Resource
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.api_json import render
from shared.web.offers import COUNT_OFFERS
from shared.web.query import parse_search
from shared.web.warnings import render_warning

blueprint = func.Blueprint()

_ENDED_EARLY = "Counting was ended early, because it took too much: there are at least as many."


async def count_studies(call: Call) -> Answer:
    """`GET studies/count`."""
    return await _count(call, SearchLevel.STUDY)


async def count_series(call: Call) -> Answer:
    """`GET series/count`."""
    return await _count(call, SearchLevel.SERIES)


async def count_instances(call: Call) -> Answer:
    """`GET instances/count`."""
    return await _count(call, SearchLevel.INSTANCE)


async def count_study_series(call: Call) -> Answer:
    """`GET studies/{study}/series/count`."""
    return await _count(call, SearchLevel.SERIES)


async def count_study_instances(call: Call) -> Answer:
    """`GET studies/{study}/instances/count`."""
    return await _count(call, SearchLevel.INSTANCE)


async def count_series_instances(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/instances/count`."""
    return await _count(call, SearchLevel.INSTANCE)


async def _count(call: Call, level: SearchLevel) -> Answer:
    choice = choose(COUNT_OFFERS, call.accept)[0]
    study, series = (
        call.uid(name) if name in call.request.path_params else None for name in ("study", "series")
    )
    resource = Resource(call.partition.lower(), level, study, series)
    request = parse_search(call.query, parse_tag)
    counted = await count(call.storage, resource, request)
    headers = {"Content-Type": choice.media_type, **_warning(call, counted)}
    members = {"count": counted.number, "complete": None if counted.is_complete else False}
    return Answer(200, headers, render(members))


def _warning(call: Call, counted: Counted) -> dict[str, str]:
    if counted.is_complete:
        return {}
    return {"Warning": render_warning(call.request.url.hostname, _ENDED_EARLY)}


register(blueprint, count_studies, ["GET"], "studies/count")
register(blueprint, count_series, ["GET"], "series/count")
register(blueprint, count_instances, ["GET"], "instances/count")
register(blueprint, count_study_series, ["GET"], "studies/{study}/series/count")
register(blueprint, count_study_instances, ["GET"], "studies/{study}/instances/count")
register(blueprint, count_series_instances, ["GET"], "studies/{study}/series/{series}/instances/count")
