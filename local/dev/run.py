"""Runs the service over Azurite until told to stop: `python -m local.dev.run [--port N] [--ephemeral]`."""

import argparse
import signal
import threading

from local.dev import azurite
from local.dev.leash import Leash, die_with_parent
from local.dev.service import check_port, start_service
from local.dev.steps import LOCAL, Failure, exit_with, say

DATA = LOCAL / "azurite"


def main() -> int:
    """Start storage and service, tell the address, and stop both in the opposite order."""
    arguments = _parse_arguments()
    # `make` may be killed rather than stopped.
    die_with_parent(signal.SIGTERM)
    check_port(arguments.port)
    say("Starting Azurite and the service ...")
    with azurite.start(None if arguments.ephemeral else DATA, usual_ports=True) as storage:
        try:
            with start_service(arguments.port, storage.connection_string()) as service:
                print(f"ready {service.url}", flush=True)
                _wait_for_either(storage.leash, service.leash)
        except KeyboardInterrupt:
            say("Stopped.")
            return 0
    raise Failure("The service or its storage ended by itself; the lines above may tell why.")


def _wait_for_either(storage: Leash, service: Leash) -> None:
    ended = threading.Event()
    for leash in (storage, service):
        threading.Thread(target=_report_end, args=(leash, ended), daemon=True).start()
    ended.wait()


def _report_end(leash: Leash, ended: threading.Event) -> None:
    leash.wait()
    ended.set()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run")
    parser.add_argument("--port", type=_port, default=7071)
    parser.add_argument("--ephemeral", action="store_true", help="keep all data in memory")
    return parser.parse_args()


def _port(text: str) -> int:
    # Not argparse's own error, which would print the usage of a command that nobody typed.
    if not text.isdecimal():
        raise Failure(f"PORT={text} is not a port; it is a number from 1 to 65535.")
    return int(text)


if __name__ == "__main__":
    exit_with(main)
