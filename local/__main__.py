"""`python -m local`: run the function app of a folder on this machine."""

import argparse
import asyncio
import logging
import os
import sys
import threading
from pathlib import Path

from local.errors import HostError
from local.host import Place, run_host
from local.invoker import CHOICES
from local.logs import set_up_logs
from local.settings import export_values, read_settings

DEFAULT_PORT = 7071
THREAD_SECONDS = 0.5
"""What the threads of functions get to end, after the invocations had their time already."""


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local", description="Run a Python function app on this machine."
    )
    parser.add_argument(
        "--app", type=Path, default=Path(), help="the folder with function_app.py and host.json"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to answer on")
    parser.add_argument(
        "--port", type=int, help=f"the port to answer on, 0 for any free one (default {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--invoker",
        choices=CHOICES,
        default="auto",
        help="call functions through azure-functions-runtime or the library azure-functions (default: auto)",
    )
    parser.add_argument("--verbose", action="store_true", help="log what the host does in detail")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run until a signal comes; 0 when all went well."""
    options = parse_arguments(arguments)
    app = options.app.resolve()
    set_up_logs("INFO", verbose=options.verbose)
    try:
        settings = read_settings(app, os.environ)
        export_values(app)
        set_up_logs(settings.log_level, verbose=options.verbose)
        default = DEFAULT_PORT if settings.port is None else settings.port
        port = default if options.port is None else options.port
        asyncio.run(run_host(settings, Place(options.host, port), options.invoker))
    except HostError as error:
        logging.getLogger("local").debug("the host cannot start", exc_info=True)
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def leave(code: int) -> None:
    """End the process, even when a function's thread never ends."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(timeout=THREAD_SECONDS)
            if thread.is_alive():
                logging.getLogger("local").warning("a function's thread is still running and is left behind")
                logging.shutdown()
                sys.stdout.flush()
                os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
