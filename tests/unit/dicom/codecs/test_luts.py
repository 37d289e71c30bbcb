"""Lookup tables and palettes in segments (PS3.3 C.7.9.2, C.11.1.1)."""

import struct

import pytest

from shared.dicom.codecs import DamagedPixels
from shared.dicom.codecs.luts import Lut, expand_segments, make_lut


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


def test_no_entries_means_all_there_can_be() -> None:
    """65536 does not fit into the descriptor."""
    assert make_lut((0, 0, 16), bytes(131072)) == Lut(0, 16, bytes(131072))


@pytest.mark.parametrize(
    ("descriptor", "content"),
    [((4, 0, 16), _words(1, 2, 3)), ((0, 0, 16), bytes(100)), ((2, 0, 0), bytes(4)), ((2, 0, 17), bytes(4))],
)
def test_tables_shorter_than_they_say_are_damaged(descriptor: tuple[int, int, int], content: bytes) -> None:
    """And those of impossible depth."""
    with pytest.raises(DamagedPixels):
        make_lut(descriptor, content)


SEGMENTS = [
    # (descriptor, segments, entries)
    ((3, 0, 16), _words(0, 3, 7, 8, 9), [7, 8, 9]),
    ((5, 0, 16), _words(0, 1, 0, 1, 4, 100), [0, 25, 50, 75, 100]),
    ((4, 0, 16), _words(0, 1, 100, 1, 3, 40), [100, 80, 60, 40]),
    # The first two segments again, by the offset of the first in bytes.
    ((6, 0, 16), _words(0, 1, 5, 1, 2, 9, 2, 2, 0, 0), [5, 7, 9, 5, 7, 9]),
    ((6, 0, 16), _words(0, 2, 1, 2, 0, 1, 5, 2, 1, 8, 0), [1, 2, 5, 5]),
    # As wide as the entries.
    ((4, 0, 8), bytes((0, 2, 10, 20, 1, 2, 40)), [10, 20, 30, 40]),
    ((4, 0, 8), bytes((0, 2, 10, 20, 2, 1, 0, 0, 0, 0)), [10, 20, 10, 20]),
    # No more than declared.
    ((2, 0, 16), _words(0, 3, 7, 8, 9), [7, 8]),
]


@pytest.mark.parametrize(("descriptor", "segments", "entries"), SEGMENTS)
def test_segments_are_expanded(descriptor: tuple[int, int, int], segments: bytes, entries: list[int]) -> None:
    """Discrete, linear and indirect."""
    assert expand_segments(descriptor, segments) == _words(*entries)


@pytest.mark.parametrize(
    "segments",
    [
        _words(1, 3, 7),
        _words(9, 1, 7),
        _words(0, 1, 7, 2, 1, 99, 0),
        _words(0, 1, 7, 2, 1, 6, 0),
        _words(0, 1, 7, 2, 65535, 0, 0),
    ],
)
def test_segments_that_lead_nowhere_are_damaged(segments: bytes) -> None:
    """A linear one first, an unknown one, indirect ones to nothing, to themselves and without end."""
    with pytest.raises(DamagedPixels):
        expand_segments((60000, 0, 16), segments)
