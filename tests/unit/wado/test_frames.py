"""Frame numbers as a URL names them, and the bytes a frame is sent in (API rules section 5)."""

import pytest

from shared.dicom.frames import FrameSpan
from shared.errors import BadRequest, NotFound
from shared.wado.frame_bytes import frame_bytes
from shared.wado.frames import parse_frames


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", [1]),
        ("1,3,2", [1, 3, 2]),
        ("2,2", [2, 2]),
        (" 1 , 2", [1, 2]),
        ("007", [7]),
        ("99999999999", [99999999999]),
    ],
)
def test_lists_of_numbers(text: str, expected: list[int]) -> None:
    """Any order and repeats."""
    assert parse_frames(text) == expected


@pytest.mark.parametrize("text", ["", " ", ",", " , ", "0", "-1", "1,0", "3,-2"])
def test_numbers_below_one_are_malformed(text: str) -> None:
    """400, as an empty list is."""
    with pytest.raises(BadRequest):
        parse_frames(text)


@pytest.mark.parametrize(
    "text", ["a", "1,a", "1.5", "1,", ",1", "1;2", "0x1", "1-3", "1_0", "+1", "\u0661", "9" * 5000]
)
def test_what_is_no_number_names_nothing(text: str) -> None:
    """404: no such route."""
    with pytest.raises(NotFound):
        parse_frames(text)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (FrameSpan(100, 32), 32),
        (FrameSpan(100, 38, fragments=(10, 12)), 22),
        (FrameSpan(100, 2, shift_bits=1, bits=9), 2),
        (FrameSpan(100, 2, shift_bits=4, bits=8), 1),
        (FrameSpan(100, 3, shift_bits=7, bits=10), 2),
    ],
)
def test_the_length_of_a_frame_as_it_is_sent(span: FrameSpan, expected: int) -> None:
    """Without item headers, and without the bits of its neighbours."""
    assert frame_bytes(span) == expected
