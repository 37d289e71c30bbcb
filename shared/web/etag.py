"""Entity tags: how they are made and compared.

Source: API rules section 7.3, RFC 9110 section 8.8.3.
"""

import hashlib

from shared.web.media import split_outside_quotes, unquote


def strong_etag(*identity: str) -> str:
    """Make the tag of an answer from what identifies its bytes; the same identity always gives the same."""
    return f'"{hashlib.sha256(chr(10).join(identity).encode()).hexdigest()[:32]}"'


def is_match(if_none_match: str | None, etag: str) -> bool:
    """Tell whether an If-None-Match header names the tag of what we would send.

    Azure sends its tags without quotes, so they are compared without. Lists, weak tags and `*` are
    understood, and case does not count.

    Args:
        if_none_match: The header, or all of them joined by commas.
        etag: The tag of something that exists.
    """
    if if_none_match is None:
        return False
    given = {_bare(entry) for entry in split_outside_quotes(if_none_match, ",")} - {""}
    return "*" in given or _bare(etag) in given


def _bare(tag: str) -> str:
    tag = tag.strip().lower()
    return unquote(tag.removeprefix("w/"))
