"""Parts of an answer: Range, If-Range and the conditions that go before them.

What cannot be understood is ignored: MONAI Deploy sends `byte=`, and gets the whole. So does who asks for
several ranges at once, as the standard allows; no client is known to do so.

Source: RFC 9110 sections 13 and 14, clients section 3.6.
"""

import re
from dataclasses import dataclass

from shared.web.etag import is_match

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{1,40})?-([0-9]{1,40})?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request says about when its answer is wanted, and how much of it."""

    body: bool = True
    """Whether the body is wanted: not with HEAD."""

    if_none_match: str | None = None
    range: str | None = None
    if_range: str | None = None

    def is_known(self, etag: str) -> bool:
        """Whether the client has this already, so that the answer is 304."""
        return is_match(self.if_none_match, etag)

    def range_of(self, etag: str) -> str | None:
        """The Range header, if it counts for a representation with this strong tag."""
        # A date never fits: we send no Last-Modified.
        if not self.body or (self.if_range is not None and self.if_range.strip() != etag):
            return None
        return self.range


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a representation, at least one."""

    start: int
    end: int

    def header(self, total: int) -> str:
        """The Content-Range of an answer with these of `total` bytes."""
        return f"bytes {self.start}-{self.end - 1}/{total}"


class Unsatisfiable(Exception):
    """A range lies behind the last byte."""


def parse_range(header: str | None, total: int) -> ByteRange | None:
    """Find the bytes that a Range header asks for; None where the whole is to be sent.

    Args:
        header: The header, if there is one.
        total: Bytes of the whole.

    Raises:
        Unsatisfiable: There is nothing where it points to: 416, with `unsatisfied`.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or (found[1] is None and found[2] is None):
        return None
    if found[1] is None:
        start, end = max(total - int(found[2]), 0), total
    else:
        start = int(found[1])
        last = total - 1 if found[2] is None else int(found[2])
        if last < start and found[2] is not None:
            return None
        end = min(last + 1, total)
    if start >= end:
        raise Unsatisfiable
    return ByteRange(start, end)


def unsatisfied(total: int) -> str:
    """The Content-Range of a 416."""
    return f"bytes */{total}"
