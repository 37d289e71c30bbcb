"""The refusals this service may answer with, one class for each status.

The class is the kind; the message is for the sender: what was wrong, and what would be right.
Nothing from a dataset goes into a message.
"""

from collections.abc import Mapping
from math import ceil
from typing import ClassVar, Final

RETRY_SECONDS: Final = 5
"""When to try again what cannot be answered for now, where nobody knows better."""


class DicomWebError(Exception):
    """Something the client can be told, as plain text (API rules section 1.7)."""

    status: ClassVar[int] = 500

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer says beside the text."""
        return {}


class BadRequest(DicomWebError):
    """The request is malformed."""

    status = 400


class NotFound(DicomWebError):
    """Nothing is there under this address."""

    status = 404


class NotAcceptable(DicomWebError):
    """Nothing we can make satisfies the Accept header."""

    status = 406


class Conflict(DicomWebError):
    """The state of the resource does not allow the request."""

    status = 409


class Gone(DicomWebError):
    """What was there is there no longer, and will not come back."""

    status = 410


class TooLarge(DicomWebError):
    """The request is larger than a limit allows."""

    status = 413


class BodyTooLong(TooLarge):
    """The body as a whole is longer than this resource takes."""


class UnsupportedMediaType(DicomWebError):
    """The body is in a form this resource does not take."""

    status = 415


class UnsupportedCoding(UnsupportedMediaType):
    """The body is compressed in a way this resource does not undo (RFC 9110 section 15.5.16)."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What this resource does undo."""
        return {"Accept-Encoding": "gzip, deflate"}


class RangeNotSatisfiable(DicomWebError):
    """The range asked for lies outside the resource."""

    status = 416


class Unavailable(DicomWebError):
    """Storage does not answer for now; the same request may succeed later."""

    status = 503

    def __init__(self, message: str, retry_after: float = 0) -> None:
        """Refuse for now.

        Args:
            message: For the client.
            retry_after: Seconds that storage asks to wait; 0 when it does not say.
        """
        super().__init__(message)
        self._retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        """When to try again (RFC 9110 section 10.2.3)."""
        return {"Retry-After": str(ceil(self._retry_after) or RETRY_SECONDS)}
