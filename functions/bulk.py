"""Retrieve transactions for bulk data."""

from urllib.parse import unquote

import azure.functions as func

from functions.edge import Call, register
from functions.service import service
from functions.wado import INSTANCE, SERIES, STUDY, conditions_of
from shared.wado.bulk.all import retrieve_all_bulk
from shared.wado.bulk.one import BulkAsked, retrieve_bulk
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.offers import ALL_BULK_OFFERS

blueprint = func.Blueprint()


async def retrieve_bulk_data(call: Call) -> Answer:
    """`GET .../instances/{instance}/bulkdata/{path}`: what a BulkDataURI names; all without a path."""
    path = unquote(call.request.path_params.get("path") or "")
    if not path:
        return await _all(call)
    asked = BulkAsked(path, call.accept, call.links, conditions_of(call))
    return await retrieve_bulk(call.storage, service().workers, call.scope(), asked)


async def retrieve_study_bulk_data(call: Call) -> Answer:
    """`GET studies/{study}/bulkdata`."""
    return await _all(call)


async def retrieve_series_bulk_data(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/bulkdata`."""
    return await _all(call)


async def _all(call: Call) -> Answer:
    scope, choices = call.scope(), choose(ALL_BULK_OFFERS, call.accept)
    return await retrieve_all_bulk(call.storage, scope, choices, call.links)


register(blueprint, retrieve_bulk_data, ["GET"], f"{INSTANCE}/bulkdata/{{*path}}")
register(blueprint, retrieve_study_bulk_data, ["GET"], f"{STUDY}/bulkdata")
register(blueprint, retrieve_series_bulk_data, ["GET"], f"{SERIES}/bulkdata")
