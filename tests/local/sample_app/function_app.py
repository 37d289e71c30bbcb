"""A function app about nothing in particular: one function for each thing the local host must do."""

import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import AsyncIterator

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse
from starlette.exceptions import HTTPException

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen: list[str] = []
"""What happened in this process, for the tests to read."""


@app.route("hello/{name}", methods=["GET"])
async def hello(req: Request) -> JSONResponse:
    params, query = req.path_params, req.query_params
    content = {"name": params["name"], "headers": dict(req.headers), "query": dict(query)}
    return JSONResponse(content, headers={"keep-alive": "timeout=5", "x-own": "kept"})


@app.route("seen", methods=["GET"])
async def show_seen(req: Request) -> JSONResponse:
    return JSONResponse(seen)


@app.route("open-calls", methods=["GET"])
async def open_calls(req: Request) -> JSONResponse:
    """Tell how many invocations the runtime still remembers; 0 without the runtime."""
    streams = sys.modules.get("azure_functions_runtime.http_v2")
    return JSONResponse(len(streams.http_coordinator._context_references) if streams else 0)


@app.route("upload", methods=["POST"])
async def upload(req: Request) -> JSONResponse:
    digest, length, largest = hashlib.sha256(), 0, 0
    try:
        async for chunk in req.stream():
            digest.update(chunk)
            length += len(chunk)
            largest = max(largest, len(chunk))
    except Exception as error:
        seen.append(f"upload {type(error).__name__}")
        raise
    return JSONResponse({"length": length, "largest": largest, "sha256": digest.hexdigest()})


@app.route("download/{size}", methods=["GET"])
async def download(req: Request) -> StreamingResponse:
    size = int(req.path_params["size"])

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for start in range(0, size, 1 << 16):
                yield bytes(min(1 << 16, size - start))
                await asyncio.sleep(0)
            seen.append("download done")
        except BaseException as error:
            seen.append(f"download {type(error).__name__}")
            raise

    return StreamingResponse(
        pieces(), media_type="application/octet-stream", headers={"content-length": str(size)}
    )


@app.route("breaks/midway", methods=["GET"])
async def breaks_midway(req: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a beginning"
        raise RuntimeError("no end")

    return StreamingResponse(pieces())


@app.route("breaks/early")
async def breaks_early(req: Request) -> Response:
    raise RuntimeError("nothing works")


@app.route("breaks/none")
async def returns_none(req: Request) -> Response:
    return None  # What happens then is the point.


@app.route("breaks/politely")
async def breaks_politely(req: Request) -> Response:
    raise HTTPException(418, "a teapot")


@app.route("docs", methods=["GET"])
async def shadowed(req: Request) -> Response:
    return Response("ours")


@app.route("send/{text}", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="sent", connection="SampleStorage")
async def send(req: Request, out: func.Out[str]) -> Response:
    out.set(req.path_params["text"])
    return Response(status_code=202)


@app.route("pages/{name}", methods=["GET"])
@app.blob_input(arg_name="page", path="pages/{name}.txt", connection="SampleStorage")
async def read_page(req: Request, page: func.InputStream) -> Response:
    return Response(page.read()) if page else Response(status_code=404)


@app.route("plain/{*rest}")
def in_a_thread(req: Request) -> Response:
    return Response(json.dumps({"rest": req.path_params.get("rest")}), media_type="application/json")


@app.route("twice", methods=["GET", "POST"])
async def twice_a(req: Request) -> Response:
    return Response("a")


@app.route("Twice", methods=["POST", "PUT"])
async def twice_b(req: Request) -> Response:
    return Response("b")


@app.route("admins", methods=["GET"])
async def reserved(req: Request) -> Response:
    return Response("never")


@app.queue_trigger(arg_name="msg", queue_name="%WORK_QUEUE%", connection="SampleStorage")
async def work(msg: func.QueueMessage) -> None:
    text = msg.get_body().decode()
    seen.append(f"work {text} {msg.dequeue_count}")
    if text.startswith("bad"):
        raise ValueError("this message cannot be worked off")
    if text.startswith("slow"):
        await asyncio.sleep(0.5)
        seen.append(f"worked {text}")
    if text.startswith("long"):
        await asyncio.sleep(3)
        seen.append(f"worked {text}")
    if text.startswith("endless"):
        await asyncio.Event().wait()


@app.queue_trigger(arg_name="msg", queue_name="relay-in", connection="SampleStorage")
@app.queue_output(arg_name="out", queue_name="relay-out", connection="SampleStorage")
@app.blob_output(arg_name="page", path="pages/relayed.txt", connection="SampleStorage")
def relay(msg: func.QueueMessage, out: func.Out[str], page: func.Out[str], context: func.Context) -> None:
    text = msg.get_body().decode()
    out.set(f"{text} by {context.function_name}")
    page.set(text)


@app.blob_trigger(
    arg_name="blob",
    path="events/{year}/{name}.txt",
    connection="SampleStorage",
    source=func.BlobSource.EVENT_GRID,
)
async def event(blob: func.InputStream) -> None:
    text = blob.read().decode()
    seen.append(f"event {blob.name} {blob.length} {text}")
    if text.startswith("slow"):
        await asyncio.sleep(0.5)
    if text.startswith("bad"):
        raise ValueError("this blob cannot be worked off")


@app.timer_trigger(arg_name="timer", schedule="%TICK%", run_on_startup=False)
async def tick(timer: func.TimerRequest) -> None:
    seen.append(f"tick {timer.past_due}")
    logging.info("the clock ticked")


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
def at_start(timer: func.TimerRequest) -> None:
    seen.append("at start")


@app.event_grid_trigger(arg_name="event")
async def grid(event: func.EventGridEvent) -> None:
    seen.append(f"grid {event.id} {event.get_json()['word']}")


@app.timer_trigger(arg_name="timer", schedule="* * * * * *", run_on_startup=True)
def asleep(timer: func.TimerRequest) -> None:
    seen.append("asleep ran")


@app.queue_trigger(arg_name="msg", queue_name="elsewhere", connection="NoSuchConnection")
def unconnected(msg: func.QueueMessage) -> None:
    seen.append("unconnected ran")
