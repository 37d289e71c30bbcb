"""Has the search index of the running service rebuilt, and tells how it goes: `python -m local.dev.rebuild`.

It asks as an operator does in Azure, by a message in a queue, and then reads the operation.
"""

import argparse
import json
import secrets
import time
from typing import Any, Final

import httpx
from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient, TextBase64EncodePolicy

from local.dev.azurite import ACCOUNT, KEY, USUAL_PORTS, connection_string
from local.dev.steps import Failure, exit_with, say

QUEUE: Final = "rebuild"
BEGIN_SECONDS: Final = 60.0
"""The service looks into an idle queue now and then only."""

POLL_SECONDS: Final = 1.0
RUNNING: Final = ("notStarted", "running")


def main() -> int:
    """Ask, and wait for the end."""
    arguments = _parse_arguments()
    operation = arguments.operation or new_operation()
    ask(arguments.storage, operation)
    url = f"http://127.0.0.1:{arguments.port}/v2/operations/{operation}"
    say(f"Rebuilding the search index; {url} tells how it goes.")
    try:
        ended = wait(url)
    except httpx.HTTPError as error:
        raise Failure(f"the service does not answer ({error}); start it by make run.") from error
    except KeyboardInterrupt:
        say(f"It goes on without us. If it was stopped: make rebuild OPERATION={operation}")
        return 0
    print(json.dumps(ended["results"]))
    return 0 if ended["status"] == "succeeded" else 1


def new_operation() -> str:
    """An id as the service makes them: it begins with the time, in microseconds times 1,024."""
    return f"{time.time_ns() // 1000 << 10:016x}{secrets.token_hex(8)}"


def ask(connection: str, operation: str) -> None:
    """Put the message into the queue, which is there when the service has run once.

    Raises:
        Failure: It is not there, or no storage is.
    """
    policy = TextBase64EncodePolicy()
    with QueueClient.from_connection_string(
        connection, QUEUE, message_encode_policy=policy, retry_total=0
    ) as queue:
        try:
            queue.send_message(json.dumps({"operation": operation}), time_to_live=-1)
        except AzureError as error:
            why = f"the message cannot be sent ({type(error).__name__})"
            raise Failure(f"{why}. Is the service running? Start it by make run.") from error


def wait(url: str) -> dict[str, Any]:
    """Wait for the end of an operation.

    Raises:
        Failure: Nobody begins it.
    """
    told: object = None
    limit = time.monotonic() + BEGIN_SECONDS
    with httpx.Client(timeout=60) as client:
        while True:
            answer = client.get(url)
            found: dict[str, Any] = answer.json() if answer.is_success else {}
            if found and found["status"] not in RUNNING:
                return found
            if not found and time.monotonic() > limit:
                raise Failure("The service does not begin. Does it use another storage?")
            if found.get("results") != told:
                told = found["results"]
                say(f"{found['percentComplete']} % {json.dumps(told)}")
            time.sleep(POLL_SECONDS)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rebuild")
    parser.add_argument("--port", type=int, default=7071)
    usual = connection_string(ACCOUNT, KEY, USUAL_PORTS)
    parser.add_argument("--storage", default=usual, help="connection string of the archive")
    parser.add_argument("--operation", default="", help="go on with one that was begun")
    return parser.parse_args()


if __name__ == "__main__":
    exit_with(main)
