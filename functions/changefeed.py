"""The change feed (API rules section 10)."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response
from starlette.requests import ClientDisconnect

from functions.background import wake_publisher
from functions.edge import Call, read_call, respond
from functions.operations import API_JSON, root_of
from shared.changefeed.asked import parse_asked, parse_with_metadata, render_token
from shared.changefeed.page import Page
from shared.changefeed.read import Form, Patience, find_latest, find_page, render_array, render_one
from shared.storage.ahead import primed
from shared.web.answer import Answer
from shared.web.compress import compressed
from shared.web.prefer import parse_wait
from shared.web.query import read_parameters

PASSED_ON: Final = ("limit", "includemetadata", "endtime", "study", "action", "partition")
"""Parameters that the next page has as well."""

blueprint = func.Blueprint()


@blueprint.function_name("retrieve_changefeed")
@blueprint.route("{version}/changefeed", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def retrieve_changefeed(req: Request) -> Response:
    """`GET changefeed`. It is of all partitions and never takes one (API rules section 15)."""
    return await respond("retrieve_changefeed", req, _answer(req, _page))


@blueprint.function_name("retrieve_changefeed_latest")
@blueprint.route("{version}/changefeed/latest", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def retrieve_changefeed_latest(req: Request) -> Response:
    """`GET changefeed/latest`."""
    return await respond("retrieve_changefeed_latest", req, _answer(req, _latest))


def _answer(req: Request, handle: Callable[[Call], Awaitable[Answer]]) -> Callable[[], Awaitable[Answer]]:
    async def answer() -> Answer:
        call = read_call(req)
        found = await handle(call)
        return compressed(found, req.headers.get("accept-encoding"))

    return answer


async def _page(call: Call) -> Answer:
    asked = parse_asked(call.query, is_v1=call.is_v1)
    wait = parse_wait(", ".join(call.request.headers.getlist("prefer")))
    patience = Patience(wait or 0, call.request.is_disconnected)
    page = await find_page(call.storage, asked, wake_publisher, patience)
    if wait and await call.request.is_disconnected():
        raise ClientDisconnect
    headers = {"Content-Type": API_JSON}
    if wait is not None:
        headers["Preference-Applied"] = "wait"
    if not page.is_closed:
        headers["Link"] = f'<{_next(call, page)}>; rel="next"'
    body = render_array(call.storage, page.entries, _form(call, asked.with_metadata))
    return Answer(200, headers, await primed(body), {"results": len(page.entries)})


async def _latest(call: Call) -> Answer:
    with_metadata = parse_with_metadata(read_parameters(call.query))
    entry = await find_latest(call.storage, wake_publisher)
    if entry is None:
        return Answer(204)
    body = await primed(render_one(call.storage, entry, _form(call, with_metadata)))
    return Answer(200, {"Content-Type": API_JSON}, body)


def _form(call: Call, with_metadata: bool) -> Form:
    return Form(root_of(call), with_metadata, call.settings.omits_bulk)


def _next(call: Call, page: Page) -> str:
    """The address of what follows a page."""
    given = read_parameters(call.query)
    passed = [f"{name}={quote(given[name][0], safe='')}" for name in PASSED_ON if name in given]
    return f"{root_of(call)}/changefeed?{'&'.join([*passed, f'after={render_token(page.place)}'])}"
