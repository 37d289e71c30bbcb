"""What fills a hole, and which transfer syntax it has."""

import pytest

from shared.dicom.build import EXPLICIT_LITTLE, Draft, Hole
from shared.dicom.framing import SEQUENCE_END, frames_head, item_head, value_head
from shared.dicom.part10 import Identity
from shared.stow.filling import Filling, Gap, Held, Staged, choose_syntax

JPEG = "1.2.840.10008.1.2.4.50"
LOSSLESS = "1.2.840.10008.1.2.4.70"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
VIDEO = "1.2.840.10008.1.2.4.102"
OCTETS = "application/octet-stream"

PIXELS = Hole(0x7FE00010, "OW", "x", is_top=True)
PALETTE = Hole(0x00281201, "OW", "x", is_top=True)
ICON = Hole(0x7FE00010, "OB", "x", is_top=False)
SEEN = b"\xff\xd8\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"


def draft(named: str = "", available: str = "", *, frames: int = 1, native_bytes: int = 0) -> Draft:
    """What metadata say of an object."""
    return Draft(Identity("1", "2", "3", "4"), (), None, named, available, frames, native_bytes)


@pytest.mark.parametrize(
    ("content_type", "named", "available", "head", "syntax"),
    [
        (None, "", "", b"", EXPLICIT_LITTLE),
        ("nonsense", "", "", b"", EXPLICIT_LITTLE),
        (OCTETS, "", "", SEEN, EXPLICIT_LITTLE),
        (OCTETS, "", JPEG, b"", EXPLICIT_LITTLE),
        (OCTETS, "1.2.840.10008.1.2", "", b"", EXPLICIT_LITTLE),
        (OCTETS, JPEG, "", b"", JPEG),
        (f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1", JPEG, "", b"", EXPLICIT_LITTLE),
        (f"{OCTETS}; transfer-syntax=*", "", "", b"", EXPLICIT_LITTLE),
        (f"{OCTETS}; transfer-syntax={JPEG}", "", "", b"", JPEG),
        (f"{OCTETS}; transfer-syntax={BIG_ENDIAN}", "", "", b"", None),
        (OCTETS, BIG_ENDIAN, "", b"", None),
        ("image/jpeg", "", "", b"", LOSSLESS),
        ("image/jpeg", "", "", SEEN, JPEG),
        ("image/jpeg", LOSSLESS, "", SEEN, LOSSLESS),
        ("image/jpeg", "", LOSSLESS, SEEN, LOSSLESS),
        ("image/jpeg", "1.2.840.10008.1.2.4.90", "", SEEN, JPEG),
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.1", "", "", SEEN, JPEG),
        (f"image/jpeg; transfer-syntax={BIG_ENDIAN}", "", "", b"", LOSSLESS),
        (f"image/jls; transfer-syntax={JPEG}", "", "", b"", JPEG),
        ("image/jp2", "", "", b"", "1.2.840.10008.1.2.4.90"),
        ("image/x-jls", "", "", b"", "1.2.840.10008.1.2.4.80"),
        ("image/jphc", "", "", b"", "1.2.840.10008.1.2.4.201"),
        ("video/mp4", "", "", b"", VIDEO),
        ("application/pdf", "", "", b"", EXPLICIT_LITTLE),
    ],
)
def test_the_surest_word_decides_the_syntax(
    content_type: str | None, named: str, available: str, head: bytes, syntax: str | None
) -> None:
    """PS3.18 section 8.7.3: the part's own, then the metadata's as far as they fit, then the bytes."""
    assert choose_syntax(content_type, draft(named, available), head) == syntax


def fill(hole: Hole, syntax: str, *parts: bytes) -> bytes:
    """What goes into a file."""
    filling = Filling(hole, syntax)
    for part in parts:
        filling.add([Held(part, is_payload=True)], len(part))
    return b"".join(content.data for content in filling.close() if isinstance(content, Held))


def test_native_parts_are_one_value() -> None:
    """Of even length, one behind the other."""
    assert fill(PIXELS, EXPLICIT_LITTLE, b"abc", b"de") == value_head(PIXELS.tag, PIXELS.vr, 6) + b"abcde\0"
    assert fill(PALETTE, "", b"ab") == value_head(PALETTE.tag, PALETTE.vr, 2) + b"ab"
    assert fill(ICON, "", b"") == value_head(ICON.tag, ICON.vr, 0)


def test_compressed_parts_are_a_frame_each() -> None:
    expected = frames_head(PIXELS.tag, [4, 2]) + item_head(4) + b"abc\0" + item_head(2) + b"de" + SEQUENCE_END

    assert fill(PIXELS, JPEG, b"abc", b"de") == expected


@pytest.mark.parametrize(
    ("hole", "syntax", "about", "parts", "complete"),
    [
        (PALETTE, "", draft(frames=3), 1, True),
        (PIXELS, EXPLICIT_LITTLE, draft(), 1, True),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3, native_bytes=6), 1, False),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3, native_bytes=6), 3, True),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3), 3, False),
        (PIXELS, JPEG, draft(frames=3), 2, False),
        (PIXELS, JPEG, draft(frames=3), 3, True),
        (PIXELS, JPEG, draft(), 0, False),
        (PIXELS, VIDEO, draft(frames=300), 1, True),
    ],
)
def test_a_hole_is_full_when_all_frames_have_come(
    hole: Hole, syntax: str, about: Draft, parts: int, complete: bool
) -> None:
    filling = Filling(hole, syntax)
    for _ in range(parts):
        filling.add([Held(b"ab", is_payload=True)], 2)

    assert filling.is_complete(about) is complete


@pytest.mark.parametrize(
    ("hole", "syntax", "about", "parts", "told"),
    [
        (PALETTE, "", draft(frames=3), 1, None),
        (PIXELS, EXPLICIT_LITTLE, draft(), 1, None),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3, native_bytes=6), 1, "1 of 3 frames came."),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3, native_bytes=9), 2, "1 of 3 frames came."),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3, native_bytes=6), 3, None),
        (PIXELS, EXPLICIT_LITTLE, draft(frames=3), 1, None),
        (PIXELS, JPEG, draft(frames=3), 2, "2 of 3 frames came."),
        (PIXELS, JPEG, draft(frames=3), 4, None),
        (PIXELS, VIDEO, draft(frames=300), 1, None),
    ],
)
def test_frames_that_did_not_come_are_counted(
    hole: Hole, syntax: str, about: Draft, parts: int, told: str | None
) -> None:
    """Only where the dataset says how many there are and how long they are."""
    filling = Filling(hole, syntax)
    for _ in range(parts):
        filling.add([Held(b"ab", is_payload=True)], 2)

    assert filling.shortage(about) == told


def test_a_gap_keeps_its_end() -> None:
    """In it the end of a frame can be seen."""
    gap = Gap(0, b"").followed(b"0123456789").followed(b"abc").followed(b"")

    assert gap == Gap.of(b"0123456789abc") == Gap(13, b"3456789abc")


def test_what_is_in_storage_keeps_its_place() -> None:
    """Between what goes before and behind it."""
    filling = Filling(PIXELS, JPEG)
    staged = Staged(range(3, 5), (Gap(5, b"tail"),))
    filling.add([staged], 5)

    head, *rest = filling.close()

    assert head == Held(frames_head(PIXELS.tag, [6]))
    assert rest == [Held(item_head(6)), staged, Held(b"\0"), Held(SEQUENCE_END)]
