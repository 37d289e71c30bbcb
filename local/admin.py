"""The host's own paths below /admin and /runtime.

No keys are asked for, as in Core Tools: the host is meant for the loopback address.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from local.classic import read_body
from local.errors import FunctionFailed
from local.functions import Function
from local.invoker import Receive, Send, Value, send_plain
from local.runner import Runner
from local.triggers import NotQuiet, Triggers
from local.triggers.blob import BlobSource
from local.triggers.queue import metadata_by_hand

LOG = logging.getLogger("local.admin")

JSON = (b"content-type", b"application/json")
HOOKS = {"blobs": "blobtrigger", "eventgrid": "eventgridtrigger"}


class Admin:
    """Answers what Core Tools' host answers there, and `POST /admin/host/drain` for tests."""

    def __init__(
        self, runner: Runner, triggers: Triggers, functions: Sequence[Function], faults: Mapping[str, str]
    ) -> None:
        self.runner = runner
        self.triggers = triggers
        self.functions = {function.name.lower(): function for function in functions}
        self.faults = faults
        self.running: set[asyncio.Task[None]] = set()

    async def __call__(self, path: str, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        method, words = scope["method"], path.strip("/").split("/")
        match (method, *(word.lower() for word in words[:2])), words[2:]:
            case ("GET", "admin", "host"), ["status"]:
                await send_json(send, 200, self.status())
            case ("POST", "admin", "host"), ["drain"]:
                await self.drain(send)
            case ("GET", "admin", "functions"), []:
                await send_json(send, 200, [describe(function) for function in self.functions.values()])
            case ("POST", "admin", "functions"), [name]:
                await self.run_by_hand(name, receive, send)
            case (("POST" | "OPTIONS"), "runtime", "webhooks"), [hook] if hook.lower() in HOOKS:
                await self.take_events(HOOKS[hook.lower()], scope, receive, send)
            case _:
                await send_plain(send, 404)

    def status(self) -> dict[str, Any]:
        errors = [f"{name}: {fault}" for name, fault in self.faults.items()]
        return {"state": "Running", "errors": errors, "functions": len(self.functions)}

    async def drain(self, send: Send) -> None:
        try:
            await send_json(send, 200, {"invocations": await self.triggers.drain()})
        except NotQuiet as error:
            await send_plain(send, 503, str(error).encode())

    async def run_by_hand(self, name: str, receive: Receive, send: Send) -> None:
        """Run one function with the input of the request; answer before it ends, as the real host does."""
        function = self.functions.get(name.lower())
        body = await read_body(receive)
        if body is None:
            return
        if function is None:
            await send_plain(send, 404)
            return
        try:
            given = (json.loads(body) if body.strip() else {}).get("input", "")
        except (ValueError, AttributeError):
            await send_plain(send, 400, b'The body must be a JSON object such as {"input": "text"}.')
            return
        if function.kind == "httptrigger":
            await send_plain(send, 400, b"An HTTP function is run by a request to its route.")
            return
        self.start(self.run(function, given if isinstance(given, str) else json.dumps(given)))
        await send_plain(send, 202)

    async def run(self, function: Function, given: str) -> None:
        value = Value("string", given)
        if function.kind == "timertrigger":
            await self.triggers.timers[function.name].run_by_hand()
        elif function.kind == "queuetrigger":
            await self.runner.run(function, value, metadata_by_hand(value))
        elif function.kind == "blobtrigger":
            source = self.triggers.pollers[function.name].source
            if isinstance(source, BlobSource):
                await source.run_by_hand(given)
        else:
            await self.runner.run(function, Value("json", given), {})

    def start(self, run: Any) -> None:
        async def logged() -> None:
            try:
                await run
            except FunctionFailed as error:
                LOG.warning("a run by hand failed: %s", error)

        task = asyncio.create_task(logged())
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def take_events(self, kind: str, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Take a delivery of Event Grid, and answer its question whether we want any."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        name = unquote(query.get("functionName", [""])[0]).removeprefix("Host.Functions.")
        function = self.functions.get(name.lower())
        if function is None or function.kind != kind:
            await send_plain(send, 404)
            return
        if scope["method"] == "OPTIONS":
            await send_plain(send, 200, b"", *accept_cloud_events(scope))
            return
        body = await read_body(receive)
        if body is None:
            return
        try:
            events = parse_events(body)
        except ValueError:
            await send_plain(send, 400, b"The body must be a JSON object or array of events.")
            return
        await self.deliver(function, events, send)

    async def deliver(self, function: Function, events: list[dict[str, Any]], send: Send) -> None:
        for event in events:
            if event.get("eventType") == "Microsoft.EventGrid.SubscriptionValidationEvent":
                code = (event.get("data") or {}).get("validationCode")
                await send_json(send, 200, {"validationResponse": code})
                return
        if function.kind == "blobtrigger":
            # The event only says that it is worth looking; what is there is seen by the listing.
            self.triggers.pollers[function.name].wake()
            await send_plain(send, 202)
            return
        runs = [self.runner.run(function, Value("json", json.dumps(event)), {}) for event in events]
        results = await asyncio.gather(*runs, return_exceptions=True)
        await send_plain(send, 500 if any(isinstance(result, Exception) for result in results) else 202)

    async def stop(self, grace_seconds: float) -> None:
        """Give runs by hand some time to end."""
        if self.running:
            await asyncio.wait(set(self.running), timeout=grace_seconds)


def parse_events(body: bytes) -> list[dict[str, Any]]:
    """Read one event or an array of them.

    Raises:
        ValueError: It is neither.
    """
    content = json.loads(body)
    events = content if isinstance(content, list) else [content]
    if not all(isinstance(event, dict) for event in events):
        raise ValueError("an event is a JSON object")
    return events


def accept_cloud_events(scope: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The answer to the handshake of the CloudEvents webhook rules."""
    origin = next((value for name, value in scope["headers"] if name == b"webhook-request-origin"), None)
    return [(b"webhook-allowed-origin", origin), (b"webhook-allowed-rate", b"*")] if origin else []


def describe(function: Function) -> dict[str, Any]:
    return {"name": function.name, "config": {"bindings": [dict(each.fields) for each in function.bindings]}}


async def send_json(send: Send, status: int, content: Any) -> None:
    await send_plain(send, status, json.dumps(content).encode(), JSON)
