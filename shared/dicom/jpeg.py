"""Which transfer syntax a JPEG stream has (ISO 10918-1 annex B, PS3.5 section A.4.1)."""

from typing import Final

_JPEG: Final = "1.2.840.10008.1.2.4"
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_LOSSLESS: Final = 0xC3
_START_OF_SCAN: Final = 0xDA
_BY_FRAME_HEADER: Final = {0xC0: f"{_JPEG}.50", 0xC1: f"{_JPEG}.51", 0xF7: f"{_JPEG}.80"}


def jpeg_syntax(head: bytes) -> str | None:
    """Tell the transfer syntax by the first bytes of a frame; None if they do not tell.

    Args:
        head: The frame up to its first scan, which is mostly within a kilobyte; or less of it.
    """
    at, frame_header = 2, 0
    while head[:2] == b"\xff\xd8" and at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF or marker in _BARE_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _BY_FRAME_HEADER:
            return _BY_FRAME_HEADER[marker]
        if marker == _START_OF_SCAN:
            return _lossless(head[at + 4 :]) if frame_header == _LOSSLESS else None
        frame_header = marker if marker == _LOSSLESS else frame_header
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _lossless(scan: bytes) -> str | None:
    """Process 14 by its predictor, which stands behind the components of the first scan."""
    at = 1 + 2 * scan[0] if scan else 0
    if at >= len(scan):
        return None
    return f"{_JPEG}.70" if scan[at] == 1 else f"{_JPEG}.57"
