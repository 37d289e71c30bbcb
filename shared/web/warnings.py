"""The Warning header."""

import re

_CODE = 299
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def render_warning(host: str | None, text: str) -> str:
    r"""Render the value of a Warning header: `299 localhost: "text"`.

    The colon after the host is Azure's, and some of its clients parse it. What is not printable ASCII
    becomes `?`.

    Args:
        host: The host of the request as the client named it, without the colon; None when unknown.
        text: What was not done as asked.

    Source: API rules section 1.4.
    """
    agent = f"{host}:" if host and not re.search(r'[^\x21-\x7e]|[",]', host) else "-"
    quoted = _UNPRINTABLE.sub("?", text).replace("\\", r"\\").replace('"', r"\"")
    return f'{_CODE} {agent} "{quoted}"'
