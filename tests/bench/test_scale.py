"""The comparison of archive sizes says which searches cost more in a larger archive."""

import pytest

from bench.cost import row_bytes
from bench.population import Hospital
from bench.scale import ASKS, Cost, growth, render, verdict

SIZES = (100, 1_000)


def cost(results: float, calls: float, rows: float) -> Cost:
    return Cost(results, 1.0, 2.0, calls, rows)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        (cost(1, 2, 5), cost(1, 2, 5), (1, 1)),
        (cost(1, 2, 5), cost(9, 10, 45), (1, 1)),
        (cost(1, 2, 5), cost(1, 2, 50), (1, 10)),
        (cost(1, 2, 5), cost(1, 6, 5), (3, 1)),
        (cost(0, 1, 0), cost(0, 1, 0), (1, 1)),
        (cost(0, 1, 0), cost(0, 1, 500), (1, 500)),
    ],
)
def test_growth_is_that_of_what_a_result_costs(
    small: Cost, large: Cost, expected: tuple[float, float]
) -> None:
    """More results may cost more, but not each of them."""
    assert growth({100: small, 1_000: large}, SIZES) == pytest.approx(expected)


def test_what_grew_is_named() -> None:
    costs = {
        "good": {100: cost(1, 2, 5), 1_000: cost(9, 10, 45)},
        "bad": {100: cost(1, 2, 5), 1_000: cost(1, 2, 50)},
    }

    assert verdict(costs, SIZES).endswith("rows for a result: bad.")
    assert "no search took" in verdict({"good": costs["good"]}, SIZES)
    assert render(costs, SIZES).splitlines()[3].endswith("| 1.00 | 10.00 |")


def test_every_search_can_be_asked_of_any_study() -> None:
    """And each has a name of its own."""
    hospital = Hospital(20)

    paths = [ask.path(hospital.study(number), number) for ask in ASKS for number in range(20)]

    assert all(path.isascii() for path in paths)
    assert len({ask.name for ask in ASKS}) == len(ASKS)


def test_a_row_is_charged_by_its_keys_names_and_values() -> None:
    """The published formula, by hand: 4 + 2 x 4 for the keys, then 8 + 2 x 1 for each name, and the value."""
    assert row_bytes("pkrk", {}) == 12
    assert row_bytes("pkrk", {"a": b"123"}) == 12 + 10 + 4 + 3
    assert row_bytes("pkrk", {"a": "12", "b": 1}) == 12 + 10 + 4 + 4 + 10 + 8
