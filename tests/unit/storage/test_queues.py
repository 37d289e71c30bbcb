import pytest
from azure.storage.queue import BinaryBase64DecodePolicy, QueueClient

from shared.storage.connection import Connection
from shared.storage.queues import LONGEST_DELAY_SECONDS, Queues
from tests.unit.storage.using import using


def client(connection_string: str, name: str) -> QueueClient:
    return QueueClient.from_connection_string(
        connection_string,
        name,
        message_decode_policy=BinaryBase64DecodePolicy(),
        api_version="2021-12-02",
    )


def test_the_sdk_reads_what_we_send(connection: Connection, connection_string: str, fresh: str) -> None:
    texts = ['{"study": "1.2"}', "é漢字 <&> \r\n", "x" * 49_152]

    async def act(queues: Queues) -> None:
        for text in texts:
            await queues.send(fresh, text)

    using(connection, lambda wire: act(Queues(wire)))

    with client(connection_string, fresh) as theirs:
        assert [message.content.decode() for message in theirs.receive_messages()] == texts


def test_a_message_is_hidden_until_its_time(
    connection: Connection, connection_string: str, fresh: str
) -> None:
    using(connection, lambda wire: Queues(wire).send(fresh, "later", visible_after_seconds=100_000))

    with client(connection_string, fresh) as theirs:
        assert list(theirs.receive_messages()) == []
        assert theirs.get_queue_properties().approximate_message_count == 1


def test_a_message_never_expires(connection: Connection, connection_string: str, fresh: str) -> None:
    using(connection, lambda wire: Queues(wire).send(fresh, "text"))

    with client(connection_string, fresh) as theirs:
        (message,) = theirs.receive_messages()
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


@pytest.mark.parametrize(
    ("text", "seconds"), [("x" * 49_153, 0), ("x", LONGEST_DELAY_SECONDS + 1), ("x", -1)]
)
def test_what_the_real_service_refuses_is_refused_here(
    connection: Connection, fresh: str, text: str, seconds: int
) -> None:
    with pytest.raises(ValueError, match="message"):
        using(connection, lambda wire: Queues(wire).send(fresh, text, visible_after_seconds=seconds))
