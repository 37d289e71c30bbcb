"""A function app about nothing in particular: one function for each thing the local host must do."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
seen: list[str] = []
"""What happened in this process, for the tests to read."""


@app.route("hello/{name}", methods=["GET"])
async def hello(req: Request) -> JSONResponse:
    return JSONResponse({"name": req.path_params["name"], "headers": dict(req.headers), "query": dict(req.query_params)})


@app.route("seen", methods=["GET"])
async def show_seen(req: Request) -> JSONResponse:
    return JSONResponse(seen)


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

    return StreamingResponse(pieces(), media_type="application/octet-stream", headers={"content-length": str(size)})


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
    return None


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


@app.queue_trigger(arg_name="msg", queue_name="relay-in", connection="SampleStorage")
@app.queue_output(arg_name="out", queue_name="relay-out", connection="SampleStorage")
@app.blob_output(arg_name="page", path="pages/relayed.txt", connection="SampleStorage")
def relay(msg: func.QueueMessage, out: func.Out[str], page: func.Out[str], context: func.Context) -> None:
    text = msg.get_body().decode()
    out.set(f"{text} by {context.function_name}")
    page.set(text)


@app.blob_trigger(arg_name="blob", path="events/{year}/{name}.txt", connection="SampleStorage", source="EventGrid")
async def event(blob: func.InputStream) -> None:
    text = blob.read().decode()
    seen.append(f"event {blob.name} {blob.length} {text}")
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
