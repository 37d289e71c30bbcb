"""HTTP through the running host: routing, limits, headers and streams, with each invoker."""

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from tests.local.hosting import HERE, Host, wait_until

MIB = 1 << 20
ROOM_BYTES = 24 * MIB
"""How much the process may grow for a body of 50 MiB."""


@pytest.fixture(scope="module")
def classic(invoker: str) -> Iterator[Host]:
    with Host(HERE / "classic_app", "--invoker", invoker) as running:
        yield running


def test_a_function_answers_at_its_route(host: Host) -> None:
    answer = host.get("/HELLO/a%2Fb%20c/?q=1")

    assert answer.status == 200
    assert answer.json()["name"] == "a%2Fb c"
    assert answer.json()["query"] == {"q": "1"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/hello/x"),
        ("HEAD", "/hello/x"),
        ("GET", "/hello"),
        ("GET", "/hello/x/y"),
        ("GET", "/nowhere"),
    ],
)
def test_a_wrong_method_or_path_is_not_found(host: Host, method: str, path: str) -> None:
    assert host.request(method, path).status == 404


def test_the_second_function_at_a_route_is_in_error_and_the_rest_runs_on(host: Host) -> None:
    assert host.request("POST", "/twice").body == b"a"
    assert host.request("PUT", "/twice").status == 404
    host.wait_for_log("THE FUNCTION twice_b IS IN ERROR")


def test_a_reserved_route_is_in_error(host: Host) -> None:
    assert host.get("/admins").status == 404
    host.wait_for_log("THE FUNCTION reserved IS IN ERROR")


def test_a_catch_all_takes_nothing_and_everything(host: Host) -> None:
    assert host.get("/plain").json() == {"rest": None}
    assert host.get("/plain/a/b").json() == {"rest": "a/b"}


def test_the_host_makes_the_invocation_id_and_drops_what_concerns_one_hop(host: Host) -> None:
    sent = {
        "x-ms-invocation-id": "made-up",
        "connection": "x-secret, keep-alive",
        "x-secret": "1",
        "te": "trailers",
        "x-other": "kept",
    }

    answer = host.request("GET", "/hello/x", headers=sent)

    got = answer.json()["headers"]
    assert got["x-ms-invocation-id"] != "made-up"
    assert len(got["x-ms-invocation-id"]) == 36
    assert got["x-other"] == "kept"
    assert not {"x-secret", "te", "connection"} & set(got)
    assert answer.headers["x-own"] == "kept"
    assert "keep-alive" not in answer.headers


def test_the_landing_page_stands_at_the_root(host: Host) -> None:
    assert b"up and running" in host.get("/").body


def test_a_preflight_is_answered_before_the_function(host: Host) -> None:
    asked = {"origin": "https://viewer.example", "access-control-request-method": "POST"}

    answer = host.request("OPTIONS", "/upload", headers=asked | {"access-control-request-headers": "x-a"})

    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://viewer.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "x-a"


def test_only_an_allowed_origin_is_told_so(host: Host) -> None:
    allowed = host.request("GET", "/hello/x", headers={"origin": "https://viewer.example"})
    refused = host.request("GET", "/hello/x", headers={"origin": "https://evil.example"})

    assert allowed.headers["access-control-allow-origin"] == "https://viewer.example"
    assert "access-control-allow-origin" not in refused.headers


def test_an_exception_is_a_bare_500_and_one_trace_in_the_log(host: Host) -> None:
    answer = host.get("/breaks/early")

    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert host.wait_for_log("RuntimeError: nothing works").count("breaks_early failed") == 1


def test_none_is_no_answer(host: Host) -> None:
    assert host.get("/breaks/none").status == 500


def test_an_http_exception_becomes_its_status(host: Host) -> None:
    answer = host.get("/breaks/politely")

    assert (answer.status, answer.json()) == (418, {"detail": "a teapot"})


def test_a_failure_midway_cuts_the_connection(host: Host) -> None:
    with pytest.raises(http.client.IncompleteRead) as cut:
        host.get("/breaks/midway")

    assert cut.value.partial == b"a beginning"


def test_the_documentation_paths_belong_to_the_worker(host: Host, invoker: str) -> None:
    answer = host.get("/docs")

    assert (answer.body == b"ours") is (invoker == "library")
    host.wait_for_log("GET /docs never reaches shadowed")
    if invoker == "runtime":
        host.wait_for_log("shadowed was never reached")


def test_the_runtime_remembers_no_finished_call(host: Host) -> None:
    for _ in range(20):
        host.get("/hello/x")
        host.get("/breaks/early")

    assert host.get("/open-calls").json() <= 1


