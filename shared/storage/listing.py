"""The XML of the blob service: block lists going out, listings coming in. Nothing here does I/O.

Source: "Put Block List" and "List Blobs".
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from xml.etree import ElementTree

MAX_BLOCKS: Final = 50_000


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """A blob as a listing shows it."""

    name: str
    length: int
    created: datetime
    modified: datetime


def wire_block_id(block_id: str) -> str:
    """Write a block id as the service wants it, in base64."""
    return b64encode(block_id.encode()).decode("ascii")


def render_block_list(block_ids: Sequence[str]) -> bytes:
    """Write the blocks of a blob, in order.

    Raises:
        ValueError: There are more than a blob can have.
    """
    if len(block_ids) > MAX_BLOCKS:
        raise ValueError(f"A blob has {len(block_ids)} blocks; {MAX_BLOCKS} are allowed.")
    # Base64 holds none of the characters that XML would have to escape.
    blocks = "".join(f"<Latest>{wire_block_id(block_id)}</Latest>" for block_id in block_ids)
    return f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()


def parse_listing(body: bytes) -> tuple[list[BlobEntry], str]:
    """Read one page of a listing, and the marker of the next one; empty when it was the last."""
    root = ElementTree.fromstring(body)
    entries = [_parse_entry(blob) for blob in root.iter("Blob")]
    return entries, root.findtext("NextMarker") or ""


def _parse_entry(blob: ElementTree.Element) -> BlobEntry:
    modified = _parse_time(blob.findtext("Properties/Last-Modified"))
    created = blob.findtext("Properties/Creation-Time")
    return BlobEntry(
        name=blob.findtext("Name") or "",
        length=int(blob.findtext("Properties/Content-Length") or 0),
        created=_parse_time(created) if created else modified,
        modified=modified,
    )


def _parse_time(text: str | None) -> datetime:
    return parsedate_to_datetime(text or "").astimezone(UTC)
