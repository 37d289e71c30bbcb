"""Whether the service can work (API rules section 2.5)."""

import asyncio
import json
from collections.abc import Awaitable

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from functions.edge import respond
from functions.service import service
from shared.errors import Unavailable
from shared.storage import keys
from shared.web.answer import Answer

blueprint = func.Blueprint()


@blueprint.function_name("health_check")
@blueprint.route("health/check", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_check(req: Request) -> Response:
    """`GET health/check`."""
    return await respond("health_check", req, _check)


async def _check() -> Answer:
    storage = service().storage
    details = await asyncio.gather(
        _detail("DcmHealthCheck", storage.blobs.exists(keys.DICOM, "health")),
        _detail("MetadataHealthCheck", storage.tables.get(keys.ARCHIVE, "health", "health")),
    )
    healthy = all(detail["status"] == "Healthy" for detail in details)
    overall = {"overallStatus": "Healthy" if healthy else "Unhealthy", "details": details}
    body = json.dumps(overall).encode()
    return Answer(200 if healthy else 503, {"Content-Type": "application/json"}, body)


async def _detail(name: str, asked: Awaitable[object]) -> dict[str, str]:
    try:
        await asked
    except Unavailable as error:
        return {"name": name, "status": "Unhealthy", "description": str(error)}
    return {"name": name, "status": "Healthy", "description": "Storage answers."}
