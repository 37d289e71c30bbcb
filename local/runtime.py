"""Calling functions through azure-functions-runtime, the package that Azure runs (Python 3.13 and newer).

The runtime is made to sit behind a worker that speaks gRPC to the host. We take that worker's place: the
requests are plain objects, and the web application the runtime makes for HTTP streams is called in process,
as ASGI, rather than through a port of its own. All of that is undocumented, so `seam_fault` looks first
whether it is as we know it.
"""

import asyncio
import importlib
import inspect
import logging
import uuid
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

from local import classic, protos
from local.errors import AppError, FunctionFailed
from local.functions import Function, parse_function
from local.invoker import HttpCall, Value, cancelled, send_plain
from local.loading import import_app, streams_are_on
from local.settings import Settings

LOG = logging.getLogger("local.invoke")

ENTRIES = (
    "worker_init_request",
    "functions_metadata_request",
    "invocation_request",
    "start_threadpool_executor",
    "get_threadpool_executor",
)


def seam_fault() -> str | None:
    """Say what in the installed runtime is not as this module knows it, or None."""
    runtime = importlib.import_module("azure_functions_runtime")
    missing = [name for name in ENTRIES if not callable(getattr(runtime, name, None))]
    if missing:
        return f"the installed azure-functions-runtime has no {', '.join(missing)}"
    return None


