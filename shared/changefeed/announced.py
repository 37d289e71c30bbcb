"""What Event Grid says of a new blob in container `changes`. Pure.

Source: Event Grid's event schema and CloudEvents 1.0 for `Microsoft.Storage.BlobCreated`.
"""

import json
from base64 import b64decode
from typing import Final

from shared.storage import keys

_CREATED: Final = "Microsoft.Storage.BlobCreated"
_SUBJECT: Final = f"/blobServices/default/containers/{keys.CHANGES}/blobs/"


def announced_blob(message: bytes) -> str | None:
    """Find the blob that a message names: JSON of either schema, or that in base64; None if it names none."""
    text = message.strip()
    try:
        found = json.loads(text if text.startswith((b"{", b"[")) else b64decode(text, validate=True))
    except (ValueError, RecursionError):
        return None
    event = found[0] if isinstance(found, list) and len(found) == 1 else found
    if not isinstance(event, dict) or _CREATED not in (event.get("eventType"), event.get("type")):
        return None
    subject = str(event.get("subject", ""))
    return subject.removeprefix(_SUBJECT) if subject.startswith(_SUBJECT) else None
