"""UIDs as they come in URLs and files (API rules section 1.5)."""

import re

from shared.errors import BadRequest

MAX_UID_CHARACTERS = 64
# Leading zeros and empty components are tolerated in a URL; only the end must be a digit.
_UID = re.compile(r"[0-9.]*[0-9]")


def trim_uid(text: str) -> str:
    """A UID without the trailing blanks and NULs that DICOM pads with; compare UIDs in this form only."""
    return text.rstrip(" \0")


def is_uid(text: str) -> bool:
    """Whether this is a UID once trimmed: 1 to 64 digits and dots, a digit at the end."""
    trimmed = trim_uid(text)
    return len(trimmed) <= MAX_UID_CHARACTERS and _UID.fullmatch(trimmed) is not None


def parse_uid(text: str) -> str:
    """Read a UID from a URL or a body.

    Raises:
        BadRequest: It is no UID.
    """
    if not is_uid(text):
        raise BadRequest(
            f"A UID has 1 to {MAX_UID_CHARACTERS} digits and dots and ends with a digit; "
            "one in this request does not."
        )
    return trim_uid(text)
