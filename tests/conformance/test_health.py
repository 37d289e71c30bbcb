"""Health: API rules section 2.5."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from local.dev.azurite import ACCOUNT, KEY, free_port
from local.dev.service import Service, start_service


def test_a_working_service_is_healthy(service: Service, http: httpx.Client) -> None:
    """No version, no Accept needed; names as Azure has them."""
    answer = http.get(f"{service.url}/health/check")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "overallStatus": "Healthy",
        "details": [
            {"name": "DcmHealthCheck", "status": "Healthy", "description": "Storage answers."},
            {"name": "MetadataHealthCheck", "status": "Healthy", "description": "Storage answers."},
        ],
    }


def test_probes_may_use_head(service: Service, http: httpx.Client) -> None:
    """Clients section 2.15: uptime probes send HEAD."""
    answer = http.head(f"{service.url}/health/check/")

    assert answer.status_code == 200
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/v2/health/check", "/health"])
def test_health_has_one_address(service: Service, http: httpx.Client, path: str) -> None:
    """Section 1.1: only this route is unversioned."""
    assert http.get(service.url + path).status_code == 404


def test_a_service_without_storage_is_unhealthy(http: httpx.Client, tmp_path: Path) -> None:
    """503, and every check says so; what a client asks for is unavailable too."""
    services = ("Blob", "Queue", "Table")
    endpoints = ";".join(f"{name}Endpoint=http://127.0.0.1:{free_port()}/{ACCOUNT}" for name in services)
    connection = f"AccountName={ACCOUNT};AccountKey={KEY};{endpoints}"
    with start_service(0, connection, log=tmp_path / "log") as service, ThreadPoolExecutor() as threads:
        paths = ("health/check", "v2/studies")
        health, search = threads.map(lambda path: http.get(f"{service.url}/{path}"), paths)

    assert health.status_code == 503
    assert health.json()["overallStatus"] == "Unhealthy"
    assert [check["status"] for check in health.json()["details"]] == ["Unhealthy", "Unhealthy"]
    assert search.status_code == 503
    assert search.headers["Content-Type"].startswith("text/plain")
    assert KEY not in health.text + search.text
