"""The table says what was measured, and no more digits than the noise allows."""

import pytest

from bench.load import Server, Work
from bench.measure import OURS, PEER, RAW, Figures, Line
from bench.report import render
from bench.stage import Case


async def nothing(_server: Server, _count: int) -> list[Work]:
    return []


async def nothing_raw(_count: int) -> list[Work]:
    return []


def line(rate: float, peer: float | None = None) -> Line:
    """Ours at so many a second, raw storage at a hundred."""
    rates = {OURS: rate, RAW: 100.0, **({PEER: peer} if peer else {})}
    sides = {name: Figures(each, 12.345, 20.0, 3.21, 0.0) for name, each in rates.items()}
    return Line(Case("store", 4, nothing, nothing_raw), sides, calls=4.0, rows=0.0, processor_ms=2.5)


def test_each_line_tells_the_share_of_raw_storage() -> None:
    table = render([line(80.0)]).splitlines()

    assert table[0].startswith("| work | callers | a second |")
    assert table[2] == "| store | 4 | 80 |  | 12.3 | 20 | 3.21 | 4 | 0 | 2.5 | 100 | 80% |"


def test_a_peer_has_columns_and_a_line_that_it_could_not_do_is_empty() -> None:
    table = render([line(80.0, peer=40.0), line(80.0)]).splitlines()

    assert table[2].endswith("| 40 | 12.3 | 2.00 |")
    assert table[3].endswith("| 80% |  |  |  |")


@pytest.mark.parametrize(
    ("rate", "shown"), [(1234.5, "1,234"), (99.96, "100"), (12.34, "12.3"), (0.456, "0.46")]
)
def test_figures_have_about_three_digits(rate: float, shown: str) -> None:
    assert f"| store | 4 | {shown} |" in render([line(rate)])
