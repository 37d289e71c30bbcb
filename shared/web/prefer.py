"""The Prefer header, as far as it is followed here: how long a client would wait.

Source: RFC 7240 sections 2 and 4.3.
"""

import re

_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*(?:"([0-9]{1,9})"|([0-9]{1,9}))\s*(?=[;,]|$)', re.IGNORECASE)


def parse_wait(header: str) -> int | None:
    """Give the seconds of the first `wait` that is one; what cannot be understood is no preference."""
    found = _WAIT.search(header)
    return int(found[1] or found[2]) if found else None
