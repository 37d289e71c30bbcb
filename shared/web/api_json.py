"""The JSON of what is not DICOM: uploads, operations and the like.

Names are camelCase in answers and read without case; members without a value are left out; comments and
trailing commas are read over.

Source: API rules section 1.6.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from shared.errors import BadRequest

# A text is matched first, and kept, so that what looks like a comment within one is none.
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def parse_object(body: bytes) -> dict[str, object]:
    """Read an object, the names of its members in lower case; an empty body is an empty object.

    Raises:
        BadRequest: It is not JSON, or not an object.
    """
    try:
        text = _COMMA.sub(_keep, _COMMENT.sub(_keep, body.decode("utf-8-sig"))).strip()
        found = json.loads(text or "{}")
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise BadRequest("The request body must be JSON in UTF-8.") from None
    if not isinstance(found, dict):
        raise BadRequest("The field '$' in request body is invalid: It must be an object.")
    return {name.lower(): value for name, value in found.items()}


def render(members: Mapping[str, object]) -> bytes:
    """Write an object without those of its members that are None."""
    given = {name: value for name, value in members.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode()


def render_time(moment: datetime) -> str:
    """Write a time, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _keep(found: re.Match[str]) -> str:
    return found[1] or ""
