"""One invocation of a function that is not HTTP: inputs, the call within its time, outputs, and the log."""

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import AzureError

from local.bindings import Bindings
from local.errors import FunctionFailed, SettingsError
from local.functions import Function
from local.invoker import Invoker, Value
from local.settings import Settings

LOG = logging.getLogger("local.invoke")


class Runner:
    """Runs functions for the triggers."""

    def __init__(self, settings: Settings, invoker: Invoker, bindings: Bindings) -> None:
        self.settings = settings
        self.invoker = invoker
        self.bindings = bindings
        self.finished = 0
        """Invocations that have ended, well or not, since the start."""

    async def run(self, function: Function, value: Value, metadata: Mapping[str, Value]) -> None:
        """Call a function with what triggered it.

        Raises:
            FunctionFailed: It raised, took too long, or its bindings failed; this is logged already.
        """
        try:
            await self.call(function, value, metadata)
        except FunctionFailed as error:
            LOG.error("%s failed: %s%s", function.name, error, f"\n{error.trace}" if error.trace else "")
            raise
        except (AzureError, SettingsError) as error:
            LOG.error("%s failed: its bindings could not be served: %s", function.name, type(error).__name__)
            raise FunctionFailed(f"{type(error).__name__}: {error}") from error
        finally:
            self.finished += 1

    async def call(self, function: Function, value: Value, metadata: Mapping[str, Value]) -> None:
        names = texts_in(value, metadata)
        inputs = {function.trigger.name: value, **await self.bindings.read(function, names)}
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                outputs = await self.invoker.run(function, inputs, metadata)
        except TimeoutError:
            limit = self.settings.timeout_seconds
            raise FunctionFailed(f"it ran longer than the functionTimeout of {limit:g} seconds") from None
        await self.bindings.write(function, outputs, names)


def texts_in(value: Value, metadata: Mapping[str, Value]) -> dict[str, str]:
    """What a path may name: the trigger's metadata, and the fields of a message that is a JSON object."""
    names = {name: each.content for name, each in metadata.items() if each.kind == "string"}
    if value.kind in ("string", "json") and str(value.content).lstrip().startswith("{"):
        try:
            fields: Any = json.loads(value.content)
        except ValueError:
            return names
        names |= {name: str(each) for name, each in fields.items() if isinstance(each, (str, int, float))}
    return names
