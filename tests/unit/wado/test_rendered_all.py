"""Which instance stands for a study or series."""

import pytest

from shared.storage.rows import InstanceRow, Location
from shared.wado.rendered.several import representatives


def _rows(*sizes: int) -> list[InstanceRow]:
    """Images of as many series as there are numbers, and of each as many."""
    names = [(series, number) for series, size in enumerate(sizes) for number in range(size)]
    place = Location("b", 0, 1)
    return [
        InstanceRow("1", f"s{series}", f"i{number}", 1, place, "", {}, b"", "", b"", "", True, "")
        for series, number in names
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((), []),
        ((1,), ["s0 i0"]),
        ((2,), ["s0 i1", "s0 i0"]),
        ((5,), ["s0 i2", "s0 i0", "s0 i4"]),
        ((5, 1, 2), ["s0 i2", "s1 i0", "s2 i1", "s0 i0", "s2 i0", "s0 i4"]),
    ],
)
def test_the_middles_come_first(sizes: tuple[int, ...], expected: list[str]) -> None:
    """Of each series in turn, then their ends."""
    found = [f"{row.series} {row.instance}" for row in representatives(_rows(*sizes))]

    assert found == expected
