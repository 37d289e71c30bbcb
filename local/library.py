"""Calling functions through the public azure-functions library, on any Python.

The converters between bindings and Python values are the library's own; they can be imported, but are not
promised.
"""

import asyncio
import contextvars
import functools
import importlib
import inspect
import json
import logging
import os
import threading
import typing
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from local import classic
from local.errors import AppError, FunctionFailed
from local.functions import Binding, Function, parse_function
from local.invoker import HttpCall, Value, send_plain
from local.loading import import_app, streams_are_on, why_not_loaded
from local.settings import Settings

LOG = logging.getLogger("local.invoke")


class LibraryInvoker:
    """Loads and calls an app by what the library offers to everyone."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.code: dict[str, Callable[..., Any]] = {}
        self.threads = ThreadPoolExecutor(max_workers=thread_count(settings), thread_name_prefix="function")

    async def start(self) -> list[Function]:
        module = import_app(self.settings)
        from azure.functions import FunctionRegister

        apps = [each for each in vars(module).values() if isinstance(each, FunctionRegister)]
        if len(apps) != 1:
            raise AppError(f"{self.settings.script} must define one FunctionApp; it defines {len(apps)}.")
        functions = []
        try:
            for each in apps[0].get_functions():
                name = str(each.get_function_name())
                retries = each.get_settings_dict("retry_policy") is not None
                functions.append(parse_function(name, name, each.get_raw_bindings(), retries=retries))
                self.code[name] = each.get_user_function()
        except Exception as error:
            raise AppError(why_not_loaded(error, self.settings.app)) from error
        return functions

    async def serve(self, function: Function, call: HttpCall) -> dict[str, Value]:
        try:
            return await (self.stream(function, call) if streams_are_on() else self.answer(function, call))
        except Exception as error:
            if type(error).__name__ == "ClientDisconnect":
                LOG.info("%s: the client went away", function.name)
                return {}
            LOG.exception("%s failed", function.name)
            if not getattr(call.send, "started", False):
                await send_plain(call.send, *error_answer(error))
            return {}

    async def stream(self, function: Function, call: HttpCall) -> dict[str, Value]:
        """Serve a function that takes and gives the classes of the HTTP streams extension."""
        from fastapi.encoders import jsonable_encoder
        from starlette.responses import JSONResponse, Response

        extension = importlib.import_module("azurefunctions.extensions.base")
        scope = {**call.scope, "path_params": dict(call.params)}
        request = extension.RequestTrackerMeta.get_request_type()(scope, call.receive, call.send)
        result, outs = await self.call(function, self.arguments(function, request, call), call.invocation)
        if result is None:
            raise TypeError("The function returned None in place of a response.")
        if not isinstance(result, Response):
            result = JSONResponse(jsonable_encoder(result))
        await result(scope, call.receive, call.send)
        return encode_outputs(function, None, outs)

    async def answer(self, function: Function, call: HttpCall) -> dict[str, Value]:
        """Serve a function on `func.HttpRequest`."""
        request = await classic.read_request(call)
        if request is None:
            return {}
        given = self.arguments(function, decode_request(function.trigger, request), call)
        result, outs = await self.call(function, given, call.invocation)
        await classic.send_answer(call.send, encode_answer(result))
        return encode_outputs(function, None, outs)

    def arguments(self, function: Function, request: Any, call: HttpCall) -> dict[str, Any]:
        inputs = {
            each.name: self.decode(function, each, call.inputs[each.name], {}) for each in function.inputs
        }
        return {function.trigger.name: request, **inputs}

    async def run(
        self, function: Function, inputs: Mapping[str, Value], metadata: Mapping[str, Value]
    ) -> dict[str, Value]:
        bindings = {binding.name: binding for binding in function.bindings}
        try:
            given = {
                name: self.decode(function, bindings[name], value, metadata) for name, value in inputs.items()
            }
            result, outs = await self.call(function, given, str(uuid.uuid4()))
            return encode_outputs(function, result, outs)
        except Exception as error:
            LOG.debug("%s failed", function.name, exc_info=True)
            raise failure(error) from error

    async def close(self) -> None:
        self.threads.shutdown(wait=False, cancel_futures=True)

    def decode(
        self, function: Function, binding: Binding, value: Value, metadata: Mapping[str, Value]
    ) -> Any:
        """Turn a value into what the function's parameter is annotated with."""
        from azure.functions.meta import Datum

        if value.content is None:
            return None
        hint = typing.get_type_hints(self.code[function.name]).get(binding.name)
        if hint in (str, bytes):
            text = isinstance(value.content, bytes) and hint is str
            return value.content.decode() if text else value.content
        converter = converter_of(binding.type)
        data = {name: Datum(each.content, each.kind) for name, each in metadata.items()}
        is_trigger = binding is function.trigger
        return converter.decode(Datum(value.content, value.kind), trigger_metadata=data if is_trigger else {})

    async def call(
        self, function: Function, given: dict[str, Any], invocation: str
    ) -> tuple[Any, dict[str, Any]]:
        """Call the app's code; what it returned and what it put into its outputs."""
        code = self.code[function.name]
        outs = {binding.name: make_out() for binding in function.outputs if binding.name != "$return"}
        arguments = given | outs
        if "context" in inspect.signature(code).parameters and "context" not in arguments:
            arguments["context"] = make_context(function.name, str(self.settings.app), invocation)
        if inspect.iscoroutinefunction(code):
            result = await code(**arguments)
        else:
            work = functools.partial(contextvars.copy_context().run, functools.partial(code, **arguments))
            result = await asyncio.get_running_loop().run_in_executor(self.threads, work)
        return result, {name: out.get() for name, out in outs.items()}


