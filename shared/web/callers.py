"""Who sends a request, as far as that tells the pages of one client from those of another."""

import re
from collections.abc import Mapping

_PORT = re.compile(r"^(\[[^]]*\]|[^:]*):[0-9]+$")


def name_caller(headers: Mapping[str, str], address: str) -> str:
    """Name who sends a request: by what it shows for its permission, else by its address and program.

    It proves nothing, and may hold a secret: it must be neither kept nor logged, only its digest.

    Args:
        headers: The request's headers, names in lower case.
        address: Where the connection comes from; behind a gateway that is the gateway.
    """
    permission = headers.get("authorization", "")
    if permission:
        return permission
    forwarded = headers.get("x-forwarded-for", "").partition(",")[0].strip()
    # Azure's front end adds the port, which is another one for each connection.
    found = _PORT.sub(r"\1", forwarded) or address
    return f"{found} {headers.get('user-agent', '')}"
