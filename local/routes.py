"""Which function answers a path: the host's classic ASP.NET routes, as pure functions.

Templates stand in one list sorted by function name, without regard to case, and the first that matches
wins; nothing prefers a literal over a parameter. The method is a constraint like any other, so a known path
with a wrong method is not found.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from local.functions import Function

RESERVED = ("admin", "runtime")


class BadTemplate(ValueError):
    """A route template that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One `{...}` of a template."""

    name: str
    optional: bool
    catch_all: bool
    default: str | None
    checks: tuple[Callable[[str], bool], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """What stands between two slashes of a template."""

    pattern: re.Pattern[str]
    """Matches the segment; its groups are the parameters, in order."""

    parameters: tuple[Parameter, ...]

    @property
    def may_be_absent(self) -> bool:
        return any(each.optional or each.catch_all or each.default is not None for each in self.parameters)

    @property
    def catch_all(self) -> bool:
        return any(each.catch_all for each in self.parameters)


@dataclass(frozen=True, slots=True)
class Route:
    """One HTTP function and where it answers."""

    function: Function
    template: str
    segments: tuple[Segment, ...]
    methods: frozenset[str] | None
    """Upper-case methods; None for all."""


@dataclass(frozen=True, slots=True)
class Match:
    """A function found for a request, with the values of its route's parameters."""

    function: Function
    params: Mapping[str, str]


def make_routes(functions: Iterable[Function], prefix: str) -> tuple[list[Route], dict[str, str]]:
    """Put the HTTP functions in the order in which they are asked.

    Returns:
        The routes, and for each function left out the reason, by name.
    """
    routes: list[Route] = []
    faults: dict[str, str] = {}
    http = [function for function in functions if function.kind == "httptrigger"]
    for function in sorted(http, key=lambda each: each.name.lower()):
        route = function.trigger.fields.get("route")
        text = function.name if route is None else str(route).strip("/")
        try:
            made = make_route(function, text, prefix)
        except BadTemplate as error:
            faults[function.name] = f"its route {text!r} cannot be used: {error}"
            continue
        rival = next((each for each in routes if overlaps(each, made)), None)
        if rival:
            faults[function.name] = (
                f"its route {text!r} is already taken by the function {rival.function.name}"
            )
        else:
            routes.append(made)
    return routes, faults


def find(routes: Sequence[Route], method: str, path: str) -> Match | None:
    """Find the function for a method and a decoded path, or None."""
    for route in routes:
        if route.methods is None or method.upper() in route.methods:
            params = match(route.segments, path)
            if params is not None:
                return Match(route.function, params)
    return None


def match(segments: Sequence[Segment], path: str) -> dict[str, str] | None:
    """Match a decoded path; the values found, or None when it does not match."""
    whole = path.removeprefix("/").split("/")
    parts = whole[:-1] if whole[-1] == "" else whole
    if len(parts) > len(segments) and not (segments and segments[-1].catch_all):
        return None
    values: dict[str, str] = {}
    for index, segment in enumerate(segments):
        text = "/".join(whole[index:]) if segment.catch_all else "".join(parts[index : index + 1])
        found = read_segment(segment, text, index < len(parts))
        if found is None:
            return None
        values |= found
    return values


def read_segment(segment: Segment, text: str, present: bool) -> dict[str, str] | None:
    """Read one segment of a path; None when it does not fit."""
    if not present or (segment.catch_all and not text):
        if not segment.may_be_absent:
            return None
        return {each.name: each.default for each in segment.parameters if each.default is not None}
    found = segment.pattern.fullmatch(text)
    if not found:
        return None
    values = dict(zip((each.name for each in segment.parameters), found.groups(), strict=True))
    for each in segment.parameters:
        if not all(check(values[each.name]) for check in each.checks):
            return None
    return values


def decode_path(raw: bytes) -> str:
    """Decode a path as Kestrel does: `%2F` and broken UTF-8 stay encoded, dot segments are resolved."""
    pieces = re.split(rb"(%2[Ff])", raw.split(b"?", 1)[0])
    text = "".join(piece.decode() if index % 2 else decode_piece(piece) for index, piece in enumerate(pieces))
    return resolve_dots(text)


