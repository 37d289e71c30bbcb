"""WADO-URI: an instance named in the query (PS3.18 chapter 9), at the base of a version and at `wado`."""

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from functions.edge import Call, read_call, register, respond
from functions.service import service
from functions.wado import conditions_of
from shared.errors import NotFound
from shared.storage.keys import Scope, study_key
from shared.wado.content import Asked
from shared.wado.uri import is_uri_request, parse_uri_request, retrieve_by_uri
from shared.web.answer import Answer

blueprint = func.Blueprint()


async def retrieve_by_wado_uri(call: Call) -> Answer:
    """`GET wado?requestType=WADO&...`."""
    wanted = parse_uri_request(call.query, call.accept)
    scope = Scope(study_key(call.partition, wanted.study), wanted.series, wanted.instance)
    asked = Asked(wanted.choices, call.links, conditions_of(call))
    return await retrieve_by_uri(call.storage, service().workers, scope=scope, wanted=wanted, asked=asked)


# Routes are tried in the order of their functions' names, and this one fits everything that stands alone
# behind the host: so its name comes after those of all others that do.
async def wado_uri_at_base(call: Call) -> Answer:
    """`GET {version}?requestType=WADO&...`, for clients that take the base for the address."""
    if not is_uri_request(call.query):
        raise NotFound("Nothing is at this address.")
    return await retrieve_by_wado_uri(call)


@blueprint.function_name("retrieve_by_wado_uri_alone")
@blueprint.route("wado", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def retrieve_by_wado_uri_alone(req: Request) -> Response:
    """`GET wado?requestType=WADO&...` without a version, where such clients look first."""

    async def answer() -> Answer:
        return await retrieve_by_wado_uri(read_call(req))

    return await respond("retrieve_by_wado_uri", req, answer)


register(blueprint, retrieve_by_wado_uri, ["GET"], "wado")
register(blueprint, wado_uri_at_base, ["GET"], "")
