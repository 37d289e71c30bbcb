"""A function as the host sees it: a name, one trigger and its bindings."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")

TRIGGERS = frozenset({"httptrigger", "queuetrigger", "blobtrigger", "timertrigger", "eventgridtrigger"})
INPUTS = frozenset({"blob"})
OUTPUTS = frozenset({"http", "queue", "blob"})


@dataclass(frozen=True, slots=True)
class Binding:
    """One entry of a function's bindings."""

    type: str
    name: str
    """The parameter it is bound to, or `$return`."""

    is_output: bool
    fields: Mapping[str, Any]

    def text(self, field: str) -> str:
        """A field as text; "" when it is absent."""
        value = self.fields.get(field)
        return "" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app."""

    name: str
    id: str
    bindings: tuple[Binding, ...]
    retries: bool = False
    """Whether the app asks for a retry policy."""

    @property
    def trigger(self) -> Binding:
        return next(binding for binding in self.bindings if binding.type.lower().endswith("trigger"))

    @property
    def kind(self) -> str:
        """The trigger's type in small letters, such as `queuetrigger`."""
        return self.trigger.type.lower()

    @property
    def inputs(self) -> list[Binding]:
        """Bindings to be read before a call, the trigger left out."""
        return [binding for binding in self.bindings if not binding.is_output and binding is not self.trigger]

    @property
    def outputs(self) -> list[Binding]:
        return [binding for binding in self.bindings if binding.is_output]


def parse_function(name: str, id: str, raw_bindings: Iterable[str], *, retries: bool = False) -> Function:
    """Read a function from the JSON of its bindings, as the worker reports them."""
    bindings = []
    for raw in raw_bindings:
        fields = json.loads(raw)
        bindings.append(
            Binding(
                type=str(fields["type"]),
                name=str(fields["name"]),
                is_output=str(fields.get("direction", "")).lower() in ("out", "1"),
                fields=fields,
            )
        )
    return Function(name, id, tuple(bindings), retries)


def fault_in(function: Function) -> str | None:
    """Say why this host cannot run a function, or None when it can."""
    if not NAME.fullmatch(function.name):
        return "its name must be a letter, then letters, digits, _ or -, at most 128 in all"
    triggers = [binding for binding in function.bindings if binding.type.lower().endswith("trigger")]
    if len(triggers) != 1:
        return f"it has {len(triggers)} triggers and must have one"
    if function.kind not in TRIGGERS:
        return f"this host has no {triggers[0].type}"
    unknown = [each.type for each in function.inputs if each.type.lower() not in INPUTS]
    unknown += [each.type for each in function.outputs if each.type.lower() not in OUTPUTS]
    if unknown:
        return f"this host has no binding {', '.join(sorted(set(unknown)))}"
    return None