def decode_piece(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def resolve_dots(path: str) -> str:
    parts: list[str] = []
    pieces = path.split("/")
    for piece in pieces:
        if piece == "..":
            if len(parts) > 1:
                parts.pop()
        elif piece != ".":
            parts.append(piece)
    if pieces[-1] in (".", ".."):
        parts.append("")
    return "/".join(parts)


def overlaps(one: Route, other: Route) -> bool:
    """Whether two routes have the same template and a method in common."""
    if one.template.lower() != other.template.lower():
        return False
    return one.methods is None or other.methods is None or bool(one.methods & other.methods)


def make_route(function: Function, text: str, prefix: str) -> Route:
    if text.lower().startswith(RESERVED):
        raise BadTemplate("it begins with a reserved word, admin or runtime")
    template = "/".join(part for part in (prefix, text) if part)
    methods = function.trigger.fields.get("methods")
    return Route(
        function=function,
        template=template,
        segments=parse_template(template),
        methods=frozenset(str(method).upper() for method in methods) if methods else None,
    )


def parse_template(template: str) -> tuple[Segment, ...]:
    """Read a route template.

    Raises:
        BadTemplate: It breaks a rule of route templates.
    """
    segments = tuple(parse_segment(text) for text in split_segments(template))
    for segment in segments[:-1]:
        if any(each.optional or each.catch_all for each in segment.parameters):
            raise BadTemplate("an optional or catch-all parameter must be the last segment")
    names = [each.name.lower() for segment in segments for each in segment.parameters]
    if len(set(names)) < len(names):
        raise BadTemplate("a parameter appears twice")
    return segments


def split_segments(template: str) -> list[str]:
    """Cut at the slashes that do not stand inside braces."""
    if not template:
        return []
    segments = re.findall(r"(?:[^/{}]|\{\{|\}\}|\{(?:[^{}]|\{\{|\}\})*\})+|(?<=/)(?=/)", template)
    if "/".join(segments) != template:
        raise BadTemplate("its braces or slashes do not fit together")
    return segments


def parse_segment(text: str) -> Segment:
    pieces = re.findall(r"\{\{|\}\}|\{(?:[^{}]|\{\{|\}\})*\}|[^{}]+", text)
    if not pieces:
        raise BadTemplate("a segment is empty")
    pattern = ""
    parameters = []
    for piece in pieces:
        if piece[0] == "{" and piece != "{{":
            parameters.append(parse_parameter(piece[1:-1]))
            pattern += "(.+)"
        else:
            pattern += re.escape(piece.replace("{{", "{").replace("}}", "}"))
    if len(pieces) > 1 and any(each.optional or each.catch_all for each in parameters):
        raise BadTemplate("an optional or catch-all parameter must have its segment to itself")
    return Segment(re.compile(pattern, re.IGNORECASE | re.DOTALL), tuple(parameters))


def parse_parameter(text: str) -> Parameter:
    found = re.fullmatch(
        r"(\*{0,2})([^:=?*/]+)((?::[a-zA-Z]+(?:\(.*?\))?(?=[:=?]|$))*)(?:=([^?]*))?(\?)?", text
    )
    if not found:
        raise BadTemplate(f"the parameter {{{text}}} cannot be read")
    stars, name, constraints, default, mark = found.groups()
    checks = [
        make_check(kind.lower(), argument.replace("{{", "{").replace("}}", "}"))
        for kind, argument in re.findall(r":([a-zA-Z]+)(?:\((.*?)\)(?=:|$))?", constraints)
    ]
    return Parameter(name, mark is not None, bool(stars), default, tuple(checks))


def make_check(kind: str, argument: str) -> Callable[[str], bool]:
    """Make the check of one inline constraint, such as `int` or `length(3,5)`."""
    numbers = [int(each) for each in argument.split(",")] if re.fullmatch(r"-?\d+(,-?\d+)?", argument) else []
    pattern = argument if kind == "regex" else PATTERNS.get(kind)
    if pattern is not None:
        expression = re.compile(pattern, re.IGNORECASE)
        return lambda value: expression.search(value) is not None
    if kind not in COUNTED or not numbers:
        raise BadTemplate(f"this host has no constraint {kind}")
    low, high = COUNTED[kind](numbers)
    if kind in ("min", "max", "range"):
        return lambda value: re.fullmatch(r"-?\d+", value) is not None and low <= int(value) <= high
    return lambda value: low <= len(value) <= high


PATTERNS = {
    "int": r"^[-+]?\d{1,10}$",
    "long": r"^[-+]?\d{1,19}$",
    "bool": r"^(true|false)$",
    "alpha": r"^[a-z]*$",
    "decimal": r"^[-+]?[\d,]*\.?\d+$",
    "double": r"^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?$",
    "float": r"^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?$",
    "guid": r"^[({]?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}[)}]?$",
    "required": r".",
}

FAR = 1 << 63

COUNTED: Mapping[str, Callable[[list[int]], tuple[int, int]]] = {
    "minlength": lambda numbers: (numbers[0], FAR),
    "maxlength": lambda numbers: (0, numbers[0]),
    "length": lambda numbers: (numbers[0], numbers[-1]),
    "min": lambda numbers: (numbers[0], FAR),
    "max": lambda numbers: (-FAR, numbers[0]),
    "range": lambda numbers: (numbers[0], numbers[-1]),
}
