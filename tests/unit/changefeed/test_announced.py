"""Messages of Event Grid in a queue."""

import json
from base64 import b64encode

import pytest

from shared.changefeed.announced import announced_blob

SUBJECT = "/blobServices/default/containers/changes/blobs/0006/microsoft.default/1.2.3"
NAME = "0006/microsoft.default/1.2.3"
EVENT_GRID = {"eventType": "Microsoft.Storage.BlobCreated", "subject": SUBJECT, "data": {"api": "PutBlob"}}
CLOUD_EVENT = {"specversion": "1.0", "type": "Microsoft.Storage.BlobCreated", "subject": SUBJECT}


@pytest.mark.parametrize("event", [EVENT_GRID, CLOUD_EVENT, [EVENT_GRID], [CLOUD_EVENT]])
def test_both_schemas_are_understood_in_base64_or_not(event: object) -> None:
    """Event Grid writes base64 into queues, and the host may have undone it."""
    text = json.dumps(event).encode()

    assert announced_blob(text) == NAME
    assert announced_blob(b64encode(text)) == NAME


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"not base64 at all!",
        json.dumps({**EVENT_GRID, "eventType": "Microsoft.Storage.BlobDeleted"}).encode(),
        json.dumps({**EVENT_GRID, "subject": SUBJECT.replace("changes", "dicom")}).encode(),
        json.dumps([EVENT_GRID, EVENT_GRID]).encode(),
        json.dumps("text").encode(),
        b"[" * 100_000,
    ],
)
def test_what_names_no_change_is_told_apart(message: bytes) -> None:
    """It still wakes the emitter, which looks for itself."""
    assert announced_blob(message) is None