def thread_count(settings: Settings) -> int:
    asked = settings.get("PYTHON_THREADPOOL_THREAD_COUNT") or ""
    return int(asked) if asked.isdigit() and int(asked) else min(32, (os.cpu_count() or 1) + 4)


def failure(error: Exception) -> FunctionFailed:
    import traceback

    return FunctionFailed(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def error_answer(error: Exception) -> tuple[int, bytes]:
    """What the worker's web framework answers for an exception of a function."""
    status, detail = getattr(error, "status_code", None), getattr(error, "detail", None)
    if isinstance(status, int) and detail is not None:
        return status, json.dumps({"detail": detail}).encode()
    return 500, b"Internal Server Error"


def decode_request(trigger: Binding, request: classic.ClassicRequest) -> Any:
    from azure.functions.meta import Datum

    def texts(values: Mapping[str, str]) -> dict[str, Datum]:
        return {name: Datum(value, "string") for name, value in values.items()}

    value = {
        "method": Datum(request.method, "string"),
        "url": Datum(request.url, "string"),
        "headers": texts(request.headers),
        "query": texts(request.query),
        "params": texts(request.params),
        "body": Datum(request.body, "bytes"),
    }
    return converter_of(trigger.type).decode(Datum(value, "http"), trigger_metadata=None)


def encode_answer(result: Any) -> classic.ClassicAnswer:
    datum = converter_of("http").encode(result, expected_type=None)
    if datum.type == "string":
        return classic.ClassicAnswer(
            200, {"content-type": "text/plain; charset=utf-8"}, (), datum.value.encode()
        )
    value = datum.value
    return classic.ClassicAnswer(
        status=int(value["status_code"].value),
        headers={name: each.value for name, each in value["headers"].items()},
        cookies=classic.render_cookies(value["cookies"]),
        body=value["body"].value,
    )


def encode_outputs(function: Function, result: Any, outs: Mapping[str, Any]) -> dict[str, Value]:
    bindings = {binding.name: binding for binding in function.outputs}
    if result is not None and "$return" not in bindings:
        raise TypeError("The function returned a value and has no $return binding.")
    values = {}
    for name, value in {**outs, "$return": result}.items():
        if value is not None:
            datum = converter_of(bindings[name].type).encode(value, expected_type=None)
            values[name] = Value(datum.type, datum.value)
    return values


def converter_of(kind: str) -> Any:
    """The library's converter for a binding type."""
    return importlib.import_module("azure.functions").get_binding_registry().get(kind)


def make_out() -> Any:
    from azure.functions import Out

    class Box(Out):  # type: ignore[type-arg, misc, unused-ignore]  # the library's generic is untyped in some versions
        def __init__(self) -> None:
            self.value: Any = None

        def set(self, val: Any) -> None:
            self.value = val

        def get(self) -> Any:
            return self.value

    return Box()


def make_context(name: str, folder: str, invocation: str) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(
        function_name=name,
        function_directory=folder,
        invocation_id=invocation,
        thread_local_storage=LOCAL,
        trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
    )


LOCAL = threading.local()
