import pytest

from shared.storage.operations import Operation, Outcome, delete, insert, merge, parse, render
from shared.storage.wire import Reply, Request

BASE = "http://127.0.0.1:10002/account"

# As the real service writes it, apart from ids and times.
SUCCEEDED = b"""--batchresponse_1\r
Content-Type: multipart/mixed; boundary=changesetresponse_2\r
\r
--changesetresponse_2\r
Content-Type: application/http\r
Content-Transfer-Encoding: binary\r
\r
HTTP/1.1 204 No Content\r
DataServiceVersion: 1.0;\r
ETag: W/"datetime'1'"\r
\r
\r
--changesetresponse_2\r
Content-Type: application/http\r
Content-Transfer-Encoding: binary\r
\r
HTTP/1.1 204 No Content\r
X-Content-Type-Options: nosniff\r
DataServiceVersion: 1.0;\r
\r
\r
--changesetresponse_2\r
Content-Type: application/http\r
Content-Transfer-Encoding: binary\r
\r
HTTP/1.1 204 No Content\r
ETag: W/"datetime'3'"\r
\r
\r
--changesetresponse_2--\r
--batchresponse_1--\r
"""

FAILED = b"""--batchresponse_1\r
Content-Type: multipart/mixed; boundary=changesetresponse_2\r
\r
--changesetresponse_2\r
Content-Type: application/http\r
Content-Transfer-Encoding: binary\r
\r
HTTP/1.1 409 Conflict\r
DataServiceVersion: 3.0;\r
Content-Type: application/json;odata=minimalmetadata;streaming=true;charset=utf-8\r
\r
{"odata.error":{"code":"EntityAlreadyExists","message":{"lang":"en-US","value":"12:The specified entity \
already exists.\\nRequestId:1\\nTime:2024-01-01T00:00:00Z"}}}\r
--changesetresponse_2--\r
--batchresponse_1--\r
"""

BATCH = Request("table", "POST", "/$batch")


def test_the_answer_to_a_transaction_gives_a_version_for_each_row() -> None:
    outcome = parse(Reply(202, {}, SUCCEEDED, after_retry=False), BATCH)

    assert outcome == Outcome(("W/\"datetime'1'\"", "", "W/\"datetime'3'\""))


def test_the_answer_to_a_failed_transaction_names_the_operation() -> None:
    outcome = parse(Reply(202, {}, FAILED, after_retry=False), BATCH)

    assert outcome == Outcome(status=409, code="EntityAlreadyExists", index=12)


def test_a_single_operation_goes_without_wrapping() -> None:
    request = render(BASE, "tab", "p'1", [merge("r 2", {"n": 1}, etag="W/x")])

    assert (request.method, request.path) == ("PATCH", "/tab(PartitionKey='p%27%271',RowKey='r%202')")
    assert request.headers["if-match"] == "W/x"
    assert request.body == (b'{"PartitionKey":"p\'1","RowKey":"r 2","n@odata.type":"Edm.Int64","n":"1"}',)


def test_a_deletion_has_no_body() -> None:
    request = render(BASE, "tab", "p", [delete("r")])

    assert (request.method, request.body, request.headers["if-match"]) == ("DELETE", None, "*")


@pytest.mark.parametrize(
    ("operations", "reason"),
    [
        ([], "1 to 100"),
        ([insert(f"r{number}", {}) for number in range(101)], "1 to 100"),
        ([insert("r", {}), merge("r", {})], "twice"),
        ([insert("a/b", {})], "key"),
        ([insert(f"r{number}", {"a": b"x" * 60_000}) for number in range(60)], "4194304"),
    ],
)
def test_a_transaction_the_real_service_refuses_is_refused_here(
    operations: list[Operation], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        render(BASE, "tab", "p", operations)


def test_a_value_does_not_show_in_logs() -> None:
    assert "Doe" not in repr(insert("Doe^Jane", {"name": "Doe"}))
