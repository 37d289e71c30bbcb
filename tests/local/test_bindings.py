"""How values and paths are written between functions and storage."""

import re

import pytest

from local.bindings import decode_message, encode_message, fill_in, messages_in
from local.errors import FunctionFailed
from local.front import passed_on
from local.invoker import Value
from local.runner import texts_in
from local.triggers.blob import parse_path


@pytest.mark.parametrize(
    ("path", "name", "parts"),
    [
        ("c/{name}", "a/b.txt", {"name": "a/b.txt"}),
        ("c/{name}.txt", "a.txt", {"name": "a"}),
        ("c/{name}.txt", "a.bin", None),
        ("c/in/{year}/{name}.{ext}", "in/2026/a.b.txt", {"year": "2026", "name": "a.b", "ext": "txt"}),
        ("c/in/{name}", "out/a", None),
        ("c/one.txt", "one.txt", {}),
        ("c/one.txt", "oneXtxt", None),
        ("c", "any/thing", {}),
    ],
)
def test_a_blob_path_matches(path: str, name: str, parts: dict[str, str] | None) -> None:
    assert parse_path(path).match(name) == parts


def test_a_listing_asks_only_for_what_may_match() -> None:
    assert parse_path("c/in/{year}/x").prefix == "in/"


@pytest.mark.parametrize("path", ["", "{c}/a", "c/{a", "c/a}", "c/{a}{a}", "c/{A}/{a}", "c/{a b}"])
def test_a_blob_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(path)


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("c/{Name}.txt", r"c/value\.txt"),
        ("c/{rand-guid}", r"c/[0-9a-f-]{36}"),
        ("c/{DateTime}", r"c/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("c/{datetime:yyyy-MM}", r"c/\d{4}-\d\d"),
    ],
)
def test_a_path_is_filled_in(path: str, filled: str) -> None:
    assert re.fullmatch(filled, fill_in(path, {"name": "value"}))


def test_a_path_without_a_value_is_a_failure() -> None:
    with pytest.raises(FunctionFailed, match="nothing"):
        fill_in("c/{nothing}", {})


def test_the_fields_of_a_json_message_may_stand_in_a_path() -> None:
    message = Value("string", '{"id": 7, "deep": {"no": 1}}')

    assert texts_in(message, {"Id": Value("string", "x"), "Count": Value("json", "1")}) == {
        "Id": "x",
        "id": "7",
    }


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (Value("string", "one"), ["one"]),
        (Value("bytes", b"\xff"), [b"\xff"]),
        (Value("json", '["one", {"id": null, "body": "two"}, {"x": 1}]'), ["one", "two", '{"x": 1}']),
        (Value("json", '{"id": null, "body": "three"}'), ["three"]),
        (Value("int", 4), ["4"]),
    ],
)
def test_an_output_is_one_message_or_several(value: Value, messages: list[str | bytes]) -> None:
    assert messages_in(value) == messages


@pytest.mark.parametrize("content", ["text", "žluť", b"\xff\xfe"])
def test_a_message_comes_back_from_base64(content: str | bytes) -> None:
    decoded = decode_message(encode_message(content, base64_on=True), base64_on=True)

    assert decoded == Value("string" if isinstance(content, str) else "bytes", content)


def test_headers_of_one_hop_are_dropped() -> None:
    headers = [
        (b"Connection", b"close, X-Mine"),
        (b"x-mine", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"X-MS-Invocation-Id", b"1"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
    ]

    assert passed_on(headers) == [(b"set-cookie", b"a"), (b"set-cookie", b"b")]
