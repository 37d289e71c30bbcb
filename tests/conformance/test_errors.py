"""What all resources have in common: versions, headers, errors (API rules section 1)."""

import os
import re
import subprocess
import sys

import pytest

from local.dev.service import Service
from local.dev.steps import ROOT
from tests.archive import JSON, Archive, failures, relative
from tests.conftest import NewAccount, StartService
from tests.factories import make, make_image, multipart

SUPPORTED = "1.0-prerelease, 1.0, 2.0"


@pytest.mark.parametrize("query", ["x=<", "PatientName=%3Cscript", "%3c=1", "a=b&c=d%3C"])
def test_a_less_than_sign_in_the_query_is_refused(archive: Archive, query: str) -> None:
    """Section 1.8: before anything else, on every route, for versions and partitions that do not exist."""
    for path in ("studies", "studies/1.2/metadata", "studies/x", f"{make().path}/frames/1"):
        assert archive.get(f"{path}?{query}").status_code == 400
    assert archive.ask("POST", f"studies?{query}", JSON, content=b"x").status_code == 400
    assert archive.delete(f"studies/1.2?{query}").status_code == 400
    assert archive.as_version("v9").get(f"studies?{query}").status_code == 400


@pytest.mark.parametrize("version", ["v3", "v0", "2", "latest", "v1.0"])
def test_an_unknown_version_is_404(archive: Archive, version: str) -> None:
    """Section 1.1."""
    other = archive.as_version(version)

    assert other.get("studies").status_code == 404
    assert other.get(make().path).status_code == 404
    assert other.store(make()).status_code == 404


@pytest.mark.parametrize("version", ["v1.0-prerelease", "v1", "v2", "V2"])
def test_every_version_has_the_same_data(archive: Archive, version: str) -> None:
    """Sections 1.1 and 20, checklist 57."""
    image = make_image()
    archive.keep(image)
    other = archive.as_version(version)

    assert other.get(image.path, "application/dicom; transfer-syntax=*").content == image.content
    assert len(other.search("studies")) == 1
    here, there = (each.metadata(image.path) for each in (archive, other))
    assert [relative(each) for each in there] == [relative(each) for each in here]


@pytest.mark.parametrize("path", ["studies", "studies/1.2.3", "studies/x", "studies?limit=x"])
def test_every_answer_tells_versions_and_a_request_id(archive: Archive, path: str) -> None:
    """Section 1.4, also with errors; ids differ."""
    archive.keep(make())

    first, second = archive.get(path), archive.get(path)

    assert first.headers["api-supported-versions"] == SUPPORTED
    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-ms-request-id"])
    assert first.headers["x-ms-request-id"] != second.headers["x-ms-request-id"]


@pytest.mark.parametrize("path", ["/", "/studies", "/v2", "/v2/nothing", "/v2/studies/1/2/3/4/5/6/7"])
def test_an_unknown_route_is_404(archive: Archive, service: Service, path: str) -> None:
    """Section 1.1: unversioned routes are not supported; never HTML."""
    answer = archive.http.get(service.url + path)

    assert answer.status_code in (204, 404) if path == "/" else answer.status_code == 404
    assert "html" not in answer.headers.get("Content-Type", "")


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS"])
def test_a_method_that_is_not_offered_is_404(archive: Archive, method: str) -> None:
    """Section 1.7: no route, as the Functions host answers."""
    assert archive.ask(method, "studies").status_code == 404


def test_errors_are_plain_text_without_values(archive: Archive) -> None:
    """Section 1.7: never JSON or HTML."""
    archive.keep(make(PatientName="Secret^Person"))

    for answer in (
        archive.get("studies/x"),
        archive.get(make().path),
        archive.get("studies?limit=x"),
        archive.get("studies", "image/png"),
        archive.post(b"", "text/plain"),
    ):
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.text
        assert "Secret" not in answer.text


def test_a_refused_upload_is_answered_and_not_cut(archive: Archive) -> None:
    """Clients section 3.2: a client that is still sending gets the status, not a reset."""
    body, _ = multipart([bytes(5 * 1024 * 1024)])

    answer = archive.post(body, "text/plain")

    assert answer.status_code == 415


def test_urls_follow_forwarded_headers(archive: Archive) -> None:
    """Sections 1.10 and 19.1: host and scheme as the client sees them."""
    image = make_image()
    body, content_type = multipart([image])
    headers = {
        "Content-Type": content_type,
        "X-Forwarded-Host": "pacs.example.org",
        "X-Forwarded-Proto": "https",
    }

    answer = archive.ask("POST", "studies", JSON, content=body, headers=headers)

    url = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert url == f"https://pacs.example.org/v2/partitions/{archive.partition}/{image.path}"


def test_the_storage_calls_of_a_request_are_counted(archive: Archive) -> None:
    """The header that a setting turns on: calls, and rows read."""
    archive.keep(make())

    answer = archive.get("studies", JSON)

    assert re.fullmatch(r"[0-9]+; rows=[0-9]+", answer.headers["x-storage-calls"])


def test_what_settings_change(start: StartService, archive: Archive) -> None:
    """A body over the limit is 413 (section 1.9), URLs begin with the public one, calls are not told."""
    settings = {"DICOM_MAX_REQUEST_BYTES": "100000", "DICOM_PUBLIC_URL": "https://pacs.example.org/dicom/"}
    with start(settings) as service:
        other = Archive.fresh(archive.http, service.url)
        large, small = make_image(rows=400, columns=400), make_image()

        refused, multiple = other.post(large.content, "application/dicom"), other.store(small, large)
        taken = other.store(make_image())

        assert (refused.status_code, multiple.status_code) == (413, 413)
        assert "100000" in refused.text
        assert taken.status_code == 200
        assert failures(taken) == []
        url = taken.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
        assert url.startswith(f"https://pacs.example.org/dicom/v2/partitions/{other.partition}/studies/")
        assert "x-storage-calls" not in taken.headers


@pytest.mark.parametrize(
    ("name", "value"), [("DICOM_GRACE_SECONDS", "soon"), ("DICOM_PUBLIC_URL", "pacs.example.org")]
)
def test_a_wrong_setting_stops_the_start(new_account: NewAccount, name: str, value: str) -> None:
    """And is told by its name, not at the first request but at once."""
    storage = dict.fromkeys(("DicomStorage", "AzureWebJobsStorage"), new_account())

    ended = subprocess.run(
        [sys.executable, "-m", "local", "--app", str(ROOT), "--port", "0"],
        env={**os.environ, **storage, name: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    assert f"{name} must be" in ended.stderr
