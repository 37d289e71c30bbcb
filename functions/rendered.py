"""Retrieve transactions for pictures: rendered resources and thumbnails."""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

import azure.functions as func

from functions.edge import Call, register
from functions.service import service
from functions.wado import INSTANCE, SERIES, STUDY, conditions_of
from shared.errors import BadRequest
from shared.wado.frames import parse_frames
from shared.wado.rendered.one import RenderAsked, retrieve_rendered
from shared.wado.rendered.parameters import THUMBNAIL, Wish, parse_rendered
from shared.wado.rendered.several import retrieve_rendered_all
from shared.web.answer import Answer
from shared.web.warnings import render_warning

FRAMES = f"{INSTANCE}/frames/{{frames}}"

blueprint = func.Blueprint()


def _asked(call: Call, wish: Wish, *, is_thumbnail: bool) -> RenderAsked:
    return RenderAsked(wish.options, call.accept, call.links, conditions_of(call), is_thumbnail)


def _warned(call: Call, wish: Wish, answer: Answer) -> Answer:
    """The same answer, with what of the query was not followed."""
    if not wish.warnings:
        return answer
    text = render_warning(call.request.headers.get("host"), " ".join(wish.warnings))
    return replace(answer, headers={**answer.headers, "Warning": text})


async def _one(call: Call, numbers: Sequence[int] = (), *, is_thumbnail: bool = False) -> Answer:
    wish = parse_rendered(call.query, THUMBNAIL) if is_thumbnail else parse_rendered(call.query)
    asked = _asked(call, wish, is_thumbnail=is_thumbnail)
    workers, scope = service().workers, call.scope()
    answer = await retrieve_rendered(call.storage, workers, scope=scope, numbers=numbers, asked=asked)
    return _warned(call, wish, answer)


async def _all(call: Call, *, is_thumbnail: bool = False) -> Answer:
    wish = parse_rendered(call.query, THUMBNAIL) if is_thumbnail else parse_rendered(call.query)
    asked = _asked(call, wish, is_thumbnail=is_thumbnail)
    answer = await retrieve_rendered_all(call.storage, service().workers, scope=call.scope(), asked=asked)
    return _warned(call, wish, answer)


def _numbers(call: Call) -> list[int]:
    return parse_frames(unquote(call.request.path_params["frames"]))


async def retrieve_rendered_study(call: Call) -> Answer:
    """`GET studies/{study}/rendered`."""
    return await _all(call)


async def retrieve_rendered_series(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/rendered`."""
    return await _all(call)


async def retrieve_rendered_instance(call: Call) -> Answer:
    """`GET .../instances/{instance}/rendered`."""
    return await _one(call)


async def retrieve_rendered_frames(call: Call) -> Answer:
    """`GET .../instances/{instance}/frames/{frames}/rendered`."""
    return await _one(call, _numbers(call))


async def retrieve_study_thumbnail(call: Call) -> Answer:
    """`GET studies/{study}/thumbnail`."""
    return await _all(call, is_thumbnail=True)


async def retrieve_series_thumbnail(call: Call) -> Answer:
    """`GET studies/{study}/series/{series}/thumbnail`."""
    return await _all(call, is_thumbnail=True)


async def retrieve_instance_thumbnail(call: Call) -> Answer:
    """`GET .../instances/{instance}/thumbnail`."""
    return await _one(call, is_thumbnail=True)


async def retrieve_frame_thumbnail(call: Call) -> Answer:
    """`GET .../instances/{instance}/frames/{frame}/thumbnail`."""
    numbers = _numbers(call)
    if len(numbers) > 1:
        raise BadRequest("A thumbnail is one picture; name one frame.")
    return await _one(call, numbers, is_thumbnail=True)


register(blueprint, retrieve_rendered_study, ["GET"], f"{STUDY}/rendered")
register(blueprint, retrieve_rendered_series, ["GET"], f"{SERIES}/rendered")
register(blueprint, retrieve_rendered_instance, ["GET"], f"{INSTANCE}/rendered")
register(blueprint, retrieve_rendered_frames, ["GET"], f"{FRAMES}/rendered")
register(blueprint, retrieve_study_thumbnail, ["GET"], f"{STUDY}/thumbnail")
register(blueprint, retrieve_series_thumbnail, ["GET"], f"{SERIES}/thumbnail")
register(blueprint, retrieve_instance_thumbnail, ["GET"], f"{INSTANCE}/thumbnail")
register(blueprint, retrieve_frame_thumbnail, ["GET"], f"{FRAMES}/thumbnail")
