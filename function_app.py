"""The function app: every function of the service, registered."""

import azure.functions as func

from functions import background, delete, health, operations, qido, stow, uploads, wado

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for module in (stow, uploads, wado, qido, delete, operations, health, background):
    app.register_functions(module.blueprint)
