"""What host.json, local.settings.json and the environment say together."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.connections import Connections
from local.errors import SettingsError
from local.settings import Settings, parse_span, read_settings


def read(
    folder: Path, host: Any = None, local: Any = None, environment: dict[str, str] | None = None
) -> Settings:
    (folder / "host.json").write_text(json.dumps({"version": "2.0"} if host is None else host))
    if local is not None:
        (folder / "local.settings.json").write_text(json.dumps(local))
    return read_settings(folder, environment or {})


def host_json(**extensions: Any) -> dict[str, Any]:
    return {"version": "2.0", "extensions": extensions}


def test_an_empty_host_json_has_the_defaults_of_the_real_host(tmp_path: Path) -> None:
    settings = read(tmp_path)

    assert (settings.http.route_prefix, settings.http.max_body_bytes) == ("api", 104_857_600)
    assert (settings.queues.batch_size, settings.queues.new_batch_threshold) == (16, 8)
    assert (settings.queues.max_dequeue_count, settings.queues.visibility_seconds) == (5, 0)
    assert (settings.queues.max_polling_seconds, settings.queues.base64) == (60, True)
    assert settings.blobs.poison_threshold == 5
    assert settings.timeout_seconds == 1800


def test_the_environment_wins_over_local_settings(tmp_path: Path) -> None:
    local = {"Values": {"One": "file", "Two": "file", "Three": True, "Four": None}}

    settings = read(tmp_path, local=local, environment={"Two": "environment"})

    assert [settings.get(name) for name in ("One", "TWO", "Three", "Four", "Five")] == [
        "file",
        "environment",
        "true",
        "",
        None,
    ]


def test_a_setting_may_override_any_place_of_host_json(tmp_path: Path) -> None:
    host = host_json(queues={"batchSize": 2, "maxPollingInterval": "00:00:03"}, http={"routePrefix": "x"})
    environment = {
        "AzureFunctionsJobHost__extensions__queues__BatchSize": "4",
        "AzureFunctionsJobHost:extensions:http:routePrefix": "",
        "AzureFunctionsJobHost__extensions__blobs__maxDegreeOfParallelism": "3",
    }

    settings = read(tmp_path, host, environment=environment)

    assert settings.queues.batch_size == 4
    assert settings.queues.max_polling_seconds == 3
    assert settings.http.route_prefix == ""
    assert settings.blobs.max_parallel == 3


def test_percent_signs_name_settings(tmp_path: Path) -> None:
    settings = read(tmp_path, environment={"QUEUE": "work"})

    assert settings.expand("%queue%-%QUEUE%/{name}") == "work-work/{name}"
    with pytest.raises(SettingsError, match="MISSING"):
        settings.expand("%MISSING%")


def test_a_function_can_be_switched_off(tmp_path: Path) -> None:
    environment = {
        "AzureWebJobs.one.Disabled": "true",
        "AzureWebJobs__x": "",
        "AzureWebJobs.two.Disabled": "0",
    }

    settings = read(tmp_path, environment=environment)

    assert settings.is_disabled("One")
    assert not settings.is_disabled("two")
    assert not settings.is_disabled("three")


def test_cors_and_port_come_from_local_settings(tmp_path: Path) -> None:
    local = {"Host": {"CORS": "https://a.example/, https://b.example", "LocalHttpPort": 7080}}

    settings = read(tmp_path, local=local)

    assert settings.http.cors_origins == ("https://a.example", "https://b.example")
    assert settings.port == 7080


def test_what_has_no_effect_is_named(tmp_path: Path) -> None:
    host = host_json(http={"routePrefix": "", "maxConcurrentRequests": 5, "dynamicThrottlesEnabled": False})

    assert read(tmp_path, host).not_honoured == ("extensions.http.maxconcurrentrequests",)


def test_a_function_may_run_without_limit(tmp_path: Path) -> None:
    assert read(tmp_path, {"version": "2.0", "functionTimeout": "-1"}).timeout_seconds is None


@pytest.mark.parametrize(
    ("host", "local", "environment", "word"),
    [
        ({}, None, {}, "version"),
        ({"version": "1.0"}, None, {}, "version"),
        ([], None, {}, "object"),
        (host_json(queues={"batchSize": 33}), None, {}, "batchSize"),
        (host_json(queues={"batchSize": "many"}), None, {}, "batchSize"),
        (host_json(queues={"maxPollingInterval": "5s"}), None, {}, "maxPollingInterval"),
        (host_json(queues={"messageEncoding": "hex"}), None, {}, "messageEncoding"),
        (host_json(blobs={"poisonBlobThreshold": 0}), None, {}, "poisonBlobThreshold"),
        ({"version": "2.0", "functionTimeout": "soon"}, None, {}, "functionTimeout"),
        ({"version": "2.0", "logging": {"logLevel": {"default": "Loud"}}}, None, {}, "logLevel"),
        (None, {"IsEncrypted": True, "Values": {}}, {}, "encrypted"),
        (None, {"Values": {"A": {"B": "C"}}}, {}, "Values"),
        (None, None, {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "2GB"}, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"),
        (None, None, {"LOCAL_HOST_BLOB_POLL_SECONDS": "often"}, "LOCAL_HOST_BLOB_POLL_SECONDS"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, host: Any, local: Any, environment: dict[str, str], word: str
) -> None:
    with pytest.raises(SettingsError, match=word):
        read(tmp_path, host, local, environment)


def test_a_folder_without_host_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"host\.json"):
        read_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:05", 5),
        ("1.02:03:04", 93784),
        ("00:00:00.5", 0.5),
        ("5", None),
        ("00:00", None),
        ("-00:00:01", None),
    ],
)
def test_a_time_span_is_read_as_in_dotnet(text: str, seconds: float | None) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({"Store": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10000/devstoreaccount1"),
        ({"AzureWebJobsStore": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10000/devstoreaccount1"),
        ({"Store__blobServiceUri": "https://here.example"}, "https://here.example"),
        ({"store:accountname": "there"}, "https://there.blob.core.windows.net"),
    ],
)
def test_a_connection_is_found(tmp_path: Path, environment: dict[str, str], address: str) -> None:
    import asyncio

    async def url() -> str:
        connections = Connections(read(tmp_path, environment=environment))
        try:
            return str(connections.blobs("Store").url).rstrip("/")
        finally:
            await connections.close()

    assert asyncio.run(url()) == address


def test_a_connection_that_is_not_set_is_named(tmp_path: Path) -> None:
    connections = Connections(read(tmp_path))

    with pytest.raises(SettingsError, match="Store"):
        connections.queues("Store")
