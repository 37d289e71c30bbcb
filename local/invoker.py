"""The face behind which the app's functions are called.

Routing, limits and triggers are written once against this; two real things stand behind it, the runtime
package that Azure itself runs (Python 3.13 and newer) and the public library (any Python).
"""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

from local.errors import HostError
from local.functions import Function
from local.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CHOICES = ("auto", "runtime", "library")


@dataclass(frozen=True, slots=True)
class Value:
    """A value on its way into or out of a function, in the words of the worker protocol."""

    kind: str
    """`string`, `bytes` or `json`; also `int` and `double` on the way out."""

    content: Any


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One HTTP request for a function, as ASGI gives it."""

    scope: Mapping[str, Any]
    receive: Receive
    send: Send
    params: Mapping[str, str]
    """The values of the route's parameters."""

    invocation: str
    url: str
    inputs: Mapping[str, Value]
    """What the function's other input bindings read."""


class Invoker(Protocol):
    """Loads one function app and calls its functions."""

    async def start(self) -> list[Function]:
        """Load the app and say what is in it.

        Raises:
            AppError: The app cannot be loaded.
        """

    async def serve(self, function: Function, call: HttpCall) -> dict[str, Value]:
        """Answer one request and give back the outputs other than the answer, by binding name.

        A function that fails is answered with 500 and logged.
        """

    async def run(
        self, function: Function, inputs: Mapping[str, Value], metadata: Mapping[str, Value]
    ) -> dict[str, Value]:
        """Call a function that is not HTTP and give back its outputs by binding name.

        Raises:
            FunctionFailed: The function raised.
        """

    async def close(self) -> None:
        """Let go of threads."""


def choose_invoker(choice: str, settings: Settings) -> Invoker:
    """Pick the invoker named, or for `auto` the real runtime where this interpreter has it.

    Raises:
        HostError: The one asked for cannot be had here.
    """
    from local.library import LibraryInvoker

    if choice == "library":
        return LibraryInvoker(settings)
    missing = runtime_missing()
    if missing is None:
        from local.runtime import RuntimeInvoker

        return RuntimeInvoker(settings)
    if choice == "runtime":
        raise HostError(f"The runtime invoker cannot be used: {missing}.")
    return LibraryInvoker(settings)


def runtime_missing() -> str | None:
    """Say why the real runtime cannot be used here, or None when it can."""
    if tuple(sys.version_info) < (3, 13):
        return "it needs Python 3.13 or newer"
    if importlib.util.find_spec("azure_functions_runtime") is None:
        return "the package azure-functions-runtime is not installed"
    from local.runtime import seam_fault

    return seam_fault()


async def send_plain(send: Send, status: int, body: bytes = b"", *headers: tuple[bytes, bytes]) -> None:
    """Send a short answer of the host's own."""
    own = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    if body and not any(name == b"content-type" for name, _ in headers):
        own.append((b"content-type", b"text/plain; charset=utf-8"))
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})


async def cancelled(task: "asyncio.Task[Any]") -> None:
    """Cancel a task and wait until it has ended, whatever it ends with."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
