"""Logging of faults: what broke and where, never what it broke on.

The message of an exception may quote a value of a dataset, as that of a failed conversion does.
"""

import sys
from collections.abc import Iterator
from logging import Logger
from traceback import format_tb


def log_fault(log: Logger, text: str, *values: object) -> None:
    """Log the error that is being handled: its type and its frames, and those of what it came from.

    Args:
        log: Where to.
        text: What could not be done, as for `Logger.error`.
        values: What goes into the text.
    """
    error = sys.exception()
    log.error(f"{text}\n%s", *values, "".join(_trace(error)) if error else "")


def _trace(error: BaseException) -> Iterator[str]:
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
    yield from format_tb(error.__traceback__)
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for each in (*inner, *([before] if before else [])):
        yield "which came from "
        yield from _trace(each)
