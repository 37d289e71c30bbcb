"""The rules by which the host finds a function for a path."""

import json

import pytest

from local.functions import Function, parse_function
from local.routes import BadTemplate, decode_path, find, make_routes, match, parse_template


def function(name: str, route: str | None, methods: list[str] | None = None) -> Function:
    trigger = {"type": "httpTrigger", "name": "req", "direction": "IN", "route": route, "methods": methods}
    return parse_function(name, name, [json.dumps(trigger)])


def found(functions: list[Function], method: str, path: str, prefix: str = "") -> str | None:
    routes, _ = make_routes(functions, prefix)
    result = find(routes, method, path)
    return result.function.name if result else None


@pytest.mark.parametrize(
    ("template", "path", "params"),
    [
        ("a/b", "/a/b", {}),
        ("a/b", "/a/b/", {}),
        ("a/b", "/A/B", {}),
        ("a/b", "/a", None),
        ("a/b", "/a/b/c", None),
        ("a/b", "/a//b", None),
        ("a/b", "/a/b//", None),
        ("", "/", {}),
        ("", "/a", None),
        ("{x}", "/1.2.840,3", {"x": "1.2.840,3"}),
        ("{x}", "/", None),
        ("a/{x}", "/a/%2F", {"x": "%2F"}),
        ("a/{x}", "/a/b c", {"x": "b c"}),
        ("a/{x}/c", "/a//c", None),
        ("a/{x?}", "/a", {}),
        ("a/{x?}", "/a/", {}),
        ("a/{x?}", "/a/b", {"x": "b"}),
        ("a/{x?}", "/a/b/c", None),
        ("a/{x=7}", "/a", {"x": "7"}),
        ("a/{x=7}", "/a/8", {"x": "8"}),
        ("a/{*rest}", "/a", {}),
        ("a/{*rest}", "/a/", {}),
        ("a/{*rest}", "/a/b/c/", {"rest": "b/c/"}),
        ("a/{**rest}", "/a/b//c", {"rest": "b//c"}),
        ("{name}.{ext}", "/a.b.c", {"name": "a.b", "ext": "c"}),
        ("{name}.{ext}", "/abc", None),
        ("from-{a}-to-{b}", "/From-x-to-y", {"a": "x", "b": "y"}),
        ("{x:int}", "/12", {"x": "12"}),
        ("{x:int}", "/1a", None),
        ("{x:length(2,3)}", "/abc", {"x": "abc"}),
        ("{x:length(2,3)}", "/abcd", None),
        ("{x:minlength(2)}", "/a", None),
        ("{x:range(1,9)}", "/9", {"x": "9"}),
        ("{x:range(1,9)}", "/10", None),
        ("{x:alpha:maxlength(3)}", "/abc", {"x": "abc"}),
        ("{x:alpha:maxlength(3)}", "/abcd", None),
        (r"{x:regex(^\d{{3}}$)}", "/123", {"x": "123"}),
        (r"{x:regex(^\d{{3}}$)}", "/1234", None),
        ("{x:guid?}", "/", {}),
        ("{x:bool}", "/TRUE", {"x": "TRUE"}),
        ("a{{b}}", "/a{b}", {}),
    ],
)
def test_a_template_matches_as_in_the_real_host(
    template: str, path: str, params: dict[str, str] | None
) -> None:
    assert match(parse_template(template), path) == params


@pytest.mark.parametrize(
    "template",
    [
        "a//b",
        "{x?}/a",
        "{*rest}/a",
        "{x}/{X}",
        "a{x?}",
        "{x:nonsense}",
        "{",
        "a}b",
        "{x",
        "{x:range(a)}",
        "{}",
    ],
)
def test_a_template_that_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(BadTemplate):
        parse_template(template)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/a%20b", "/a b"),
        (b"/a%2Fb%2fc", "/a%2Fb%2fc"),
        (b"/%C3%A9", "/é"),
        (b"/%ff", "/%ff"),
        (b"/a%252Fb", "/a%2Fb"),
        (b"/a/../b", "/b"),
        (b"/a/%2e%2e/b", "/b"),
        (b"/../..", "/"),
        (b"/a/.", "/a/"),
        (b"/a/b?c=%20", "/a/b"),
    ],
)
def test_a_path_is_decoded_as_by_kestrel(raw: bytes, path: str) -> None:
    assert decode_path(raw) == path


def test_the_first_function_by_name_wins_whatever_its_template() -> None:
    functions = [function("beta", "x/literal"), function("Alpha", "x/{any}")]

    assert found(functions, "GET", "/x/literal") == "Alpha"


def test_a_wrong_method_is_passed_over() -> None:
    functions = [function("a", "x", ["GET"]), function("b", "{any}", ["POST"])]

    assert found(functions, "POST", "/x") == "b"
    assert found(functions, "PUT", "/x") is None
    assert found(functions, "HEAD", "/x") is None


def test_a_function_without_methods_takes_all() -> None:
    assert found([function("a", "x")], "PATCH", "/x") == "a"


def test_a_function_without_a_route_answers_at_its_name() -> None:
    assert found([function("Thing", None)], "GET", "/api/thing", prefix="api") == "Thing"


def test_the_prefix_stands_before_every_route() -> None:
    functions = [function("a", "x")]

    assert found(functions, "GET", "/v1/api/x", prefix="v1/api") == "a"
    assert found(functions, "GET", "/x", prefix="v1/api") is None


@pytest.mark.parametrize("route", ["admin", "Admin/x", "runtime/x", "administration", "/admin/x"])
def test_a_reserved_word_puts_the_function_in_error(route: str) -> None:
    routes, faults = make_routes([function("a", route), function("b", "fine")], "")

    assert [each.function.name for each in routes] == ["b"]
    assert "reserved" in faults["a"]


@pytest.mark.parametrize(
    ("first", "second", "is_fault"),
    [
        (["GET"], ["GET", "POST"], True),
        (["GET"], ["POST"], False),
        (None, ["POST"], True),
        (["get"], ["GET"], True),
    ],
)
def test_a_second_function_at_the_same_template_is_in_error_when_methods_overlap(
    first: list[str] | None, second: list[str], is_fault: bool
) -> None:
    _, faults = make_routes([function("one", "same/{x}", first), function("two", "Same/{x}/", second)], "")

    assert set(faults) == ({"two"} if is_fault else set())
