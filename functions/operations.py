"""Operations: how work stands that goes on after its request was answered."""

from collections.abc import Awaitable, Callable

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from functions.edge import Call, read_call, respond
from shared.operations import describe, operation_url, parse_operation, read_answer, read_operation
from shared.web.accept import choose
from shared.web.answer import Answer
from shared.web.api_json import render
from shared.web.offers import JSON_OFFERS

API_JSON = "application/json"

Handle = Callable[[Call, str], Awaitable[Answer]]
"""Answers a request about the operation of that id."""

blueprint = func.Blueprint()


@blueprint.function_name("retrieve_operation")
@blueprint.route(
    "{version}/operations/{operation}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS
)
async def retrieve_operation(req: Request) -> Response:
    """`GET operations/{operation}`. Like all of these it never takes a partition (API rules section 15)."""
    return await respond("retrieve_operation", req, _answer(req, _retrieve))


@blueprint.function_name("retrieve_operation_results")
@blueprint.route(
    "{version}/operations/{operation}/results", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS
)
async def retrieve_operation_results(req: Request) -> Response:
    """`GET operations/{operation}/results`: for an upload, the body that a store request is answered with."""
    return await respond("retrieve_operation_results", req, _answer(req, _retrieve_results))


def started(call: Call, operation: str) -> tuple[dict[str, str], dict[str, str]]:
    """The reference to an operation that a request started, and the headers that go with it."""
    href = operation_url(root_of(call), operation)
    return {"id": operation, "href": href}, {"Location": href, "Content-Type": API_JSON}


def root_of(call: Call) -> str:
    """What the URLs of this version begin with where no partition belongs."""
    partition = call.request.path_params.get("partition")
    return call.links.root.removesuffix(f"/partitions/{partition}")


def _answer(req: Request, handle: Handle) -> Callable[[], Awaitable[Answer]]:
    async def answer() -> Answer:
        call = read_call(req)
        return await handle(call, parse_operation(req.path_params["operation"]))

    return answer


async def _retrieve(call: Call, operation: str) -> Answer:
    work = await read_operation(call.storage, operation)
    _, headers = started(call, operation)
    body = render(describe(work, root_of(call), is_v1=call.is_v1))
    if work.status.is_over:
        return Answer(200, {"Content-Type": API_JSON}, body)
    return Answer(202, headers, body)


async def _retrieve_results(call: Call, operation: str) -> Answer:
    choice = choose(JSON_OFFERS, call.accept)[0]
    body = await read_answer(call.storage, operation)
    return Answer(200, {"Content-Type": choice.media_type}, body)
