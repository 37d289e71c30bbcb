"""What is read before a function runs and written after it: blob inputs, blob outputs, queue outputs."""

import base64
import datetime
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from local.connections import Connections
from local.errors import FunctionFailed
from local.functions import Binding, Function
from local.invoker import Value
from local.settings import Settings

NOTHING = Value("none", None)


class Bindings:
    """Carries values between functions and storage."""

    def __init__(self, settings: Settings, connections: Connections) -> None:
        self.settings = settings
        self.connections = connections

    async def read(self, function: Function, names: Mapping[str, str]) -> dict[str, Value]:
        """Read the inputs of a function; a blob that does not exist is `NOTHING`.

        Args:
            function: The function about to be called.
            names: What stands for `{name}` in a path.
        """
        return {binding.name: await self.read_blob(binding, names) for binding in function.inputs}

    async def write(self, function: Function, outputs: Mapping[str, Value], names: Mapping[str, str]) -> None:
        """Write what a function put out."""
        for binding in function.outputs:
            value = outputs.get(binding.name)
            if value is None or binding.type == "http":
                continue
            if binding.type == "queue":
                await self.send(binding, value, names)
            else:
                await self.write_blob(binding, value, names)

    async def read_blob(self, binding: Binding, names: Mapping[str, str]) -> Value:
        container, blob = self.blob_path(binding, names)
        client = self.connections.blobs(binding.text("connection")).get_blob_client(container, blob)
        try:
            stream = await client.download_blob()
            return Value("bytes", await stream.readall())
        except ResourceNotFoundError:
            return NOTHING

    async def write_blob(self, binding: Binding, value: Value, names: Mapping[str, str]) -> None:
        container, blob = self.blob_path(binding, names)
        service = self.connections.blobs(binding.text("connection"))
        content = value.content if isinstance(value.content, (bytes, str)) else json.dumps(value.content)
        try:
            await service.get_blob_client(container, blob).upload_blob(content, overwrite=True)
        except ResourceNotFoundError:
            await create(service.get_container_client(container))
            await service.get_blob_client(container, blob).upload_blob(content, overwrite=True)

    async def send(self, binding: Binding, value: Value, names: Mapping[str, str]) -> None:
        queue_name = fill_in(self.settings.expand(binding.text("queueName")), names)
        queue = self.connections.queues(binding.text("connection")).get_queue_client(queue_name)
        for content in messages_in(value):
            text = encode_message(content, base64_on=self.settings.queues.base64)
            try:
                await queue.send_message(text)
            except ResourceNotFoundError:
                await create(queue, queue.create_queue)
                await queue.send_message(text)

    def blob_path(self, binding: Binding, names: Mapping[str, str]) -> tuple[str, str]:
        path = fill_in(self.settings.expand(binding.text("path")), names)
        container, _, blob = path.strip("/").partition("/")
        if not blob:
            raise FunctionFailed(f"The path {path!r} of the binding {binding.name} names no blob.")
        return container, blob


async def create(client: Any, call: Any = None) -> None:
    """Create a container or queue unless it is there."""
    try:
        await (call or client.create_container)()
    except ResourceExistsError:
        return


def fill_in(path: str, names: Mapping[str, str]) -> str:
    """Put the values of a trigger into the `{...}` of a path.

    Raises:
        FunctionFailed: The trigger has no value of that name.
    """
    folded = {name.lower(): value for name, value in names.items()}

    def value(found: re.Match[str]) -> str:
        name, _, form = found[1].partition(":")
        if name.lower() in folded:
            return folded[name.lower()]
        if name.lower() == "rand-guid":
            return str(uuid.uuid4())
        if name.lower() == "datetime":
            now = datetime.datetime.now(datetime.UTC)
            return render_time(now, form)
        raise FunctionFailed(f"Nothing stands for {{{name}}} in the path {path!r}.")

    return re.sub(r"\{([^{}]+)\}", value, path)


def render_time(moment: datetime.datetime, form: str) -> str:
    """Write a moment in a .NET form such as yyyy-MM-dd; without one, in ISO 8601."""
    if not form:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    words = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "hh": "%I", "mm": "%M", "ss": "%S"}
    return moment.strftime(re.sub("|".join(words), lambda found: words[found[0]], form))


def messages_in(value: Value) -> list[str | bytes]:
    """The messages in one output value: text and bytes are one, a JSON list is one for each item."""
    if value.kind != "json":
        return [value.content if isinstance(value.content, (str, bytes)) else str(value.content)]
    content = json.loads(value.content)
    items = content if isinstance(content, list) else [content]
    return [message_text(item) for item in items]


def message_text(item: Any) -> str:
    if isinstance(item, dict) and set(item) == {"id", "body"}:
        return str(item["body"])
    return item if isinstance(item, str) else json.dumps(item)


def encode_message(content: str | bytes, *, base64_on: bool) -> str:
    """Write a message as it lies in the queue."""
    if not base64_on:
        return content if isinstance(content, str) else content.decode()
    return base64.b64encode(content.encode() if isinstance(content, str) else content).decode()


def decode_message(text: str, *, base64_on: bool) -> Value:
    """Read a message from the queue: text where it is text, bytes otherwise.

    Raises:
        ValueError: It is not base64 and should be.
    """
    if not base64_on:
        return Value("string", text)
    raw = base64.b64decode(text, validate=True)
    try:
        return Value("string", raw.decode())
    except UnicodeDecodeError:
        return Value("bytes", raw)
