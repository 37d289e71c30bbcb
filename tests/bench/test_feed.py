"""The measurement of the change feed enters what it says, by the calls it says."""

from collections import Counter
from math import isnan

import pytest

from bench.feed import LOADS, Line, Load, make_changes, measure_with_delay, render, render_parts
from bench.sampler import Stack


@pytest.mark.parametrize(
    ("load", "most_calls"),
    [(Load("apart", 300, 300), 2.4), (Load("together", 300, 3), 0.2), (Load("large", 40, 40, 50), 3.9)],
)
def test_a_change_costs_two_calls_alone_and_hardly_any_together(load: Load, most_calls: float) -> None:
    """One to read its study and one to finish it; the rest is shared, also messages for what was joined."""
    stacks: Counter[Stack] = Counter()

    line = measure_with_delay(load, stacks)

    assert line.calls / load.changes < most_calls
    assert line.seconds > 0.03
    assert isnan(line.storage_processor)
    assert render_parts(load, stacks).startswith(f"{load.name}: ")


def test_the_loads_are_those_of_the_goal() -> None:
    """Apart, together, and of many instances; each takes several rounds or transactions."""
    assert [(load.changes == load.studies, load.instances) for load in LOADS] == [
        (True, 1),
        (False, 1),
        (True, 50),
    ]


def test_every_change_is_another() -> None:
    """As a store would have left it."""
    made = list(make_changes(Load("some", 10, 2, 3)))

    assert len({version for _, version, _ in made}) == 10
    assert len({key for key, _, _ in made}) == 2
    assert all(values["action"] == "create" for _, _, values in made)


def test_the_table_tells_rates_and_what_a_change_costs() -> None:
    """Storage that has no processor time of its own leaves a blank."""
    line = Line(Load("some", 100, 100, 2), 0.5, 0.1, float("nan"), 210)

    assert render("storage", [line]).splitlines()[-1] == "| some | 200 | 400 | 2,000 | 1.00 | 2.10 |  |"
