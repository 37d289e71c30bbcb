"""The bytes around the values of a file in explicit VR little endian (PS3.5 section 7.1 and annex A.4)."""

import struct
from collections.abc import Sequence
from typing import Final

from shared.dicom.encode import BINARY_VRS, padded
from shared.dicom.meta import PREAMBLE

IMPLEMENTATION_CLASS: Final = "2.25.278213962480424917283713920263219318377"
IMPLEMENTATION_NAME: Final = "DICOMWEB_FN_1"

MAX_SHORT_BYTES: Final = 0xFFFE
"""The longest value of a VR that has two bytes for its length."""

UNDEFINED: Final = 0xFFFFFFFF
"""A length that a delimiter tells."""

ITEM: Final = struct.pack("<HH", 0xFFFE, 0xE000)
ITEM_END: Final = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
SEQUENCE_END: Final = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)

_WIDE_VRS: Final = BINARY_VRS | {"SQ", "SV", "UC", "UR", "UT", "UV"}


def file_head(sop_class: str, instance: str, transfer_syntax: str) -> bytes:
    """Preamble and group 0002 of a file (PS3.10 section 7.1)."""

    def uid(tag: int, value: str) -> bytes:
        return write_element(tag, "UI", padded("UI", value.encode("latin-1", "replace")))

    group = b"".join(
        (
            write_element(0x00020001, "OB", b"\0\1"),
            uid(0x00020002, sop_class),
            uid(0x00020003, instance),
            uid(0x00020010, transfer_syntax),
            uid(0x00020012, IMPLEMENTATION_CLASS),
            write_element(0x00020013, "SH", padded("SH", IMPLEMENTATION_NAME.encode())),
        )
    )
    return PREAMBLE + write_element(0x00020000, "UL", struct.pack("<I", len(group))) + group


def write_element(tag: int, vr: str, raw: bytes) -> bytes:
    """An element with its value, whose length is even."""
    return value_head(tag, vr, len(raw)) + raw


def value_head(tag: int, vr: str, length: int) -> bytes:
    """What goes before a value.

    One too long for its VR is written as UN, which has four bytes for the length (PS3.5 section 6.2.2).
    """
    if length > MAX_SHORT_BYTES and vr not in _WIDE_VRS:
        vr = "UN"
    if vr in _WIDE_VRS or vr == "UN":
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def item_head(length: int) -> bytes:
    """What goes before an item of a sequence, a frame, or the offset table."""
    return ITEM + struct.pack("<I", length)


def frames_head(tag: int, lengths: Sequence[int]) -> bytes:
    """What goes before the first frame of compressed pixel data: the header and the basic offset table.

    Args:
        tag: Of the pixel data.
        lengths: Bytes of each frame, of even length. One frame needs no table.
    """
    offsets, at = [], 0
    for length in lengths:
        offsets.append(at)
        at += length + len(item_head(0))
    fits = len(offsets) > 1 and offsets[-1] < UNDEFINED
    table = struct.pack(f"<{len(offsets)}I", *offsets) if fits else b""
    return value_head(tag, "OB", UNDEFINED) + item_head(len(table)) + table
