"""Delete transactions."""

import azure.functions as func

from functions.edge import Call, register
from functions.wado import INSTANCE, SERIES, STUDY
from shared.delete import delete
from shared.web.answer import Answer

blueprint = func.Blueprint()


async def delete_study(call: Call) -> Answer:
    """`DELETE studies/{study}`."""
    return await _delete(call)


async def delete_series(call: Call) -> Answer:
    """`DELETE studies/{study}/series/{series}`."""
    return await _delete(call)


async def delete_instance(call: Call) -> Answer:
    """`DELETE studies/{study}/series/{series}/instances/{instance}`."""
    return await _delete(call)


async def _delete(call: Call) -> Answer:
    removed = await delete(call.storage, call.scope())
    return Answer(204, counts={"instances": removed})


register(blueprint, delete_study, ["DELETE"], STUDY)
register(blueprint, delete_series, ["DELETE"], SERIES)
register(blueprint, delete_instance, ["DELETE"], INSTANCE)
