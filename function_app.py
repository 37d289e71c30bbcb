"""The function app: every function of the service, registered."""

import azure.functions as func

from functions import (
    background,
    bulk,
    changefeed,
    delete,
    health,
    operations,
    qido,
    qido_count,
    rendered,
    stow,
    uploads,
    wado,
    wado_uri,
)

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for module in (
    stow,
    uploads,
    wado,
    rendered,
    bulk,
    wado_uri,
    qido,
    qido_count,
    delete,
    changefeed,
    operations,
    health,
    background,
):
    app.register_functions(module.blueprint)
