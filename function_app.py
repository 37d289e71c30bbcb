"""The function app: every function of the service, registered."""

import azure.functions as func

from functions import background, delete, health, qido, stow, wado

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for module in (stow, wado, qido, delete, health, background):
    app.register_functions(module.blueprint)
