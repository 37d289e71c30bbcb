"""The transfer syntax of a JPEG stream, by its own header."""

import pytest

from shared.dicom.jpeg import jpeg_syntax

START = b"\xff\xd8"
APPLICATION = b"\xff\xe0\x00\x10" + bytes(14)
SCAN = b"\xff\xda\x00\x08\x01\x01\x00"


def frame(marker: int) -> bytes:
    """The header of a frame."""
    return bytes((0xFF, marker)) + b"\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"


@pytest.mark.parametrize(
    ("head", "end"),
    [
        (START + frame(0xC0), "50"),
        (START + APPLICATION + b"\xff\xff" + frame(0xC0)[1:], "50"),
        (START + frame(0xC1) + SCAN, "51"),
        (START + frame(0xC3) + SCAN + b"\x01\x00\x00", "70"),
        (START + frame(0xC3) + APPLICATION + SCAN + b"\x06\x00\x00", "57"),
        (START + frame(0xF7), "80"),
    ],
)
def test_the_header_of_the_frame_tells(head: bytes, end: str) -> None:
    """ISO 10918-1 annex B; process 14 is told apart by its predictor."""
    assert jpeg_syntax(head) == f"1.2.840.10008.1.2.4.{end}"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        START,
        START + b"\xff",
        START + APPLICATION,
        START + b"\xff\xe0\xff\xff",
        START + b"xx" * 10,
        START + frame(0xC2) + SCAN + b"\x01\x00\x00",
        START + frame(0xC3),
        START + frame(0xC3) + SCAN,
        START + frame(0xC3) + b"\xff\xda\x00\x08\xff",
        START + b"\xff\xe0\x00\x00" * 3,
        b"\x00\x00\x00\x0cjP  ",
        b"\xff\xff" * 50,
        START + b"\xff" * 50,
    ],
)
def test_what_does_not_tell_gives_nothing(head: bytes) -> None:
    """However it is cut or damaged."""
    assert jpeg_syntax(head) is None
