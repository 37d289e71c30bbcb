"""A function app on `func.HttpRequest`, without HTTP streams and with the default route prefix."""

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("echo/{word}", methods=["POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    body = f"{req.method} {req.route_params['word']} {req.params.get('q')} {len(req.get_body())}"
    headers = {"Set-Cookie": "a=1; Path=/; HttpOnly", "X-Url": req.url}
    return func.HttpResponse(body, status_code=201, headers=headers, mimetype="text/plain")


@app.route("text")
async def text(req: func.HttpRequest) -> str:
    return "just text"


@app.route("fails")
def fails(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("nothing works")
