from collections.abc import Mapping

import pytest

from shared.storage.connection import EMULATOR_KEY, Connection, resolve

SECRET = "c2VjcmV0IGtleQ=="


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {"S": "UseDevelopmentStorage=true"},
            (
                "http://127.0.0.1:10000/devstoreaccount1",
                "http://127.0.0.1:10001/devstoreaccount1",
                "http://127.0.0.1:10002/devstoreaccount1",
            ),
        ),
        (
            {"S": "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite"},
            (
                "http://azurite:10000/devstoreaccount1",
                "http://azurite:10001/devstoreaccount1",
                "http://azurite:10002/devstoreaccount1",
            ),
        ),
        (
            {"S": f"AccountName=acc;AccountKey={SECRET};EndpointSuffix=core.example"},
            (
                "https://acc.blob.core.example",
                "https://acc.queue.core.example",
                "https://acc.table.core.example",
            ),
        ),
        (
            {
                "S": f"defaultendpointsprotocol=http;AccountName=a;AccountKey={SECRET};BlobEndpoint=http://h:1/a/;"
            },
            ("http://h:1/a", "http://a.queue.core.windows.net", "http://a.table.core.windows.net"),
        ),
        (
            {"S__accountName": "acc", "S__tableServiceUri": "https://tables.example/"},
            (
                "https://acc.blob.core.windows.net",
                "https://acc.queue.core.windows.net",
                "https://tables.example",
            ),
        ),
        (
            {
                "S__blobServiceUri": "https://b",
                "S__queueServiceUri": "https://q",
                "S__tableServiceUri": "https://t",
            },
            ("https://b", "https://q", "https://t"),
        ),
    ],
)
def test_a_connection_is_read_from_the_settings_the_host_reads(
    environment: Mapping[str, str], expected: tuple[str, str, str]
) -> None:
    connection = resolve("S", environment)

    assert (connection.blob, connection.queue, connection.table) == expected


def test_a_connection_string_carries_the_account_and_its_key() -> None:
    connection = resolve("S", {"S": f"AccountName=acc;AccountKey={SECRET}", "S__accountName": "other"})

    assert (connection.account, connection.key) == ("acc", b"secret key")


def test_addresses_without_a_connection_string_mean_an_identity() -> None:
    environment = {"S__accountName": "acc", "S__credential": "managedidentity", "S__clientId": "id"}

    connection = resolve("S", environment)

    assert (connection.key, connection.client_id, connection.managed) == (None, "id", True)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "S__blobServiceUri"),
        ({"S": "nonsense"}, "S "),
        ({"S": f"AccountKey={SECRET}"}, "AccountName"),
        ({"S": "AccountName=acc"}, "AccountKey"),
        ({"S": "AccountName=acc;AccountKey=c2VjcmV0IGtle"}, "AccountKey"),
        ({"S": "AccountName=acc;SharedAccessSignature=c2VjcmV0"}, "S holds"),
        ({"S": f"AccountName=acc;AccountKey={SECRET};TableEndpoint=ftp://x"}, "TableEndpoint in S"),
        (
            {"S": f"AccountName=acc;AccountKey={SECRET};DefaultEndpointsProtocol=gopher"},
            "DefaultEndpointsProtocol",
        ),
        ({"S__blobServiceUri": "http://clear.example"}, "S__blobServiceUri"),
        ({"S__blobServiceUri": "https://b", "S__queueServiceUri": "https://q"}, "S__tableServiceUri"),
        ({"S__accountName": "acc", "S__credential": "password"}, "S__credential"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    environment: Mapping[str, str], named: str
) -> None:
    with pytest.raises(ValueError, match="S") as caught:
        resolve("S", environment)

    assert named in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_key_does_not_show_in_logs() -> None:
    connection = Connection("http://b", "http://q", "http://t", "acc", EMULATOR_KEY.encode())

    assert EMULATOR_KEY not in repr(connection)
