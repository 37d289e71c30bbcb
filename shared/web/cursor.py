"""The link from one page of a search to the next.

Source: RFC 8288; PS3.18 section 8.3.4.4 knows limit and offset only.
"""

from collections.abc import Iterator
from urllib.parse import quote, unquote

CURSOR = "cursor"
OFFSET = "offset"

_SAFE = "!$&'()*+,/:;=?@-._~%"


def render_next_link(address: str, query: str, cursor: str, offset: int) -> str:
    """Render the value of a Link header that leads to the next page.

    Args:
        address: What was searched, without a query.
        query: The raw query string of this page.
        cursor: Where the next page begins.
        offset: How many matches it still has to skip.
    """
    kept = [*_kept(query), f"{CURSOR}={cursor}", *([f"{OFFSET}={offset}"] if offset else [])]
    return f'<{address}?{"&".join(kept)}>; rel="next"'


def _kept(query: str) -> Iterator[str]:
    """The parameters that all pages have in common, as they were sent."""
    for pair in query.split("&"):
        name = unquote(pair.partition("=")[0]).lower()
        if pair and name not in (CURSOR, OFFSET):
            # A server hands on bytes that the client did not encode as the characters of Latin-1.
            encoding = "latin-1" if max(pair) <= "\xff" else "utf-8"
            yield quote(pair, safe=_SAFE, encoding=encoding)
