"""The message classes the runtime package expects to be handed.

In Azure they are generated from the worker protocol; the runtime only makes them, reads their fields and asks
which of several fields is set, so plain classes do.
"""

from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """A message: whatever fields it was made with; any other field is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


class OneOf(SimpleNamespace):
    """A message of which one field is set; it has no other, because the runtime looks for some by trying."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: ARG002, N802, RUF100 - the name the runtime calls
        fields = [name for name in vars(self) if name != "name"]
        return fields[0] if fields else None


class TypedData(OneOf):
    """A value with its kind: string, bytes, json, http, int, double."""


class ParameterBinding(OneOf):
    """A value with the name of its parameter."""


class FunctionMetadataResponse(Message): ...


class FunctionLoadResponse(Message): ...


class FunctionEnvironmentReloadResponse(Message): ...


class InvocationResponse(Message): ...


class WorkerInitResponse(Message): ...


class WorkerMetadata(Message): ...


class RpcException(Message): ...


class RpcFunctionMetadata(Message): ...


class RpcRetryOptions(Message): ...


class RpcHttp(Message): ...


class RpcHttpCookie(Message):
    """A cookie; `SameSite` holds the words a browser knows."""

    SameSite = SimpleNamespace(**{"None": "", "Lax": "Lax", "Strict": "Strict", "ExplicitNone": "None"})


class NullableString(Message): ...


class NullableBool(Message): ...


class NullableDouble(Message): ...


class NullableTimestamp(Message): ...


class Timestamp(Message): ...


class StatusResult(Message):
    """How a request to the worker ended."""

    Failure = 0
    Success = 1


class BindingInfo(Message):
    """A binding's direction and data type, numbered as in the protocol; both enumerations meet here."""

    out = 1
    inout = 2
    undefined = 0


setattr(BindingInfo, "in", 0)