def test_a_large_upload_streams_through(host: Host) -> None:
    chunk = bytes(range(256)) * 256
    count = 50 * MIB // len(chunk)
    host.request("POST", "/upload", chunk)
    before = host.peak_bytes()

    answer = host.request("POST", "/upload", iter([chunk] * count))

    assert answer.json()["length"] == 50 * MIB
    assert answer.json()["sha256"] == hashlib.sha256(chunk * count).hexdigest()
    assert answer.json()["largest"] <= 2 * MIB
    assert host.peak_bytes() - before < ROOM_BYTES


def test_a_large_download_streams_through(host: Host) -> None:
    host.get("/download/1000")
    before = host.peak_bytes()

    answer = host.get(f"/download/{50 * MIB}")

    assert len(answer.body) == 50 * MIB
    assert answer.headers["content-length"] == str(50 * MIB)
    assert host.peak_bytes() - before < ROOM_BYTES


def test_a_client_that_does_not_read_holds_up_the_download_and_may_leave(host: Host) -> None:
    before, ended = host.peak_bytes(), len(host.seen("download"))

    with host.connect() as client:
        client.sendall(b"GET /download/4000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")

    wait_until(lambda: len(host.seen("download")) > ended, "the generator is told")
    assert "done" not in host.seen("download")[-1]
    assert host.peak_bytes() - before < ROOM_BYTES


def test_a_client_that_leaves_ends_its_upload(host: Host) -> None:
    with host.connect() as client:
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + bytes(70_000))

    host.wait_for("upload ClientDisconnect")


def test_a_body_that_says_it_is_too_long_is_refused_unread(host: Host) -> None:
    with host.connect() as client:
        client.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 62914561\r\n\r\n")

        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_that_grows_too_long_is_refused(host: Host) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)

    connection.request("POST", "/upload", iter([bytes(MIB)] * 61))
    with connection.getresponse() as response:
        response.read()
    connection.close()

    assert response.status == 413


def test_a_body_just_within_the_limit_is_taken(host: Host) -> None:
    answer = host.request("POST", "/upload", iter([bytes(MIB)] * 60))

    assert answer.json()["length"] == 60 * MIB


def test_a_request_line_too_long_for_kestrel_is_refused(host: Host) -> None:
    assert host.get("/hello/" + "x" * 8000).status == 200
    assert host.get("/hello/x?q=" + "x" * 9000).status == 414


def test_a_client_that_expects_100_is_told_to_go_on(host: Host) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n"

    with host.connect() as client:
        client.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"ok")

        assert read_all(client).startswith(b"HTTP/1.1 200")


def test_a_classic_function_gets_the_whole_request(classic: Host) -> None:
    answer = classic.request("POST", "/api/echo/word?q=1&q=2", bytes(300_000))

    assert (answer.status, answer.body) == (201, b"POST word 1,2 300000")
    assert answer.headers["x-url"] == f"http://127.0.0.1:{classic.port}/api/echo/word?q=1&q=2"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["set-cookie"] in ("a=1; HttpOnly; Path=/", "a=1; Path=/; HttpOnly")


def test_a_classic_function_may_return_text(classic: Host) -> None:
    answer = classic.get("/api/text")

    assert (answer.status, answer.body) == (200, b"just text")


def test_a_classic_function_that_fails_is_a_500(classic: Host) -> None:
    assert classic.get("/api/fails").status == 500


def test_the_status_page_names_functions_in_error(host: Host) -> None:
    status = host.get("/admin/host/status").json()

    assert status["state"] == "Running"
    assert {error.split(":")[0] for error in status["errors"]} == {"reserved", "twice_b", "unconnected"}


def test_the_admin_lists_functions(host: Host) -> None:
    names = {each["name"] for each in json.loads(host.get("/admin/functions").body)}

    assert {"hello", "work", "event", "tick"} <= names
    assert "asleep" not in names


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/admin/functions/nothing", b"{}", 404),
        ("POST", "/admin/functions/hello", b"{}", 400),
        ("POST", "/admin/functions/work", b"not json", 400),
        ("POST", "/admin/functions/work", b"[]", 400),
        ("GET", "/admin/else", None, 404),
        ("POST", "/runtime/webhooks/blobs?functionName=Host.Functions.work", b"[]", 404),
        ("POST", "/runtime/webhooks/EventGrid?functionName=grid", b"1", 400),
    ],
)
def test_the_admin_refuses_what_makes_no_sense(
    host: Host, method: str, path: str, body: bytes | None, status: int
) -> None:
    assert host.request(method, path, body).status == status


def read_all(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)