class RuntimeInvoker:
    """Loads and calls an app as the worker in Azure does. Its state is global: one app in a process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.runtime = importlib.import_module("azure_functions_runtime")
        self.web: Any = None
        """The runtime's own web application, when the app uses HTTP streams."""

    async def start(self) -> list[Function]:
        # Imported by us first, so that the extension is known before the runtime starts a server with it.
        import_app(self.settings)
        self.runtime.start_threadpool_executor()
        served = take_over_server() if streams_are_on() else None
        await self.ask(
            self.runtime.worker_init_request,
            worker_init_request=SimpleNamespace(
                capabilities={}, function_app_directory=str(self.settings.app)
            ),
        )
        if served is not None:
            self.web = await asyncio.wait_for(served, timeout=5)
        found = await self.ask(self.runtime.functions_metadata_request)
        return [
            parse_function(each.name, each.function_id, each.raw_bindings, retries=bool(each.retry_options))
            for each in found.function_metadata_results or ()
        ]

    async def ask(self, entry: Any, **request: Any) -> Any:
        """Send one request of the worker's life cycle."""
        envelope = SimpleNamespace(
            name=next(iter(request), ""),
            request=SimpleNamespace(**request),
            properties={"host": "127.0.0.1", "protos": protos},
        )
        answer = await entry(envelope)
        if answer.result.status != protos.StatusResult.Success:
            LOG.debug("%s", answer.result.exception.stack_trace)
            raise AppError(f"The app cannot be loaded: {answer.result.exception.message.rstrip('.')}.")
        return answer

    async def serve(self, function: Function, call: HttpCall) -> dict[str, Value]:
        try:
            return await (self.answer(function, call) if self.web is None else self.stream(function, call))
        except FunctionFailed as error:
            if str(error).startswith("ClientDisconnect"):
                LOG.info("%s: the client went away", function.name)
                return {}
            LOG.error("%s failed\n%s", function.name, error.trace)
            if not getattr(call.send, "started", False):
                await send_plain(call.send, 500, b"Internal Server Error")
            return {}

    async def stream(self, function: Function, call: HttpCall) -> dict[str, Value]:
        """Give the request to the runtime's web application while the function is invoked beside it."""
        params = {name: protos.TypedData(string=value) for name, value in call.params.items()}
        http = protos.RpcHttp(
            method="", url="", headers={}, query={}, params=call.params, body=protos.TypedData()
        )
        inputs = http_inputs(function, http, call)
        task = asyncio.create_task(self.invoke(function, inputs, params, call.invocation))
        broken: Exception | None = None
        try:
            await self.web(dict(call.scope), call.receive, call.send)
        except Exception as error:
            broken = error
        finally:
            await self.settle(function, call, task)
        if task.done() and not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]  # mypy does not see that it is there
        if broken:
            raise FunctionFailed(f"{type(broken).__name__}: {broken}", trace_of(broken)) from broken
        return {} if task.cancelled() else outputs_of(task.result())

    async def settle(self, function: Function, call: HttpCall, task: "asyncio.Task[Any]") -> None:
        """Wait for the end of an invocation whose answer is out, and forget it."""
        done, _ = await asyncio.wait({task}, timeout=1)
        if not done:
            # The web application answered by itself: its own pages stand before the function's route.
            LOG.error(
                "%s was never reached: the worker answers %s %s itself; in Azure the call would stay open",
                function.name,
                call.scope["method"],
                call.scope["path"],
            )
            await cancelled(task)
        # The runtime keeps the object that couples request and function for ever; ours is the only key to it.
        forget(call.invocation)

    async def answer(self, function: Function, call: HttpCall) -> dict[str, Value]:
        """Serve a function on `func.HttpRequest`."""
        request = await classic.read_request(call)
        if request is None:
            return {}
        http = protos.RpcHttp(
            method=request.method,
            url=request.url,
            headers=request.headers,
            query=request.query,
            params=request.params,
            body=protos.TypedData(bytes=request.body),
        )
        response = await self.invoke(function, http_inputs(function, http, call), {}, call.invocation)
        await classic.send_answer(call.send, read_answer(response.return_value))
        return outputs_of(response)

    async def run(
        self, function: Function, inputs: Mapping[str, Value], metadata: Mapping[str, Value]
    ) -> dict[str, Value]:
        response = await self.invoke(
            function,
            [protos.ParameterBinding(name=name, data=as_typed(value)) for name, value in inputs.items()],
            {name: as_typed(value) for name, value in metadata.items()},
            str(uuid.uuid4()),
        )
        outputs = outputs_of(response)
        if response.return_value is not None:
            outputs["$return"] = from_typed(response.return_value)
        return outputs

    async def invoke(
        self, function: Function, inputs: list[Any], metadata: Mapping[str, Any], invocation: str
    ) -> Any:
        """Send one invocation request.

        Raises:
            FunctionFailed: The function raised.
        """
        request = SimpleNamespace(
            invocation_id=invocation,
            function_id=function.id,
            input_data=inputs,
            trigger_metadata=metadata,
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        envelope = SimpleNamespace(
            name="invocation_request", request=SimpleNamespace(invocation_request=request), properties={}
        )
        response = await self.runtime.invocation_request(envelope)
        if response.result.status != protos.StatusResult.Success:
            raise FunctionFailed(response.result.exception.message, response.result.exception.stack_trace)
        return response

    async def close(self) -> None:
        # The runtime's own stop would wait for functions that never end.
        threads = self.runtime.get_threadpool_executor()
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


def take_over_server() -> "asyncio.Future[Any]":
    """Replace the extension's web server by one that only hands over its application.

    Raises:
        AppError: The extension is not as we know it.
    """
    base = importlib.import_module("azurefunctions.extensions.base")
    extension: ModuleType = importlib.import_module(base.ModuleTrackerMeta.get_module())
    server = getattr(extension, "WebServer", None)
    if not inspect.iscoroutinefunction(getattr(server, "serve", None)):
        raise AppError(
            f"The runtime invoker does not know this version of {extension.__name__}; use the library's."
        )
    served: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def hand_over(self: Any) -> None:
        served.set_result(self.web_app)

    server.serve = hand_over  # type: ignore[union-attr]  # looked at above
    return served


def forget(invocation: str) -> None:
    """Drop the runtime's record of an invocation; without this each request costs 2 KB for ever."""
    coordinator = getattr(
        importlib.import_module("azure_functions_runtime.http_v2"), "http_coordinator", None
    )
    references = getattr(coordinator, "_context_references", None)
    if isinstance(references, dict):
        references.pop(invocation, None)


def http_inputs(function: Function, http: Any, call: HttpCall) -> list[Any]:
    """The request and whatever else the function's input bindings read."""
    return [
        protos.ParameterBinding(name=function.trigger.name, data=protos.TypedData(http=http)),
        *(protos.ParameterBinding(name=name, data=as_typed(value)) for name, value in call.inputs.items()),
    ]


def outputs_of(response: Any) -> dict[str, Value]:
    return {each.name: from_typed(each.data) for each in response.output_data or () if each.data is not None}


def as_typed(value: Value) -> Any:
    return protos.TypedData() if value.content is None else protos.TypedData(**{value.kind: value.content})


def from_typed(data: Any) -> Value:
    kind = data.WhichOneof("data")
    return Value(kind, getattr(data, kind))


def read_answer(data: Any) -> classic.ClassicAnswer:
    """Read what a classic function returned."""
    if data is None:
        return classic.ClassicAnswer(200, {}, (), b"")
    value = from_typed(data)
    if value.kind != "http":
        return classic.ClassicAnswer(
            200, {"content-type": "text/plain; charset=utf-8"}, (), str(value.content).encode()
        )
    http = value.content
    return classic.ClassicAnswer(
        status=int(http.status_code),
        headers=http.headers,
        cookies=tuple(classic.render_cookie(vars(cookie)) for cookie in http.cookies or ()),
        body=from_typed(http.body).content,
    )


def trace_of(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))
