"""Why pixels cannot be had. Messages name sizes and codes, never a value of the dataset."""

from collections.abc import Iterator
from contextlib import contextmanager


class PixelError(ValueError):
    """The pixels cannot be given in the form asked for."""


class UnsupportedPixels(PixelError):
    """Nothing here can read or write this form; other bytes would not help."""


class DamagedPixels(PixelError):
    """The bytes are not what the dataset says they are."""


@contextmanager
def failing_as(error: type[PixelError], message: str) -> Iterator[None]:
    """Turn whatever a codec raises into one of ours: its own class, or what its wrapper ran into."""
    try:
        yield
    except PixelError:
        raise
    except Exception as cause:
        raise error(f"{message} ({type(cause).__name__})") from cause
