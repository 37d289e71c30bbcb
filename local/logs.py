"""One readable log on the error stream: the app at its own level, the rest only when it warns."""

import logging
import sys

QUIET = ("azure", "uvicorn", "asyncio", "aiohttp", "urllib3", "msal", "httpx", "httpcore")


def set_up_logs(level: str, *, verbose: bool) -> None:
    """Send every log line to the error stream."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel("DEBUG" if verbose else level)
    logging.getLogger("local").setLevel("DEBUG" if verbose else "INFO")
    for name in QUIET:
        logging.getLogger(name).setLevel("WARNING")
