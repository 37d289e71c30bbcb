"""Azurite as the tests and a local archive use it."""

from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableServiceClient
from azure.storage.blob import BlobClient, ContainerClient
from azure.storage.queue import QueueClient

from local.dev import azurite
from local.dev.steps import Failure


def put_blob(connection: str, content: bytes) -> None:
    with ContainerClient.from_connection_string(connection, "things") as container:
        container.create_container()
        container.upload_blob("one", content)


def get_blob(connection: str) -> bytes:
    with BlobClient.from_connection_string(connection, "things", "one") as blob:
        return blob.download_blob().readall()


def put_entity(connection: str) -> None:
    with TableServiceClient.from_connection_string(connection) as tables:
        tables.create_table("things").create_entity({"PartitionKey": "a", "RowKey": "b", "n": 7})


def get_entity(connection: str) -> object:
    with TableClient.from_connection_string(connection, "things") as table:
        return table.get_entity("a", "b")["n"]


def test_accounts_do_not_see_each_other(tmp_path: Path) -> None:
    with azurite.start(accounts={"first": azurite.KEY, "second": azurite.KEY}, logs=tmp_path) as storage:
        put_blob(storage.connection_string("first"), b"1")

        assert get_blob(storage.connection_string("first")) == b"1"
        with pytest.raises(ResourceNotFoundError):
            get_blob(storage.connection_string("second"))


def test_what_is_kept_in_a_folder_is_there_the_next_time(tmp_path: Path) -> None:
    folder = tmp_path / "with a blank"
    with azurite.start(folder, logs=tmp_path) as storage:
        put_blob(storage.connection_string(), b"1")
        put_entity(storage.connection_string())
        with QueueClient.from_connection_string(storage.connection_string(), "things") as queue:
            queue.create_queue()
            queue.send_message("hello")

    with azurite.start(folder, logs=tmp_path) as storage:
        assert get_blob(storage.connection_string()) == b"1"
        assert get_entity(storage.connection_string()) == 7
        with QueueClient.from_connection_string(storage.connection_string(), "things") as queue:
            message = queue.receive_message()
            assert message is not None
            assert message.content == "hello"


def test_a_folder_serves_one_azurite_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azurite, "LOCK_SECONDS", 0.2)
    with (
        azurite.start(tmp_path / "data", logs=tmp_path),
        pytest.raises(Failure, match="Another Azurite uses"),
    ):
        azurite.start(tmp_path / "data", logs=tmp_path)
